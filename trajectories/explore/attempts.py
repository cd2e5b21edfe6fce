"""What can be tried on a page without doing harm: links, searches, choices, forms, and questions.

An attempt is a program whose effect is not known yet. Nothing that ends the session or touches a password is
ever tried; what can't be undone only where the site may be written to and put back; a form that writes only
where it may be written to.

Not covered: what an attempt does (`effects.py`); buttons that belong to no form.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tools import guard
from tools.actions import Action, Named, quote
from trajectories.explore.demonstration import Slot, place
from trajectories.explore.page import FIELDS, Page, Thing, state
from trajectories.explore.site import Access, Site
from trajectories.explore.values import draw, kind_of

NEVER = re.compile(
    r"(?i)log-?_? ?(out|off)|sign-?_? ?(out|off)|password|unsubscribe|deactivate|shut ?down|impersonate|"
    r"download|export|\.(zip|gz|pdf|csv|json|xml|db|atom|rss)\b"
)
DELETES = re.compile(r"(?i)^(delete|remove|retire|erase|discard)\b")
SUBMITS = re.compile(
    r"(?i)\b(save|submit|create|add|update|apply|search|find|go|filter|ok|send|post|store|set)\b"
)
NOTES = re.compile(r"(?i)\b(note|comment|message|reply|remark)s?\b")
BLANK = re.compile(r"(?i)^\W*$|^\W*(select|choose|any|all|none|no selection|don't care|unselected)\b")
CLOSED = frozenset({"readonly", "disabled"})
LONGEST_FORM = 12  # fields filled in at once


@dataclass(frozen=True)
class Attempt:
    """A program to be tried. `slots` are what is left open in it; `typed` says which field each one is for;
    `means` is what it is hoped to do, or "" where only its effect can tell."""

    steps: tuple[str, ...]
    means: str = ""
    slots: dict[str, Slot] = field(default_factory=dict)
    typed: dict[str, Named] = field(default_factory=dict)
    leads: str = ""  # the place a link points to
    group: str = ""  # the heading that a link stands under
    header: bool = False  # whether it stands in a table's head
    writes: bool = False

    def draw(self, chance: random.Random) -> dict[str, str]:
        """Values for the slots."""
        return draw_all(self.slots, chance)


def draw_all(slots: dict[str, Slot], chance: random.Random) -> dict[str, str]:
    """A value for each slot, no two the same."""
    values: dict[str, str] = {}
    for name, slot in slots.items():
        for _ in range(20):
            values[name] = chance.choice(slot.options) if slot.options else draw(slot.kind, chance)
            if slot.options or values[name] not in [v for n, v in values.items() if n != name]:
                break
    return values


def attempts(page: Page, site: Site, chance: random.Random) -> Iterator[Attempt]:
    """Everything to be tried on the page."""
    things, access = page.clear(), site.access
    yield from _links(page, things, access)
    for fields, button in _forms(things):
        form = [*fields, button] if button else fields
        if any(t.facts["type"] == "password" or NEVER.search(t.element.name) for t in form):
            continue
        if form[-1].facts["method"] != "post":
            yield from _asking(fields, button, _to_find(page, site), chance)
        elif button and access.writes and may_press(page, button, access):
            yield from _writing(page, fields, button, chance)
    if access.irreversible:
        yield from _deleting(things)


def _links(page: Page, things: list[Thing], access: Access) -> Iterator[Attempt]:
    for thing in things:
        if thing.element.role == "link" and (leads := leads_to(page, thing, access)):
            facts = thing.facts
            yield Attempt(
                (f"click({thing.target})",), leads=leads, group=facts["group"], header=facts["header"]
            )


def leads_to(page: Page, thing: Thing, access: Access) -> str:
    """The place within the site that a link may be followed to; "" where it is not to be followed."""
    href, origin = urlsplit(thing.facts.get("href", "")), urlsplit(access.url)
    leads = place(thing.facts.get("href", ""))
    if (href.scheme, href.netloc) != (origin.scheme, origin.netloc) or leads == page.place:
        return ""
    if thing.facts["new_tab"] or "current" in thing.element.states:
        return ""
    return "" if NEVER.search(f"{thing.element.name} {leads}") or not harmless(page, thing) else leads


def harmless(page: Page, thing: Thing) -> bool:
    """Whether the guard finds nothing irreversible, dear or secret in pressing it."""
    verdict = guard.assess(Action("click", (thing.target,)), page.look, "")
    return verdict.decision == "approve" and not DELETES.search(thing.element.name)


def may_press(page: Page, thing: Thing, access: Access) -> bool:
    return not NEVER.search(thing.element.name) and (access.irreversible or harmless(page, thing))


def _forms(things: list[Thing]) -> Iterator[tuple[list[Thing], Thing | None]]:
    """The fields of each form, in order, and the button that sends it, where one can be told from others."""
    numbers = dict.fromkeys(t.facts["form"] for t in things if t.facts.get("form", -1) >= 0)
    for number in numbers:
        own = [t for t in things if t.facts["form"] == number]
        fields = [t for t in own if t.element.role in FIELDS and not CLOSED & set(t.element.states)]
        buttons = [t for t in own if t.element.role == "button" and t.facts["type"] in ("submit", "image")]
        buttons = [b for b in buttons if SUBMITS.search(b.element.name)] or buttons
        if fields:
            yield fields, buttons[0] if buttons else None


def _asking(
    fields: list[Thing], button: Thing | None, found: list[str], chance: random.Random
) -> Iterator[Attempt]:
    """A form that only asks: each text searched for alone, each choice made alone."""
    for thing in fields:
        target, name = thing.target, label(thing.element.name)
        send = f"click({button.target})" if button else f'press({target}, "Enter")'
        if thing.element.options and button:
            options = [o for o in thing.element.options if not BLANK.match(o) and o != thing.element.value]
            for option in chance.sample(options, min(3, len(options))):
                yield Attempt((f"select_option({target}, {quote(option)})", send), typed={option: target})
        elif thing.element.role in ("textbox", "searchbox") and found and not thing.element.value:
            slots = {name: Slot("word", tuple(found))}
            yield Attempt((f"fill({target}, {_open(name)})", send), slots=slots, typed={name: target})


def _to_find(page: Page, site: Site) -> list[str]:
    """Words to be searched for: from what the page lists, else from the records seen so far."""
    links = [t for t in page.things if t.element.role == "link"]
    listed = [t.element.name for t in links if re.search(r"\d", urlsplit(t.facts.get("href", "")).path)]
    cells = [cell for table in page.seen_tables() for row in table["rows"] for cell in row]
    records = [known.name for known in site.known.values() if known.record]
    for texts in (listed, cells if listed else records, records, [t.element.name for t in links]):
        if words := re.findall(r"\b[A-Z][a-z]{3,11}\b", " ".join(texts)):
            return list(dict.fromkeys(words))[:24]
    return []


def _writing(page: Page, fields: list[Thing], button: Thing, chance: random.Random) -> Iterator[Attempt]:
    """A form that writes: an empty one filled in whole and in part, one that holds something field by
    field.
    """
    usable = [t for t in fields if _slot(t, page.heading) is not None or t.element.role == "checkbox"]
    notes = [t for t in usable if NOTES.search(t.element.name) and not t.element.value]
    holding = [t for t in usable if t.element.value and not t.element.options]
    send = f"click({button.target})"
    lacking = any("required" in t.element.states and not t.element.value for t in usable)
    if (holding and not lacking) or (notes and len(usable) > 1):
        for thing in usable:
            note = thing in notes
            yield _filled([thing], page.heading, send, "note" if note else "change")
        return
    needed = [t for t in usable if "required" in t.element.states]
    other = [t for t in usable if t not in needed]
    for extra in _parts(other, chance):
        chosen = [t for t in usable if t in needed or t in extra][:LONGEST_FORM]
        if chosen:
            yield _filled(chosen, page.heading, send, "add")


def _parts(other: list[Thing], chance: random.Random) -> Iterator[list[Thing]]:
    """None of what may be left out, all of it, and one and two of it."""
    yield []
    if other:
        yield other
    for size in (1, 2):
        if len(other) > size:
            yield chance.sample(other, size)


def _filled(chosen: list[Thing], heading: str, send: str, means: str) -> Attempt:
    steps, slots, typed = [], {}, {}
    for thing in chosen:
        name = label(thing.element.name)
        if thing.element.role == "checkbox":
            steps.append(f"click({thing.target})")
            typed[name] = thing.target
            continue
        slot = _slot(thing, heading)
        assert slot is not None
        call = "select_option" if thing.element.options else "fill"
        steps.append(f"{call}({thing.target}, {_open(name)})")
        slots[name], typed[name] = slot, thing.target
    return Attempt((*steps, send), means, slots, typed, writes=True)


def _slot(thing: Thing, heading: str) -> Slot | None:
    """What can be put into a field of a page with that heading; None where that is not known."""
    element = thing.element
    if element.role == "combobox" and element.options:
        options = tuple(o for o in element.options if not BLANK.match(o) and o != state(element))
        return Slot("option", options[:20]) if options else None
    if element.role in ("textbox", "searchbox", "spinbutton"):
        about = f"{label(element.name)} of {heading}" if label(element.name) == "name" else element.name
        return Slot(kind_of(about, thing.facts["type"], element.value or ""))
    return None


def _deleting(things: list[Thing]) -> Iterator[Attempt]:
    for thing in things:
        if thing.element.role in ("link", "button") and DELETES.search(thing.element.name):
            yield Attempt((f"click({thing.target})",), "delete", writes=True)


def label(name: str) -> str:
    """A field's label as it is said within a sentence: `Due date:` is `due date`."""
    text = re.sub(r"[{}\s]+", " ", name)
    text = re.sub(r"^\W+|[^\w)]+$", "", text)
    plain = len(text) > 1 and text[1:] == text[1:].lower()
    return text.lower() if plain else text


def _open(name: str) -> str:
    return quote(f"{{{{{name}}}}}")
