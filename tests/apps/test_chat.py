"""`shopfloor chat` as people and scripts run it: a process, a real browser, scripted models on loopback."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from agents.scripted import Answer, ScriptedServer, pick
from apps.main import main
from trajectories.store import Store

DONE = 'send_msg_to_user("done")'
PAGE = """<title>Notes</title><h1>Two notes</h1>
<button onclick="document.querySelector('h1').textContent = 'No notes'; this.remove()">Delete all</button>
<button onclick="document.querySelector('h1').textContent = 'Sorted'">Sort</button>"""


def start(server: ScriptedServer, *arguments: str, stdin: int = subprocess.PIPE) -> subprocess.Popen[str]:
    where = {"SHOPFLOOR_MODEL_URL": server.url, "SHOPFLOOR_MODEL_NAME": "scripted"}
    return subprocess.Popen(
        [sys.executable, "-m", "apps.main", "chat", "--no-memory", *arguments],
        env={**os.environ, **where},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def chat(
    script: dict[str, Sequence[Answer]], *arguments: str, piped: str = ""
) -> tuple[int, str, str, ScriptedServer]:
    with ScriptedServer(script) as server:
        process = start(server, *arguments)
        out, err = process.communicate(piped, timeout=240)
    return process.returncode, out, err, server


def first_link(text: str) -> str:
    found = re.search(r'^\| link ("[^"]+") \[(\d+)\]', text, re.MULTILINE)
    assert found, text
    return f"{found.group(1)} click({found.group(2)})"


@pytest.fixture
def notes(tmp_path: Path) -> str:
    page = tmp_path / "notes.html"
    page.write_text(PAGE)
    return page.as_uri()


def test_one_task_on_the_help_desk_as_json(chromium_path: str, _own_home: Path) -> None:
    """One object on stdout, the episode whole in the store, the screenshots where it says."""
    script: dict[str, Sequence[Answer]] = {"act:": [first_link, DONE]}
    code, out, err, server = chat(script, "Open the first page", "--json", "--seed", "3")
    assert code == 0, err
    said = json.loads(out)
    assert (said["outcome"], said["model"], len(said["steps"])) == ("done", "scripted", 2)
    assert said["prompt_tokens"] > 0 and said["seconds"] > 0
    assert {r: cost["calls"] for r, cost in said["roles"].items()} == {"coder": 1, "reviewer": 2, "actor": 2}
    assert sum(cost["prompt_tokens"] for cost in said["roles"].values()) == said["prompt_tokens"]
    assert re.search(r"actor  2 calls, \d+ \+ \d+ tokens, \d+\.\d s", err)
    assert "reviewer  approve" in err and "> send_msg_to_user" in err
    episode = Store(_own_home / "episodes").load(Path(said["episode"]).name)
    assert episode.task == "chat/helpdesk/0" and episode.goal == "Open the first page"
    assert episode.ended == "done" and [s.by for s in episode.steps] == ["actor", "actor"]
    pictures = sorted(Path(said["screenshots"]).glob("step-*.png"))
    assert len(pictures) == 2 and pictures[0].read_bytes().startswith(b"\x89PNG")
    assert len(server.texts("act:")) == 2


LINES = "Sort the notes\n\nDelete the notes\n"
SORT_AND_DELETE: dict[str, Sequence[Answer]] = {"act:": [pick("Sort"), DONE, pick("Delete all"), DONE]}


def test_nobody_approves_unasked(notes: str, chromium_path: str) -> None:
    """Piped tasks, one a line: without --yes what can't be undone is refused, with the hint."""
    code, out, err, _ = chat(SORT_AND_DELETE, "--url", notes, piped=LINES)
    assert code == 1, out + err
    assert "done  done" in out and "refused  not approved" in out
    assert "run it again with --yes" in out and "Traceback" not in err
    assert 'what   click(button("Delete all"))' in out and f"where  {notes}" in out


def test_yes_approves_what_is_asked(notes: str, chromium_path: str) -> None:
    """The same with --yes: both are done, and --json says so in one object."""
    code, out, err, server = chat(SORT_AND_DELETE, "--url", notes, "--yes", "--json", piped=LINES)
    assert code == 0, out + err
    assert [task["outcome"] for task in json.loads(out)["tasks"]] == ["done", "done"]
    assert "No notes" in server.texts("check result:")[1]
    code, out, err, server = chat(SORT_AND_DELETE, "--url", notes, "--json", piped=LINES)
    refused = json.loads(out)["tasks"][1]["not_approved"]
    assert code == 1 and (refused["what"], refused["where"]) == ('click(button("Delete all"))', notes)


