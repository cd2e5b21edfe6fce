"""A form on its way: what of a goal it still wants, what it offers, whether it was sent.

    to_do = left(look, quoted, history)       # values of the goal that were not used yet
    if begun(look, quoted, history):
        wanting(look, to_do, homes(look, [goal]))      # the fields they may go into

Small models spoil forms at the steps between: they write one value over another, click a field in place of
typing into it, press the button too early, or leave by a link what is filled in. `grammar.py` holds them to
what is found here. All of it goes by what the goal has in quotes and what was done.

Not covered: which value belongs into which field where neither the goal's words nor the value's kind tell,
and which button sends the form: the model has to know.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence

from tools.actions import Action
from tools.observation import EDITABLE, Element, Observation

FILLING = frozenset({"fill", "select_option"})
PRESSING = frozenset({"click", "dblclick", "mouse_click", "press", "keyboard_press"})
QUOTED = re.compile(r'"([^"]*)"')
LINK = re.compile(
    r"[\s:=>(-]*(?:\b(?:as|be|is|of|the|to|with)\b[\s:=]*)*$"
)  # between a field's name and its value
LONGEST_NAME = 4  # words
TICKED = frozenset({"checkbox", "radio", "switch"})
SEARCH = re.compile(r"\bor\b|filter|find|keyword|look|query|search")  # names of fields for anything
GIVES_UP = re.compile(r"^(cancel|close|discard|dismiss|never mind)\b")
HIDDEN = "\u2022"  # a character of a password, as pages are read
BOXES = re.compile("box|button|check|option|radio|switch|tick|toggle")
# Kinds of values that HTML knows types of fields for, and what such fields are called.
KINDS = (
    (re.compile(r"[^@\s]+@[^@\s]+\.\w+"), re.compile("mail")),
    (re.compile(r"\d{4}-\d\d-\d\d"), re.compile("date")),
    (re.compile(r"\+?[\d() /-]{6,}"), re.compile("phone|mobile|^tel|cell")),
)


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


def sent(history: Sequence[Action], buttons: Container[str]) -> set[int]:
    """Which of what was done filled in a form that one of the page's buttons then sent: so it stays, though
    the form is here again, empty, and the page shows nothing of it."""
    found: set[int] = set()
    filled: list[int] = []
    for at, action in enumerate(history):
        if action.name in FILLING:
            filled.append(at)
        elif action.name == "click":
            values = {v for i in filled for v in history[i].args[1:]}
            if action.label in values:
                continue  # chosen from a list that it opened
            if action.label in buttons:
                found.update(filled)
            filled = []
    return found


def left(observation: Observation, quoted: Sequence[str], history: Sequence[Action]) -> list[str]:
    """What of it was neither filled in nor acted on, or was filled in here, not sent, and is held no more."""
    held = {e.value for e in observation.elements}
    fields = {e.name for e in observation.actionable() if e.role in EDITABLE}

    def lost(action: Action) -> bool:
        return action.name in FILLING and action.label in fields and action.args[1] not in held

    stays = sent(history, {e.name for e in observation.actionable() if e.role == "button"})
    done = (action for at, action in enumerate(history) if at in stays or not lost(action))
    told = {text for action in done for text in (action.label, *action.args)}
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


def homes(observation: Observation, sources: Sequence[str]) -> dict[str, frozenset[int]]:
    """For values in quotes the fields (refs) that they belong into, where that can be told: the one whose
    name stands before the value (`mobile: "555-1185"`), else those of its kind (`"a@x.org"` into "E-mail").
    Nothing for what stands in one of them, or may stand in a field that hides it: it may be wanted twice.
    """
    here = [e for e in observation.actionable() if e.role in EDITABLE and not e.options]
    fields = {element.ref: _bare(element.name) for element in here if element.ref is not None}
    holds = {element.ref: element.value or "" for element in here}
    found: dict[str, frozenset[int]] = {}
    for source in sources:
        for match in QUOTED.finditer(source):
            before = re.split(r'[".,;!?]', LINK.sub("", source[: match.start()]))[-1]
            words = _bare(before).split()[-LONGEST_NAME:]
            said = (" ".join(words[at:]) for at in range(len(words)))
            named = next((own for name in said if (own := _called(fields, name))), None)
            kind = next((names for kind, names in KINDS if kind.fullmatch(match[1])), None)
            alike = {
                ref
                for ref, name in fields.items()
                if kind and kind.search(name.replace(" ", "")) and not SEARCH.search(name)
            }
            home = named or alike
            if home and not any(holds[ref] in (match[1], HIDDEN * len(match[1])) for ref in home):
                found[match[1]] = frozenset(home)
    return found


def fits(field: Element, values: Sequence[str], homes: Mapping[str, frozenset[int]]) -> list[str]:
    """Those of the values that may go into a field: its own, if it has any, else those without a home."""
    own = [value for value in values if field.ref in homes.get(value, ())]
    return own or [value for value in values if value not in homes]


def meant(element: Element, sources: Sequence[str]) -> bool:
    """Whether a goal may be about a list or a box that can be set: it says a word of its name, one of its
    options, or what kind of thing it is. Of anything else it may always be."""
    said = [f" {_bare(source)} " for source in sources]
    if element.options:
        return any(
            f" {_bare(text)} " in source for text in (element.name, *element.options) for source in said
        )
    if element.role not in TICKED or not element.name:
        return True
    words = [word for word in _bare(element.name).split() if len(word) > 2]
    return any(BOXES.search(source) or any(f" {w} " in source for w in words) for source in said)


def aside(observation: Observation, sources: Sequence[str]) -> set[int]:
    """The buttons (refs) that do not send what was filled in: those that give it up, and, where the goal
    names a button that is here, all others. For dialogs of applications, which have many."""
    said = " ".join(f" {_bare(source)} " for source in sources)
    here = (e for e in observation.actionable() if e.role == "button")
    buttons = {element.ref: _bare(element.name) for element in here if element.ref is not None}
    named = {ref for ref, name in buttons.items() if name and f" {name} " in said}
    return {ref for ref, name in buttons.items() if named or GIVES_UP.search(name)} - named


def without(values: Sequence[str], sources: Sequence[str]) -> list[str]:
    """The sources less these values in quotes, small letters or capitals."""
    if not values:
        return list(sources)
    quoted = re.compile("|".join(re.escape(f'"{value}"') for value in values), re.IGNORECASE)
    return [quoted.sub('""', source) for source in sources]


def wanting(
    observation: Observation, to_do: Sequence[str], homes: Mapping[str, frozenset[int]]
) -> list[tuple[Element, list[str]]]:
    """The fields that some of it may go into: lists that offer it, and, if it is nowhere in sight, those that
    it belongs into, or else empty ones."""
    fields = [e for e in observation.actionable() if e.role in EDITABLE and "disabled" not in e.states]
    held = {field.value for field in fields}
    to_type = unseen(observation, to_do)
    found = []
    for field in fields:
        choices = [option for option in field.options if option in to_do and option not in held]
        typed_in = fits(field, to_type, homes)
        if field.value:  # what stands there is written over by what belongs there alone
            typed_in = [value for value in typed_in if value in homes]
        if values := choices if field.options else typed_in:
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


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _called(fields: Mapping[int, str], name: str) -> set[int]:
    return {ref for ref, own in fields.items() if own == name}
