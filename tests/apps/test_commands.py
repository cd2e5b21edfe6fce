"""What a person says in the chat besides tasks, typed at a real terminal; and what training makes of it."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from agents.scripted import ScriptedServer, pick
from apps.main import main
from trajectories.examples import NOT_YET, examples
from trajectories.store import Store

DONE = 'send_msg_to_user("done")'
PAGE = """<title>Notes</title><h1>Two notes</h1>
<button onclick="document.querySelector('h1').textContent = 'Sorted'">Sort</button>"""


class Chat:
    """`shopfloor chat` at a terminal of its own."""

    def __init__(self, server: ScriptedServer, *arguments: str) -> None:
        where = {"SHOPFLOOR_MODEL_URL": server.url, "SHOPFLOOR_MODEL_NAME": "scripted", "COLUMNS": "200"}
        self._us, theirs = pty.openpty()
        command = [sys.executable, "-m", "apps.main", "chat", *arguments]
        self.process = subprocess.Popen(
            command, env={**os.environ, **where}, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        self.shown, self._read = "", 0  # all of it, and how much was waited for

    def until(self, text: str, seconds: float = 100) -> None:
        """Wait for a text, after those that were waited for before."""
        end = time.monotonic() + seconds
        while (at := self.shown.find(text, self._read)) < 0:
            assert select.select([self._us], [], [], max(0, end - time.monotonic()))[0], self.shown
            self.shown += os.read(self._us, 65536).decode(errors="replace")
        self._read = at + len(text)

    def types(self, line: str) -> None:
        os.write(self._us, f"{line}\n".encode())


def test_verdict_program_plan_and_memory(tmp_path: Path, _own_home: Path, chromium_path: str) -> None:
    """After a task its program is saved and a no is noted, which makes the episode a lesson for the reviewer;
    the others answer too, and none of them is taken for a task."""
    page, program = tmp_path / "notes.html", tmp_path / "sort.txt"
    page.write_text(PAGE)
    with ScriptedServer({"act:": [pick("Sort"), DONE]}) as server:
        chat = Chat(server, "--url", page.as_uri(), "--no-memory")
        chat.until("task> ")
        chat.types("/yes")
        chat.until("do a task first")
        chat.until("task> ")
        chat.types("Sort the notes")
        chat.until("tokens,")
        chat.until("task> ")
        for line, says in (
            (f"/save {program}", "does it again"),
            ("/no", "noted"),
            ("/plan Sort them", "act(goal)"),
            ("/memory", "--no-memory"),
            ("/model", "actor: scripted"),
            ("/undo", "changed the page in place"),
            ("/oops", "no /oops"),
        ):
            chat.types(line)
            chat.until(says)
            chat.until("task> ")
        chat.types("quit")
        assert chat.process.wait(60) == 0
        assert len(server.texts("act:")) == 2  # of the one task
    assert program.read_text().splitlines()[-1] == 'click(button("Sort"))'
    (episode,) = Store(_own_home / "episodes")
    assert not episode.outcome.success and episode.extra["checked_by"] == "person"
    assert [(e.role, e.answer) for e in examples(episode)] == [("reviewer", NOT_YET)]


def test_a_question_an_approval_and_keys_by_mistake(
    tmp_path: Path, _own_home: Path, chromium_path: str
) -> None:
    """One letter is no task. The coder's question is answered, and the answer is in the goal. Ctrl-C at an
    approval gives the browser to the person, who does something else there. At the prompt a first Ctrl-C only
    says how to leave."""
    page = tmp_path / "notes.html"
    page.write_text(f"{PAGE}<button onclick=\"document.title = 'gone'\">Delete all</button>")
    script = {
        "plan:": ['ask("Which notes?")', "act(goal)"],
        "act:": [pick("Delete all"), DONE],
    }
    with ScriptedServer(script) as server:
        chat = Chat(server, "--url", page.as_uri(), "--no-memory")
        chat.until("task> ")
        chat.types("x")
        chat.until("'x' is no task")
        chat.until("task> ")
        chat.types("Tidy up the notes")
        chat.until("asks: Which notes?")
        chat.until("answer> ")
        chat.types("all of them")
        chat.until("allow this?")
        chat.process.send_signal(signal.SIGINT)
        chat.until("you> ")
        chat.types('click(button("Sort"))')
        chat.until("you> ")
        chat.types("continue")
        chat.until("tokens,")
        chat.until("task> ")
        chat.process.send_signal(signal.SIGINT)
        chat.until("or quit, leaves")
        chat.until("task> ")
        chat.process.send_signal(signal.SIGINT)
        chat.until("closing")
        assert chat.process.wait(60) == 130
    (episode,) = Store(_own_home / "episodes")
    assert episode.goal == "Tidy up the notes (all of them)"
    assert [(step.by, step.decision.action.name) for step in episode.steps] == [
        ("person", "click"),
        ("actor", "send_msg_to_user"),
    ]


def test_undo_while_one_has_the_browser(tmp_path: Path, _own_home: Path, chromium_path: str) -> None:
    """Ctrl-C amid a task, the last step undone, and the team goes on from there; the episode says so."""
    page, asked = tmp_path / "notes.html", threading.Event()
    page.write_text("<title>Notes</title><label>Name <input></label>")

    def slowly(text: str) -> str:
        asked.set()
        time.sleep(10)
        return DONE

    with ScriptedServer({"act:": [pick("Name", 'fill({}, "Bob")'), slowly, DONE]}) as server:
        chat = Chat(server, "--url", page.as_uri(), "--no-memory")
        chat.until("task> ")
        chat.types("Write down Ada")
        assert asked.wait(100)
        chat.process.send_signal(signal.SIGINT)
        chat.until("you> ")
        chat.types("undo")
        chat.until('undone: "Name" fill(1, "Bob")')
        chat.until("is as it was before")
        for line in ('fill(1, "Ada")', "continue"):
            chat.until("you> ")  # what is typed before the question does not count
            chat.types(line)
        chat.until("tokens,")
        chat.until("task> ")
        chat.types("quit")
        assert chat.process.wait(60) == 0
    (episode,) = Store(_own_home / "episodes")
    assert [(step.by, str(step.decision.action)) for step in episode.steps] == [
        ("actor", '"Name" fill(1, "Bob")'),
        ("person", '"Name" fill(1, "")'),
        ("person", '"Name" fill(1, "Ada")'),
        ("actor", DONE),
    ]


def test_feedback_on_an_episode(tmp_path: Path, capsys, chromium_path: str) -> None:  # type: ignore[no-untyped-def]
    """A yes makes a demonstration of what the reviewer did not see done; a folder that is none is told."""
    page = tmp_path / "notes.html"
    page.write_text(PAGE)
    script = {"act:": [pick("Sort"), DONE], "check result:": ["give up: I see nothing"]}
    with ScriptedServer(script) as server:
        where = {"SHOPFLOOR_MODEL_URL": server.url, "SHOPFLOOR_MODEL_NAME": "scripted"}
        command = [sys.executable, "-m", "apps.main", "chat", "--json", "--no-memory", "--url", page.as_uri()]
        ran = subprocess.run([*command, "Sort"], env={**os.environ, **where}, capture_output=True, text=True)
    folder = json.loads(ran.stdout)["episode"]
    assert ran.returncode == 1
    assert main(["feedback", folder, "yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"episode": folder, "success": True, "before": False}
    (episode,) = Store(Path(folder).parent)
    assert [e.answer for e in examples(episode) if e.role == "actor"] == ['"Sort" click(1)', DONE]
    assert main(["feedback", str(tmp_path), "no"]) == 2
    assert "no episode's folder" in capsys.readouterr().err
