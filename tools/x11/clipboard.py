"""The clipboard of an X11 display: what applications have copied, and a text put there for them to paste.

X keeps no text: whoever has copied owns the selection `CLIPBOARD` and is asked for it when somebody pastes.
So this is a client of the display with a window of its own, which answers while the event loop runs.

Not covered: anything but plain text, more of it than goes into one message, the selection of the middle mouse
button (`PRIMARY`).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from Xlib import X, Xatom
from Xlib.display import Display
from Xlib.error import ConnectionClosedError, XError
from Xlib.protocol import event
from Xlib.protocol.rq import Event

ANSWER_SECONDS = 2.0  # for whoever owns the selection
LONGEST = 200_000  # bytes; X takes 256 KiB in one message


class Clipboard:
    """One display's; needs a running event loop. Methods raise Xlib's errors where the display has gone."""

    def __init__(self, display: str) -> None:
        self._display = Display(display)
        self._window = self._display.screen().root.create_window(0, 0, 1, 1, 0, X.CopyFromParent)
        names = ("CLIPBOARD", "UTF8_STRING", "TARGETS", "SHOPFLOOR_PASTED")
        self._clipboard, self._utf8, self._targets, self._property = map(self._display.intern_atom, names)
        self._text = ""
        self._answered: asyncio.Future[bool] | None = None
        self._loop = asyncio.get_running_loop()
        self._socket = self._display.fileno()
        self._loop.add_reader(self._socket, self._serve)

    @property
    def own(self) -> bool:
        """Whether what was offered here is what would be pasted now."""
        return bool(self._display.get_selection_owner(self._clipboard) == self._window)

    def offer(self, text: str) -> None:
        """Have applications paste this text, until one of them copies another."""
        self._text = text
        self._window.set_selection_owner(self._clipboard, X.CurrentTime)
        self._display.sync()
        self._serve()

    async def text(self) -> str | None:
        """What an application has copied; None where none has since a text was offered, or it is no text."""
        if self.own or self._display.get_selection_owner(self._clipboard) == X.NONE:
            return None
        self._answered = asyncio.get_running_loop().create_future()
        self._window.convert_selection(self._clipboard, self._utf8, self._property, X.CurrentTime)
        self._display.sync()
        self._serve()
        try:
            if not await asyncio.wait_for(self._answered, ANSWER_SECONDS):
                return None
        except TimeoutError:
            return None
        got = self._window.get_full_property(self._property, self._utf8)
        self._window.delete_property(self._property)
        self._display.sync()
        self._serve()
        return bytes(got.value).decode("utf-8", errors="replace") if got is not None else None

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        with suppress(ConnectionClosedError):
            self._display.close()

    def _serve(self) -> None:
        """Answer what has come in. Called whenever something has, and after whatever may have read it, as
        writing does too."""
        try:
            while self._display.pending_events():
                happened = self._display.next_event()
                if happened.type == X.SelectionRequest:
                    self._give(happened)
                elif happened.type == X.SelectionNotify and self._answered and not self._answered.done():
                    self._answered.set_result(happened.property != X.NONE)
                self._display.flush()
        except ConnectionClosedError:
            self._loop.remove_reader(self._socket)

    def _give(self, asked: Event) -> None:
        """Hand the text, or the list of what it can be had as, to the window that asks."""
        where = asked.property or asked.target
        if asked.target == self._targets:
            had = [self._targets, self._utf8, Xatom.STRING]
            asked.requestor.change_property(where, Xatom.ATOM, 32, had, onerror=_gone)
        elif asked.target == self._utf8:
            text = self._text.encode()[:LONGEST]
            asked.requestor.change_property(where, self._utf8, 8, text, onerror=_gone)
        elif asked.target == Xatom.STRING:
            text = self._text.encode("latin-1", errors="replace")[:LONGEST]
            asked.requestor.change_property(where, Xatom.STRING, 8, text, onerror=_gone)
        else:
            where = X.NONE
        answer = event.SelectionNotify(
            time=asked.time,
            requestor=asked.requestor,
            selection=asked.selection,
            target=asked.target,
            property=where,
        )
        asked.requestor.send_event(answer, onerror=_gone)


def _gone(error: XError, request: object) -> None:
    """Whoever asked has closed its window meanwhile."""
