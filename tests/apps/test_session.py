"""A session through what breaks down in it: a place to work in this process, and a team that is scripted."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.job import Event
from agents.policies import Decision
from agents.team import TeamResult
from apps import chat, commands, places
from apps.kept import ended
from apps.session import Interrupt, Session
from apps.terminal import Terminal
from apps.undo import Trail
from tools.actions import Action, parse
from tools.browser import Browser
from tools.environment import Environment, EnvironmentDown, Start
from tools.observation import Box, Element, Observation, Table
from tools.rules import Rules
from tools.secrets import Discreet
from training.experiment import begin

FIELD = Element(1, "textbox", "PIN", Box(0, 0, 9, 9))
LOOK = Observation("http://desk/", "Desk", (99, 99), (FIELD,))
DONE = TeamResult("done", "done", (), LOOK, 0, 0, 0.0)


class Page:
    """One field. Implements `Environment`; `down`, it can't be used any more."""

    def __init__(self) -> None:
        self.did: list[Action] = []
        self.down = False

    async def observe(self) -> Observation:
        if self.down:
            raise EnvironmentDown("the browser opens no tab")
        return LOOK

    async def reset(self, start: Start) -> Observation:
        return await self.observe()

    async def step(self, action: Action) -> Observation:
        self.did.append(action)
        return await self.observe()

    async def tables(self) -> list[Table]:
        return []

    async def close(self) -> None:
        """Nothing is held."""


class Typing(Terminal):
    """A terminal at which these lines are typed."""

    def __init__(self, *lines: str) -> None:
        super().__init__(machine=True)
        self.typed = [*lines]

    async def line(self, prompt: str = "", *, fresh: bool = False) -> str | None:
        return self.typed.pop(0) if self.typed else None


def session(page: Environment, terminal: Terminal, team: Callable[..., Any], kind: Any = "chat") -> Session:
    args = argparse.Namespace(yes=False, max_steps=5, task=None, json=True, command="chat")
    trail = Trail(Discreet(page), lambda: 0)
    place = places.Place("http://desk/", "http://desk/", "desk", "files")
    return Session(args, terminal, Interrupt(terminal), trail, LOOK, place, Rules(), team, "none", kind)


