"""Other goals for a page that an episode came by: what its expert would do there for each.

A recorded page costs a browser; a goal costs nothing. Since an oracle looks at the present page only, any
goal of the same world can be asked of any recorded page, and the answer is known without another roll-out
(hindsight in the other direction: not what was reached, but what else could have been asked). Where the
episode has changed something already, only near misses of its own goal are asked, with other values: they
teach that the page in sight is not the one that was wanted.

Most goals are about things on some other page, and a model that is asked them learns little but to leave. Of
many goals those are kept whose answers differ: each thing that can be done here about as often as leaving.
Where something is typed into a form, none is kept that leaves it: nobody sets another goal there, and a model
that is asked such goals learns to leave forms half filled in. Over a dialog none is asked at all, or it
learns to cancel what it has just asked for.

Forms are also asked about half filled in: what the expert would type or choose is written into the
observation, as the page would show it, and the question is what comes next (`midway`). The screenshot stays
the one before.

Not covered: goals for pages of apps without an expert, and what a button or a link would bring.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice, zip_longest

from tools.actions import Action, quote
from tools.observation import Element, Observation
from trajectories.episode import Episode, Step
from trajectories.helpdesk.expert import Page
from trajectories.helpdesk.look import SECTIONS
from trajectories.helpdesk.tasks import DONE, FAMILIES, Maker, Plan, advice, is_at, place

TYPING = frozenset({"fill", "select_option", "upload_file"})
HARMLESS = frozenset({"fill", "select_option", "scroll", "hover", "go_back", "noop"})
TRIES = 6  # goals made up for each one looked at
CHOSEN_FROM = 5  # goals looked at for each one kept
MANY = 16  # goals looked at for each form filled in: most have their form elsewhere


def asides(
    episode: Episode, at: int, count: int, draw: random.Random, look: Observation | None = None
) -> Iterator[tuple[str, Action]]:
    """Up to `count` goals for the page `at` steps into the episode, each with the expert's next action.

    With `look` for that page as it would be with other things filled in.
    """
    page = _page(episode, at)
    if look is not None:
        page = replace(page, observation=look)
    if page.dialog:
        return
    begun = look is not None or _typed(episode, at)
    sections = {page.look.word(section) for section in SECTIONS}
    by_answer: dict[str, list[tuple[str, Action]]] = defaultdict(list)
    for plan in _plans(episode, at, CHOSEN_FROM * count, draw):
        reached = plan.view is not None and is_at(page.observation.url, plan.view)
        try:
            action = DONE if reached else advice(plan, page)
        except (KeyError, ValueError):
            continue
        leaves = action.name == "click" and action.label in sections
        if leaves and begun:
            continue
        by_answer["leave" if leaves else f"{action.label} {action.name}"].append((plan.goal, action))
    ways = draw.sample(list(by_answer.values()), len(by_answer))
    rounds = chain.from_iterable(zip_longest(*ways))  # one of each kind, then a second one, and so on
    yield from islice(filter(None, rounds), count)


def midway(
    episode: Episode, at: int, count: int, draw: random.Random
) -> Iterator[tuple[Observation, tuple[Action, ...], str, Action]]:
    """Up to `count` times the page `at` steps in, with a form on it partly filled in for another goal.

    Each with what was filled in, the goal, and the expert's next action.
    """
    start = _page(episode, at)
    if any(map(_changes, episode.steps[:at])):
        return
    made = 0
    for plan in _plans(episode, at, MANY * count, draw):
        page, done = start, list[Action]()
        for _ in range(draw.choice((1, 1, 2, 3, 4))):
            action = advice(plan, page)
            after = _filled_in(page, action)
            if after is None:
                break
            page = replace(page, observation=after)
            done.append(action)
        if done:
            try:
                yield page.observation, tuple(done), plan.goal, advice(plan, page)
            except (KeyError, ValueError):
                continue
            made += 1
            if made == count:
                return


def _page(episode: Episode, at: int) -> Page:
    look = episode.steps[at].observation if at < len(episode.steps) else episode.final
    return Page(look, Maker(episode.family, episode.seed).look)


def _plans(episode: Episode, at: int, count: int, draw: random.Random) -> Iterator[Plan]:
    """Plans of other goals that make sense on a page of the episode, no goal twice."""
    own = Maker(episode.family, episode.seed)
    asked = FAMILIES[episode.family].make(own)
    page = _page(episode, at)
    touched = any(map(_changes, episode.steps[:at]))
    if touched and (asked.script or not any(change.id for change in asked.expect)):
        return
    alone = [f for f, known in FAMILIES.items() if f != "sign-in" and not known.scripted]
    families = [episode.family] if touched else alone
    if page.path == "/login":
        families = ["sign-in"]
    seen = {asked.goal}
    for _ in range(count * TRIES):
        if len(seen) > count:
            return
        family = draw.choice(families)
        maker = Maker(family, f"aside/{draw.random()}", own.world_seed, here=page.path)
        plan = FAMILIES[family].make(maker)
        if plan.goal in seen or not _clear(plan, maker, page.observation):
            continue
        if touched and plan.expect == asked.expect:
            continue
        seen.add(plan.goal)
        yield plan


def _changes(step: Step) -> bool:
    """Whether a step may have changed what the app holds: a button was pressed, or a key."""
    action = step.decision.action
    if action.name in HARMLESS or action.final:
        return False
    element = step.observation.find(action.targets[0]) if action.name == "click" else None
    return element is None or element.role not in ("link", "checkbox", "textbox", "combobox", "option")


def _typed(episode: Episode, at: int) -> bool:
    """Whether something was typed or chosen on the page `at` steps in."""
    here = (episode.steps[at].observation if at < len(episode.steps) else episode.final).url
    return any(s.observation.url == here and s.decision.action.name in TYPING for s in episode.steps[:at])


def _clear(plan: Plan, maker: Maker, look: Observation) -> bool:
    """Whether the goal says what it is about, here: "this ticket" needs to be the one in sight."""
    start = re.match(r"/(tickets|customers)/(\d+)", plan.start)
    if start is None or re.match(rf"{start[0]}(?!\d)", place(look.url)):
        return True
    row = getattr(maker.world, start[1])[int(start[2]) - 1]
    return quote(row.get("title") or row["name"]) in plan.goal


def _filled_in(page: Page, action: Action) -> Observation | None:
    """The page as it would read after a field was filled in; None for what does more than that."""
    look = page.observation
    if not action.targets or (element := look.find(action.targets[0])) is None:
        return None
    elements = list(look.elements)
    spot = elements.index(element)
    match action.name:
        case "fill" | "select_option" | "upload_file":
            value = str(action.args[1])
            hidden = page.path == "/login" and element.name == page.look.word("password")
            elements[spot] = replace(element, value="•" * len(value) if hidden else value)
            if element.role != "combobox" and element.name == page.look.word("customer"):
                elements.insert(spot + 1, Element(0, "option", value, element.box))  # offered to be chosen
        case "click" if element.role == "checkbox":
            states = set(element.states) ^ {"checked"}
            elements[spot] = replace(element, states=tuple(sorted(states)))
        case "click" if element.role == "option":
            elements = [e for e in elements if e.role != "option"]
        case _:
            return None
    numbers = iter(range(1, len(elements) + 1))
    numbered = (replace(e, ref=next(numbers)) if e.ref is not None else e for e in elements)
    return replace(look, elements=tuple(numbered))
