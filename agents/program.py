"""A program: a straight line of calls in the action table's own words, plus `act(...)` for the actor.

    click(link("Customers"))
    fill(textbox("Search"), "ada")
    act("open Ada's record")
    act(goal)

Targets are given by role and name, so a program outlives the page it was made on. It is read with `ast`,
literals only, and never executed as Python. A successful run compiles into one (`compile_program`).

Python that goes beyond such a line (variables, loops, conditions, what a page shows) is a script:

    total = sum(float(row["Amount"]) for row in read_table())
    fill(textbox("Total"), total)

And `ask("which of the two?")` alone asks the person, where the goal can be taken in several ways.

Not covered: running a program (`job.py`) and running a script (`script.py`).
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from agents.policies import Decision
from tools.actions import ACTIONS, Action, ActionError, Value, from_call, parse, quote
from tools.grammar import ANY_TEXT, KEYS, NUMBER, copied
from tools.observation import Observation

LONGEST = 20  # lines
LONGEST_SCRIPT = 20_000  # characters
FENCE = re.compile(r"```(?:\w+\n)?(.*?)```", re.DOTALL)
DECODED_LINES = 10  # lines a decoder may write
READING = frozenset({"read", "read_table"})  # what only a script can call, beside Python's own functions
CALLS = (
    *(ast.Module, ast.Expr, ast.Call, ast.keyword, ast.Name, ast.expr_context),
    *(ast.Constant, ast.List, ast.UnaryOp, ast.unaryop),
)


@dataclass(frozen=True)
class Act:
    """`act("sub-goal")`: the actor does this part; None is `act(goal)`, the whole."""

    goal: str | None = None

    def __str__(self) -> str:
        return "act(goal)" if self.goal is None else f"act({quote(self.goal)})"


@dataclass(frozen=True)
class Ask:
    """`ask("question")` in place of a program: the goal can't be understood without the person's answer."""

    question: str

    def __str__(self) -> str:
        return f"ask({quote(self.question)})"


@dataclass(frozen=True)
class Program:
    """Steps in order; written, it is one call a line. `values` are those it was filled with for its goal."""

    steps: tuple[Action | Act, ...]
    values: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return "\n".join(str(step) for step in self.steps)

    @property
    def actions(self) -> tuple[Action, ...]:
        return tuple(s for s in self.steps if isinstance(s, Action))


@dataclass(frozen=True)
class Script:
    """Python over the same calls, to be run apart. Written, it is as its author wrote it."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def actions(self) -> tuple[Action, ...]:
        """The actions that stand in it as they will be called; others are known only when it runs."""
        found = []
        calls = (node for node in ast.walk(ast.parse(self.text)) if isinstance(node, ast.Call))
        for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
            if isinstance(call.func, ast.Name) and call.func.id in ACTIONS:
                with suppress(ActionError, RecursionError):
                    found.append(from_call(call))
        return tuple(found)


WHOLE = Program((Act(),))  # act(goal)


def parse_program(text: str, observation: Observation | None = None) -> Program | Script | Ask:
    """Read a program, a script or a question, fenced or not. Raises ActionError with words fit for a model.

    What can be read as a straight line of calls is one, and so is what only tries to be.
    """
    code = _unfenced(text)
    if (question := _asked(code)) is not None:
        return Ask(question)
    try:
        return parse_line(code, observation)
    except ActionError:
        if not _goes_beyond(code):
            raise
    if len(code) > LONGEST_SCRIPT:
        raise ActionError(f"the script has {len(code)} characters; write at most {LONGEST_SCRIPT}")
    return Script(code)


def parse_line(text: str, observation: Observation | None = None) -> Program:
    """Read a straight line of calls. Raises ActionError with a message fit to be shown to a model.

    With `observation`, refs of that page are turned into roles and names; without, they are refused.
    """
    # Not splitlines(): a name in quotes may hold what Unicode takes for the end of a line.
    lines = [line.strip() for line in _unfenced(text).split("\n")]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise ActionError("the program is empty; write one call a line, or act(goal)")
    if len(lines) > LONGEST:
        raise ActionError(f"the program has {len(lines)} lines; write at most {LONGEST}, or act(goal)")
    return Program(tuple(_step(line, observation) for line in lines))


def _asked(code: str) -> str | None:
    """What the person is asked, where that is all there is."""
    try:
        call = ast.parse(code, mode="eval").body if code.startswith("ask(") else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    match call:
        case ast.Call(func=ast.Name(id="ask"), args=[ast.Constant(value=str(text))], keywords=[]) if (
            text.strip()
        ):
            return " ".join(text.split())
    return None


def _unfenced(text: str) -> str:
    fenced = FENCE.search(text)
    return (fenced.group(1) if fenced else text).strip()


