"""Programs with places for what changes: lifted from the goal they met, filled for the next goal like it.

    Set the priority to "high".                    Set the priority to "{priority}".
    select_option(combobox("Priority"), "high")    select_option(combobox("Priority"), "{priority}")

Written down, a lifted program is the program after its goal and the values that it was lifted with, each in a
comment line, so that a person can read it, keep it in a file, and change it:

    # goal: Set the priority to "{priority}".
    # priority: "high"
    select_option(combobox("Priority"), "{priority}")
    click(button("Save"))

Not covered: goals that say the same in other words; the coder adapts a program to those.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import regex

from agents.program import Act, Program, parse_line
from tools.actions import Action, ActionError, Named, Value, quote
from tools.observation import Element, Observation

GOAL = "# goal: "
INSIDE = '[^"]+'  # what stands in quotes
SECONDS = 0.5  # for a goal to be compared
VALUE = re.compile(r"# (\w+): (\".*\")")


@dataclass(frozen=True)
class Lifted:
    """A program and its goal, with `{name}` where a value stood, and the values of the first time."""

    goal: str
    program: Program
    values: Mapping[str, str]

    def __str__(self) -> str:
        given = (f"# {name}: {quote(value)}" for name, value in self.values.items())
        return "\n".join((f"{GOAL}{self.goal}", *given, str(self.program)))

    def fit(self, goal: str) -> dict[str, str] | None:
        """The values with which this goal is the lifted one, or None where it is another. A value that stood
        in quotes has none within: `"low" and owner "Ann"` is two values, not one."""
        pattern = ""
        names = [*self.values]  # groups go by number: what labels are made of, such as m², may name no group
        seen: set[str] = set()
        pieces = re.split(r"\{(\w+)\}", " ".join(self.goal.split()))
        for at, piece in enumerate(pieces):
            if at % 2 == 0:
                pattern += re.escape(piece)
            elif piece not in self.values:
                pattern += re.escape(f"{{{piece}}}")
            elif piece in seen:
                pattern += f"(?P=v{names.index(piece)})"
            else:
                quoted = pieces[at - 1].endswith('"') and pieces[at + 1].startswith('"')
                pattern += f"(?P<v{names.index(piece)}>{INSIDE if quoted else '.+?'})"
                seen.add(piece)
        try:
            found = regex.fullmatch(pattern, " ".join(goal.split()), regex.IGNORECASE, timeout=SECONDS)
        except TimeoutError:  # many values, with nothing between them that tells where one ends
            return None
        if found is None or seen != set(names):
            return None
        return {name: found[f"v{at}"] for at, name in enumerate(names)}

    def filled(self, values: Mapping[str, str]) -> Program:
        """The program with these values; those of the first time where none is given. Raises ValueError for
        a name that it has no place for."""
        if unknown := sorted(set(values) - set(self.values)):
            there = ", ".join(self.values) or "none"
            raise ValueError(f"the program has no {', '.join(unknown)}; its values are: {there}")
        chosen = {**self.values, **values}
        filled = _with(self.program, {f"{{{name}}}": value for name, value in chosen.items()})
        return replace(filled, values=tuple(chosen.values()))

    def said(self, values: Mapping[str, str]) -> str:
        """The goal with these values."""
        return _swap(self.goal, {f"{{{n}}}": v for n, v in {**self.values, **values}.items()})


def lift(goal: str, program: Program) -> Lifted:
    """Give the program a place for each value that the goal names: what was typed or chosen, and what stands
    in the goal in quotes and is (part of) the name of something acted on. Names come from the elements."""
    goal = " ".join(goal.split())
    values: dict[str, str] = {}
    for wish, value in _wishes(program, goal):
        if value not in values.values():
            name = wish
            while name in values:
                name += "_too"
            values[name] = value
    longest = dict(sorted(((v, f"{{{n}}}") for n, v in values.items()), key=lambda pair: -len(pair[0])))
    return Lifted(_swap(goal, longest, whole=True), _with(program, longest), values)


def parse_lifted(text: str) -> Lifted:
    """Read what `str` of a lifted program wrote. Raises ActionError."""
    goal, values = "", {}
    for line in text.split("\n"):
        if line.startswith(GOAL):
            goal = line.removeprefix(GOAL).strip()
        elif given := VALUE.fullmatch(line.strip()):
            try:
                values[given[1]] = str(json.loads(given[2]))
            except ValueError as error:
                raise ActionError(f"not a value in quotes: {line[:80]}") from error
    return Lifted(goal, parse_line(text), values)


def nearest(target: Named, values: Sequence[str], look: Observation) -> Element | None:
    """The element that a target means on a page where none is called just so: the only one of its role whose
    name differs in case or spaces alone, or has the same of the values in it. None where that is unclear."""
    same = [e for e in look.actionable() if e.role == target.role]
    plain = [e for e in same if _plain(e.name) == _plain(target.name)]
    if len(plain) > target.nth:
        return plain[target.nth]
    named = [v for v in values if v and _holds(target.name, v)]
    holding = [e for e in same if named and all(_holds(e.name, v) for v in named)]
    return holding[0] if len(holding) == 1 else None


def _wishes(program: Program, goal: str) -> list[tuple[str, str]]:
    """Values to lift, each with the name that it would get, as they come up."""
    found: list[tuple[str, str]] = []
    quoted = [value for value in re.findall(r'"([^"]+)"', goal) if value.strip()]
    for step in program.steps:
        if isinstance(step, Act):
            continue
        about = next((t.name for t in step.targets if isinstance(t, Named)), "")
        for arg in step.args:
            match arg:
                case Named():
                    found += [(_word(arg.role), v) for v in quoted if _holds(arg.name, v)]
                case str() if arg.strip() and step.name in ("fill", "select_option", "keyboard_type"):
                    if _holds(goal, arg):
                        found.append((_word(about), arg))
    return found


def _with(program: Program, pairs: Mapping[str, str]) -> Program:
    """The program with one text in place of another, in what is typed and in what things are called."""

    def changed(value: Value) -> Value:
        match value:
            case Named():
                return replace(value, name=_swap(value.name, pairs, whole=True))
            case str():
                return _swap(value, pairs, whole=True)
            case (str(), *_):
                return tuple(_swap(str(v), pairs, whole=True) for v in value)
        return value

    def step(given: Action | Act) -> Action | Act:
        if isinstance(given, Act):
            return given if given.goal is None else Act(_swap(given.goal, pairs, whole=True))
        return Action(given.name, tuple(changed(arg) for arg in given.args))

    return Program(tuple(step(s) for s in program.steps))


def _swap(text: str, pairs: Mapping[str, str], whole: bool = False) -> str:
    """Every text of `pairs` by what it maps to, all at once; `whole`: not in the middle of a word."""
    if not pairs:
        return text
    either = "|".join(re.escape(p) for p in pairs)
    edges = (r"(?<!\w)", r"(?!\w)") if whole else ("", "")
    return re.sub(f"{edges[0]}(?:{either}){edges[1]}", lambda m: pairs[m[0]], text)


def _holds(text: str, value: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _word(name: str) -> str:
    """A name for a value: letters, digits and underscores."""
    word = re.sub(r"\W+", "_", name.casefold()).strip("_")
    return word if word and not word[0].isdigit() else "value"
