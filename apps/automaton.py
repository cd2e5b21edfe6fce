r"""A regular expression as something a decoder can walk byte by byte: which texts can still become a match?

The states are made only as they are reached (partial derivatives), so an expression costs its parse, 70 ms
for 80 kB, and less where parts of it stood in one before; and nothing can backtrack: a state's work is
bounded, and an expression that needs more is refused. The `regex` package's partial matching was measured
beside it: 390 ms to compile the same expression, and it can't say what may come next.

It works on UTF-8 bytes because tokens do: a byte-level token may end inside a character. Each state
knows the fewest bytes to a whole match, so a decoder can finish before its tokens run out.

Not covered: look-around, back-references, inline flags and anchors inside (`GrammarError` says so).
The match is always whole, as `re.fullmatch`.
"""

from __future__ import annotations

import re
import re._constants as op
import re._parser as sre
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

LONGEST = 1_000_000  # characters of an expression
MAX_WORK = 300_000  # steps of making states in one generation, a second or two
LAST = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)  # no UTF-8 for them
Ranges = tuple[tuple[int, int], ...]


class GrammarError(ValueError):
    """An expression that can't be held to; the message says why."""


@dataclass(frozen=True, eq=False)
class One:
    """One character of these ranges."""

    ranges: Ranges
    least: int  # bytes


@dataclass(frozen=True, eq=False)
class Either:
    branches: tuple[Run, ...]
    least: int


class Repeat:
    """`body` between `low` and `high` times. `rest` is the same once fewer, made when first needed."""

    def __init__(self, body: Run, low: int, high: int) -> None:
        self.body, self.low, self.high = body, low, high
        self.least = low * body.least[0]
        self._rest: Run | None = None

    @property
    def rest(self) -> Run:
        if self._rest is None:
            if self.high == op.MAXREPEAT and self.low == 0:
                self._rest = _run([self])
            else:
                high = self.high if self.high == op.MAXREPEAT else self.high - 1
                self._rest = _run([Repeat(self.body, max(0, self.low - 1), high)])
        return self._rest


@dataclass(frozen=True, eq=False)
class Run:
    """Nodes one after another; `least[i]` is the fewest bytes of what begins at node i."""

    nodes: tuple[Any, ...]
    least: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Todo:
    """What is still to be matched: `run` from `index` on, and then `then`."""

    run: Run
    index: int
    then: Todo | None
    least: int


