"""The action vocabulary: one table, from which parser, prompt list, executor and grammar are made.

Names and meanings follow BrowserGym's action set (https://github.com/ServiceNow/BrowserGym).
An action is written as one call, `click(5)`, optionally after the name of what it acts on,
`"Save" click(5)`: small models point far better when they say the element first.

A target is a ref of the present observation (`5`) or, in programs that must outlive a page, a role and
name (`button("Save")`, `textbox("Email", nth=1)`). Points are thousandths of the screenshot's width and
height.

Not covered: doing the actions (`browser.py`), and holding a decoder to them (`grammar.py`).
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, field
from typing import Literal, TypeGuard

Kind = Literal["target", "text", "options", "point", "path", "number", "keys", "url"]
Risk = Literal["read", "write"]


class ActionError(ValueError):
    """Text that is not one action of the table; the message says what is wrong."""


@dataclass(frozen=True)
class Spec:
    """One action: its parameters with their kinds, what it does, and whether it can change anything."""

    params: tuple[tuple[str, Kind], ...]
    doc: str
    risk: Risk
    example: str
    required: int = -1  # how many of the parameters must be given; -1: all

    @property
    def least(self) -> int:
        return len(self.params) if self.required < 0 else self.required


ACTIONS: dict[str, Spec] = {
    "click": Spec((("target", "target"),), "Click an element.", "write", "click(5)"),
    "dblclick": Spec((("target", "target"),), "Double-click an element.", "write", "dblclick(5)"),
    "hover": Spec((("target", "target"),), "Move the mouse over an element.", "read", "hover(5)"),
    "fill": Spec(
        (("target", "target"), ("value", "text")), "Replace a field's text.", "write", 'fill(2, "Ada")'
    ),
    "select_option": Spec(
        (("target", "target"), ("options", "options")),
        "Choose one option, or a list of options, by their labels.",
        "write",
        'select_option(3, "high")',
    ),
    "press": Spec(
        (("target", "target"), ("key", "keys")), "Press keys on an element.", "write", 'press(2, "Enter")'
    ),
    "keyboard_press": Spec(
        (("key", "keys"),), "Press keys wherever the focus is.", "write", 'keyboard_press("Control+a")'
    ),
    "keyboard_type": Spec(
        (("text", "text"),), "Type text wherever the focus is.", "write", 'keyboard_type("Ada")'
    ),
    "drag_and_drop": Spec(
        (("source", "target"), ("target", "target")),
        "Drag one element onto another.",
        "write",
        "drag_and_drop(4, 9)",
    ),
    "upload_file": Spec(
        (("target", "target"), ("path", "text")),
        "Put a file into a file field.",
        "write",
        'upload_file(6, "report.txt")',
    ),
    "scroll": Spec(
        (("dx", "number"), ("dy", "number"), ("target", "target")),
        "Scroll by CSS pixels: the page, or what an element lies in.",
        "read",
        "scroll(0, 400)",
        required=2,
    ),
    "select_text": Spec(
        (("text", "text"),),
        "Select this text on the page with the mouse.",
        "write",
        'select_text("three words here")',
    ),
    "mouse_move": Spec(
        (("x", "point"), ("y", "point")),
        "Move the mouse to a point, in thousandths of the screenshot.",
        "read",
        "mouse_move(500, 250)",
    ),
    "mouse_click": Spec(
        (("x", "point"), ("y", "point")),
        "Click a point, in thousandths of the screenshot.",
        "write",
        "mouse_click(500, 250)",
    ),
    "mouse_drag_and_drop": Spec(
        (("from_x", "point"), ("from_y", "point"), ("to_x", "point"), ("to_y", "point")),
        "Drag from one point to another, in thousandths of the screenshot.",
        "write",
        "mouse_drag_and_drop(100, 100, 500, 500)",
    ),
    "mouse_path": Spec(
        (("points", "path"),),
        "Press at the first point, move through the others (x, y, x, y, ...), release at the last.",
        "write",
        "mouse_path([100, 100, 300, 200, 500, 500])",
    ),
    "goto": Spec((("url", "url"),), "Open an address.", "read", 'goto("http://example.com/")'),
    "go_back": Spec((), "Go back one page.", "read", "go_back()"),
    "tab_focus": Spec((("index", "number"),), "Bring a tab to the front, from 0.", "read", "tab_focus(1)"),
    "tab_close": Spec((), "Close this tab.", "read", "tab_close()"),
    "noop": Spec((("milliseconds", "number"),), "Wait.", "read", "noop(500)", required=0),
    "send_msg_to_user": Spec(
        (("text", "text"),), "Say the task is done, or give the answer.", "read", 'send_msg_to_user("done")'
    ),
    "report_infeasible": Spec(
        (("reason", "text"),),
        "Say the task cannot be done, and why.",
        "read",
        'report_infeasible("no such customer")',
    ),
}

LARGEST = 1e9  # of a number: what is larger is no distance or time, and may be no float either
FINAL = frozenset({"send_msg_to_user", "report_infeasible"})  # an episode ends with one of these


@dataclass(frozen=True)
class Named:
    """A target by ARIA role and accessible name; `nth` counts from 0 among equals."""

    role: str
    name: str
    nth: int = 0

    def __str__(self) -> str:
        nth = f", nth={self.nth}" if self.nth else ""
        return f"{self.role}({quote(self.name)}{nth})"


Target = int | Named
Value = Target | str | float | tuple[str, ...] | tuple[float, ...]


@dataclass(frozen=True)
class Action:
    """One call of the table. `label` is the name said before it; it does not count in comparisons."""

    name: str
    args: tuple[Value, ...] = ()
    label: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        call = f"{self.name}({', '.join(_written(a) for a in self.args)})"
        return call if self.label is None else f"{quote(self.label)} {call}"

    @property
    def targets(self) -> tuple[Target, ...]:
        """The elements it acts on, in order."""
        kinds = (kind for _, kind in ACTIONS[self.name].params)
        return tuple(
            a for a, k in zip(self.args, kinds, strict=False) if k == "target" and isinstance(a, int | Named)
        )

    @property
    def final(self) -> bool:
        return self.name in FINAL


def quote(text: str) -> str:
    """A Python and JSON string literal of `text`, with double quotes."""
    return json.dumps(text, ensure_ascii=False)


def _written(value: Value) -> str:
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_written(v) for v in value) + "]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def parse(text: str) -> Action:
    """Read one action, with or without the element said first.

    Only literals are accepted, read with `ast`; nothing is ever executed.
    Raises ActionError with a message fit to be shown to a model.
    """
    label, call = _split_label(text.strip())
    try:
        return from_call(ast.parse(call, mode="eval").body, label)
    except ActionError:
        raise  # a ValueError too, that says more
    except (
        SyntaxError,
        ValueError,
        RecursionError,
        MemoryError,
    ) as error:  # nested deep, `ast` gives up late
        raise ActionError(f"not an action: {text[:80]!r}; write one call such as click(5)") from error


def from_call(node: ast.expr, label: str | None = None) -> Action:
    """The action in an `ast` call node; programs use this too. Raises ActionError."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise ActionError(f"not an action: {ast.unparse(node)[:80]!r}; write one call such as click(5)")
    name = node.func.id
    spec = ACTIONS.get(name)
    if spec is None:
        raise ActionError(f"no action {name!r}; there are {', '.join(ACTIONS)}")
    names = [p for p, _ in spec.params]
    values: dict[str, ast.expr] = dict(zip(names, node.args, strict=False))
    for keyword in node.keywords:
        if keyword.arg not in names or keyword.arg in values:
            raise ActionError(f"{name} takes ({', '.join(names)})")
        values[keyword.arg] = keyword.value
    given = [n for n in names if n in values]
    if len(node.args) > len(names) or given != names[: len(given)] or len(given) < spec.least:
        raise ActionError(f"{name} takes ({', '.join(names)}), such as {spec.example}")
    kinds = dict(spec.params)
    action = Action(name, tuple(_value(values[n], kinds[n], spec) for n in given), label)
    if any("\ud800" <= c <= "\udfff" for c in str(action)):
        raise ActionError(f"{ast.unparse(node)[:80]}: half a character can't be typed")
    return action


