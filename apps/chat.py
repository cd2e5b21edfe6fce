"""`shopfloor chat`: give the team a task, watch it, approve what matters, take over, get the outcome.

    shopfloor chat "Set the priority of ticket 12 to high"       one task on the demo help desk
    shopfloor chat                                               several, at a prompt
    shopfloor chat --url http://127.0.0.1:8080/ < tasks.txt      a task a line

Browser, model server and help desk start at once; memory loads in a thread. Ctrl-C hands over to the person,
a second one quits.

Not covered: what the team does (`agents/team.py`), and what a session is (`session.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from apps import commands, places
from apps.session import Interrupt, Session
from tools import rails, rules, secrets, settings

if TYPE_CHECKING:
    from agents.clients import Endpoint
    from agents.prompts import Role
    from apps.places import Place
    from apps.terminal import Terminal
    from apps.undo import Trail
    from tools.memory import Memory
    from tools.observation import Observation
    from tools.rules import Rules

QUIT = ("quit", "exit", "q")
EXAMPLE = 'Open the customer "Tina Torres".'
Opening = Callable[
    [argparse.Namespace, AsyncExitStack, "Rules", Interrupt],
    Coroutine[Any, Any, "tuple[Trail, Observation, Place]"],
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    places.add_arguments(parser)
    add_talking(parser)


def add_talking(parser: argparse.ArgumentParser) -> None:
    """What a conversation with the team can be told, wherever it works."""
    parser.add_argument(
        "task", nargs="?", metavar="TASK", help="what to do; without it, a prompt or piped lines"
    )
    parser.add_argument(
        "--effort", choices=settings.EFFORTS, help="what a decision may cost (default: as set, medium)"
    )
    parser.add_argument("--no-memory", action="store_true", help="neither look anything up nor keep anything")


def run(args: argparse.Namespace) -> int:
    return converse(args, places.opened_page, "browser, model" + ("" if args.url else " and help desk"))


def converse(args: argparse.Namespace, opened: Opening, parts: str) -> int:
    """Do the tasks that `args` or the terminal have where `opened` leads; `parts` says what is started."""
    problem = _misused(args)
    if problem:
        print(f"shopfloor {args.command}: {problem}", file=sys.stderr)
        return 2
    rails.ready(rules.load())  # what is wrong with policy or secrets is said before anything starts
    secrets.named_in(args.task or "")
    from apps.terminal import Terminal

    terminal = Terminal(machine=args.json)
    try:
        return asyncio.run(_main(args, terminal, opened, parts))
    except asyncio.CancelledError:
        terminal.say("interrupted; finished tasks are kept")
        return 130


def _misused(args: argparse.Namespace) -> str | None:
    if args.task is not None and not args.task.strip():
        return 'the task is empty; write one, such as "Open the settings"'
    if any("\ud800" <= c <= "\udfff" for c in args.task or ""):  # bytes that Python could not read
        return "the task is no UTF-8; type it again, or mend the terminal's LANG"
    if args.task is None and args.json and sys.stdin.isatty():
        return "--json needs a TASK, or tasks on stdin"
    return places.misused(args)


async def _main(args: argparse.Namespace, terminal: Terminal, opened: Opening, parts: str) -> int:
    interrupt = Interrupt(terminal)
    async with AsyncExitStack() as stack:
        with terminal.busy(f"starting {parts} …"):
            at, endpoints = await _start(args, stack, terminal, interrupt, opened)
        results: list[dict[str, Any]] = []
        try:
            await _all(at, endpoints, results)
        finally:  # what was done was done, however it ends
            if args.json and (results or not args.task):
                print(_json(args, results), flush=True)
        if terminal.interactive and args.task is None:
            terminal.say("closing …", "dim")
        await at.closed()
    outcomes = {r["outcome"] for r in results}
    if not results and not terminal.interactive:
        wanted = f'write shopfloor {args.command} "TASK", or one a line on stdin'
        print(f"shopfloor {args.command}: no task; {wanted}", file=sys.stderr)
        return 2
    if terminal.interactive and args.task is None:
        return 0  # the person has seen how each one ended
    return 130 if "interrupted" in outcomes else 0 if outcomes == {"done"} else 1


async def _all(at: Session, endpoints: dict[Role, Endpoint], results: list[dict[str, Any]]) -> None:
    """Do what is asked, one after the other; what came of each task goes to `results`."""
    args, terminal = at.args, at.terminal
    async for task in _tasks(at, args.task):
        if terminal.interactive and (task.startswith("/") or task in ("help", "?")):
            terminal.say(await commands.answer(at, endpoints, "/help" if task[0] != "/" else task))
            continue
        if terminal.interactive and args.task is None and len(task.split()) == 1:  # a slip of the hand
            terminal.say(f"{task!r} is no task: say in a few words what to do, or /help", "red")
            continue
        results.append(await at.do(task))
        if results[-1]["outcome"] == "interrupted" and not terminal.interactive:
            return


def _json(args: argparse.Namespace, results: list[dict[str, Any]]) -> str:
    return json.dumps(results[0] if args.task else {"tasks": results}, ensure_ascii=False)


async def _start(
    args: argparse.Namespace,
    stack: AsyncExitStack,
    terminal: Terminal,
    interrupt: Interrupt,
    opening: Opening,
) -> tuple[Session, dict[Role, Endpoint]]:
    """Bring up everything at the same time; the session, and who plays which role."""
    from agents.clients import ROLES, endpoint_for, stated
    from tools.memory import Memory
    from training.experiment import running
    from training.registry import resolve

    chosen, policy = settings.load(), rules.load()
    own = [role for role in ROLES if stated(role)]
    for role in own:
        endpoint_for(role, None)  # half a setting is an error before anything starts
    memory = Memory(settings.home() / "memory")
    stack.callback(memory.close)
    if not args.no_memory:
        warming = asyncio.create_task(asyncio.to_thread(_warm, memory))
        stack.callback(warming.cancel)

    async def models() -> Endpoint | None:
        if len(own) == len(ROLES):
            return None
        from apps.local_server import local_model

        model = str(resolve(trial.variant(ident))) if trial else chosen.model
        return await stack.enter_async_context(local_model(model))

    # While two models are compared, whose it is follows from the session.
    ident = uuid.uuid4().hex
    local = not chosen.model and len(own) < len(ROLES)
    trial = await asyncio.to_thread(running) if local else None

    async with asyncio.TaskGroup() as group:
        model = group.create_task(models())
        opened = group.create_task(opening(args, stack, policy, interrupt))
    from agents.effort import EFFORTS
    from agents.team import run_team  # AutoGen: seconds, while nothing waits for it

    default = model.result()
    endpoints: dict[Role, Endpoint] = {role: endpoint_for(role, default) for role in ROLES}
    env, observation, place = opened.result()
    kept = None if args.no_memory else memory
    effort = EFFORTS[args.effort or chosen.effort]
    team = partial(run_team, endpoints=endpoints, memory=kept, effort=effort)
    name = endpoints["actor"].model
    at = Session(args, terminal, interrupt, env, observation, place, policy, team, name, memory=kept)
    at.trace = chosen.trace
    at.trial = (trial, ident) if trial else None
    return at, endpoints


def _warm(memory: Memory) -> None:
    from tools.memory import MemoryDown

    try:
        memory.warm()
    except MemoryDown:
        return  # the team meets it again at its first look-up, and says so


async def _tasks(at: Session, given: str | None) -> AsyncIterator[str]:
    """The task given, or one for each line."""
    if given is not None:
        yield given
        return
    if at.terminal.interactive:
        at.terminal.say(f"working on {at.place.home}; type a task, /help or quit", "dim")
        if at.place.site == "helpdesk":
            at.terminal.say(f"for example: {EXAMPLE}", "dim")
    while True:
        at.interrupt.awaited = True
        line = await at.terminal.line("task> ")
        at.interrupt.awaited = False
        if line is None or line.strip().lower() in QUIT:
            return
        if line.strip():
            yield line.strip()