class State:
    """Every way the text so far can go on."""

    def __init__(self, accepts: bool, ways: list[tuple[Ranges, Todo | None]], least: int) -> None:
        self.accepts = accepts
        self.least = least  # bytes still needed at the fewest
        self.literals: dict[int, list[Todo | None]] = {}
        self.classes: list[tuple[Ranges, Todo | None]] = []
        for ranges, todo in ways:
            if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
                self.literals.setdefault(ranges[0][0], []).append(todo)
            else:
                self.classes.append((ranges, todo))
        self.edges: dict[int, State | None] = {}
        self._leads: frozenset[int] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing can follow."""
        return not self.literals and not self.classes

    @property
    def only(self) -> int | None:
        """The one character that can follow, where there is just one and the text may not end here."""
        if self.accepts or self.classes or len(self.literals) != 1:
            return None
        return next(iter(self.literals))

    def least_within(self, low: int, high: int) -> int | None:
        """The fewest bytes after a next character of this range; None where none of them can follow."""
        if low > high:
            return None
        found = [t.least if t else 0 for c, todos in self.literals.items() if low <= c <= high for t in todos]
        found += [
            t.least if t else 0
            for ranges, t in self.classes
            if any(a <= high and b >= low for a, b in ranges)
        ]
        return min(found, default=None)

    @property
    def leads(self) -> frozenset[int]:
        """The first bytes that can follow."""
        if self._leads is None:
            found = {chr(c).encode()[0] for c in self.literals}
            for ranges, _ in self.classes:
                for low, high in ranges:
                    found.update(range(chr(low).encode()[0], chr(high).encode()[0] + 1))
            self._leads = frozenset(found)
        return self._leads


@dataclass(frozen=True)
class Place:
    """Where a text stands: a state, and the bytes of a character that is not whole yet."""

    state: State
    pending: bytes = b""

    @property
    def accepts(self) -> bool:
        return not self.pending and self.state.accepts

    @property
    def ended(self) -> bool:
        return self.accepts and self.state.ended

    @property
    def least(self) -> int:
        """The fewest bytes to a whole match."""
        if not self.pending:
            return self.state.least
        after = self.state.least_within(*_bounds(self.pending))
        return _size(self.pending[0]) - len(self.pending) + (after or 0)


class Automaton:
    """One expression, compiled. Not thread-safe: one generation at a time walks it."""

    def __init__(self, regex: str, lead: str = "") -> None:
        if len(regex) > LONGEST:
            raise GrammarError(f"the regular expression is longer than {LONGEST:,} characters")
        try:
            root = _parsed(regex)
        except (re.error, OverflowError) as error:
            raise GrammarError(f"not a regular expression: {error}") from error
        except RecursionError as error:
            raise GrammarError("the regular expression is nested too deeply") from error
        root = _run([*(_literal(ord(character)) for character in lead), *root.nodes])
        self._todos: dict[tuple[int, int, int], Todo | None] = {}
        self._states: dict[frozenset[int], State] = {}
        self.work = 0
        self.start = Place(self._state([self._todo(root, 0, None)]))
        if not self.start.state.accepts and self.start.state.ended:
            raise GrammarError("nothing can match the regular expression")

    def advance(self, place: Place, data: bytes) -> Place | None:
        """The place after these bytes, or None where no match can begin so."""
        state, pending = place.state, place.pending
        for byte in data:
            if not pending and byte < 0x80:
                after = self._step(state, byte)
            else:
                pending += bytes((byte,))
                if len(pending) < _size(pending[0]):
                    if state.least_within(*_bounds(pending)) is None:
                        return None
                    continue
                try:
                    character = ord(pending.decode())
                except UnicodeDecodeError:  # no character begins or goes on like this
                    return None
                pending, after = b"", self._step(state, character)
            if after is None:
                return None
            state = after
        return Place(state, pending)

    def follow(self, place: Place, words: Sequence[tuple[bytes, int]]) -> Iterator[tuple[int, int]]:
        """The numbers of the words that can follow here, each with the fewest bytes to a match after it.

        `words` are in the order of their bytes: what two have in common is walked once, and all words that
        begin as one that can't follow are passed over.
        """
        path, last = [place], b""  # places after each byte of the word before
        at = 0
        while at < len(words):
            word, number = words[at]
            shared = 0
            while shared < len(path) - 1 and word[shared : shared + 1] == last[shared : shared + 1]:
                shared += 1
            del path[shared + 1 :]
            last = word
            for end in range(shared + 1, len(word) + 1):
                after = self.advance(path[-1], word[end - 1 : end])
                if after is None:
                    at = bisect_left(words, (word[:end] + b"\xff",), at + 1)
                    break
                path.append(after)
            else:
                yield number, path[-1].least
                at += 1

    def forced(self, place: Place, limit: int = 400) -> str:
        """The text that must follow here, up to where there is a choice."""
        written: list[str] = []
        state: State | None = place.state
        while not place.pending and state is not None and len(written) < limit:
            character = state.only
            if character is None:
                break
            written.append(chr(character))
            state = self._step(state, character)
        return "".join(written)

    def _step(self, state: State, character: int) -> State | None:
        if character in state.edges:
            return state.edges[character]
        todos = list(state.literals.get(character, ()))
        todos += [todo for ranges, todo in state.classes if _within(ranges, character)]
        after = state.edges[character] = self._state(todos) if todos else None
        return after

    def _todo(self, run: Run, index: int, then: Todo | None) -> Todo | None:
        """The one object that stands for this remainder; an ended run is what comes after it."""
        if index == len(run.nodes):
            return then
        key = (id(run), index, id(then))
        todo = self._todos.get(key)
        if todo is None:
            least = run.least[index] + (then.least if then else 0)
            todo = self._todos[key] = Todo(run, index, then, least)
        return todo

    def _state(self, todos: Iterable[Todo | None]) -> State:
        todos = list(todos)
        key = frozenset(map(id, todos))
        if key not in self._states:
            self._states[key] = self._expand(todos)
        return self._states[key]

    def _expand(self, stack: list[Todo | None]) -> State:
        """Follow everything that takes no character."""
        accepts = False
        least = min(t.least if t else 0 for t in stack)
        ways: list[tuple[Ranges, Todo | None]] = []
        seen: set[int] = set()
        while stack:
            todo = stack.pop()
            if todo is None:
                accepts = True
                continue
            if id(todo) in seen:
                continue
            seen.add(id(todo))
            self.work += 1
            if self.work > MAX_WORK:
                raise GrammarError("the regular expression is too ambiguous; nest fewer repeats")
            node = todo.run.nodes[todo.index]
            after = self._todo(todo.run, todo.index + 1, todo.then)
            if isinstance(node, One):
                if node.ranges:
                    ways.append((node.ranges, after))
            elif isinstance(node, Either):
                stack.extend(self._todo(branch, 0, after) for branch in node.branches)
            else:
                if node.low == 0 or not node.body.nodes:
                    stack.append(after)
                if node.high > 0 and node.body.nodes:
                    stack.append(self._todo(node.body, 0, self._todo(node.rest, 0, after)))
        return State(accepts, ways, least)


class Automata:
    """The compiled expressions that were used last, each with `lead` before it."""

    def __init__(self, size: int = 32, lead: str = "") -> None:
        self._size, self._lead = size, lead
        self._kept: OrderedDict[str, Automaton] = OrderedDict()

    def get(self, regex: str) -> Automaton:
        automaton = self._kept.pop(regex, None)
        if automaton is None or automaton.work > MAX_WORK // 2:
            automaton = Automaton(regex, self._lead)
        self._kept[regex] = automaton
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return automaton


TOKENS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()|]", re.DOTALL)
LEVELS = 5  # of alternatives and groups, one in the other, that are taken apart: as deep as ours go


@lru_cache(16384)
def _parsed(regex: str, first: bool = True, last: bool = True, levels: int = LEVELS) -> Run:
    """An expression's nodes. `first` and `last`: whether it begins and ends the whole, and may say so.

    Alternatives, and what is in a plain group, are parsed by themselves and kept: most of a page's
    expression stood in those of the pages before.
    """
    if levels and not re.match(r"\(\?[^:]", regex):  # flags are of all of it
        branches, groups = _outline(regex)
        if len(branches) > 1:
            runs = tuple(_parsed(branch, first, last, levels - 1) for branch in branches)
            return _run([Either(runs, min(run.least[0] for run in runs))])
        if groups:
            nodes: list[Any] = []
            at, end = 0, len(regex)
            for begun, ended, optional in groups:
                nodes += _parsed(regex[at:begun], first and at == 0, False, 0).nodes
                at = ended + optional
                inside = _parsed(
                    regex[begun + 3 : ended - 1], first and begun == 0, last and at == end, levels - 1
                )
                nodes += [Repeat(inside, 0, 1)] if optional else inside.nodes
            return _run([*nodes, *_parsed(regex[at:], first and at == 0, last, 0).nodes])
    tree = sre.parse(regex)
    if tree.state.flags & ~(re.UNICODE | re.DOTALL):
        raise GrammarError("flags such as (?i) can't be held to; write both cases")
    items = list(tree)
    if first and items and items[0] == (op.AT, op.AT_BEGINNING):
        items = items[1:]
    if last and items and items[-1] == (op.AT, op.AT_END):
        items = items[:-1]
    return _compile(items, bool(tree.state.flags & re.DOTALL))


def _outline(regex: str) -> tuple[list[str], list[tuple[int, int, bool]]]:
    """An expression's alternatives, and where its plain groups lie: begin, end, whether optional.

    One alternative and no group where it is not well formed: what is wrong with it, the parser says.
    """
    branches: list[str] = []
    groups: list[tuple[int, int, bool]] = []
    depth = branch = group = 0
    for token in TOKENS.finditer(regex):
        if token[0] == "(":
            if depth == 0:
                group = token.start()
            depth += 1
        elif token[0] == ")":
            depth -= 1
            if depth < 0:
                return [regex], []
            if depth == 0 and regex.startswith("(?:", group):
                repeat = regex[token.end() : token.end() + 2]
                optional = repeat[:1] == "?" and repeat[1:] not in ("?", "+")
                if optional or repeat[:1] not in ("*", "+", "?", "{"):
                    groups.append((group, token.end(), optional))
        elif token[0] == "|" and depth == 0:
            branches.append(regex[branch : token.start()])
            branch = token.end()
    return ([*branches, regex[branch:]], groups) if depth == 0 and "(?#" not in regex else ([regex], [])


def _run(nodes: list[Any]) -> Run:
    least = [0, *accumulate(node.least for node in reversed(nodes))]
    return Run(tuple(nodes), tuple(reversed(least)))


def _compile(items: Iterable[Any], dotall: bool) -> Run:
    nodes: list[Any] = []
    for kind, value in items:
        match kind:
            case op.LITERAL:
                nodes.append(_literal(value))
            case op.NOT_LITERAL:
                nodes.append(_one(_without(((value, value),))))
            case op.ANY:
                nodes.append(_one(((0, LAST),) if dotall else _without(((10, 10),))))
            case op.IN:
                nodes.append(_one(_class(value)))
            case op.BRANCH:
                branches = tuple(_compile(branch, dotall) for branch in value[1])
                nodes.append(Either(branches, min(b.least[0] for b in branches)))
            case op.SUBPATTERN if not value[1] & ~re.DOTALL and not value[2]:
                nodes.extend(_compile(value[3], dotall or bool(value[1] & re.DOTALL)).nodes)
            case op.MAX_REPEAT | op.MIN_REPEAT:
                low, high, body = value
                nodes.append(Repeat(_compile(body, dotall), int(low), high))
            case _:
                raise GrammarError(
                    f"the regular expression uses {str(kind).lower()}, which can't be held to; "
                    "plain groups, classes and repeats can"
                )
    return _run(nodes)


@lru_cache(4096)
def _literal(character: int) -> One:
    return _one(((character, character),))


def _one(ranges: Ranges) -> One:
    usable = _minus(ranges, SURROGATES)
    return One(usable, len(chr(usable[0][0]).encode()) if usable else 1)


def _class(items: Iterable[Any]) -> Ranges:
    found: list[tuple[int, int]] = []
    negated = False
    for kind, value in items:
        match kind:
            case op.NEGATE:
                negated = True
            case op.LITERAL:
                found.append((value, value))
            case op.RANGE:
                found.append(value)
            case op.CATEGORY:
                found.extend(_category(str(value)))
            case _:
                raise GrammarError(f"the regular expression's class uses {kind}, which can't be held to")
    ranges = _sorted(found)
    return _without(ranges) if negated else ranges


@lru_cache
def _category(name: str) -> Ranges:
    """The characters of \\d, \\w, \\s and their opposites, as `re` itself sees them."""
    escapes = {"DIGIT": r"\d", "WORD": r"\w", "SPACE": r"\s"}
    escape = escapes.get(name.removeprefix("CATEGORY_").removeprefix("NOT_"))
    if escape is None:
        raise GrammarError(f"the regular expression uses {name.lower()}, which can't be held to")
    everything = "".join(map(chr, range(LAST + 1)))
    ranges = tuple((m.start(), m.end() - 1) for m in re.finditer(escape + "+", everything))
    return _without(ranges) if "_NOT_" in name else ranges


def _sorted(ranges: list[tuple[int, int]]) -> Ranges:
    """In order, and apart from each other."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _without(ranges: Ranges) -> Ranges:
    """Every character but these."""
    left, start = [], 0
    for low, high in ranges:
        if low > start:
            left.append((start, low - 1))
        start = high + 1
    if start <= LAST:
        left.append((start, LAST))
    return tuple(left)


