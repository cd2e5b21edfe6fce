"""Whether windows that can't be read are alive: applications without an accessibility tree say nothing there.

    pulse = Pulse(":7")
    hung = await pulse.silent(windows)      # the processes whose windows take nothing in

A window that says so takes `_NET_WM_PING`, as a window manager sends it, and sends it back from its event
loop (GTK, Qt, LibreOffice). One answer is enough for a process: another window of it may just have closed. Of
the others (xterm, Tk) the process is looked at: whoever takes events in waits for them at times. One that
never does meanwhile is stopped, or runs in a circle.

Not covered: a window that takes no ping and whose process waits for something that never comes (a lock).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from Xlib import X, Xatom
from Xlib.display import Display
from Xlib.error import ConnectionClosedError, XError
from Xlib.protocol import event

from tools.x11.atspi import ANSWER_SECONDS
from tools.x11.quiet import held
from tools.x11.windows import Window

SAMPLE_SECONDS = 0.02
FIRST = 2**30  # of the numbers that pings bear: window managers count theirs from 1, or by the clock


class Pulse:
    """One display's; needs a running event loop. Methods raise Xlib's errors where the display has gone."""

    def __init__(self, display: str) -> None:
        self._display = Display(display)
        self._root = self._display.screen().root
        self._protocols, self._ping = map(self._display.intern_atom, ("WM_PROTOCOLS", "_NET_WM_PING"))
        self._root.change_attributes(event_mask=X.SubstructureNotifyMask)  # answers go to the root window
        self._display.sync()
        self._sent = FIRST
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._socket = self._display.fileno()
        self._loop.add_reader(self._socket, self._serve)

    async def silent(self, windows: Sequence[Window]) -> set[int]:
        """The processes behind these that take nothing in for `ANSWER_SECONDS`; else it returns at once."""
        own = [window for window in windows if window.pid and not window.popup]
        answers: dict[int, asyncio.Future[None]] = {}  # by process
        for window in own:
            if number := self._asked(window.id):
                self._waiting[number] = answers.setdefault(window.pid, self._loop.create_future())
        left = {window.pid for window in own} - answers.keys()
        until = self._loop.time() + ANSWER_SECONDS
        while left := {pid for pid in left if held(pid)}:
            if self._loop.time() > until:
                break
            await asyncio.sleep(SAMPLE_SECONDS)
        self._serve()
        if answers:
            await asyncio.wait(answers.values(), timeout=max(0.0, until - self._loop.time()))
            left |= {pid for pid, answer in answers.items() if not answer.done()}
            self._waiting.clear()
        return left

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        with suppress(ConnectionClosedError):
            self._display.close()

    def _asked(self, id: int) -> int | None:
        """Ping a window; the number that its answer will bear, None where it takes none, or has just gone."""
        window = self._display.create_resource_object("window", id)
        with suppress(XError):
            taken = window.get_full_property(self._protocols, Xatom.ATOM)
            if taken is None or self._ping not in taken.value:
                return None
            self._sent += 1
            data = (32, [self._ping, self._sent, id, 0, 0])
            message = event.ClientMessage(window=window, client_type=self._protocols, data=data)
            window.send_event(message, onerror=_gone)
            self._display.flush()
            return self._sent
        return None

    def _serve(self) -> None:
        """Take in what has come. Called whenever something has, and after whatever may have read it."""
        try:
            while self._display.pending_events():
                happened = self._display.next_event()
                if happened.type == X.ClientMessage and happened.client_type == self._protocols:
                    said = happened.data[1]
                    waiting = self._waiting.pop(said[1], None) if said[0] == self._ping else None
                    if waiting is not None and not waiting.done():
                        waiting.set_result(None)
        except ConnectionClosedError:
            self._loop.remove_reader(self._socket)


def _gone(error: XError, request: object) -> None:
    """The window has closed meanwhile."""
