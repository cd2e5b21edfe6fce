"""What an attempt did to an application: the difference of two looks, as a kind and an effect.

A window came up, a menu opened, a field holds what was typed, a box is on that was off, a display shows
another value, elements came or went. What a menu says of its own items is asked of the application, for the
menu is closed again.

Not covered: what changes only on the picture.
"""

from __future__ import annotations

from collections.abc import Mapping

from tools.actions import Named
from tools.observation import Observation
from tools.slots import fill_in
from tools.x11.menus import MARKED
from trajectories.applications.state import BOXES, CHOSEN, MENU, held, seen, titles
from trajectories.explore.attempts import Attempt
from trajectories.explore.demonstration import PRESS, Effect
from trajectories.explore.effects import Found, target_of

MOST = 3  # of what came, went or changed


def of(
    before: Observation,
    after: Observation,
    attempt: Attempt,
    values: Mapping[str, str],
    was: Mapping[str, str],
    marks: Mapping[str, bool],
) -> Found | None:
    """What an attempt did; None if nothing that can be looked for. `was` is what was held just before it, and
    `marks` is what the menus' items say now."""
    target = target_of(attempt.steps[0])
    if after.error or after.restarted:
        return None
    if len(titles(after)) > len(titles(before)):
        new = after.title not in titles(before)
        return ("open", Effect(at=after.title)) if new else None
    now = held(after) | {name: _said(checked) for name, checked in marks.items()}
    if attempt.slots:
        wanted = {str(target): f"{{{{{name}}}}}" for name in attempt.slots}
        if any(now.get(name) != fill_in(value, values) for name, value in wanted.items()):
            return None
        return "choose" if target.role == "combobox" else "edit", Effect(fields=wanted)
    if target.role in BOXES | CHOSEN and now.get(str(target), was.get(str(target))) != was.get(str(target)):
        kind = "tick" if target.role not in CHOSEN | {"radio", "menuitemradio"} else "choose"
        return kind, Effect(fields={str(target): now[str(target)]})
    came = [name for name in _listed(after) if name not in seen(before)]
    menu = [name for name in came if name.startswith(MENU)]
    if menu and target.role == MENU:
        return "open", Effect(shows=tuple(menu[:MOST]))
    gone = [name for name in _listed(before) if name not in seen(after)]
    first = held(before)
    changed = {name: value for name, value in held(after).items() if first.get(name, value) != value}
    if not (came or gone or changed):
        return None
    few = dict([*changed.items()][:MOST])
    at = after.title if gone else ""  # behind a dialog, too, nothing is to be seen
    return PRESS, Effect(at=at, fields=few, shows=tuple(came[:MOST]), gone=tuple(gone[:MOST]))


def _listed(look: Observation) -> list[str]:
    """What is seen, in order."""
    windows = [str(Named("window", title)) for title in titles(look)]
    return windows + [str(look.named(e.ref)) for e in look.actionable() if e.ref is not None]


def asks_menus(effect: Effect) -> bool:
    """Whether what menus say of their items must be known."""
    return any(name.startswith(tuple(MARKED)) for name in effect.fields)


def holds(effect: Effect, look: Observation, marks: Mapping[str, bool], values: Mapping[str, str]) -> bool:
    """Whether an effect is there to be seen."""
    fields = held(look) | {name: _said(checked) for name, checked in marks.items()}
    there = seen(look)
    return (
        (not effect.at or look.title == effect.at)
        and all(fields.get(name) == fill_in(value, values) for name, value in effect.fields.items())
        and all(name in there for name in effect.shows)
        and not any(name in there for name in effect.gone)
    )


def _said(checked: bool) -> str:
    return "on" if checked else "off"
