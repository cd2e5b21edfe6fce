"""An effect as a goal in words, as a person would ask for it: by grammar, or by a teacher where one is set.

What is said of a page comes from the page: the link that led there, its heading, its fields' labels. Values
that must be typed, chosen or clicked stand in double quotes, slots included. A teacher
(`SHOPFLOOR_TEACHER_URL`) is asked for one more way of saying each goal; it counts only when nothing quoted
has changed.

Not covered: the other frames and verbs each episode's goal is put into (`trajectories/goals.py`).
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from agents.clients import ChatModel, ModelDown
from tools.actions import Named, quote
from trajectories.explore.attempts import Attempt, label
from trajectories.explore.demonstration import Demonstration, Effect
from trajectories.explore.effects import target_of
from trajectories.explore.page import Page
from trajectories.explore.site import Site
from trajectories.goals import faithful

VERB = re.compile(
    r"(?i)^(add|new|create|change|edit|update|view|modify|show|select)\b(?: a| an| new)? +(.+)$"
)
GENERIC = re.compile(r"(?i)^(search|find|query|filter|keywords?|q|text|term|search .*|.* search)$")
ASK = (
    "An app can do this: {goal}\nIt is done by:\n{steps}\n"
    "Write that request as another person would, on one line. Keep everything in double quotes as it is."
)


def goals(kind: str, effect: Effect, attempt: Attempt, page: Page, site: Site) -> tuple[str, ...]:
    """Ways of saying what the attempt did; none where no goal fits."""
    return tuple(said[0].upper() + said[1:] for said in _goals(kind, effect, attempt, page, site))


def _goals(kind: str, effect: Effect, attempt: Attempt, page: Page, site: Site) -> tuple[str, ...]:
    step = target_of(attempt.steps[0])
    of, within = thing_at(page.place, site), list_at(page.place, site)
    here = of or within
    match kind:
        case "open":
            return _open(step, page, site, attempt)
        case "search":
            field = label(step.name)
            what = f'"{{{{{field}}}}}"'
            if GENERIC.match(field):
                among = f" among {within}" if within else ""
                return (f"Search for {what}{among}.", f"Find {what}{among}.", f"Look up {what}{among}.")
            return (f"{_in(here)}search for the {field} {what}.", f"{_in(here)}find what has {field} {what}.")
        case "filter":
            value = next(iter(attempt.typed), step.name)
            by = label(re.sub(r"(?i)^(filter )?by |\s*\(?\d+\)?$", "", attempt.group) or step.name)
            return (
                f"{_in(here)}show only those with {by} {quote(value)}.",
                f"{_in(here)}filter by {by}: {quote(value)}.",
                f"{_in(here)}list only what has {by} {quote(value)}.",
            )
        case "sort":
            if attempt.typed:  # chosen from a list of columns
                word, by = (
                    "group" if "group" in step.name.lower() else "sort",
                    quote(next(iter(attempt.typed))),
                )
                return (f"{_in(here)}{word} by {by}.", f"{_in(here)}{word} the list by {by}.")
            by = quote(label(step.name) if step.name.endswith(("▼", "▲")) else step.name)
            down = ", descending" if re.search(r"(?i)desc|=-\d", effect.at) else ""
            return (f"{_in(here)}sort by {by}{down}.", f"{_in(here)}order the list by {by}{down}.")
        case "add" if attempt.means == "add":  # not a copy of something, with one thing changed
            noun = noun_of(page.heading) or label(site.known[page.place].name)
            parts = _list([f"{name} {_value(name, attempt, effect)}" for name in attempt.typed])
            article = "an" if noun[:1].lower() in "aeiou" else "a"
            return (
                f"Add {article} {noun} with {parts}.",
                f"Create {article} {noun}: {parts}.",
                f"Add a new {noun}: {parts}.",
            )
        case "edit" | "choose":
            name = next(iter(attempt.typed))
            value = f'"{{{{{name}}}}}"'
            return (
                f"Change {_the(name)} of {here} to {value}.",
                f"Set {_the(name)} of {here} to {value}.",
                f"Update {_the(name)} of {here} to {value}.",
            )
        case "tick":
            box = quote(step.name)
            on = effect.fields[str(step)] == "on"
            return (
                f"Turn {'on' if on else 'off'} {box} for {here}.",
                f"For {here}, turn {'on' if on else 'off'} {box}.",
                f"{'Tick' if on else 'Untick'} {box} for {here}.",
            )
        case "note":
            name = next(iter(attempt.typed))
            return (
                f'Add the {name} "{{{{{name}}}}}" to {here}.',
                f'Write "{{{{{name}}}}}" as the {name} of {here}.',
            )
        case "delete":
            return (
                f"Delete {here}.",
                f"Remove {here}.",
                f"{here[0].upper()}{here[1:]} is not needed: delete it.",
            )
    return ()


def reading(field: str, here: str) -> tuple[str, ...]:
    """Ways of asking for a value that stands on a page."""
    return (
        f"Report {_the(field)} of {here}.",
        f"Look up {_the(field)} of {here} and report it.",
        f"Tell me {_the(field)} of {here}.",
    )


def _open(step: Named, page: Page, site: Site, attempt: Attempt) -> tuple[str, ...]:
    goal = site.known.get(attempt.leads)
    here = thing_at(page.place, site)
    if re.fullmatch(r"\d+", step.name):
        return (f"Go to page {quote(step.name)} of {list_at(page.place, site)}.",)
    if goal is not None and goal.record:
        what = thing_at(attempt.leads, site)
        return (f"Open {what}.", f"Show {what}.", f"Go to {what}.", f"Find {what} and open it.")
    name = quote(step.name)
    if here:
        return (f"Open {name} of {here}.", f"For {here}, open {name}.", f"Go to {name} of {here}.")
    within = list_at(page.place, site)
    everywhere = {link.name for link in site.links_from(site.walked[0])} if site.walked else set()
    if within and step.name not in everywhere:
        return (f"Open {name} in {within}.", f"In {within}, open {name}.")
    return (f"Open {name}.", f"Go to {name}.", f"Show {name}.", f"Open the page {name}.")


def thing_at(where: str, site: Site) -> str:
    """The record that a page is about: `the book "Dune"`; "" where it is about none."""
    known = site.known.get(where)
    if known is None or not known.record:
        return ""
    noun = noun_of(known.heading) or _kind(where)
    if re.fullmatch(r"[#\d]+", known.name):
        return f"{noun or 'number'} {quote(known.name)}"
    return f"the {noun} {quote(known.name)}" if noun else quote(known.name)


def list_at(where: str, site: Site) -> str:
    """The list or section that a page is: `"Books"`; "" for the first page."""
    known = site.known.get(where)
    return quote(known.name) if known is not None and known.name else ""


def noun_of(heading: str) -> str:
    """`Change book` is about a book; "" where the heading does not say."""
    match = VERB.match(re.sub(r"(?i) (editing|form|page|details)$", "", heading.strip()))
    return label(match[2]) if match and len(match[2].split()) <= 3 else ""


def _kind(where: str) -> str:
    """What one of many pages is called by its address: `/shop/products/3` is a product, `/issue3` an
    issue.
    """
    match = re.search(r"([A-Za-z]{3,})[/_-]?\d+(?:/|$)", urlsplit(where).path)
    word = match[1].lower() if match else ""
    for ending, single in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x")):
        if word.endswith(ending):
            return word.removesuffix(ending) + single
    return word.removesuffix("s") if not word.endswith("ss") else word


def _value(name: str, attempt: Attempt, effect: Effect) -> str:
    return (
        quote(f"{{{{{name}}}}}") if name in attempt.slots else quote(effect.fields[str(attempt.typed[name])])
    )


def _the(field: str) -> str:
    """A field as a thing: `the title`; in quotes where its label is none, as in `Assigned to`."""
    return (
        quote(field.capitalize())
        if re.search(r"( (to|by|on|for|of|at|in)|ed|born|due)$", field)
        else f"the {field}"
    )


def _in(here: str) -> str:
    return f"In {here}, " if here else ""


def _list(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


async def by_teacher(model: ChatModel, demonstration: Demonstration) -> tuple[str, ...]:
    """One more way of saying the goal, in the teacher's words; none when it fails or is not faithful."""
    goal = demonstration.goals[0]
    question = ASK.format(goal=goal, steps="\n".join(demonstration.steps))
    try:
        said = (await model.ask([{"role": "user", "content": question}], temperature=0.7)).text.strip()
    except ModelDown:
        return ()
    return (said,) if faithful(goal, said) else ()
