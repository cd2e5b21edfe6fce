"""What can be tried in an application without doing harm: menus, buttons, boxes, tabs, fields, lists.

An attempt is one step whose effect is not known yet. What can't be undone (quitting, closing, printing,
saving, deleting) is tried only where that is allowed, and nothing that touches a password ever.

Not covered: keys, drawing, dragging, sliders, and files that an application would open.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator

from tools import guard
from tools.actions import Action, Named, quote
from tools.observation import Element, Observation
from trajectories.applications.state import BOXES, CHOSEN, MENU, State, state
from trajectories.explore.attempts import BLANK, NEVER, Attempt, label
from trajectories.explore.demonstration import Slot
from trajectories.explore.values import kind_of

LASTING = re.compile(
    r"(?i)\b(quit|exit|close|shut ?down|print|save|overwrite|delete|remove|erase|discard|trash|rename"
    r"|send|mail|export|revert|uninstall|install|execute|kill)\b"
)
ABROAD = re.compile(r"(?i)\b(contents|manual|online|web ?site|home ?page|bug|terminal)\b")  # other programs
ALIKE = 3  # cells, rows and options tried of one state
NEXT = 3  # what a number field is set to lies at most so far from what it holds


def attempts(here: State, writes: bool, chance: random.Random) -> Iterator[Attempt]:
    """Everything to be tried, what leads on first; `writes` allows what can't be undone."""
    rows: Counter[str] = Counter()
    for element in sorted(here.fresh, key=_rank):
        if "disabled" in element.states or not allowed(element, here.look, writes):
            continue
        if element.role in CHOSEN - {"tab"}:
            rows[element.role] += 1
            if rows[element.role] > ALIKE:
                continue
        made = _attempt(element, chance)
        if made is not None:
            yield made


def _rank(element: Element) -> int:
    order = (MENU, "tab", "menuitemcheckbox", "menuitemradio", *sorted(BOXES), "combobox", "textbox")
    return order.index(element.role) if element.role in order else len(order)


def allowed(element: Element, look: Observation, writes: bool) -> bool:
    """Whether an element may be used: by its name, and by the policy's verdict."""
    if NEVER.search(element.name) or ABROAD.search(element.name):
        return False
    if writes:
        return True
    if LASTING.search(element.name):
        return False
    if element.name == "Format":
        return True  # the policy thinks of disks, but it is a menu of text
    verdict = guard.assess(Action("click", (Named(element.role, element.name),)), look, "")
    return verdict.decision == "approve"


def _attempt(element: Element, chance: random.Random) -> Attempt | None:
    target = Named(element.role, element.name)
    match element.role:
        case "textbox" | "spinbutton":
            slot = None if "readonly" in element.states else _typed(element)
            return _filling("fill", target, slot)
        case "combobox":
            options = tuple(o for o in element.options if not BLANK.match(o) and o != element.value)
            if options:
                return _filling("select_option", target, Slot("option", options[:20]))
            return None  # it offers what a click would show
        case "radio" | "menuitemradio" | "tab" | "cell" | "treeitem" | "option":
            return None if not element.name or state(element) == "on" else _click(target)
        case "menuitem" | "button" | "checkbox" | "switch" | "menuitemcheckbox":
            return _click(target) if element.name else None
    return None


def _click(target: Named) -> Attempt:
    return Attempt((f"click({target})",))


def _filling(call: str, target: Named, slot: Slot | None) -> Attempt | None:
    if slot is None:
        return None
    name = label(target.name) or "text"
    steps = (f"{call}({target}, {quote(f'{{{{{name}}}}}')})",)
    return Attempt(steps, "fill", {name: slot}, {name: target}, writes=True)


def _typed(element: Element) -> Slot:
    """What can be typed into a field: a number near the one that it holds, else what its name asks for."""
    value = element.value or ""
    if re.fullmatch(r"-?\d{1,6}", value):
        number = int(value)
        near = (number + step for step in range(-NEXT, NEXT + 1) if step)
        return Slot("number", tuple(str(n) for n in near if n > 0 or number < 0))
    if element.enters == "" and not element.name:
        return Slot("text")  # a field of several lines, the document itself
    return Slot("number" if element.role == "spinbutton" else kind_of(element.name, "", value))
