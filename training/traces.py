"""A task's spans as a trace in MLflow: one trace a task, with all that was done beneath it.

    write(root, "on", "chat", masked=env.masked, tags={"episode": ident})

`where` is "on" for the state folder's own database, else the address of an MLflow server (the setting
`trace`). Look at it with `mlflow ui --backend-store-uri sqlite:///.shopfloor/mlflow.db`, experiment `chat`.

Written when the task is over, from what was gathered meanwhile (`agents/spans.py`), so that no server is
waited for in between. MLflow's own autologging of AutoGen and OpenAI does not serve here: it puts every
screenshot into the trace, and knows of no role, action or policy.

Not covered: runs, their metrics and files (`tracking.py`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from agents.spans import Span
from tools.observation import shorten
from training.tracking import connect, experiment

HERE = "on"
SECONDS = 30.0  # for all of a trace; nobody waits longer for a server that is down
PATIENCE = {  # unless the person has set how much; MLflow's own would be minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",  # this runs in a thread already, and wants to know
}
TYPES = {
    "task": "WORKFLOW",
    "team": "AGENT",
    "turn": "AGENT",
    "memory": "RETRIEVER",
    "model": "CHAT_MODEL",
    "policy": "GUARDRAIL",
    "person": "EVALUATOR",
    "action": "TOOL",
}
USAGE = "mlflow.chat.tokenUsage"  # MLflow adds these up for the trace


class TraceLost(RuntimeError):
    """The trace could not be written; the message says why."""


def write(root: Span, where: str, name: str, *, masked: Callable[[str], str], tags: Mapping[str, str]) -> str:
    """Write a finished tree into the experiment `name`; the trace's id. All text goes through `masked`.

    Blocks: seconds the first time in a state folder. Raises TraceLost.
    """
    place = "the state folder" if where == HERE else where
    for variable, value in PATIENCE.items():
        os.environ.setdefault(variable, value)
    try:
        mlflow = connect(None if where == HERE else where)
        of_root = {"experiment_id": experiment(mlflow, name), "tags": _clean(dict(tags), masked)}
        trace = _write(mlflow, root, None, masked, time.monotonic() + SECONDS, **of_root)
        # MLflow's exporter swallows its errors, so that it is asked for what it has.
        kept = len(mlflow.MlflowClient().get_trace(trace).data.spans)
    except Exception as error:  # whatever a database or a server may say: the task is done all the same
        raise TraceLost(f"{place}: {shorten(masked(str(error) or repr(error)), 200)}") from error
    if kept != _count(root):
        raise TraceLost(f"{place}: only {kept} of {_count(root)} spans were kept")
    return trace


def _write(
    mlflow: ModuleType,
    made: Span,
    parent: Any,
    masked: Callable[[str], str],
    until: float,
    **of_root: Any,
) -> str:
    """One span and all within; the id of the trace it lies in."""
    if time.monotonic() > until:
        raise TimeoutError(f"it took more than {SECONDS:g} s")
    live = mlflow.start_span_no_context(
        shorten(masked(made.name)),
        span_type=TYPES[made.kind],
        parent_span=parent,
        inputs=_clean(made.given, masked),
        start_time_ns=made.began,
        **of_root,
    )
    for inner in made.inner:
        _write(mlflow, inner, live, masked, until)
    if made.kind == "model":
        asked, answered = (made.came.get(f"{kind}_tokens", 0) for kind in ("prompt", "completion"))
        usage = {"input_tokens": asked, "output_tokens": answered, "total_tokens": asked + answered}
        live.set_attributes({"role": made.name, USAGE: usage})
    came = made.came if made.failed is None else made.came | {"failed": made.failed}
    status = "OK" if made.failed is None else "ERROR"
    live.end(outputs=_clean(came, masked), status=status, end_time_ns=made.ended)
    return str(live.trace_id)


def _clean(value: Any, masked: Callable[[str], str]) -> Any:
    """JSON's values with every text masked."""
    match value:
        case str():
            return masked(value)
        case dict():
            return {key: _clean(inner, masked) for key, inner in value.items()}
        case list() | tuple():
            return [_clean(inner, masked) for inner in value]
    return value


def _count(root: Span) -> int:
    return 1 + sum(map(_count, root.inner))
