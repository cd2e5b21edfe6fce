"""What can be seen and used on a desktop, as elements: AT-SPI's trees, held against the windows as they lie.

Roles are ARIA's, so that a desktop reads as a page does. What is not showing, scrolled away, under another
window, or behind a dialog that must be answered first is left out.

    button "Save" [3]
    textbox "Name" [4] = "Ada"
    menuitem "File" [5]

Applications say that a thing is showing even when another window lies on it, so each is tested by what lies
topmost at its place. A field without a name gets that of the text beside it, as a person would call it.

Not covered: asking (`atspi.py`); applications without a tree (Tk, xterm), which are for the screenshot alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from tools.observation import Box, Element
from tools.x11.atspi import AtSpi, Hung, Node, Silent, State, one_line
from tools.x11.layout import (
    FIELDS,
    Item,
    alike,
    common,
    in_order,
    labelled,
    last_lines,
    pieces,
    placed,
    points,
)
from tools.x11.windows import Window

ROLES = {
    "button": "button",
    "push button": "button",
    "toggle button": "button",
    "check box": "checkbox",
    "switch": "switch",
    "radio button": "radio",
    "menu": "menuitem",
    "menu item": "menuitem",
    "check menu item": "menuitemcheckbox",
    "radio menu item": "menuitemradio",
    "combo box": "combobox",
    "text": "textbox",
    "entry": "textbox",
    "password text": "textbox",
    "editbar": "textbox",
    "terminal": "textbox",
    "spin button": "spinbutton",
    "slider": "slider",
    "page tab": "tab",
    "table cell": "cell",
    "tree item": "treeitem",
    "list item": "option",
    "link": "link",
    "label": "text",
    "static": "text",
    "heading": "heading",
    "paragraph": "text",
    "icon": "img",
    "image": "img",
    "table column header": "columnheader",
    "progress bar": "progressbar",
    "drawing area": "canvas",
    "canvas": "canvas",
    "calendar": "canvas",
}
READ_ONLY = frozenset({"text", "heading", "progressbar", "img"})  # roles without a ref, unless selectable
WHOLE = frozenset(
    {"button", "checkbox", "radio", "switch", "textbox", "spinbutton", "slider", "text", "link"}
)
DIALOGS = frozenset({"dialog", "alert", "file chooser", "color chooser", "font chooser"})
POPUPS = frozenset({"window", "popup menu", "tool tip"})  # roles of windows that no window manager knows
MANY = 400  # children looked at
OPTIONS = 60
LONGEST = 400  # characters of a value kept


@dataclass(frozen=True)
class Reading:
    """All that could be read at one time. `silent` are processes that did not answer."""

    items: tuple[Item, ...]
    hidden: int
    silent: frozenset[int]


@dataclass(frozen=True)
class Scene:
    """Where in the tree one is: in which window, what part of it is in view, and the roles on the way."""

    windows: Sequence[Window] = field(repr=False)
    pid: int
    window: int
    clip: Box
    popup: bool = False
    combo: bool = False

    def shows(self, x: float, y: float) -> bool:
        """Whether what lies topmost there is this window, or this application's popup."""
        top = topmost(self.windows, x, y)
        if top is None or top.pid not in (self.pid, 0):
            return False
        return top.popup if self.popup else top.id == self.window


def topmost(windows: Sequence[Window], x: float, y: float) -> Window | None:
    """The window that is seen at a point; `windows` lie topmost last."""
    return next((w for w in reversed(windows) if w.covers(x, y)), None)


async def read(atspi: AtSpi, windows: Sequence[Window], active: int, viewport: tuple[int, int]) -> Reading:
    """Everything on the screen, the active window first. Raises Silent only if the bus itself has gone."""
    seen = _Seen(atspi, windows, viewport)
    found = await asyncio.gather(*(seen.application(*a) for a in await atspi.applications()))
    tops = [top for some in found for top in some]
    order = {w.id: -at for at, w in enumerate(windows)} | {active: -len(windows)}
    tops.sort(key=lambda top: order.get(top.window, 1))
    modal = {top.pid for top in tops if top.modal}
    tops = [top for top in tops if top.modal or top.popup or top.pid not in modal]
    trees = await asyncio.gather(*(seen.tree(top) for top in tops))
    several = len([top for top in tops if not top.popup]) > 1
    items: list[Item] = []
    for top, tree in zip(tops, trees, strict=True):
        if top.dialog or (several and not top.popup):
            items.append(Item(Element(None, "dialog" if top.dialog else "window", top.title, top.box)))
        items += labelled(in_order(tree))
    return Reading(tuple(items), seen.hidden, frozenset(seen.silent))


