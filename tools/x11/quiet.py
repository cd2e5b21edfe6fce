"""Whether processes still work on something, as the kernel's scheduler tells (`/proc`).

A screen on which nothing moves says little on a busy machine: an application that is to open a window may be
waiting for the processor. Until it waits for something else, it is not done.

Not covered: what is waited for, and how long (`tools/desktop.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

AT_WORK = frozenset("RD")  # running, or about to; waiting for a disk
HELD = AT_WORK | frozenset("Tt")


def family(roots: Iterable[int]) -> Iterator[int]:
    """Processes, and all that they have started."""
    waiting = [*roots]
    while waiting:
        pid = waiting.pop()
        yield pid
        for task in _tasks(pid):
            waiting += map(int, _read(f"/proc/{pid}/task/{task}/children").split())


def at_work(pids: Iterable[int]) -> bool:
    """Whether a thread of these runs, or would if a processor were free."""
    return any(
        _stat(f"/proc/{pid}/task/{task}/stat")[:1] in ([state] for state in AT_WORK)
        for pid in pids
        for task in _tasks(pid)
    )


def held(pid: int) -> bool:
    """Whether the thread that a process began with, which is its windows', waits for nothing: it runs, or is
    stopped (SIGSTOP, a debugger)."""
    return _stat(f"/proc/{pid}/stat")[:1] in ([state] for state in HELD)


def spent(pids: Iterable[int]) -> float:
    """Seconds of a processor's time that these have had."""
    fields = (_stat(f"/proc/{pid}/stat")[11:13] for pid in pids)
    return sum(int(ticks) for pair in fields for ticks in pair) / os.sysconf("SC_CLK_TCK")


def _tasks(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:  # it has just ended
        return []


def _stat(path: str) -> list[str]:
    """The fields after the name, the state first; none of what has ended."""
    return _read(path).rpartition(")")[2].split()


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
