"""What a person can say in the chat besides a task: a word that begins with a slash.

Not covered: what is typed while one has the wheel (`session.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tools import settings
from tools.actions import ActionError
from tools.environment import EnvironmentDown
from tools.files import write_whole

if TYPE_CHECKING:
    from agents.clients import Endpoint
    from agents.prompts import Role
    from apps.session import Session
    from tools.memory import Hit

Command = Callable[["Session", Mapping["Role", "Endpoint"], str], Awaitable[str]]


async def answer(at: Session, endpoints: Mapping[Role, Endpoint], line: str) -> str:
    """Do what a line such as `/save file.txt` asks; what to show. What can't be done is said, not raised."""
    word, _, rest = line.removeprefix("/").strip().partition(" ")
    if word not in COMMANDS:
        return f"no /{word}; " + await _help(at, endpoints, "")
    from agents.clients import ModelDown
    from tools.memory import MemoryDown
    from training.experiment import TrialError
    from trajectories.store import StoreError

    try:
        return await COMMANDS[word][0](at, endpoints, rest.strip())
    except (ModelDown, MemoryDown, StoreError, TrialError, EnvironmentDown, ActionError) as error:
        return str(error)


async def _help(at: Session, endpoints: Mapping[Role, Endpoint], rest: str) -> str:
    return "type a task, or:\n" + "\n".join(f"  /{word:<8} {doc}" for word, (_, doc) in COMMANDS.items())


async def _plan(at: Session, endpoints: Mapping[Role, Endpoint], rest: str) -> str:
    from agents.coder import Coder

    if not rest:
        return "write the task after it: /plan Change the language"
    coder = Coder(endpoints["coder"])
    try:
        plan = await coder.plan(rest, await at.env.observe(), [])
    finally:
        await coder.close()
    return plan.note or str(plan.program)


async def _memory(at: Session, endpoints: Mapping[Role, Endpoint], rest: str) -> str:
    memory = at.memory
    if memory is None:
        return "this chat was started with --no-memory"
    await at.settled()
    if rest:
        hits = await asyncio.to_thread(memory.retrieve, rest, at.observation.url, 5)
    else:
        hits = await asyncio.to_thread(memory.entries)
    return "\n".join(f"{h.kind} {h.source}: {_remembered(h)}" for h in hits) or "nothing yet"


def _remembered(hit: Hit) -> str:
    """One line about a piece of memory; of a program its goal, for its calls say little by themselves."""
    from agents.lifting import parse_lifted
    from tools.observation import shorten

    if hit.kind != "program":
        return shorten(hit.text, 100)
    try:
        lifted = parse_lifted(hit.text)
    except ActionError as error:
        return f"can't be read: {error}"
    times = f", worked {hit.worked} time{'s' if hit.worked != 1 else ''}" if hit.worked else ""
    return f"{shorten(lifted.goal, 100)} ({len(lifted.program.steps)} steps{times})"


async def _model(at: Session, endpoints: Mapping[Role, Endpoint], rest: str) -> str:
    return "\n".join(f"{role}: {e.model} at {e.base_url}" for role, e in endpoints.items())


async def _effort(at: Session, endpoints: Mapping[Role, Endpoint], rest: str) -> str:
    from agents.effort import EFFORTS

    if rest not in EFFORTS:
        return f"write one of {', '.join(EFFORTS)} after it: /effort high"
    at.team = partial(at.team, effort=EFFORTS[rest])
    return f"{rest}, from the next task on"


async def _undo(at: Session, endpoints: Mapping[Role, Endpoint], rest: str) -> str:
    if at.last is None:
        return "do a task first"
    return (await at.undo()).said


async def _save(at: Session, endpoints: Mapping[Role, Endpoint], rest: str) -> str:
    from agents.lifting import lift
    from agents.program import compile_program

    if at.last is None or not rest:
        return "do a task first, then /save FILE" if at.last is None else "name a file: /save FILE"
    task, result, _ = at.last
    program = compile_program(result.steps, result.final)
    if program is None:
        return "what was done does not make a program (looked up, drawn, or too long)"
    try:
        await asyncio.to_thread(write_whole, Path(rest), f"{lift(task, program)}\n")
    except OSError as error:
        return f"{rest} can't be written: {error.strerror}"
    return f"saved; shopfloor replay {rest} does it again"


async def _judge(at: Session, right: bool) -> str:
    from apps.feedback import judge

    if at.last is None:
        return "do a task first"
    await asyncio.to_thread(judge, at.last[2], right)
    return f"noted; shopfloor train dpo --data {settings.home()} learns from it"


COMMANDS: dict[str, tuple[Command, str]] = {
    "yes": (lambda at, endpoints, rest: _judge(at, True), "the last task was done right"),
    "no": (lambda at, endpoints, rest: _judge(at, False), "it was not, whatever the team said"),
    "undo": (_undo, "undo the last step, where it only led somewhere or filled something in"),
    "save": (_save, "FILE  keep what was done as a program, for shopfloor replay"),
    "plan": (_plan, "TASK  what the coder would do, without doing it"),
    "memory": (_memory, "[WORDS]  what the team remembers, or what is nearest to the words"),
    "model": (_model, "which model plays which role"),
    "effort": (_effort, "low|medium|high  what a decision may cost from now on"),
    "help": (_help, "this"),
}
