"""A form on its way: what of a goal it still wants, what it offers, whether it was sent.

    to_do = left(look, quoted, history)       # values of the goal that were not used yet
    if begun(look, quoted, history):
        wanting(look, to_do)                  # the fields they may go into

Small models spoil forms at the steps between: they write one value over another, click a field in place of
typing into it, press the button too early, or leave by a link what is filled in. `grammar.py` holds them to
what is found here. All of it goes by what the goal has in quotes and what was done.

Not covered: which value belongs into which field, and which button sends the form: the model has to know.
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.actions import Action
from tools.observation import EDITABLE, Element, Observation

FILLING = frozenset({"fill", "select_option"})
PRESSING = frozenset({"click", "dblclick", "mouse_click", "press", "keyboard_press"})


def typed(history: Sequence[Action]) -> set[tuple[object, object]]:
    """Names of fields with what was typed into them."""
    return {(action.label, action.args[1]) for action in history if action.name == "fill"}


def offered(observation: Observation, quoted: Sequence[str], history: Sequence[Action]) -> list[Element]:
    """The options of a list that opened at what was typed, and offers just that; not those chosen already."""
    wrote = typed(history)
    holds = {e.value for e in observation.elements if (e.name, e.value) in wrote}
    clicked = {action.label for action in history if action.name == "click"}
    options = (e for e in observation.actionable() if e.role == "option" and "selected" not in e.states)
    return [e for e in options if e.name in quoted and e.name in holds and e.name not in clicked]


def left(observation: Observation, quoted: Sequence[str], history: Sequence[Action]) -> list[str]:
    """What of it was neither filled in nor acted on, or was filled in here and is held no more."""
    held = {e.value for e in observation.elements}
    fields = {e.name for e in observation.actionable() if e.role in EDITABLE}

    def lost(action: Action) -> bool:
        return action.name in FILLING and action.label in fields and action.args[1] not in held

    told = {text for action in history if not lost(action) for text in (action.label, *action.args)}
    return [value for value in quoted if value and value not in told]


def unseen(observation: Observation, values: Sequence[str]) -> list[str]:
    """Those that are nowhere in sight."""
    seen = [observation.title, *(t for e in observation.elements for t in (e.name, e.value, *e.options))]
    page = "\n".join(text.casefold() for text in seen if text)
    return [value for value in values if value.casefold() not in page]


def begun(observation: Observation, quoted: Sequence[str], history: Sequence[Action]) -> bool:
    """Whether a field here holds something quoted that was put into it."""
    did = {(action.label, action.args[1]) for action in history if action.name in FILLING}
    return any(e.value in quoted and (e.name, e.value) in did for e in observation.actionable())


def wanting(observation: Observation, to_do: Sequence[str]) -> list[tuple[Element, list[str]]]:
    """The fields that some of it may go into: lists that offer it, empty ones if it is nowhere in sight."""
    fields = [e for e in observation.actionable() if e.role in EDITABLE and "disabled" not in e.states]
    held = {field.value for field in fields}
    to_type = unseen(observation, to_do)
    found = []
    for field in fields:
        choices = [option for option in field.options if option in to_do and option not in held]
        if values := choices if field.options else to_type if not field.value else []:
            found.append((field, values))
    return found


def unsent(observation: Observation, history: Sequence[Action]) -> bool:
    """Whether nothing was pressed since something was filled in, but what was offered for it; and there is a
    button that could be."""
    chosen = {value for _, value in typed(history)}
    told = (a for a in reversed(history) if a.name in FILLING | PRESSING)
    last = next((a for a in told if not (a.name == "click" and a.label in chosen)), None)
    buttons = any(element.role == "button" for element in observation.actionable())
    return buttons and last is not None and last.name in FILLING