def _goes_beyond(code: str) -> bool:
    """Whether this is Python that does more than call actions with plain values."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(
        not isinstance(node, CALLS)
        or (isinstance(node, ast.Name) and (node.id in READING or hasattr(builtins, node.id)))
        for node in ast.walk(tree)
    )


def _step(line: str, observation: Observation | None) -> Action | Act:
    if re.match(r"act\s*\(", line):
        return parse_act(line)
    action = parse(line)
    if not any(isinstance(target, int) for target in action.targets):
        return Action(action.name, action.args)
    named = None if observation is None else _named(action, observation)
    if named is None:
        raise ActionError(f'{line[:80]}: give targets by role and name, such as click(button("Save"))')
    return named


def parse_act(line: str) -> Act:
    """Read `act(goal)` or `act("a part")`. Raises ActionError."""
    wrong = ActionError(f'not a step: {line[:80]!r}; write act(goal) or act("a part of the goal")')
    try:
        tree = ast.parse(line, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise wrong from error
    if not isinstance(tree, ast.Call) or len(tree.args) != 1 or tree.keywords:
        raise wrong
    match tree.args[0]:
        case ast.Name(id="goal"):
            return Act()
        case ast.Constant(value=str(text)) if text.strip():
            return Act(text)
    raise wrong


def compile_program(steps: Sequence[tuple[Observation, Decision, str]], final: Observation) -> Program | None:
    """The program of a run that worked, or None where it would not work again.

    Steps that failed and led nowhere, or did nothing, are left out. What was done by place on the screen is
    handed to the actor, and so is the rest after it. An answer that was looked up must be looked up again, so
    a run that ended with one does not compile.
    """
    after = [observation for observation, _, _ in steps[1:]] + [final]
    kept: list[Action | Act] = []
    for (observation, decision, _), then in zip(steps, after, strict=True):
        action = decision.action
        if action.final:
            if action.name != "send_msg_to_user" or str(action.args[0]).strip().lower() != "done":
                return None
            continue
        in_vain = then.error is not None and then.url == observation.url  # a late page came all the same
        if in_vain or not decision.valid or action.name == "noop":
            continue
        named = _named(action, observation)
        if named is None or action.name.startswith("mouse_"):
            kept.append(Act())
            break
        kept.append(named)
    return Program(tuple(kept)) if kept and kept[0] != Act() and len(kept) <= LONGEST else None


def _named(action: Action, observation: Observation) -> Action | None:
    """The action with its targets by role and name; None where one is not on the page."""
    args: list[Value] = []
    for (_, kind), value in zip(ACTIONS[action.name].params, action.args, strict=False):
        if kind == "target" and isinstance(value, int):
            found = observation.named(value)
            if found is None:
                return None
            value = found
        args.append(value)
    return Action(action.name, tuple(args))


def program_regex() -> str:
    """What a decoder may write as a program: `act(goal)`, or up to ten lines of calls."""
    name = r'"(?:[^"\\\x00-\x1f]|\\["\\]){0,80}"'
    target = rf"[a-z]{{2,20}}\({name}(?:, nth=\d{{1,2}})?\)"
    written = {
        "target": target,
        "text": ANY_TEXT,
        "url": ANY_TEXT,
        "options": rf"(?:{ANY_TEXT}|\[{ANY_TEXT}(?:, {ANY_TEXT}){{0,5}}\])",
        "keys": KEYS,
        "number": NUMBER,
    }
    calls = [r"noop\(\)", rf"act\({ANY_TEXT}\)"]
    for action, spec in ACTIONS.items():
        kinds = [kind for _, kind in spec.params]
        if action != "noop" and not {"point", "path"} & set(kinds):  # points do not outlive a page
            calls.append(rf"{action}\({', '.join(written[kind] for kind in kinds[: spec.least])}\)")
    line = "(?:" + "|".join(calls) + ")"
    return rf"(?:act\(goal\)|{line}(?:\n{line}){{0,{DECODED_LINES - 1}}})"


def script_regex(sources: Iterable[str]) -> str:
    """What a decoder may write as a script: it begins with an import, a loop or a name for something, as no
    program does. Names, numbers and signs are free; a text is a run of words from the sources (goal, page), a
    path of the site, a key, what stands between items, or a place to be filled, as in `f"{total:.2f}"`."""
    begun = r"(?:import [a-z]{2,12}\n|for [a-z_]{1,20}(?:, [a-z_]{1,20}){0,4} in |[a-z_]{1,20} = )"
    written = r"/[a-z0-9/?=&_{}.-]{0,60}|\{[a-z_]{1,20}(?::[.,0-9a-z]{1,5})?\}|[,;: ]{1,2}|Enter|Escape|Tab"
    return rf'{begun}(?:[A-Za-z0-9_ .,:()\[\]{{}}=+*/%<>!\n-]|{copied(sources)}|"(?:{written})")+'