def _split_label(text: str) -> tuple[str | None, str]:
    if not text.startswith('"'):
        return None, text
    try:
        label, end = json.JSONDecoder(strict=False).raw_decode(text)
    except ValueError as error:
        raise ActionError(f"the name before the action is not closed: {text[:80]!r}") from error
    return label, text[end:].strip()


def _value(node: ast.expr, kind: Kind, spec: Spec) -> Value:
    if kind == "target" and isinstance(node, ast.Call):
        return named(node)
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ActionError(f"only plain values may be given, as in {spec.example}") from error
    match kind:
        case "target" if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        case "target" if isinstance(value, str) and re.fullmatch("[1-9][0-9]{0,8}", value):
            return int(value)  # BrowserGym writes ids as strings
        case "text" | "keys" | "url" if isinstance(value, str):
            return value
        case "options" if isinstance(value, str):
            return value
        case "options" if isinstance(value, list) and all(isinstance(v, str) for v in value):
            return tuple(value)
        case "number" if _number(value):
            return value
        case "point" if _number(value) and 0 <= value <= 1000:
            return value
        case "path" if isinstance(value, list) and all(_number(v) and 0 <= v <= 1000 for v in value):
            if len(value) >= 4 and len(value) % 2 == 0:
                return tuple(value)
    raise ActionError(f"{value!r} does not fit; write it as in {spec.example}")


def _number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def named(node: ast.Call) -> Named:
    """`button("Save")` or `textbox("Email", nth=1)` as a target. Raises ActionError."""
    wrong = ActionError(f'not a target: {ast.unparse(node)[:80]!r}; write one such as button("Save", nth=1)')
    if not isinstance(node.func, ast.Name) or not node.func.id.isalpha() or len(node.args) != 1:
        raise wrong
    extra = {k.arg: k.value for k in node.keywords}
    if set(extra) - {"nth"}:
        raise wrong
    try:
        name = ast.literal_eval(node.args[0])
        nth = ast.literal_eval(extra["nth"]) if extra else 0
    except (ValueError, TypeError, SyntaxError) as error:
        raise wrong from error
    if not isinstance(name, str) or not isinstance(nth, int) or isinstance(nth, bool) or nth < 0:
        raise wrong
    return Named(node.func.id, name, nth)


def prompt_list() -> str:
    """The vocabulary as a model that has not been trained on it needs to read it, one action a line."""
    return "\n".join(f"{spec.example}  # {spec.doc}" for spec in ACTIONS.values())
