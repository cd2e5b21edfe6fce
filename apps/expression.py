r"""A regular expression taken apart: nodes that follow one another, each with the fewest bytes it takes.

Parts of an expression that stood in one before are kept, since most of a page's expression is that of the
pages before it.

Not covered: look-around, back-references, inline flags and anchors inside (`GrammarError` says so); walking
what comes out (`automaton.py`).
"""

from __future__ import annotations

import re
import re._constants as op
import re._parser as sre
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

LAST = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)  # no UTF-8 for them
TOKENS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()|]", re.DOTALL)
PART = 500  # characters of a part that is kept; what is longer is seldom met again, and takes too much memory
LEVELS = 5  # of alternatives and groups, one in the other, that are taken apart: as deep as ours go
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
                self._rest = run_of([self])
            else:
                high = self.high if self.high == op.MAXREPEAT else self.high - 1
                self._rest = run_of([Repeat(self.body, max(0, self.low - 1), high)])
        return self._rest


@dataclass(frozen=True, eq=False)
class Run:
    """Nodes one after another; `least[i]` is the fewest bytes of what begins at node i."""

    nodes: tuple[Any, ...]
    least: tuple[int, ...]


def parsed(regex: str, first: bool = True, last: bool = True, levels: int = LEVELS) -> Run:
    """An expression's nodes. `first` and `last`: whether it begins and ends the whole, and may say so.

    Alternatives, and what is in a plain group, are parsed by themselves and kept: most of a page's
    expression stood in those of the pages before.
    """
    return (_kept if len(regex) <= PART else _parsed)(regex, first, last, levels)


def _parsed(regex: str, first: bool, last: bool, levels: int) -> Run:
    if levels and not re.match(r"\(\?[^:]", regex):  # flags are of all of it
        branches, groups = _outline(regex)
        if len(branches) > 1:
            runs = tuple(parsed(branch, first, last, levels - 1) for branch in branches)
            return run_of([Either(runs, min(run.least[0] for run in runs))])
        if groups:
            nodes: list[Any] = []
            at, end = 0, len(regex)
            for begun, ended, optional in groups:
                nodes += parsed(regex[at:begun], first and at == 0, False, 0).nodes
                at = ended + optional
                inside = parsed(
                    regex[begun + 3 : ended - 1], first and begun == 0, last and at == end, levels - 1
                )
                nodes += [Repeat(inside, 0, 1)] if optional else inside.nodes
            return run_of([*nodes, *parsed(regex[at:], first and at == 0, last, 0).nodes])
    tree = sre.parse(regex)
    if tree.state.flags & ~(re.UNICODE | re.DOTALL):
        raise GrammarError("flags such as (?i) can't be held to; write both cases")
    items = list(tree)
    if first and items and items[0] == (op.AT, op.AT_BEGINNING):
        items = items[1:]
    if last and items and items[-1] == (op.AT, op.AT_END):
        items = items[:-1]
    return _compile(items, bool(tree.state.flags & re.DOTALL))


_kept = lru_cache(16384)(_parsed)


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


def run_of(nodes: list[Any]) -> Run:
    least = [0, *accumulate(node.least for node in reversed(nodes))]
    return Run(tuple(nodes), tuple(reversed(least)))


def _compile(items: Iterable[Any], dotall: bool) -> Run:
    nodes: list[Any] = []
    for kind, value in items:
        match kind:
            case op.LITERAL:
                nodes.append(literal(value))
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
    return run_of(nodes)


@lru_cache(4096)
def literal(character: int) -> One:
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