def test_a_task_that_can_not_begin_is_not_done(notes: str, tmp_path: Path, chromium_path: str) -> None:
    """The start does not load any more: said, and nothing is done wherever the browser stands."""

    def done(text: str) -> str:
        (tmp_path / "notes.html").unlink(missing_ok=True)
        return DONE

    code, out, err, server = chat({"act:": [done]}, "--url", notes, "--json", piped="Look\nLook again\n")
    first, second = json.loads(out)["tasks"]
    assert (code, first["outcome"], second["outcome"]) == (1, "done", "not done"), out + err
    assert "does not open" in second["reason"] and len(server.texts("act:")) == 1


SIGN_IN = """<title>Door</title><label>Password <input type=password id=p></label>
<button onclick="document.querySelector('h1').textContent = p.value; document.title = p.value">Enter</button>
<h1>Who is there?</h1>"""


def test_a_secret_is_named_and_never_shown(
    tmp_path: Path, chromium_path: str, _own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page gets it; prompts, terminal, JSON and every kept file have the name. Unset, nothing starts."""
    page = tmp_path / "door.html"
    page.write_text(SIGN_IN)
    steps: dict[str, Sequence[Answer]] = {
        "act:": [pick("Password", 'fill({}, "{{{{password}}}}")'), pick("Enter"), DONE]
    }
    task = 'Enter with "{{password}}".'
    code, out, err, server = chat(steps, task, "--url", page.as_uri())
    assert code == 2 and "set SHOPFLOOR_SECRET_PASSWORD" in err and not server.asked
    monkeypatch.setenv("SHOPFLOOR_SECRET_PASSWORD", "hunter2-hunter2")
    monkeypatch.setenv("SHOPFLOOR_TRACE", "true")  # into the state folder, which is looked through below
    code, out, err, server = chat(steps, task, "--url", page.as_uri(), "--json")
    assert code == 0, err
    assert 'heading "{{password}}"' in server.texts("check result:")[0]  # the page has it: it was typed
    assert json.loads(out)["task"] == task and "hunter2" not in out + err + json.dumps(server.asked)
    assert re.search(r"trace +tr-", err), err
    kept = [f for f in _own_home.rglob("*") if f.is_file()]
    assert len(kept) > 4 and not [f for f in kept if b"hunter2" in f.read_bytes()]


def test_a_dead_tracking_server_breaks_no_task(
    notes: str, chromium_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is done, the exit code says so, and a line says that its trace is lost."""
    monkeypatch.setenv("SHOPFLOOR_TRACE", "http://127.0.0.1:9")
    code, out, err, _ = chat({"act:": [pick("Sort"), DONE]}, "Sort the notes", "--url", notes)
    assert code == 0 and "done  done" in out and "Traceback" not in err
    assert "trace  not kept: http://127.0.0.1:9" in out


def test_ctrl_c_keeps_what_was_done(notes: str, chromium_path: str, _own_home: Path) -> None:
    """A script that interrupts gets 130, soon, and the steps so far lie in the store."""

    def slowly(text: str) -> str:
        time.sleep(20)
        return DONE

    with ScriptedServer({"act:": [pick("Sort"), slowly]}) as server:
        process = start(server, "Sort the notes", "--url", notes)
        deadline = time.monotonic() + 120
        while len(server.texts("act:")) < 2 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.1)
        pressed = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, out + err
        assert time.monotonic() - pressed < 18
    assert "interrupted" in out and "Traceback" not in err
    store = Store(_own_home / "episodes")
    (ident,) = store.ids()
    assert [str(s.decision.action.name) for s in store.load(ident).steps] == ["click"]


def test_a_dead_model_ends_clearly(notes: str, chromium_path: str) -> None:
    """Exit 1, and a line that says what to do."""
    with ScriptedServer() as server:
        pass
    process = start(server, "Sort the notes", "--url", notes)
    out, err = process.communicate("", timeout=240)
    assert process.returncode == 1 and "can't be reached; start it" in out and "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([""], "the task is empty"),
        (["un caf\udce9"], "the task is no UTF-8"),
        (["x", "--url", "notes.html"], "write it as http"),
        (["x", "--max-steps", "0"], "--max-steps"),
    ],
)
def test_wrong_use_is_told_before_anything_starts(arguments: list[str], says: str) -> None:
    """Exit 2 with the mend."""
    with ScriptedServer() as server:
        process = start(server, *arguments)
        out, err = process.communicate("", timeout=60)
    assert process.returncode == 2 and says in err and not out


def test_memory_command_adds_lists_and_searches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was added is found with its source; a file that is none is exit 2."""
    (tmp_path / "guide.md").write_text("# Refunds\n\nRefunds above 100 euros need a manager.\n")
    assert main(["memory", "add", str(tmp_path / "guide.md")]) == 0
    assert "1 new pieces" in capsys.readouterr().out
    assert main(["memory", "search", "who may give money back", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["hits"]
    assert found[0]["source"].endswith("guide.md") and found[0]["kind"] == "document"
    assert main(["memory", "add", str(tmp_path / "gone.md")]) == 2
    assert "can't be read" in capsys.readouterr().err
