"""`shopfloor replay`: run what worked before again, with other values, and no model call.

    shopfloor replay .shopfloor/episodes/chat-20261128-101500-3f2a1b            what a chat did
    shopfloor replay set-priority.txt priority=low --url http://127.0.0.1:8080/
    shopfloor replay EPISODE --save set-priority.txt                            ... and keep it as a program
    shopfloor replay note.txt text=Hello --app mousepad                         on a desktop of its own

A program is the text that memory keeps: its goal, its values, then a call a line (`agents/lifting.py`). A
step whose target has moved or changed its name is healed: by what names have in common, else by the actor,
whose model starts only then. What came of that is shown, and kept in the file when you agree, or in the one
that `--save` names.

An episode that began on a desktop is run on one again, with the application in front that was; so is a
program that opens one first. For others `--app` says so.

Exit codes: 0 every step was done; 1 not; 2 wrong use; 130 interrupted. Not covered: whether the page at the
end shows what was wanted, which nobody looks at; `shopfloor chat` has a reviewer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from apps import places
from apps.desktop import add_desktop, misused, opened_desktop
from apps.session import Interrupt, Session
from tools import rails, rules, secrets, settings
from tools.actions import Action, ActionError
from tools.files import write_whole
from tools.slots import SLOT

if TYPE_CHECKING:
    from agents.actor import ModelPolicy
    from agents.lifting import Lifted
    from agents.policies import Decision
    from agents.program import Program
    from apps.terminal import Terminal
    from tools.observation import Observation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="PROGRAM|EPISODE", help="a program's file, or an episode's folder")
    parser.add_argument("values", nargs="*", metavar="NAME=VALUE", help="other values than the first time")
    places.add_arguments(parser)
    add_desktop(parser)
    parser.set_defaults(display=None)  # the person's own screen is `shopfloor desktop`'s
    parser.add_argument("--save", metavar="FILE", help="keep the program, healed if it was, in this file")


def run(args: argparse.Namespace) -> int:
    from agents.clients import endpoint_for, stated
    from apps.terminal import Terminal

    if stated("actor"):
        endpoint_for("actor", None)  # half a setting is an error before anything starts
    try:
        lifted = _read(Path(args.what))
        if not args.url and args.app is None:
            args.app = _application(Path(args.what), lifted)
        if problem := places.misused(args) or misused(args):
            raise ValueError(problem)
        if args.url and args.app:
            raise ValueError("--url is a page and --app an application: give the one that it begins with")
        values = _values(args.values)
        lifted.filled(values)
        rails.ready(rules.load())
        secrets.named_in(_goal(lifted, values))
    except (ValueError, ActionError) as error:
        print(f"shopfloor replay: {error}", file=sys.stderr)
        return 2
    terminal = Terminal(machine=args.json)
    try:
        return asyncio.run(_main(args, lifted, values, terminal))
    except asyncio.CancelledError:
        terminal.say("interrupted; what was done is kept")
        return 130


def _read(path: Path) -> Lifted:
    """The program in a file, or of an episode. Raises ValueError or ActionError."""
    from agents.lifting import lift, parse_lifted
    from agents.program import compile_program
    from trajectories.store import StoreError, episode_in

    if path.is_dir():
        try:
            _, episode = episode_in(path)
        except StoreError as error:
            raise ValueError(str(error)) from error
        steps = [(step.observation, step.decision, step.by) for step in episode.steps]
        program = compile_program(steps, episode.final)
        if program is None:
            raise ValueError(
                f"{path}: what was done there does not make a program (looked up, drawn, or too long)"
            )
        return lift(episode.goal, program)
    try:
        return parse_lifted(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} can't be read: {error}; give a program's file or an episode's folder"
        ) from error
    except ActionError as error:
        raise ValueError(f"{path}: {error}") from error


def _application(path: Path, lifted: Lifted) -> str | None:
    """What it began with on a desktop, which may be nothing; None where it began on a page."""
    from tools.x11.applications import DESKTOP
    from trajectories.store import episode_in

    if path.is_dir():
        _, episode = episode_in(path)
        where = episode.looks[0].url
    else:
        first = lifted.program.steps[0]
        where = DESKTOP if str(first).startswith('goto("app:') else ""
    if not where.startswith("app:"):
        return None
    return "" if where == DESKTOP else where.removeprefix("app:")


def _values(given: Sequence[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in given]
    if wrong := [word for word, (_, sign, _) in zip(given, pairs, strict=True) if not sign]:
        raise ValueError(f"{wrong[0]!r} is no NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _goal(lifted: Lifted, values: dict[str, str]) -> str:
    """The goal with these values, and the secrets that only the steps name: the person gives those too."""
    goal, steps = lifted.said(values), str(lifted.filled(values))
    also = [f"{{{{{name}}}}}" for name in dict.fromkeys(SLOT.findall(steps))]
    return " ".join([goal, *(slot for slot in also if slot not in goal)]).strip()


async def _main(args: argparse.Namespace, lifted: Lifted, values: dict[str, str], terminal: Terminal) -> int:
    from agents.replay import replay

    interrupt = Interrupt(terminal)
    async with AsyncExitStack() as stack:
        desktop = args.app is not None
        opened = opened_desktop if desktop else places.opened_page
        starting = "desktop" if desktop else "browser" if args.url else "browser and help desk"
        with terminal.busy(f"starting {starting} …"):
            policy = rules.load()
            env, look, place = await opened(args, stack, policy, interrupt)
        actor = Later(stack)
        program = lifted.filled(values)
        team = partial(replay, program=program, actor=actor)
        at = Session(args, terminal, interrupt, env, look, place, policy, team, actor.name, "replay")
        at.trace = settings.load().trace
        said = await at.do(_goal(lifted, values) or args.what)
        if said["outcome"] == "done" and said["episode"] is not None:
            try:
                await _keep(args, program, Path(said["episode"]), terminal)
            except (ValueError, OSError) as error:
                terminal.say(f"   saved  nothing: {error}", "red")
        await at.closed()
    if args.json:
        print(json.dumps(said, ensure_ascii=False), flush=True)
    return {"done": 0, "interrupted": 130}.get(said["outcome"], 1)


async def _keep(args: argparse.Namespace, before: Program, episode: Path, terminal: Terminal) -> None:
    """Save the program as it ran, where that was asked for or a healed one is agreed to. Raises ValueError
    for a run that makes none, and OSError."""
    now = _read(episode)
    healed = now.filled({}) != before
    if healed:
        terminal.say(f"  healed  the program is now:\n{now.program}", "cyan")
    file = Path(args.save) if args.save else Path(args.what)
    if not args.save:
        if not healed or file.is_dir() or not terminal.interactive:
            return
        if (await terminal.line(f"  keep it so in {file}? [y/N] ", fresh=True) or "").lower() not in (
            "y",
            "yes",
        ):
            return
    write_whole(file, f"{now}\n")
    terminal.say(f"   saved  {file}", "dim")


class Later:
    """The actor, whose model starts when it is first asked. A policy; raises ModelDown."""

    name = "local model"

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._policy: ModelPolicy | None = None

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
        if self._policy is None:
            self._policy = await self._start()
            self.name = self._policy.name
        return await self._policy.decide(goal, observation, history)

    async def _start(self) -> ModelPolicy:
        from agents.actor import ModelPolicy
        from agents.clients import endpoint_for, stated
        from apps.local_server import local_model

        if stated("actor"):
            endpoint = endpoint_for("actor", None)
        else:
            endpoint = await self._stack.enter_async_context(local_model(settings.load().model))
        policy = ModelPolicy(endpoint)
        self._stack.push_async_callback(policy.close)
        return policy