async def test_what_breaks_down_ends_the_task_and_not_the_session(
    _own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A place that is gone for a while, then a store that can't be written: each is said, and the next task
    goes on; what a person asks in between is answered in words."""

    async def team(task: str, trail: Trail, *given: Any, **more: Any) -> TeamResult:
        page.down = task == "Fourth"
        await trail.observe()
        return DONE

    page = Page()
    at = session(page, Typing(), team)
    assert (await at.do("First"))["outcome"] == "done"
    page.down = True
    said = await at.do("Second")
    assert (said["outcome"], said["reason"]) == ("not done", "the browser opens no tab")
    assert not at.interrupt.working
    assert await commands.answer(at, {}, "/undo") == "the browser opens no tab"
    page.down = False
    store = _own_home / "episodes"
    store.rename(_own_home / "old")
    store.write_text("in its place")
    said = await at.do("Third")
    assert (said["outcome"], said["episode"]) == ("done", None)
    assert "episode not kept: can't make the store" in capsys.readouterr().err
    assert "do a task first" in await commands.answer(at, {}, "/yes")  # there is none to judge
    store.unlink()
    assert (await at.do("First again"))["episode"] is not None
    assert (await at.do("Fourth"))["reason"] == "the browser opens no tab"
    assert "do a task first" in await commands.answer(at, {}, "/yes")  # nor the one before


async def test_a_screenshot_that_cannot_be_kept_ends_nothing(
    _own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said, and the task is done and kept all the same."""

    async def team(*given: Any, on_event: Callable[[Event], None], **more: Any) -> TeamResult:
        on_event(Event("actor", "looks", "http://desk/", replace(LOOK, screenshot=b"png")))
        return DONE

    (_own_home / "chat").write_text("in its place")
    said = await session(Page(), Typing(), team).do("First")
    assert said["outcome"] == "done" and said["episode"] is not None
    assert "screenshot not kept: Not a directory" in capsys.readouterr().err


async def test_a_trial_that_cannot_be_written_ends_nothing(
    _own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said, and the task is done and kept all the same; so it is of a person's word."""

    async def team(*given: Any, **more: Any) -> TeamResult:
        return DONE

    at = session(Page(), Typing(), team)
    at.trial = (begin("1", "2", 0.5), "session")
    (_own_home / "ab.db").write_bytes(b"garbage" * 999)
    said = await at.do("First")
    assert said["outcome"] == "done" and said["episode"] is not None
    assert "not counted in the trial" in capsys.readouterr().err
    assert "ab.db can't be used (file is not a database)" in await commands.answer(at, {}, "/no")


async def test_a_task_that_is_too_long_to_be_read_whole_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A person would not know otherwise that its end, such as a "do not", is not heard."""

    async def team(*given: Any, **more: Any) -> TeamResult:
        return DONE

    await session(Page(), Typing(), team).do("Sort the notes. " * 50 + "Do not delete any.")
    assert "only the first 600 of its 818 characters are read" in capsys.readouterr().err


async def test_json_has_what_was_done_before_all_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tasks before an error of ours are printed, and the error is not hidden."""

    async def team(task: str, *given: Any, **more: Any) -> TeamResult:
        if task == "Second":
            raise RuntimeError("a bug")
        return DONE

    terminal = Typing("First", "Second", "Third")
    at = session(Page(), terminal, team)

    async def start(*given: Any) -> Any:
        return at, {}

    monkeypatch.setattr(chat, "_start", start)
    with pytest.raises(RuntimeError, match="a bug"):
        await chat._main(at.args, terminal, places.opened_page, "")
    assert [task["task"] for task in json.loads(capsys.readouterr().out)["tasks"]] == ["First"]


async def test_an_answer_may_name_a_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is typed, beside the task's own. For one that is not set another answer is asked for."""
    page = Page()

    async def team(task: str, trail: Trail, *given: Any, **more: Any) -> TeamResult:
        await at._ask("Which one?")
        for name in ("{{pin}}", "{{word}}"):
            await trail.step(parse(f'fill(1, "{name}")'))
        return DONE

    monkeypatch.setenv("SHOPFLOOR_SECRET_PIN", "4711-0815")
    monkeypatch.setenv("SHOPFLOOR_SECRET_WORD", "sesame")
    at = session(page, Typing("{{pins}}", "{{pin}}"), team)
    await at.do("Sign in with {{word}} or another")
    assert [action.args[1] for action in page.did] == ["4711-0815", "sesame"]
    assert "set SHOPFLOOR_SECRET_PINS" in capsys.readouterr().err


async def test_what_a_person_does_by_hand_is_seen(
    tmp_path: Path, chromium_path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """While they have the wheel they change a real page by their own clicks, past the session: `look`
    prints the page as it is then, and after `continue` the team begins on the one that it has become."""
    notes = tmp_path / "notes.html"
    notes.write_text("<title>Notes</title><button onclick=\"this.textContent += '!'\">Sort</button>")
    begun_on: list[str] = []

    async def team(task: str, trail: Trail, look: Observation, **more: Any) -> TeamResult:
        begun_on.append(look.text())
        outcome = "interrupted" if len(begun_on) == 1 else "done"
        return TeamResult(**{**DONE.__dict__, "outcome": outcome, "final": look})

    async with Browser() as browser:
        page = browser.environment()

        class Hands(Typing):
            """Each line is typed after a click by hand."""

            async def line(self, prompt: str = "", *, fresh: bool = False) -> str | None:
                await page.page.click("button")
                return await super().line(prompt, fresh=fresh)

        terminal = Hands("look", "continue")
        terminal.interactive = True
        at = session(page, terminal, team)
        at.observation = await at.trail.reset(Start(notes.as_uri()))
        assert (await at.do("Sort the notes"))["outcome"] == "done"
    printed = capsys.readouterr().err
    assert 'button "Sort!" [1]' in printed and "Sort!!" not in printed
    assert ['button "Sort" [1]' in begun_on[0], 'button "Sort!!" [1]' in begun_on[1]] == [True, True]


async def test_a_run_of_a_program_is_not_handed_over(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends it, and says no more than that."""

    async def team(*given: Any, interrupt: asyncio.Event, **more: Any) -> TeamResult:
        signal.raise_signal(signal.SIGINT)
        await interrupt.wait()
        return replace(DONE, outcome="interrupted", reason="you interrupted")

    terminal = Typing()
    terminal.interactive = True
    at = session(Page(), terminal, team, kind="replay")
    assert (await at.do("Sort the notes"))["outcome"] == "interrupted"
    printed = capsys.readouterr().err
    assert "stopping … (Ctrl-C again quits)" in printed and "over" not in printed


async def test_a_dialog_left_open_does_not_hold_up_the_next_task(tmp_path: Path, chromium_path: str) -> None:
    """As the one is that the person has just said no to: it is dismissed, and what it was about not done."""
    notes = tmp_path / "notes.html"
    notes.write_text(
        "<title>Notes</title><button onclick=\"confirm('Delete all?') && sure()\">Delete</button>"
    )
    begun_on: list[str] = []

    async def team(task: str, trail: Trail, look: Observation, **more: Any) -> TeamResult:
        begun_on.append(look.text())
        return replace(DONE, outcome="refused", final=await trail.step(parse("click(1)")))

    async with Browser() as browser:
        at = session(browser.environment(), Typing(), team)
        at.place = places.Place(notes.as_uri(), notes.as_uri(), "notes", "files")
        at.observation = await at.trail.reset(Start(notes.as_uri()))
        for task in ("First", "Second"):
            assert (await at.do(task))["outcome"] == "refused"
            assert 'dialog "Delete all?"' in at.observation.text()
    assert begun_on[0] == begun_on[1]


GAVE_UP = ((LOOK, Decision(Action("report_infeasible", ("no",))), "actor"),)
WAITED = ((LOOK, Decision(Action("noop")), "actor"),)


@pytest.mark.parametrize(
    ("how", "was"),
    [
        ({"outcome": "done"}, "done"),
        ({"broken": True}, "error"),
        ({"broken": True, "steps": GAVE_UP}, "error"),  # before the reviewer could look
        ({"steps": GAVE_UP}, "infeasible"),
        ({"steps": WAITED * 3}, "budget"),
        ({"steps": WAITED}, "infeasible"),
        ({"outcome": "refused"}, "infeasible"),
    ],
)
def test_how_an_episode_ended(how: dict[str, Any], was: str) -> None:
    """What broke down is no answer of the team's; running out of steps is none either."""
    result = TeamResult(**{**DONE.__dict__, "outcome": "not done", **how})
    assert ended(result, 3, "infeasible") == was


async def test_each_site_has_files_of_its_own() -> None:
    """What one gave is not there to be uploaded to another, be it only another port."""
    async with AsyncExitStack() as stack:
        urls = ("http://desk/a", "http://DESK:80/b", "http://desk:8080/", "https://desk/", "file:///a.html")
        made = [await places._place(argparse.Namespace(url=url), stack) for url in urls]
    folders = [Path(place.files) for place in made]
    assert folders[0] == folders[1] and len({*folders}) == 4 and all(f.is_dir() for f in folders)


def test_what_is_typed_before_a_question_is_no_answer_to_it() -> None:
    """Not even where it waits in the terminal because nothing was read yet, as in a chat with one task."""
    ours, theirs = os.openpty()
    ask = 'asyncio.run(Terminal(machine=False).line("allow this? ", fresh=True))'
    code = f"import asyncio\nfrom apps.terminal import Terminal\nprint({ask})"
    os.write(ours, b"y\n")
    with subprocess.Popen([sys.executable, "-c", code], stdin=theirs, stdout=subprocess.PIPE) as asked:
        assert asked.stdout is not None
        assert asked.stdout.read(len("allow this?")) == b"allow this?"
        os.write(ours, b"no\n")
        assert asked.stdout.read().split() == [b"no"]
    os.close(ours)
    os.close(theirs)