def _minus(ranges: Ranges, hole: tuple[int, int]) -> Ranges:
    left = []
    for low, high in ranges:
        if low < hole[0]:
            left.append((low, min(high, hole[0] - 1)))
        if high > hole[1]:
            left.append((max(low, hole[1] + 1), high))
    return tuple(left)


def _within(ranges: Ranges, character: int) -> bool:
    index = bisect_right(ranges, (character, LAST + 1)) - 1
    return index >= 0 and ranges[index][0] <= character <= ranges[index][1]


def _size(lead: int) -> int:
    """How many bytes a character has that begins with this one; 0 where none does."""
    if 0xC2 <= lead <= 0xDF:
        return 2
    if 0xE0 <= lead <= 0xEF:
        return 3
    return 4 if 0xF0 <= lead <= 0xF4 else 0


def _bounds(pending: bytes) -> tuple[int, int]:
    """The first and last character that begins with these bytes; an empty range where none does."""
    size = _size(pending[0])
    bits = pending[0] & (0x7F >> size)
    for byte in pending[1:]:
        if byte & 0xC0 != 0x80:
            return 1, 0
        bits = bits << 6 | byte & 0x3F
    missing = 6 * (size - len(pending))
    low, high = bits << missing, ((bits + 1) << missing) - 1
    if 0xD800 <= low <= 0xDFFF:  # surrogates are no characters
        return 1, 0
    return max(low, (0, 0, 0x80, 0x800, 0x10000)[size]), min(high, LAST)
