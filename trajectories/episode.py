"""What was done: an episode and its steps, and how they are written as ATIF.

ATIF is the Agent Trajectory Interchange Format, v1.7 (harbor's RFC 0001). Its root keys are fixed, so what is
ours stands under `extra`. The goal is the user's step, the first look a system step, and every decision an
agent's step whose observation is the page after it. Images are named by their content, by relative path, so
equal screenshots are one file. `from_atif(to_atif(e))` with the images beside it gives back an equal episode,
but for what only a guard looks at (`unlisted`; `enters`, `origin` and `keys` of elements), which is left out.

Not covered: files and folders (`store.py`), making episodes (`rollout.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from agents.policies import Decision
from tools.actions import ACTIONS, Action, Named, Value
from tools.observation import Box, Element, Observation
from trajectories.tasks import Outcome

SCHEMA = "ATIF-v1.7"
VERSION = "0.1.0"  # of this project, as `agent.version`
Ended = Literal["done", "infeasible", "over", "budget", "error"]


class EpisodeError(ValueError):
    """A document that is not an episode of ours, or not valid ATIF; the message says where."""


@dataclass(frozen=True)
class Step:
    """What was seen, what was decided on it, by whom, and how long decision and action took."""

    observation: Observation
    decision: Decision
    by: str  # the policy's name; "random" for a perturbation
    seconds: float


@dataclass(frozen=True)
class Episode:
    """One attempt at one task, from the first look to the last.

    `ended`: "done" or "infeasible" as the policy said, "over" when the page itself ended it, "budget" when
    the steps ran out, "error" when policy or environment failed (`extra["error"]` says how).
    """

    id: str
    task: str  # suite/family/seed
    goal: str
    steps: tuple[Step, ...]
    final: Observation
    outcome: Outcome
    ended: Ended
    policy: str
    model: str
    started: str  # ISO 8601
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def suite(self) -> str:
        return self.task.split("/")[0]

    @property
    def family(self) -> str:
        return self.task.split("/")[1]

    @property
    def seed(self) -> int:
        return int(self.task.split("/")[2])

    @property
    def actions(self) -> list[Action]:
        """What was done, in order."""
        return [step.decision.action for step in self.steps]

    @property
    def message(self) -> str | None:
        """What the policy said at the end, if it ended with a message or a report."""
        if self.steps and (last := self.steps[-1].decision.action).final:
            return str(last.args[0]) if last.args else ""
        return None

    @property
    def looks(self) -> tuple[Observation, ...]:
        """Every observation, the last one too: one more than there are steps."""
        return (*(step.observation for step in self.steps), self.final)


def image_name(png: bytes) -> str:
    """A screenshot's path in its episode's folder, from its content."""
    return f"images/{hashlib.sha256(png).hexdigest()[:24]}.png"


def images(episode: Episode) -> dict[str, bytes]:
    """The distinct screenshots by relative path."""
    return {image_name(o.screenshot): o.screenshot for o in episode.looks if o.screenshot is not None}


def to_atif(episode: Episode) -> dict[str, Any]:
    """The episode as an ATIF document (plain JSON values); its images are `images(episode)`."""
    looks = episode.looks
    steps: list[dict[str, Any]] = [
        {"step_id": 1, "timestamp": episode.started, "source": "user", "message": episode.goal},
        {
            "step_id": 2,
            "source": "system",
            "message": "The page at the start.",
            "observation": {"results": [{"content": _parts(looks[0])}]},
            "extra": {"look": _look(looks[0])},
        },
    ]
    for number, (step, after) in enumerate(zip(episode.steps, looks[1:], strict=True), start=1):
        decision = step.decision
        call = f"call_{number}"
        written: dict[str, Any] = {
            "step_id": number + 2,
            "source": "agent",
            "message": decision.said or str(decision.action),
            "tool_calls": [
                {
                    "tool_call_id": call,
                    "function_name": decision.action.name,
                    "arguments": _arguments(decision.action),
                }
            ],
            "observation": {"results": [{"source_call_id": call, "content": _parts(after)}]},
            "extra": {
                "look": _look(after),
                "by": step.by,
                "seconds": step.seconds,
                "said": decision.said,
                "valid": decision.valid,
                "label": decision.action.label,
            },
        }
        if decision.confidence is not None:
            written["extra"]["confidence"] = decision.confidence
        if decision.prompt_tokens or decision.completion_tokens:
            written["metrics"] = {
                "prompt_tokens": decision.prompt_tokens,
                "completion_tokens": decision.completion_tokens,
            }
        steps.append(written)
    agent: dict[str, Any] = {"name": f"shopfloor-{episode.policy}", "version": VERSION}
    if episode.model:
        agent["model_name"] = episode.model
    outcome = episode.outcome
    return {
        "schema_version": SCHEMA,
        "session_id": episode.id,
        "trajectory_id": episode.id,
        "agent": agent,
        "steps": steps,
        "final_metrics": {
            "total_prompt_tokens": sum(s.decision.prompt_tokens for s in episode.steps),
            "total_completion_tokens": sum(s.decision.completion_tokens for s in episode.steps),
            "total_steps": len(steps),
        },
        "extra": {
            "task": episode.task,
            "policy": episode.policy,
            "model": episode.model,
            "ended": episode.ended,
            "outcome": {"success": outcome.success, "reward": outcome.reward, "over": outcome.over},
            "more": episode.extra,
        },
    }


def from_atif(document: dict[str, Any], folder: Path) -> Episode:
    """The episode in a document of ours, its screenshots read from `folder`. Raises EpisodeError."""
    try:
        user, start, *turns = document["steps"]
        ours = document["extra"]
        looks = [_seen(s["extra"]["look"], folder) for s in (start, *turns)]
        steps = tuple(
            Step(look, _decision(turn), turn["extra"]["by"], turn["extra"]["seconds"])
            for look, turn in zip(looks, turns, strict=False)
        )
        return Episode(
            id=document["trajectory_id"],
            task=ours["task"],
            goal=user["message"],
            steps=steps,
            final=looks[-1],
            outcome=Outcome(**ours["outcome"]),
            ended=ours["ended"],
            policy=ours["policy"],
            model=ours["model"],
            started=user["timestamp"],
            extra=ours["more"],
        )
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise EpisodeError(f"not an episode written by shopfloor: {type(error).__name__}: {error}") from error


def _parts(look: Observation) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"type": "text", "text": look.text()}]
    if look.screenshot is not None:
        source = {"media_type": "image/png", "path": image_name(look.screenshot)}
        parts.append({"type": "image", "source": source})
    return parts


def _arguments(action: Action) -> dict[str, Any]:
    def plain(value: Value) -> Any:
        if isinstance(value, Named):
            return {"role": value.role, "name": value.name, "nth": value.nth}
        return list(value) if isinstance(value, tuple) else value

    names = [name for name, _ in ACTIONS[action.name].params]
    return {name: plain(value) for name, value in zip(names, action.args, strict=False)}


def _decision(turn: dict[str, Any]) -> Decision:
    def value(plain: Any) -> Value:
        if isinstance(plain, dict):
            return Named(**plain)
        return tuple(plain) if isinstance(plain, list) else plain

    (call,) = turn["tool_calls"]
    extra = turn["extra"]
    given = call["arguments"]
    names = [name for name, _ in ACTIONS[call["function_name"]].params]
    args = tuple(value(given[name]) for name in names if name in given)
    metrics = turn.get("metrics", {})
    return Decision(
        Action(call["function_name"], args, extra["label"]),
        extra["said"],
        extra["valid"],
        metrics.get("prompt_tokens", 0),
        metrics.get("completion_tokens", 0),
        confidence=extra.get("confidence"),
    )


def _look(look: Observation) -> dict[str, Any]:
    """All of an observation but its pixels; defaults left out."""
    written: dict[str, Any] = {
        "url": look.url,
        "title": look.title,
        "viewport": list(look.viewport),
        "elements": [_element(e) for e in look.elements],
        "screenshot": None if look.screenshot is None else image_name(look.screenshot),
    }
    rest = {
        "focused": look.focused,
        "error": look.error,
        "tabs": list(look.tabs),
        "tab": look.tab,
        "hidden": look.hidden,
        "restarted": look.restarted,
    }
    # `not v` would drop an empty error message, which is not the same as none
    return written | {k: v for k, v in rest.items() if v is not None and v != [] and v is not False}


def _element(e: Element) -> dict[str, Any]:
    written: dict[str, Any] = {
        "ref": e.ref,
        "role": e.role,
        "name": e.name,
        "box": [e.box.x, e.box.y, e.box.width, e.box.height],
    }
    if e.value is not None:
        written["value"] = e.value
    if e.states:
        written["states"] = list(e.states)
    if e.options:
        written["options"] = list(e.options)
    return written


def _seen(look: dict[str, Any], folder: Path) -> Observation:
    shot = look["screenshot"]
    elements = tuple(
        Element(
            e["ref"],
            e["role"],
            e["name"],
            Box(*e["box"]),
            e.get("value"),
            tuple(e.get("states", ())),
            tuple(e.get("options", ())),
        )
        for e in look["elements"]
    )
    width, height = look["viewport"]
    return Observation(
        url=look["url"],
        title=look["title"],
        viewport=(width, height),
        elements=elements,
        screenshot=None if shot is None else (folder / shot).read_bytes(),
        focused=look.get("focused"),
        error=look.get("error"),
        tabs=tuple(look.get("tabs", ())),
        tab=look.get("tab", 0),
        hidden=look.get("hidden", 0),
        restarted=look.get("restarted", False),
    )


# ATIF's own rules, kept here so that reading and writing need no further package. The test-suite checks the
# same documents against the `atif` package's models where that is installed.
_ROOT = {
    *("schema_version", "session_id", "trajectory_id", "agent", "steps", "notes", "final_metrics"),
    *("continued_trajectory_ref", "subagent_trajectories", "extra"),
}
_AGENT = {"name", "version", "model_name", "tool_definitions", "extra"}
_AGENT_ONLY = {"model_name", "reasoning_effort", "reasoning_content", "tool_calls", "metrics"}
_STEP = {
    *("step_id", "timestamp", "source", "message", "observation", "extra", "llm_call_count"),
    *("is_copied_context", *_AGENT_ONLY),
}
_CALL = {"tool_call_id", "function_name", "arguments", "extra"}
_RESULT = {"source_call_id", "content", "subagent_trajectory_ref", "extra"}


def validate_atif(document: Any) -> None:
    """Check a document against ATIF v1.7's rules. Raises EpisodeError that names the first place at fault."""
    _keys(document, _ROOT, {"schema_version", "agent", "steps"}, "the document")
    if document["schema_version"] != SCHEMA:
        raise EpisodeError(f"schema_version is {document['schema_version']!r}, not {SCHEMA!r}")
    _keys(document["agent"], _AGENT, {"name", "version"}, "agent")
    if not isinstance(document["steps"], list) or not document["steps"]:
        raise EpisodeError("steps is not a list of at least one step")
    for number, step in enumerate(document["steps"], start=1):
        where = f"steps[{number - 1}]"
        _keys(step, _STEP, {"step_id", "source", "message"}, where)
        if step["step_id"] != number:
            raise EpisodeError(f"{where}.step_id is {step['step_id']!r}, not {number}")
        if step["source"] not in ("system", "user", "agent"):
            raise EpisodeError(f"{where}.source is {step['source']!r}")
        if step["source"] != "agent" and (wrong := _AGENT_ONLY & set(step)):
            raise EpisodeError(f"{where}: only an agent's step has {', '.join(sorted(wrong))}")
        if "timestamp" in step:
            _timestamp(step["timestamp"], where)
        _content(step["message"], f"{where}.message")
        calls = step.get("tool_calls", [])
        for call in calls:
            _keys(call, _CALL, {"tool_call_id", "function_name", "arguments"}, f"{where}.tool_calls")
            if not isinstance(call["arguments"], dict):
                raise EpisodeError(f"{where}.tool_calls: arguments is not an object")
        if "observation" in step:
            _keys(step["observation"], {"results"}, {"results"}, f"{where}.observation")
            known = {call["tool_call_id"] for call in calls}
            for result in step["observation"]["results"]:
                _keys(result, _RESULT, set(), f"{where}.observation")
                if result.get("source_call_id") is not None and result["source_call_id"] not in known:
                    raise EpisodeError(f"{where}.observation: no call {result['source_call_id']!r}")
                if result.get("content") is not None:
                    _content(result["content"], f"{where}.observation")
    ours = document.get("extra") or {}
    if "ended" in ours and ours["ended"] not in get_args(Ended):
        raise EpisodeError(f"extra.ended is {ours['ended']!r}")


def _keys(value: Any, allowed: set[str], needed: set[str], where: str) -> None:
    if not isinstance(value, dict):
        raise EpisodeError(f"{where} is not an object")
    if missing := needed - set(value):
        raise EpisodeError(f"{where} lacks {', '.join(sorted(missing))}")
    if unknown := set(value) - allowed:
        raise EpisodeError(f"{where} has keys ATIF does not know: {', '.join(sorted(unknown))}")


def _timestamp(value: Any, where: str) -> None:
    try:
        datetime.fromisoformat(value.replace("Z", "+00:00"))
    except (ValueError, AttributeError) as error:
        raise EpisodeError(f"{where}.timestamp is not ISO 8601: {value!r}") from error


def _content(value: Any, where: str) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        raise EpisodeError(f"{where} is neither text nor a list of parts")
    for part in value:
        _keys(part, {"type", "text", "source"}, {"type"}, where)
        if part["type"] == "text" and isinstance(part.get("text"), str) and "source" not in part:
            continue
        if part["type"] == "image" and isinstance(part.get("source"), dict) and "text" not in part:
            _keys(part["source"], {"media_type", "path"}, {"media_type", "path"}, where)
            continue
        raise EpisodeError(f"{where} has a part that is neither text nor image")
