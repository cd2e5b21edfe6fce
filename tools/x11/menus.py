"""What the check and radio items of an application's menus say, whether their menu is open or not.

A menu's items are in the tree while it is closed, so nothing has to be opened to look.

Not covered: toolkits that make a menu only when it is opened, and items that do not say what they are.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from tools.actions import Named
from tools.x11.accessibility import MANY, ROLES
from tools.x11.atspi import AtSpi, Node, Silent, State, one_line

MARKED = frozenset({"menuitemcheckbox", "menuitemradio"})


async def marks(atspi: AtSpi) -> dict[str, bool]:
    """Whether each such item is checked, by role and name; those that share both are left out. Raises Silent
    only if the bus itself has gone."""
    trees = await asyncio.gather(*(_below(atspi, node, False) for node, _ in await atspi.applications()))
    found = [pair for tree in trees for pair in tree]
    count = Counter(name for name, _ in found)
    return {name: checked for name, checked in found if count[name] == 1}


async def _below(atspi: AtSpi, node: Node, within: bool) -> list[tuple[str, bool]]:
    try:
        children = await atspi.children(node)
    except Silent:
        return []
    found = await asyncio.gather(*(_item(atspi, child, within) for child in children[:MANY]))
    return [pair for some in found for pair in some]


async def _item(atspi: AtSpi, node: Node, within: bool) -> list[tuple[str, bool]]:
    """A node and what is below it; what is not showing counts `within` a menu bar only."""
    try:
        states = await atspi.states(node)
        if not within and State.SHOWING not in states:
            return []
        kind = await atspi.role(node)
        role = ROLES.get(kind, "")
        own = []
        if within and role in MARKED:
            own = [(str(Named(role, one_line(await atspi.name(node)))), State.CHECKED in states)]
    except Silent:
        return []
    if role and not within and role != "menuitem":
        return []  # a field, a button
    return own + await _below(atspi, node, within or kind == "menu bar")