@dataclass(frozen=True)
class _Top:
    """A window as its application has it."""

    node: Node
    pid: int
    window: int
    title: str
    box: Box
    popup: bool
    dialog: bool
    modal: bool


class _Seen:
    """One reading under way."""

    def __init__(self, atspi: AtSpi, windows: Sequence[Window], viewport: tuple[int, int]) -> None:
        self.atspi = atspi
        self.windows = windows
        self.screen = Box(0, 0, *viewport)
        self.hidden = 0
        self.silent: set[int] = set()

    async def application(self, node: Node, pid: int) -> list[_Top]:
        """The windows of an application that can be seen."""
        if all(window.pid not in (pid, 0) for window in self.windows):
            return []
        try:
            children = await self.atspi.children(node)
        except Hung:
            self.silent.add(pid)
            return []
        except Silent:
            return []
        tops = await asyncio.gather(*(self._top(child, pid) for child in children[:MANY]))
        return [top for top in tops if top is not None]

    async def _top(self, node: Node, pid: int) -> _Top | None:
        try:
            states = await self.atspi.states(node)
            if State.SHOWING not in states:
                return None
            role, name = await self.atspi.role(node), await self.atspi.name(node)
            box = Box(*await self.atspi.extents(node))
        except Silent:
            return None
        popup = role in POPUPS
        own = [w for w in self.windows if w.pid == pid and w.popup == popup]
        if popup and not own:  # a window without an icon of its own, or a popup seen as a plain one
            own, popup = [w for w in self.windows if w.pid == pid and not w.popup], False
        same = max(own, key=lambda w: (w.title == name, alike(w.box, box)), default=None)
        if same is None:
            return None
        modal = State.MODAL in states
        return _Top(node, pid, same.id, one_line(name or same.title), box, popup, role in DIALOGS, modal)

    async def tree(self, top: _Top) -> list[Item]:
        window = next(w for w in self.windows if w.id == top.window)
        scene = Scene(self.windows, top.pid, top.window, common(window.box, self.screen), top.popup)
        try:
            return await self._below(top.node, scene)
        except Silent:
            return []

    async def _below(self, node: Node, scene: Scene) -> list[Item]:
        children = await self.atspi.children(node)
        self.hidden += max(0, len(children) - MANY)
        found = await asyncio.gather(*(self._item(child, scene) for child in children[:MANY]))
        return [item for some in found for item in some]

    async def _item(self, node: Node, scene: Scene) -> list[Item]:
        """A node and what is below it; nothing where that has just gone."""
        try:
            states = await self.atspi.states(node)
            if State.SHOWING not in states:
                return []
            role = await self.atspi.role(node)
            own = ROLES.get(role)
            if own is None:
                if role in ("scroll pane", "viewport", "table", "tree table", "tree", "layered pane"):
                    box = placed(await self.atspi.extents(node))
                    scene = replace(scene, clip=common(scene.clip, box)) if box else scene
                if role in ("separator", "scroll bar", "tool tip"):
                    return []
                return await self._below(node, scene)
            return await self._used(node, role, own, states, scene)
        except Hung:
            self.silent.add(scene.pid)
            return []
        except Silent:
            return []

    async def _used(
        self, node: Node, kind: str, role: str, states: frozenset[State], scene: Scene
    ) -> list[Item]:
        """An element, and those below it where it can have some."""
        box = placed(await self.atspi.extents(node))
        name = one_line(await self.atspi.name(node), () if role == "text" else ("...", "…", ":"))
        below: list[Item] = []
        value: str | None = None
        options: tuple[str, ...] = ()
        if kind == "combo box":
            name, value, options = await self._choice(node, name)
            below = await self._below(node, replace(scene, popup=True, combo=True))
            below = [item for item in below if item.element.role == "option"]  # its list, while it is open
        elif kind == "menu":
            below = await self._below(node, replace(scene, popup=True))
        elif role not in WHOLE:
            below = await self._below(node, scene)
        if scene.combo and role in ("menuitem", "cell"):
            role = "option"
        if kind == "icon" and State.SELECTABLE in states:
            role = "option"
        if role in FIELDS and kind != "combo box":
            name, value = await self._field(node, kind, role, name)
        if role == "option" and not name:
            name = " ".join(item.element.name for item in below if item.element.role == "text")
            below = [item for item in below if item.node is not None]
        if not name and role in ("button", "cell", "img", "tab"):
            name = one_line(str(await self.atspi.get(node, "Accessible", "Description")))
        if role == "text" and not name:
            return []
        if role in ("cell", "menuitem") and not name and not states & {State.CHECKED, State.EDITABLE}:
            return below  # an icon's column, a spacer
        if role == "img" and not name:
            return below
        clip = common(scene.clip, box) if box else None
        point = next((p for p in points(clip) if scene.shows(*p)), None) if clip else None
        if box is None or point is None:
            self.hidden += bool(box) and role not in ("text", "img") and not scene.popup
            return below
        element = Element(
            None, role, name, box, value=value or None, states=tuple(_states(kind, role, states)),
            options=options, enters="" if State.MULTI_LINE in states else None,
        )  # fmt: skip
        reads = role in READ_ONLY
        focused = State.FOCUSED in states
        roomy = State.MULTI_LINE in states
        own = None if reads else node
        item = Item(element, own, scene.pid, scene.window, scene.popup, point, focused, roomy)
        screenful = last_lines(item, value or "") if kind == "terminal" else ()
        lines = pieces(item) if role == "text" else [item]
        return [*lines, *screenful, *below]

    async def _field(self, node: Node, kind: str, role: str, name: str) -> tuple[str, str | None]:
        """A field's name and what it holds."""
        name = name or await self._label(node)
        if role == "slider":
            number = await self.atspi.get(node, "Value", "CurrentValue")
            return name, f"{number:g}"
        text = (await self.atspi.text(node)).replace("\ufffc", "")
        if kind == "password text":
            text = "•" * len(text)
        if kind == "terminal":
            return name or "Terminal", text
        return name, text[:LONGEST]

    async def _label(self, node: Node) -> str:
        try:
            for label in await self.atspi.labels(node):
                if name := one_line(await self.atspi.name(label)):
                    return name
            return one_line(str(await self.atspi.get(node, "Accessible", "Description")))
        except Silent:
            return ""

    async def _choice(self, node: Node, name: str) -> tuple[str, str | None, tuple[str, ...]]:
        """A combo box's name, what is chosen, and what it offers; GTK gives what is chosen as its name."""
        options: list[str] = []
        value = None
        for child in await self.atspi.children(node):
            role = await self.atspi.role(child)
            if role in ("menu", "list", "list box", "window"):
                items = (await self.atspi.children(child))[:OPTIONS]
                names = await asyncio.gather(*(self.atspi.name(item) for item in items))
                options += [one_line(n, ()) for n in names if n.strip()]
            elif role in ("text", "entry"):
                value = await self.atspi.text(child)
        label = await self._label(node)
        if value is None and (name in options or not label):
            return label, name, tuple(options)
        return label or name, value, tuple(options)


def _states(kind: str, role: str, states: frozenset[State]) -> Iterator[str]:
    if State.CHECKED in states:
        yield "pressed" if kind == "toggle button" else "checked"
    if State.SENSITIVE not in states and role not in READ_ONLY:
        yield "disabled"
    if State.EXPANDED in states:
        yield "expanded"
    if State.SELECTED in states and role != "menuitem":
        yield "selected"
    if role in ("textbox", "spinbutton") and State.EDITABLE not in states and kind != "terminal":
        yield "readonly"
    if State.REQUIRED in states:
        yield "required"


async def place(atspi: AtSpi, item: Item) -> Box | None:
    """Where an item is now; None when it has gone or is not showing."""
    if item.node is None:
        return None
    try:
        if State.SHOWING not in await atspi.states(item.node):
            return None
        return placed(await atspi.extents(item.node))
    except Silent:
        return None
