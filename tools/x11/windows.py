"""The windows of an X11 display: which there are, in which order they lie, and bringing one to the front.

Asked of the X server and its window manager (EWMH), never of the applications. A window's box is what it
covers, its frame included; `inside` is the part that its application draws.

Not covered: what is in a window (`accessibility.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from Xlib import X, error
from Xlib.display import Display
from Xlib.ext import res, shape
from Xlib.protocol import event

from tools.observation import Box

PAGER = 2  # EWMH's word for whoever acts on the person's behalf: such requests are not refused


@dataclass(frozen=True)
class Window:
    """One window that can be seen. `popup`: a menu or list, of which the window manager knows nothing."""

    id: int
    pid: int  # of the process that draws it, as the X server knows it; 0 where it does not
    title: str
    kind: str  # WM_CLASS's first word, in small letters
    box: Box
    inside: Box
    popup: bool

    def covers(self, x: float, y: float) -> bool:
        return within(self.box, x, y)


def within(box: Box, x: float, y: float) -> bool:
    return box.x <= x < box.x + box.width and box.y <= y < box.y + box.height


class Windows:
    """The windows of one display. What goes away while it is looked at is left out."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._root = display.screen().root
        self._atoms: dict[str, int] = {}

    def ready(self) -> bool:
        """Whether a window manager is at work."""
        return bool(self._property(self._root, "_NET_SUPPORTING_WM_CHECK"))

    def stacked(self) -> list[Window]:
        """All that can be seen, the topmost last."""
        managed = set(self.ids())
        found = []
        for child in self._root.query_tree().children:
            try:
                window = self._window(child, managed)
            except error.XError:  # it has just gone
                continue
            if window is not None:
                found.append(window)
        return found

    def ids(self) -> list[int]:
        """The managed windows, oldest first, those that are shut to an icon too."""
        return list(self._property(self._root, "_NET_CLIENT_LIST") or ())

    def active(self) -> int:
        """The id of the window that has the keyboard; 0 if none has."""
        found = self._property(self._root, "_NET_ACTIVE_WINDOW")
        return int(found[0]) if found else 0

    def focus(self, id: int) -> None:
        """Bring a window to the front and give it the keyboard."""
        self._request(id, "_NET_ACTIVE_WINDOW", (PAGER, X.CurrentTime, 0, 0, 0))

    def close(self, id: int) -> None:
        """Ask a window to close, as its close button does."""
        self._request(id, "_NET_CLOSE_WINDOW", (X.CurrentTime, PAGER, 0, 0, 0))

    def title(self, id: int) -> str:
        """The title of a managed window; empty once it has gone."""
        try:
            return self._title(self._display.create_resource_object("window", id))
        except error.XError:
            return ""

    def _request(self, id: int, name: str, data: Sequence[int]) -> None:
        window = self._display.create_resource_object("window", id)
        message = event.ClientMessage(window=window, client_type=self._atom(name), data=(32, list(data)))
        mask = X.SubstructureRedirectMask | X.SubstructureNotifyMask
        self._root.send_event(message, event_mask=mask)
        self._display.sync()

    def _window(self, child: Any, managed: set[int]) -> Window | None:
        seen = child.get_attributes()
        if seen.map_state != X.IsViewable or seen.win_class == X.InputOnly:
            return None
        client = next((w for w in _below(child, 2) if w.id in managed), None)
        if client is None and not seen.override_redirect:
            return None
        if client is None and not child.shape_get_rectangles(shape.SK.Input).rectangles:
            return None  # clicks go through it: a compositor's own, or the mark that someone is at work
        box = self._box(child)
        if box.x + box.width <= 0 or box.y + box.height <= 0:  # kept aside, as window managers keep theirs
            return None
        own = client or child
        if self._atom("_NET_WM_WINDOW_TYPE_TOOLTIP") in (self._property(own, "_NET_WM_WINDOW_TYPE") or ()):
            return None  # it goes as soon as the mouse moves
        kind = own.get_wm_class()
        return Window(
            own.id,
            self._pid(own.id),
            self._title(own),
            kind[0].lower() if kind else "",
            box,
            self._box(own),
            popup=client is None,
        )

    def _pid(self, id: int) -> int:
        """From the server and not from the window: in a box a process has another number, and could lie."""
        answer = self._display.res_query_client_ids([{"client": id, "mask": res.LocalClientPIDMask}])
        return int(answer.ids[0].value[0]) if answer.ids and answer.ids[0].value else 0

    def _box(self, window: Any) -> Box:
        size = window.get_geometry()
        place = self._root.translate_coords(window, 0, 0)
        border = size.border_width
        return Box(place.x - border, place.y - border, size.width + 2 * border, size.height + 2 * border)

    def _title(self, window: Any) -> str:
        for name in ("_NET_WM_NAME", "WM_NAME"):
            text = window.get_full_text_property(self._atom(name))
            if text:
                return str(text)
        return ""

    def _property(self, window: Any, name: str) -> Any:
        found = window.get_full_property(self._atom(name), X.AnyPropertyType)
        return found.value if found is not None else None

    def _atom(self, name: str) -> int:
        if name not in self._atoms:
            self._atoms[name] = self._display.intern_atom(name)
        return self._atoms[name]


def _below(window: Any, depth: int) -> Iterator[Any]:
    yield window
    if depth:
        for child in window.query_tree().children:
            yield from _below(child, depth - 1)
