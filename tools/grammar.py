r"""What a decoder may write, as a regular expression made from the action table and one observation.

A regular expression is what every structured-output server takes (vLLM's `structured_outputs.regex`,
ours alike), so the grammar travels in the request and the server needs to know nothing of actions.
With it, an action that cannot be parsed, or a ref that is not on screen, cannot be written.

Text values may be held to words of the goal and the page (`copied`): small models then copy without slips.

Not covered: holding a decoder to it (`apps/engine.py`), what a form still wants (`forms.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence, Set
from functools import lru_cache

from tools import forms
from tools.actions import ACTIONS, Action, quote
from tools.observation import EDITABLE, Element, Observation, shorten
from tools.x11.applications import APPLICATIONS, TERMINALS

ANY_TEXT = r'"(?:[^"\\\x00-\x1f]|\\["\\nt]){0,400}"'
NUMBER = r"-?(?:0|[1-9][0-9]{0,4})"  # \d would let in every script's digits; Python refuses leading zeros
POINT = r"(?:1000|0|[1-9][0-9]{0,2})"
KEYS = r'"(?:(?:Control|Shift|Alt|Meta)\+){0,3}(?:[A-Za-z0-9]|[A-Z][a-z]+[A-Za-z]{0,9}|F[0-9]{1,2})"'
SENDING = r'"(?:Enter|Arrow(?:Down|Up))"'  # all that is pressed in a field that is filled in
PATH = rf"\[{POINT}, {POINT}(?:, {POINT}, {POINT}){{1,40}}\]"
PRESSED = frozenset({"button", "checkbox", "menuitem", "option", "radio", "switch", "tab"})
APPLICATION = rf'"app:(?:{"|".join(APPLICATIONS)})(?:\?[^"\\\x00-\x1f]{{1,100}})?"'  # and its files
LONGEST_COPY = 24  # words
# What is typed and stands nowhere: a sum, a guess, a date or time written otherwise.
FIGURES = r"-?[0-9]{1,6}(?:\.[0-9]{1,2})?|[0-9]{1,4}[-/:][0-9]{1,2}(?:[-/:][0-9]{1,4}| [AP]M)?"


def action_regex(
    observation: Observation,
    sources: Iterable[str] | None = None,
    history: Sequence[Action] = (),
    done: bool = True,
    early: Set[int] = frozenset(),
) -> str:
    """The regular expression of the actions that make sense on this page, the element said first.

    With `sources` (goal, notes), text values are runs of words from them (in capitals or small letters too)
    and from the page, or figures; otherwise, and in a terminal, any text. A field that still holds what was
    typed into it (`history`) is then filled with one of their quoted values that no field holds yet, and only
    if no field is empty: small models like to type the same again and again, or one over the other. Of a list
    that offers something quoted nothing else is chosen; of one that opened at what was typed, and offers just
    that, it is chosen before anything else: such fields often hold only what was. A form that is begun, or is
    where one of several values belongs, is filled in before anything else, as far as what is quoted and not
    done can go into its empty fields and lists; and while such a value is nowhere in sight, an empty field is
    typed into, not clicked, nor is one that holds what was typed. Where the goal or a value's kind tells
    which field it belongs into, it goes into no other, and nothing else goes into that; lists and boxes that
    a goal with something in quotes says nothing of stay as they are. An application's dialog that is filled
    in is not given up. A form that is begun and has a button is not left by a link, nor backwards, until
    something was pressed. Without `done` nothing is said to the person yet, and what is `early`, by ref, is
    not acted on yet. Matching is meant whole (`fullmatch`).
    """
    said, cased, page, quoted = list[str](), list[str](), list[str](), list[str]()
    typed = forms.typed(history)
    held = [e.value for e in observation.elements if e.value]
    empty = [e for e in observation.actionable() if e.role in EDITABLE and not (e.options or e.value)]
    if sources is None or observation.url in TERMINALS:  # a command says more than any goal
        text = ANY_TEXT
    else:
        said = list(sources)
        quoted = list(dict.fromkeys(q for source in said for q in forms.QUOTED.findall(source)))
        cased = [change(source) for source in said for change in (str.upper, str.lower)]
        page = [*held, *(e.name for e in observation.elements), observation.error or ""]
        text = copied([*said, *cased, *page])
    if offered := forms.offered(observation, quoted, history):
        return f"(?:{'|'.join(map(_choosing, offered))})"
    to_do = forms.left(observation, quoted, history)
    to_type = bool(forms.unseen(observation, to_do))
    homes = forms.homes(observation, said)
    homed = [value for value in to_do if value in homes]
    other = copied([*forms.without(homed, [*said, *cased]), *page]) if homed else ""
    begun = forms.begun(observation, quoted, history)
    # A page where one of several values belongs is the form that they are for.
    if (begun or (len(quoted) > 1 and forms.unseen(observation, homed))) and (
        wanting := forms.wanting(observation, to_do, homes)
    ):
        return f"(?:{'|'.join(_filling(field, values) for field, values in wanting)})"
    unsent = begun and forms.unsent(observation, history)
    on_page = not observation.url.startswith("app:")  # an application's dialog has options no goal names
    aside = forms.aside(observation, said) if unsent and not on_page else set()
    refs = up_to(max((e.ref or 0 for e in observation.actionable()), default=0))
    written: list[str] = []
    texts: list[str] = []  # beginnings of calls that end in a text: by far the longest part, it comes once
    others: list[str] = []  # those of fields that are none of those that some of it belongs into
    for element in observation.actionable():
        if element.ref in early or element.ref in aside or "disabled" in element.states:
            continue
        if quoted and on_page and not forms.meant(element, said):
            continue
        if not (unsent and element.role == "link"):
            filled = bool(quoted) and (element.name, element.value) in typed
            typing = filled or (to_type and element in empty)
            written.append(_element_calls(element, refs, quoted, typing))
            if element.role == "file":
                texts.append(rf"{_said(element)}upload_file\({element.ref}, ")
            if element.role not in EDITABLE or element.options:
                continue
            if filled:
                new = forms.fits(element, [value for value in quoted if value not in held], homes)
                if new and not empty:
                    written.append(_filling(element, new))
            elif own := [value for value in homed if element.ref in homes[value]]:
                written.append(_filling(element, own))
            elif homed:
                others.append(rf"{_said(element)}fill\({element.ref}, ")
            else:
                texts.append(rf"{_said(element)}fill\({element.ref}, ")
    for name, spec in ACTIONS.items():
        kinds = [kind for _, kind in spec.params][: spec.least]
        if (kinds and kinds[0] == "target") or (name == "send_msg_to_user" and not done):
            continue
        if unsent and name in ("goto", "go_back"):
            continue
        if name == "tab_focus":
            if len(observation.tabs) > 1:
                written.append(rf"tab_focus\([0-{min(9, len(observation.tabs) - 1)}]\)")
        elif name == "noop":
            written.append(r"noop\((?:[1-9][0-9]{1,3})?\)")
        elif name == "report_infeasible":
            written.append(rf"report_infeasible\({ANY_TEXT}\)")
        elif kinds == ["text"]:
            texts.append(rf"{name}\(")
        else:
            url = APPLICATION if observation.url.startswith("app:") else ANY_TEXT
            arguments = {"url": url, "keys": KEYS, "number": NUMBER, "point": POINT, "path": PATH}
            written.append(rf"{name}\({', '.join(arguments[k] for k in kinds)}\)")
    if done:
        written.append(r'send_msg_to_user\("done"\)')
    written.append(rf"(?:{'|'.join(texts)}){text}\)")
    if others:
        written.append(rf"(?:{'|'.join(others)}){other}\)")
    return "(?:" + "|".join(written) + ")"


def _said(element: Element) -> str:
    return re.escape(quote(shorten(element.name))) + " "


def _choosing(option: Element) -> str:
    """The click on an option."""
    return rf"{_said(option)}click\({option.ref}\)"


def _filling(field: Element, values: Sequence[str]) -> str:
    """The calls that put one of these into a field."""
    name = "select_option" if field.options else "fill"
    texts = "|".join(re.escape(quote(value)) for value in values)
    return rf"{_said(field)}{name}\({field.ref}, (?:{texts})\)"


def _element_calls(element: Element, refs: str, quoted: Sequence[str], typing: bool) -> str:
    """The calls that make sense on one element, by its role, without those that end in a text; `typing`: a
    field that is filled in, or waits to be."""
    ref = element.ref
    if typing:
        return rf"{_said(element)}press\({ref}, {SENDING}\)"
    if element.role in PRESSED:  # to drag it, scroll it or click it twice does what a click does, or nothing
        return rf"{_said(element)}(?:click|hover)\({ref}\)"
    # A list of options is chosen from: to click it changes nothing, and what it opens is no part of the page.
    calls = [rf"hover\({ref}\)" if element.options else rf"(?:click|dblclick|hover)\({ref}\)"]
    if element.options:
        options = "|".join(re.escape(quote(o)) for o in element.options)
        # What is selected already can't be meant: selecting it again does nothing on any page.
        new = [o for o in element.options if o != element.value] or element.options
        if any(o in quoted for o in element.options):
            new = [o for o in new if o in quoted]
        if others := "|".join(re.escape(quote(o)) for o in new):
            calls.append(rf"select_option\({ref}, (?:{others})\)")
        calls.append(rf"select_option\({ref}, \[(?:{options})(?:, (?:{options})){{0,5}}\]\)")
    elif element.role in EDITABLE:
        calls.append(rf"press\({ref}, {KEYS}\)")
    calls.append(rf"drag_and_drop\({ref}, {refs}\)")
    calls.append(rf"scroll\({NUMBER}, {NUMBER}, {ref}\)")
    return f"{_said(element)}(?:{'|'.join(calls)})"


def up_to(most: int) -> str:
    """The numbers 1 to `most` (below 1000), which is what refs are, as a short expression."""
    if most < 10:
        return f"[1-{most}]" if most else "(?!)"
    tens, ones = divmod(most, 10)
    ways = ["[1-9]", rf"{tens}[0-{ones}]"] + ([rf"{up_to(tens - 1)}[0-9]"] if tens > 1 else [])
    return "(?:" + "|".join(ways) + ")"


def copied(sources: Iterable[str]) -> str:
    """A string literal whose text is a run of up to `LONGEST_COPY` whole words of one source, or `FIGURES`.

    Surrounding punctuation may be left off: `"Ada".` in a source allows `Ada`.
    """
    runs = {run for source in sources for run in _runs(source)}
    # Longest alternatives first does not matter for viability: a partial match tries them all.
    return '"(?:' + "|".join([FIGURES, *sorted(runs)]) + ')?"'


@lru_cache(1024)
def _runs(source: str) -> tuple[str, ...]:
    """An expression for each word that a run can begin with, and the quoted parts as they stand.

    Kept, for the goal is the same at each step and most names are on the page before too.
    """
    runs = [re.escape(quote(quoted)[1:-1]) for quoted in forms.QUOTED.findall(source)]
    for piece in source.split('"'):  # no value goes on where a quoted one ends
        words = piece.split()
        for start in range(len(words)):
            run = ""
            for word in reversed(words[start : start + LONGEST_COPY]):
                run = _word(word) + (f"(?: {run})?" if run else "")
            runs.append(run)
    return tuple(runs)


def _word(word: str) -> str:
    """A word as it stands, or with punctuation at its ends left off."""
    bare = word.strip("\"'.,:;!?()[]" if "{{" in word else "\"'.,:;!?()[]{}")  # {{password}} stays whole
    whole = re.escape(quote(word)[1:-1])
    return whole if not bare or bare == word else f"(?:{whole}|{re.escape(quote(bare)[1:-1])})"
