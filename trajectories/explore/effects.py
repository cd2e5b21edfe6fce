"""What an attempt did: the difference of two looks at the app, as a kind and an effect that can be looked
for.

For what only reads, the pages before and after are compared: another page was opened, the rows of the same
one are fewer (filter) or stand otherwise (sort). For what writes, nothing the page says of itself counts: the
pages are loaded anew, and what was typed is looked for there.

Not covered: pages that change without an address of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from tools.actions import Action, Named, parse
from tools.browser import BrowserEnvironment
from tools.observation import Observation
from tools.slots import fill_in
from trajectories.explore.attempts import Attempt
from trajectories.explore.demonstration import Effect, emptied
from trajectories.explore.door import Door
from trajectories.explore.page import Page, held, state, words
from trajectories.explore.site import Site

Found = tuple[str, Effect]
ORDERS = re.compile(r"(?i)\b(sort|order|group)")


def of_reading(before: Page, after: Page, attempt: Attempt, values: Mapping[str, str]) -> Found | None:
    """What an attempt that writes nothing did; None if nothing that can be looked for."""
    if after.place == before.place or after.look.error or after.status >= 400:
        return None
    at = Effect(at=emptied(after.place, values))
    asked = [value for _, value in parse_qsl(urlsplit(after.place).query)]
    if attempt.slots:
        hit = all(value in asked for value in values.values()) and _found(after, values)
        return ("search", at) if hit else None
    if attempt.typed:
        if not asked or _rows(before) == _rows(after):
            return None
        label = next(iter(attempt.typed.values())).name
        return "sort" if ORDERS.search(label) else "filter", at
    if urlsplit(after.place).path != urlsplit(before.place).path:
        return "open", at
    if attempt.header:
        return "sort", at
    few, many = _rows(after), _rows(before)
    if sorted(few) == sorted(many):
        return ("sort" if few != many else "open"), at
    return ("filter" if attempt.group and asked else "open"), at


def _found(after: Page, values: Mapping[str, str]) -> bool:
    """Whether most of what is listed has what was searched for in it."""
    rows = _rows(after)
    hits = [row for row in rows if all(value.lower() in row.lower() for value in values.values())]
    return 2 * len(hits) >= len(rows) > 0


def _rows(page: Page) -> list[str]:
    """The rows of a page's tables as texts; of a page without any, its links."""
    rows = [" | ".join(row) for table in page.seen_tables() for row in table["rows"]]
    return rows or [t.element.name for t in page.things if t.element.role == "link"]


async def of_writing(
    env: BrowserEnvironment,
    door: Door,
    site: Site,
    before: Page,
    after: Page,
    attempt: Attempt,
    values: Mapping[str, str],
) -> Found | None:
    """What an attempt that may have written did to the app; None if nothing that can be looked for."""
    if attempt.means == "delete":
        return await _deleted(env, door, site, before)
    stood = {str(t.target): state(t.element) for t in before.things}
    wanted = _wanted(attempt, stood)
    anew = await door.anew(env, before.place)
    if (fields := _hold(held(anew), wanted, values, stood, site)) is not None:
        kind = "edit" if len(wanted) > 1 else _changed(before, next(iter(wanted)))
        return kind, Effect(where=before.place, fields=fields)
    shown = tuple(f"{{{{{name}}}}}" for name, slot in attempt.slots.items() if not slot.options)
    if shown and all(fill_in(s, values) in flat(words(anew)) for s in shown):
        return "note", Effect(where=before.place, shows=shown)
    if after.place == before.place:
        return None  # the form is still there: it was not taken
    for where in dict.fromkeys((urlsplit(after.place).path, after.place)):
        look = await door.anew(env, where)
        if (fields := _hold(held(look), wanted, values, stood, site)) is not None:
            return "add", Effect(where=where, fields=fields)
        opens = _link_to(look, before, values)
        if opens is None:
            continue
        inside = await door.anew(env, where, Action("click", (Named("link", fill_in(opens, values)),)))
        if (fields := _hold(held(inside), wanted, values, stood, site)) is not None:
            return "add", Effect(where=where, opens=opens, fields=fields)
        if not set(wanted) & set(held(inside)):  # it can't be seen there what each field holds
            return "add", Effect(where=where, shows=(opens,))
    return None


def _wanted(attempt: Attempt, stood: Mapping[str, str]) -> dict[str, str]:
    """What each field that was touched should hold now, its slot left open; by role and name."""
    wanted = {}
    for name, target in attempt.typed.items():
        turned = "off" if stood.get(str(target)) == "on" else "on"
        wanted[str(target)] = f"{{{{{name}}}}}" if name in attempt.slots else turned
    return wanted


def _hold(
    fields: Mapping[str, str],
    wanted: Mapping[str, str],
    values: Mapping[str, str],
    stood: Mapping[str, str],
    site: Site,
) -> dict[str, str] | None:
    """The fields to be looked for, if they hold what is wanted. Where the app is put back each time, those
    that nobody touched and that stayed as they stood must stay so again.
    """
    if not wanted or any(fields.get(name) != fill_in(value, values) for name, value in wanted.items()):
        return None
    kept = {name: value for name, value in fields.items() if stood.get(name) == value}
    return {**kept, **wanted} if site.access.reset else dict(wanted)


def _changed(before: Page, target: str) -> str:
    """The kind of a change to one field."""
    thing = next(t for t in before.things if str(t.target) == target)
    if thing.element.role == "checkbox":
        return "tick"
    return "choose" if thing.element.options else "edit"


def _link_to(look: Observation, before: Page, values: Mapping[str, str]) -> str | None:
    """The name of the first link that has something typed in it, with the slots put back."""
    for element in look.actionable():
        typed = {n: v for n, v in values.items() if len(v) > 2 and v in element.name}
        if element.role == "link" and typed and element.name not in before.text:
            name = element.name
            for slot, value in typed.items():
                name = name.replace(value, f"{{{{{slot}}}}}")
            return name
    return None


async def _deleted(env: BrowserEnvironment, door: Door, site: Site, before: Page) -> Found | None:
    known = site.known.get(before.place)
    if known is None or not known.name or not known.parent:
        return None
    listing = await door.anew(env, known.parent)
    if listing.error or any(e.name == known.name for e in listing.elements):
        return None
    return "delete", Effect(where=known.parent, gone=(known.name,))


def flat(text: str) -> str:
    """Text on one line: a long one is listed in several."""
    return " ".join(text.split())


async def holds(env: BrowserEnvironment, door: Door, effect: Effect, values: Mapping[str, str]) -> bool:
    """Whether the part of an effect that is in the app is there, on a page loaded anew."""
    opens = [Action("click", (Named("link", fill_in(effect.opens, values)),))] if effect.opens else []
    look = await door.anew(env, effect.where, *opens)
    if look.error:
        return False
    fields, text = held(look), flat(words(look))
    return (
        all(fields.get(name) == fill_in(value, values) for name, value in effect.fields.items())
        and all(fill_in(shown, values) in text for shown in effect.shows)
        and not any(e.name == gone for e in look.elements for gone in effect.gone)
    )


def target_of(step: str) -> Named:
    """What a step of a demonstration acts on."""
    target = parse(step).targets[0]
    assert isinstance(target, Named)
    return target
