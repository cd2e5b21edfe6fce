"""What a task was made of: a tree of spans, each a piece of work with its time, what it was given, what came.

    with span("task", goal) as root:
        with span("model", "actor", messages=texts) as this:
            this.came["answer"] = reply.text
    spent(root)["actor"].calls

A span that begins inside another, in a task started from there too, lies in that one: a context variable
carries it. Nobody else keeps it, so a tree lives as long as its root, and costs some microseconds a span.

Not covered: writing a tree down (`training/traces.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["task", "team", "turn", "memory", "model", "policy", "person", "action"]


@dataclass
class Span:
    """One piece of work; times are nanoseconds since 1970. Only JSON's values stand in `given` and `came`."""

    kind: Kind
    name: str
    given: dict[str, Any] = field(default_factory=dict)
    came: dict[str, Any] = field(default_factory=dict)
    inner: list[Span] = field(default_factory=list)
    failed: str | None = None  # the exception that ended it
    began: int = field(default_factory=time.time_ns)
    ended: int = 0


@dataclass(frozen=True)
class Spent:
    """What one role cost: calls of its model, tokens as the endpoint counts them, seconds of waiting."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


_AROUND: ContextVar[Span | None] = ContextVar("around", default=None)


@contextmanager
def span(kind: Kind, name: str, /, within: Span | None = None, **given: Any) -> Iterator[Span]:
    """A span for as long as the block runs: inside `within`, else inside the one around it, else a root."""
    made = Span(kind, name, given)
    above = within or _AROUND.get()
    if above is not None:
        above.inner.append(made)
    token = _AROUND.set(made)
    since = time.monotonic_ns()
    try:
        yield made
    except BaseException as error:
        made.failed = str(error) or type(error).__name__
        raise
    finally:
        made.ended = made.began + time.monotonic_ns() - since
        _AROUND.reset(token)


def spent(root: Span) -> dict[str, Spent]:
    """What each role cost that was asked at all, in the order in which they were first asked."""
    roles: dict[str, Spent] = {}
    for model in (s for s in _all(root) if s.kind == "model"):
        before = roles.get(model.name, Spent())
        roles[model.name] = Spent(
            before.calls + 1,
            before.prompt_tokens + model.came.get("prompt_tokens", 0),
            before.completion_tokens + model.came.get("completion_tokens", 0),
            before.seconds + (model.ended - model.began) / 1e9,
        )
    return roles


def _all(root: Span) -> Iterator[Span]:
    yield root
    for inner in root.inner:
        yield from _all(inner)
