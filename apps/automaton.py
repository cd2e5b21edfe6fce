r"""A regular expression as something a decoder can walk byte by byte: which texts can still become a match?

The states are made only as they are reached (partial derivatives), so an expression costs its parse, 70 ms
for 80 kB, and less where parts of it stood in one before; and nothing can backtrack: a state's work is
bounded, and an expression that needs more is refused. The `regex` package's partial matching was measured
beside it: 390 ms to compile the same expression, and it can't say what may come next.

It works on UTF-8 bytes because tokens do: a byte-level token may end inside a character. Each state
knows the fewest bytes to a whole match, so a decoder can finish before its tokens run out.

The match is always whole, as `re.fullmatch`.

Not covered: reading the expression, and which can't be held to (`expression.py`).
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from apps.expression import LAST, Either, GrammarError, One, Ranges, Run, literal, parsed, run_of

__all__ = ["Automata", "Automaton", "GrammarError", "Place", "State"]

LONGEST = 1_000_000  # characters of an expression
MAX_WORK = 300_000  # steps of making states in one generation, a second or two
KEPT = 4_000_000  # characters of all expressions that are kept, and `STATE` for each state: about 300 MB
STATE = 32


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
            root = parsed(regex)
        except (re.error, OverflowError) as error:
            raise GrammarError(f"not a regular expression: {error}") from error
        except RecursionError as error:
            raise GrammarError("the regular expression is nested too deeply") from error
        root = run_of([*(literal(ord(character)) for character in lead), *root.nodes])
        self._todos: dict[tuple[int, int, int], Todo | None] = {}
        self._states: dict[frozenset[int], State] = {}
        self.work = 0
        self.start = Place(self._state([self._todo(root, 0, None)]))
        if not self.start.state.accepts and self.start.state.ended:
            raise GrammarError("nothing can match the regular expression")

    @property
    def states(self) -> int:
        """How many have been made."""
        return len(self._states)

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
    """The compiled expressions that were used last, each with `lead` before it, `size` and `KEPT` of them."""

    def __init__(self, size: int = 32, lead: str = "") -> None:
        self._size, self._lead = size, lead
        self._kept: OrderedDict[str, Automaton] = OrderedDict()

    def get(self, regex: str) -> Automaton:
        """The automaton, with all of `MAX_WORK` before it."""
        automaton = self._kept.pop(regex, None)
        if automaton is None or STATE * automaton.states > KEPT // 4:
            automaton = Automaton(regex, self._lead)
        automaton.work = 0
        self._kept[regex] = automaton
        while len(self._kept) > self._size or (len(self._kept) > 1 and self._weight() > KEPT):
            self._kept.popitem(last=False)
        return automaton

    def _weight(self) -> int:
        return sum(len(regex) + STATE * automaton.states for regex, automaton in self._kept.items())


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
