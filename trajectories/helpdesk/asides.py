"""Other goals for a page that an episode came by: what its expert would do there for each.

A recorded page costs a browser; a goal costs nothing. Since an oracle looks at the present page only, any
goal of the same world can be asked of any recorded page, and the answer is known without another roll-out
(hindsight in the other direction: not what was reached, but what else could have been asked). Where the
episode has changed something already, only near misses of its own goal are asked, with other values: they
teach that the page in sight is not the one that was wanted.

Not covered: goals for pages of apps without an expert.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from tools.actions import Action, quote
from tools.observation import Observation
from trajectories.episode import Episode, Step
from trajectories.helpdesk.expert import Page
from trajectories.helpdesk.tasks import DONE, FAMILIES, Maker, Plan, advice, is_at, place

HARMLESS = frozenset({"fill", "select_option", "scroll", "hover", "focus", "go_back", "noop", "clear"})
TRIES = 6  # goals made up for each one kept


def asides(episode: Episode, at: int, count: int, draw: random.Random) -> Iterator[tuple[str, Action]]:
    """Up to `count` goals for the page `at` steps into the episode, each with the expert's next action."""
    look = episode.steps[at].observation if at < len(episode.steps) else episode.final
    own = Maker(episode.family, episode.seed)
    plan = FAMILIES[episode.family].make(own)
    page = Page(look, own.look)
    if page.path == "/login":
        return
    touched = any(map(_changes, episode.steps[:at]))
    if touched and not any(change.id for change in plan.expect):
        return
    families = [episode.family] if touched else [f for f in FAMILIES if f != "sign-in"]
    seen = {plan.goal}
    for _ in range(count * TRIES):
        if len(seen) > count:
            return
        family = draw.choice(families)
        maker = Maker(family, f"aside/{draw.random()}", own.world_seed, here=page.path)
        other = FAMILIES[family].make(maker)
        if other.goal in seen or not _clear(other, maker, look) or touched and other.expect == plan.expect:
            continue
        try:
            reached = other.view is not None and is_at(look.url, other.view)
            yield other.goal, DONE if reached else advice(other, page)
        except (KeyError, ValueError):
            continue
        seen.add(other.goal)


def _changes(step: Step) -> bool:
    """Whether a step may have changed what the app holds: a button was pressed, or a key."""
    action = step.decision.action
    if action.name in HARMLESS or action.final:
        return False
    element = step.observation.find(action.targets[0]) if action.name == "click" else None
    return element is None or element.role not in ("link", "checkbox", "textbox", "combobox", "option")


def _clear(plan: Plan, maker: Maker, look: Observation) -> bool:
    """Whether the goal says what it is about, here: "this ticket" needs to be the one in sight."""
    start = re.match(r"/(tickets|customers)/(\d+)", plan.start)
    if start is None or place(look.url).startswith(start[0]):
        return True
    row = getattr(maker.world, start[1])[int(start[2]) - 1]
    return quote(row.get("title") or row["name"]) in plan.goal
