"""A goal with marks at what of it is on the page or was done: string matching that a small model should not
have to do.

    goal: Add a client with name[1] "Sofia I. Marin"[=1], telephone[2] "+44 20 555"[!] and e-mail "a@x.org".
    goal: Make the case "Badge crashes"[! 12] "P1"[@5].
    goal: Select 1MOr[2 checked] and click Submit[! 3].

    [2]   the element with ref 2 is called that; with what was ticked or chosen after it
    [=2]  it holds that
    [@2]  it offers that among its options
    [~2]  its name contains that (for what the goal has in quotes, or begins with a capital letter, and
          nothing is called)
    [+]   it can be read on the page
    [did] it was typed or chosen, or what was acted on is called that; no longer so where the field is there
          with something else in it, and it stands nowhere
    [!]   the first that is neither done nor stands there already: of what the goal has in quotes, or, where
          it has nothing in quotes, of what can be acted on; but no button that comes last while a field is
          empty
    [! ?2] the same, with the fields that it may go into, where it is nowhere in sight: those that it belongs
          into (`forms.homes`), or else the empty ones

What has no mark is not in sight: to be typed, or to be found elsewhere. Only the goal's own words are
marked, and nothing of the page is put in but refs, so no page can write into a goal; a mark never stands
inside a value (`ada@desk.example`). What the marks tell also says what is too early (`premature`), and that
nobody is done yet (`outstanding`). The idea is that of value linking in text-to-SQL (BRIDGE,
https://arxiv.org/abs/2012.12627), where a question is marked with a database's cells.

Not covered: other words for the same thing ("mail" for "E-mail"), which the model has to know.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence

from tools import forms
from tools.actions import Action
from tools.observation import EDITABLE, MAX_ELEMENTS, MAX_OPTIONS, Element, Observation
from tools.x11.applications import DESKTOP

WORD = re.compile(r"\{\{\w+\}\}|\w+|[^\w\s]")  # {{password}} is one word, so nothing is written into it
QUOTED = re.compile(r'"([^"]+)"')
# A file's name or a sum, which people seldom put in quotes; what has a minus may be a range or a date.
VALUE = re.compile(r"(?<![\w.@/+*-])(?:[\w-]+\.[A-Za-z]\w{1,4}|\d+[+*]\d+)(?=[.,;:!?]*(?:\s|$))")
GLUED_BEFORE, GLUED_AFTER = re.compile(r"\w[.@/+'-]$"), re.compile(r"[.@/+'-]\w")  # a word goes on there
DID, NEXT = "did", "!"
TICKED = frozenset({"checkbox", "option", "radio"})
SHOWN = ("checked", "selected", "pressed")
MOST = 3  # elements named at one place
EMPTY = 5  # fields named at one place
LONGEST = 24  # words of a phrase
# Too common to mean an element of that name, unless in quotes; so are single letters and punctuation.
COMMON = frozenset(
    ["a", "an", "and", "at", "by", "for", "in", "is", "it", "of", "on", "or", "the", "to", "with"]
)

Words = tuple[str, ...]


def mark(goal: str, page: Observation, history: Sequence[Action] = ()) -> str:
    """The goal with a mark behind each run of its words that is on the page or in what was done (`history`),
    longest runs first."""
    marks, following = _marks(goal, page, history)
    if following is not None:
        marks[following] = [NEXT, *(marks.get(following) or _waiting(goal, following, page))]
    parts, last = list[str](), 0
    for end in sorted(marks):
        parts += goal[last:end], f"[{' '.join(marks[end])}]"
        last = end
    return "".join(parts) + goal[last:]


def quoted(goal: str) -> str:
    """The goal with values in quotes that can be nothing else: small models take half of them otherwise."""
    pieces = goal.split('"')
    pieces[::2] = [VALUE.sub(r'"\g<0>"', piece) for piece in pieces[::2]]
    return '"'.join(pieces)


def _marks(
    goal: str, page: Observation, history: Sequence[Action]
) -> tuple[dict[int, list[str]], int | None]:
    """What stands where in the goal, by the place it is written at; and where what comes next ends."""
    found = list(WORD.finditer(goal))
    words = [m[0].casefold() for m in found]
    phrases = _phrases(page, history)
    longest = min(LONGEST, max(map(len, phrases), default=0))
    quotes = {m.start(1): m for m in QUOTED.finditer(goal)}
    marks: dict[int, list[str]] = {}
    at = 0
    while at < len(found):
        start = found[at].start()
        if (quoted := quotes.get(start)) and (inside := _partly(quoted[1], page, phrases)):
            marks[quoted.end()] = inside
            at += len(WORD.findall(quoted[1]))
            continue
        for length in range(min(longest, len(found) - at), 0, -1):
            end = found[at + length - 1].end()
            in_quotes = goal[start - 1 : start] == '"' == goal[end : end + 1]
            said = phrases.get(tuple(words[at : at + length]))
            if said and (in_quotes or length > 1 or _telling(words[at])) and not _glued(goal, start, end):
                marks[end + in_quotes] = said
                at += length
                break
        else:
            name, end = found[at][0], found[at].end()
            inside_quotes = any(m.start(1) <= start < m.end(1) for m in quotes.values())
            named = at > 0 and name[0].isupper() and not inside_quotes and not _glued(goal, start, end)
            if named and (inside := _partly(name, page, phrases)):
                marks[end] = inside
            at += 1
    offered = {str(e.ref) for e in page.actionable() if e.role == "option" and not set(SHOWN) & set(e.states)}
    following = _following(marks, [m.end() for m in quotes.values()], offered)
    if following is not None and not quotes and following == max(marks) and _empty(page):
        sends = {str(e.ref) for e in page.actionable() if e.role == "button"}
        if sends & set(marks[following]):
            following = None  # what is to be typed before is not in the goal, or it would be marked
    return marks, following


def premature(goal: str, page: Observation, history: Sequence[Action] = ()) -> frozenset[int]:
    """The button that a goal ends with, while something else is to be done first that can be done here: a
    value of an empty field, a choice, a box to tick."""
    marks, following = _marks(goal, page, history)
    if following is None or not marks or following >= (end := max(marks)):
        return frozenset()
    by_ref = {str(e.ref): e for e in page.actionable()}
    first = marks.get(following) or _waiting(goal, following, page)
    fields = {said.strip("@?") for said in first if said[0] in "@?"}
    ticked = {ref for ref in first if ref in by_ref and by_ref[ref].role in TICKED}
    if not fields | ticked:
        return frozenset()
    return frozenset(int(ref) for ref in marks[end] if ref in by_ref and by_ref[ref].role == "button")


def outstanding(goal: str, page: Observation, history: Sequence[Action] = ()) -> bool:
    """Whether something that the goal has in quotes can be acted on here and was not: nobody says done who
    has "Orders" to open and it before him. What is typed, ticked, held by a field or read on the page is
    settled, and what is nowhere in sight may be. On a desktop where nothing is open, whether nothing was."""
    if page.url == DESKTOP and not any(a.targets or a.name.startswith(("goto", "mouse_")) for a in history):
        return True
    settled = [page.title, *(text for action in history for text in _said(action))]
    for element in page.elements:
        settled.append(element.value or "")
        if element.ref is None or any(state in element.states for state in SHOWN):
            settled.append(element.name)
    told = [f" {' '.join(_words(text))} " for text in settled]
    names = {_words(element.name) for element in page.actionable()}
    quotes = [words for quoted in QUOTED.findall(goal) if (words := _words(quoted)) in names]
    return not all(any(f" {' '.join(words)} " in text for text in told) for words in quotes)


def _following(marks: dict[int, list[str]], quoted: Sequence[int], offered: Container[str]) -> int | None:
    """Where what is to be done first ends; None if nothing is left that is known of."""
    others = [end for end, said in marks.items() if said[0][0] not in "+~"]
    return next((end for end in quoted or others if not _settled(marks.get(end, ()), offered)), None)


def _empty(page: Observation) -> list[str]:
    """The marks of fields with nothing in them."""
    fields = (e for e in page.actionable() if e.role in EDITABLE and not (e.options or e.value))
    return [f"?{e.ref}" for e in fields if "disabled" not in e.states][:EMPTY]


def _waiting(goal: str, following: int, page: Observation) -> list[str]:
    """The marks of the fields that the value which ends there may go into: those that it belongs into, else
    empty ones that no other belongs into."""
    quotes = {match.end(): match[1] for match in QUOTED.finditer(goal)}
    homes = forms.homes(page, [goal])
    if home := homes.get(quotes.get(following, "")):
        return [f"?{ref}" for ref in sorted(home)][:EMPTY]
    taken = {ref for value in quotes.values() for ref in homes.get(value, ())}
    return [said for said in _empty(page) if int(said[1:]) not in taken]


def _settled(said: Sequence[str], offered: Container[str]) -> bool:
    """Whether it was done, or stands there already. Not so while a list that opened at what was typed offers
    it: many fields hold only what was chosen there."""
    held = any(mark == DID or mark.startswith("=") for mark in said)
    return held and not any(mark in offered for mark in said)


def _phrases(page: Observation, history: Sequence[Action]) -> dict[Words, list[str]]:
    """What can be read on the page and what was done, in words, with its marks."""
    phrases: dict[Words, list[str]] = defaultdict(list)
    for element in page.elements[:MAX_ELEMENTS]:
        for text, said in _texts(element):
            words = _words(text)
            if words and said not in phrases[words]:
                phrases[words].append(said)
    # What can only be read says little where something of that name can be acted on.
    phrases = {words: ([s for s in said if s != "+"] or said)[:MOST] for words, said in phrases.items()}
    sent = forms.sent(history, {element.name for element in page.actionable() if element.role == "button"})
    kept = (a for at, a in enumerate(history) if at in sent or not _undone(a, page, phrases))
    done = (text for action in kept for text in _said(action))
    for words in {_words(text) for text in done} - {()}:
        phrases[words] = [DID, *phrases.get(words, ())]
    return phrases


def _undone(action: Action, page: Observation, phrases: dict[Words, list[str]]) -> bool:
    """Whether this filled in a field that is here and holds something else, so that a form was left unsent or
    written over. What was sent is as a rule on the page that follows."""
    if action.name not in ("fill", "select_option"):
        return False
    fields = [e for e in page.actionable() if e.role in EDITABLE and e.name == action.label]
    told = next((v for v in action.args[1:] if isinstance(v, str)), "")
    read = any(not said.startswith("@") for said in phrases.get(_words(told), ()))
    return bool(fields) and not read and all(told not in (e.value or "") for e in fields)


def _texts(element: Element) -> Iterator[tuple[str, str]]:
    if element.ref is None:
        yield element.name, "+"
        return
    yield element.name, " ".join((str(element.ref), *(s for s in SHOWN if s in element.states)))
    if element.value:
        yield element.value, f"={element.ref}"
    for option in element.options[:MAX_OPTIONS]:
        if option != element.value:
            yield option, f"@{element.ref}"


def _said(action: Action) -> Iterator[str]:
    """What was typed or chosen, and the name of what was acted on."""
    for value in (action.label, *action.args):
        yield from (v for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, str))


def _glued(goal: str, start: int, end: int) -> bool:
    """Whether this is part of a longer word, such as an address."""
    return bool(
        GLUED_BEFORE.search(goal[max(0, start - 2) : start]) or GLUED_AFTER.match(goal[end : end + 2])
    )


def _partly(quoted: str, page: Observation, phrases: dict[Words, list[str]]) -> list[str]:
    """The marks of elements whose name contains what is quoted, where nothing is just that."""
    words = _words(quoted)
    if not words or words in phrases or not any(map(_telling, words)):
        return []
    low = quoted.casefold()
    holders = [
        f"~{e.ref}"
        for e in page.actionable()
        if low in e.name.casefold() and f" {' '.join(words)} " in f" {' '.join(_words(e.name))} "
    ]
    return holders[:MOST]


def _words(text: str) -> Words:
    return tuple(m.casefold() for m in WORD.findall(text.rstrip(" :*")))


def _telling(word: str) -> bool:
    return word not in COMMON and any(map(str.isalnum, word)) and (len(word) > 1 or word.isdigit())
