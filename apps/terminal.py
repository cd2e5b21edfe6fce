"""The terminal of a chat: what a person is shown, and the lines they type.

Text from pages and models is shown as it is, less control characters: a page can't paint on the terminal.
Lines are read in a thread straight from the descriptor, so that Ctrl-C, a running team and a waiting prompt
never block one another.

Not covered: what is said (`chat.py`).
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.status import Status

from agents.job import Event
from agents.spans import Spent
from tools.terms import Terms

STYLES = {
    "memory": "magenta",
    "coder": "cyan",
    "reviewer": "yellow",
    "policy": "red",
    "program": "cyan",
    "script": "cyan",
    "actor": "green",
    "person": "bold",
}


class Terminal:
    """People's output goes to stdout, or to stderr where stdout is a machine's."""

    def __init__(self, machine: bool) -> None:
        self.console = Console(stderr=machine, highlight=False, soft_wrap=True)
        self.interactive = sys.stdin.isatty() and not machine
        self._lines: asyncio.Queue[str | None] | None = None
        self._ended = False
        self._prompt = ""  # what was asked last
        self._status: Status | None = None

    def say(self, text: str, style: str = "") -> None:
        self.console.print(_plain(text), style=style, markup=False)

    def event(self, event: Event) -> None:
        """One event of the team, as it happens."""
        style = STYLES.get(event.who, "")
        match event.kind:
            case "says":
                first, *rest = event.text.strip().splitlines() or [""]
                self.say(f"{event.who:>8}  {first}", style)
                for line in rest:
                    self.say(f"{'':>8}  {line}", style)
            case "does":
                self.say(f"{event.who:>8}  > {event.text}", f"bold {style}")
            case "looks":
                failed = event.observation is not None and event.observation.error
                self.say(f"{'':>8}  {'failed: ' if failed else ''}{event.text}", "red" if failed else "dim")

    def terms(self, terms: Terms) -> None:
        """What a yes would be bound to."""
        for line in terms.lines():
            self.say(f"{'':>8}  {line}", "yellow")

    def spent(self, roles: Mapping[str, Spent]) -> None:
        """What each role cost, a line each."""
        for role, cost in roles.items():
            calls = f"{cost.calls} call" + ("s" if cost.calls != 1 else "")
            tokens = f"{cost.prompt_tokens} + {cost.completion_tokens} tokens"
            self.say(f"{role:>8}  {calls}, {tokens}, {cost.seconds:.1f} s", "dim")

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """A sign of life on a terminal; a line elsewhere."""
        if self.console.is_terminal:
            with self.console.status(text):
                yield
        else:
            self.say(text, "dim")
            yield

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """A sign of life below what is said, on a terminal; it makes room for questions."""
        if not self.console.is_terminal:
            yield
            return
        self._status = self.console.status(text, refresh_per_second=4)
        try:
            with self._status:
                yield
        finally:
            self._status = None

    def again(self, text: str) -> None:
        """Say something while a question waits, and put the question again."""
        self.say(f"\n{text}", "dim")
        self._ask(self._prompt)

    async def line(self, prompt: str = "", *, fresh: bool = False) -> str | None:
        """The next line typed or piped, None at its end. `fresh` drops what was typed before the question."""
        status = self._status
        if status is not None:
            status.stop()
        try:
            return await self._line(prompt, fresh)
        finally:
            if status is not None and status is self._status:  # not over meanwhile
                status.start()

    def _ask(self, prompt: str) -> None:
        self._prompt = prompt
        if prompt and self.interactive:
            self.console.print(_plain(prompt), end="", style="bold", markup=False)

    async def _line(self, prompt: str, fresh: bool) -> str | None:
        if fresh and self.interactive:
            with suppress(termios.error):  # the terminal is gone
                termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)  # what nobody has read yet
        if self._lines is None:
            self._lines = asyncio.Queue()
            loop = asyncio.get_running_loop()
            threading.Thread(target=_read, args=(loop, self._lines), name="stdin", daemon=True).start()
        while fresh and not self._lines.empty():
            self._ended = self._ended or self._lines.get_nowait() is None
        if self._ended:
            return None
        self._ask(prompt)
        line = await self._lines.get()
        self._ended = line is None
        return line


def _read(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[str | None]) -> None:
    """Feed whole lines until the end. `os.read`, because a thread inside `sys.stdin` can't be left behind."""
    left = b""
    ended = False
    while not ended:
        try:
            data = os.read(sys.stdin.fileno(), 65536)
        except OSError:  # the terminal is gone
            data = b""
        ended = not data
        *whole, left = (left + data).split(b"\n")
        if ended and left:
            whole.append(left)
        try:
            for line in whole:
                loop.call_soon_threadsafe(lines.put_nowait, line.decode(errors="replace").rstrip("\r"))
            if ended:
                loop.call_soon_threadsafe(lines.put_nowait, None)
        except RuntimeError:  # the session ended first
            return


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)
