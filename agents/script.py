"""A script run for a job: each call that comes out of the sandbox is checked, done as a step, and answered.

    click(button("Save"))            any action of the table, its targets by role and name
    read()                           the page as the coder sees it, as text
    read(textbox("Email"))           what an element holds: its value, "on" or "off", or else its name
    read_table(), read_table(1)      a table of the page: a list of rows, each by its columns' heads
    read_table("Amount")             the first table that has this in its head or caption
    act("sub-goal")                  the actor does a part; its last word

What can't be done is an ActionError in the script. Nothing the sandbox says is trusted: a call is read by the
action table's own parser, and an action goes through `Job.do`, as every step does.

Files that the browser loads down meanwhile lie in the script's folder once the call that did it is answered.

Not covered: how a script is kept apart (`tools/sandbox.py`).
"""

from __future__ import annotations

import ast
import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from agents.job import Job, in_time
from agents.policies import Decision
from agents.program import Script, parse_act
from tools.actions import ActionError, from_call, named, quote
from tools.observation import EDITABLE, Element, Table, shorten
from tools.sandbox import MIB, Sandbox, find

GIVEN = 16 * MIB  # bytes of files that a script finds in its work folder
SHOWN = 30  # lines of what it printed
IMAGES = (".png", ".jpg", ".jpeg", ".svg", ".gif", ".webp")


async def run_script(job: Job, script: Script) -> str | None:
    """Run it to its end; why it failed, in words for its author, or None. Its steps are the job's.

    Raises Over when the job ends meanwhile, and SandboxMissing where no script can be run.
    """
    await asyncio.to_thread(find)
    over = False
    known: dict[Path, tuple[int, int]] = {}
    files = await asyncio.to_thread(_given, job, known)
    async with Sandbox(script.text, goal=job.goal, files=files) as sandbox:
        try:
            while (call := await job.unless_interrupted(sandbox.call())) is not None:
                try:
                    if over:
                        raise ActionError("the task has ended; nothing more is done")
                    value, over = await _answer(job, call)
                    files = await asyncio.to_thread(_given, job, known)
                    await sandbox.answer(value, over=over, files=files)
                except (ActionError, RecursionError) as error:  # the second from text nested very deep
                    await sandbox.refuse(str(error))
        finally:
            _show(job, sandbox)
    return None if over else sandbox.failed


async def _answer(job: Job, text: str) -> tuple[Any, bool]:
    """Do what a call asks: its value, and whether the task has ended by it. Raises ActionError or Over."""
    try:
        call = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ActionError(f"not a call: {text[:80]!r}; only plain values can be given") from error
    match call:
        case ast.Call(func=ast.Name(id="read"), args=[], keywords=[]):
            return job.observation.text(), False
        case ast.Call(func=ast.Name(id="read"), args=[ast.Call() as target], keywords=[]):
            return _held(job, target), False
        case ast.Call(func=ast.Name(id="read_table"), args=[], keywords=[]):
            return _chosen(await in_time(job.env.tables()), None).records(), False
        case ast.Call(func=ast.Name(id="read_table"), args=[ast.Constant(value=which)], keywords=[]):
            return _chosen(await in_time(job.env.tables()), which).records(), False
        case ast.Call(func=ast.Name(id="act")):
            return await _acted(job, text), False
    action = from_call(call)
    if any(isinstance(target, int) for target in action.targets):
        raise ActionError(f'{text[:80]}: give targets by role and name, such as click(button("Save"))')
    try:
        action = job.observation.labelled(action)
    except KeyError as error:
        raise ActionError(str(error.args[0])) from error
    done = await job.do(Decision(action, text), "script")
    if job.observation.error and not (done and action.final):
        raise ActionError(job.observation.error)
    return None, action.final


async def _acted(job: Job, text: str) -> str | None:
    part = parse_act(text).goal
    await job.act(None if part == job.goal else part)
    if job.steps[-1][1].action.name == "report_infeasible":
        raise ActionError(f"the actor says it can't be done: {job.message}")
    return job.message


def _held(job: Job, call: ast.Call) -> str:
    """What an element of the page holds. Raises ActionError."""
    target = named(call)
    same = [e for e in job.observation.elements if (e.role, e.name) == (target.role, target.name)]
    if target.nth >= len(same):
        raise ActionError(f"no {target} on this page")
    element: Element = same[target.nth]
    if element.role in ("checkbox", "radio", "switch"):
        return "on" if "checked" in element.states else "off"
    return element.value or ("" if element.role in EDITABLE else element.name)


def _chosen(tables: list[Table], which: object) -> Table:
    """A table by its number, or by a text in its heads or caption. Raises ActionError."""
    found: list[Table] = []
    if isinstance(which, int):
        found = tables[which : which + 1] if which >= 0 else []
    elif isinstance(which, str):
        found = [t for t in tables if which in t.head] or [t for t in tables if which in t.caption]
    elif which is None:
        found = [t for t in tables if t.head] or tables
    if found:
        return found[0]
    there = "; ".join(f"{i}: {shorten(', '.join(map(quote, t.head)))}" for i, t in enumerate(tables[:8]))
    raise ActionError(f"no such table on this page; there are {there or 'none'}")


def _given(job: Job, known: dict[Path, tuple[int, int]]) -> dict[str, bytes]:
    """What the script finds in its work folder: the task's files, then those that an earlier script left.
    Only what is new or other than `known`, which is brought up to date: file to bytes and time of change."""
    found: dict[str, bytes] = {}
    room = GIVEN - sum(size for size, _ in known.values())
    for folder in (job.files, job.work):
        if folder is None:
            continue
        for path in sorted(folder.rglob("*")):
            with suppress(OSError):  # gone meanwhile, as when one is renamed, or not for us to read
                if path.is_symlink() or not path.is_file():
                    continue
                size, changed = path.stat().st_size, path.stat().st_mtime_ns
                grown = size - known.get(path, (0, 0))[0]
                if grown <= room and known.get(path) != (size, changed):
                    found[path.relative_to(folder).as_posix()] = path.read_bytes()
                    known[path] = size, changed
                    room -= grown
    return found


def _show(job: Job, sandbox: Sandbox) -> None:
    """What the script printed, and the files it left, kept in the job's folder."""
    lines = sandbox.printed.strip().splitlines()
    if lines:
        more = [f"… {len(lines) - SHOWN} more lines"] if len(lines) > SHOWN else []
        job.say("script", "\n".join([*(shorten(line, 300) for line in lines[:SHOWN]), *more]))
    if job.work is None:
        return
    for name, data in sandbox.files.items():
        path = job.work / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            job.say("script", f"{name} could not be kept: {error.strerror}")
            continue
        job.kept[name] = path
        kind = "picture" if path.suffix.lower() in IMAGES else "file"
        job.say("script", f"{kind} {path}")
