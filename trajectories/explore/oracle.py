"""What to do next towards a demonstration, from wherever one is: by links to its page, then its steps.

It looks at the present page only, and at the last few actions where a page does not tell (a field scrolled
out of sight that has been filled in). So it goes on after a stray step; from a page that nobody has walked
it goes back.

Not covered: whether it is done, which the task's check tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.actions import Action, Named
from tools.observation import Observation
from tools.slots import fill_in
from trajectories.explore.demonstration import Demonstration, is_at
from trajectories.explore.demonstration import place as place_of
from trajectories.explore.page import state
from trajectories.explore.site import Site

SETS = frozenset({"fill", "select_option"})


def advice(
    site: Site,
    demonstration: Demonstration,
    values: Mapping[str, str],
    look: Observation,
    history: Sequence[Action],
) -> Action:
    """The next action; targets by role and name."""
    steps = [step for step in demonstration.actions(values) if step.targets]
    presses = [step for step in steps if not _sets(step, demonstration)]
    if any(e.role in ("dialog", "alertdialog") and e.ref is None for e in look.elements):
        wanted = any(step.targets == (Named("button", "OK"),) for step in steps)
        return Action("click", (Named("button", "OK" if wanted else "Cancel"),))
    here = place_of(look.url)
    if not is_at(look.url, demonstration.page, {}):
        for step in reversed(presses[1:]):  # a page that comes after the first press
            if look.find(step.targets[0]) is not None:
                return step
        return _towards(site, here, demonstration.page, look, history)
    for step in steps:
        if not _sets(step, demonstration):
            continue
        element = look.find(step.targets[0])
        if element is None:
            if not _done_already(step, history):
                return scroll(look, history)
        elif state(element) != _wanted(step, demonstration, values):
            return step
    if demonstration.effect.answer:
        seen = any(demonstration.effect.answer in f"{e.name} {e.value or ''}" for e in look.elements)
        return Action("send_msg_to_user", (demonstration.effect.answer,)) if seen else scroll(look, history)
    first = presses[0]
    return first if look.find(first.targets[0]) is not None else scroll(look, history)


def _sets(step: Action, demonstration: Demonstration) -> bool:
    """Whether a step gives a field its value, rather than leading on."""
    target = step.targets[0]
    assert isinstance(target, Named)
    return step.name in SETS or target.role in ("checkbox", "radio")


def _wanted(step: Action, demonstration: Demonstration, values: Mapping[str, str]) -> str:
    if step.name in SETS:
        return str(step.args[1])
    return fill_in(demonstration.effect.fields.get(str(step.targets[0]), "on"), values)


def _done_already(step: Action, history: Sequence[Action]) -> bool:
    """Whether it was done on this page, as far as the actions since tell."""
    target = step.targets[0]
    assert isinstance(target, Named)
    for action in reversed(history):
        if action.name in ("goto", "go_back", "send_msg_to_user"):
            return False
        if (
            action.name == step.name
            and action.label is not None
            and target.name.startswith(action.label.rstrip("…"))
        ):
            return action.args[1:] == step.args[1:]
    return False


def _towards(site: Site, here: str, page: str, look: Observation, history: Sequence[Action]) -> Action:
    way = site.way(here, page)
    if not way:
        return Action("go_back")
    link = way[0].target
    return Action("click", (link,)) if look.find(link) is not None else scroll(look, history)


def scroll(look: Observation, history: Sequence[Action]) -> Action:
    """Down to the end of the page, then back to its top."""
    last = history[-1] if history else None
    at_end = last is not None and last.name == "scroll" and look.error is not None
    return Action("scroll", (0, -3000)) if at_end else Action("scroll", (0, 500))
