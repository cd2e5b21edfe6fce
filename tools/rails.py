"""Further rails: a folder of NeMo Guardrails, asked after the policy in plain code and never in its place.

The folder is named in policy.toml (`rules.py`). Its input rails are asked about the goal before anything is
planned, its output rails about every action: the bot's message is the action as a program would write it. A
rail written in Python finds more in its `context`: `goal`, `what`, `where`, `values`, `kind`.

What a rail blocks is refused, in the rail's words. So is what a rail would rather change, for half an action
can't be done, and everything while a rail fails or does not answer. No rail allows what `guard.py` does not.

NeMo Guardrails takes seconds to import, and is imported only where a folder is named. With `models: []` and
Python actions it needs no model, no key and no network.

Not covered: writing rails; NeMo Guardrails' own documentation has it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tools.actions import Action
from tools.guard import BUILT_IN, Verdict, assess
from tools.observation import Observation, shorten
from tools.rules import Rules
from tools.settings import SettingsError
from tools.terms import terms

SECONDS = 30.0  # for an answer; a rail may ask a model of its own


async def judge(action: Action, observation: Observation, goal: str, rules: Rules = BUILT_IN) -> Verdict:
    """The policy's verdict on an action, and then the rails': theirs can only be stricter."""
    verdict = assess(action, observation, goal, rules)
    if rules.rails is None or verdict.decision == "refuse":
        return verdict
    about = terms(action, observation, verdict)
    context = {"what": about.what, "where": about.where, "values": [*about.fields], "kind": verdict.kind}
    why = await _blocked(rules.rails, "output", goal, context)
    return verdict if why is None else replace(verdict, decision="refuse", why=why)


async def judge_goal(goal: str, rules: Rules) -> str | None:
    """Why the rails won't have this goal worked on, or None."""
    return None if rules.rails is None else await _blocked(rules.rails, "input", goal, {})


def ready(rules: Rules) -> None:
    """Load the rails, if any, so that what is wrong with them is said at once. Raises SettingsError."""
    if rules.rails is not None:
        _loaded(rules.rails)


async def _blocked(
    folder: Path, kind: Literal["input", "output"], goal: str, context: Mapping[str, Any]
) -> str | None:
    from nemoguardrails.rails.llm.options import RailStatus, RailType

    rails = await asyncio.to_thread(_loaded, folder)
    if not getattr(rails.config.rails, kind).flows:
        return None
    messages = [
        {"role": "context", "content": {"goal": goal, **context}},
        {"role": "user", "content": goal},
        {"role": "assistant", "content": context.get("what", "")},
    ][: 3 if kind == "output" else 2]
    try:
        with _errors() as errors:
            said = await asyncio.wait_for(rails.check_async(messages, [RailType(kind)]), SECONDS)
    except TimeoutError:
        return f"the rails in {folder} did not answer in {SECONDS:g} s"
    except Exception as error:  # whatever the folder's own code may raise
        errors = [str(error) or repr(error)]
    if errors:
        return f"the rails in {folder} failed: {shorten(errors[0])}"
    if said.status == RailStatus.PASSED:
        return None
    what = f'the rail "{said.rail}"' if said.status == RailStatus.BLOCKED else "a rail that would change it"
    return f"{what} says: {shorten(str(said.content), 200)}"


@cache
def _loaded(folder: Path) -> Any:
    """NeMo Guardrails' LLMRails for a folder. Raises SettingsError."""
    os.environ["NEMO_GUARDRAILS_NO_USAGE_STATS"] = "1"  # it would send some
    try:
        from nemoguardrails import LLMRails, RailsConfig
    except ImportError as error:
        raise SettingsError(f"{folder}: NeMo Guardrails is missing; pip install nemoguardrails") from error
    try:
        with _errors() as errors:
            rails = LLMRails(RailsConfig.from_path(str(folder)))
            if rails.config.colang_version != "1.0":
                raise ValueError("it is written in Colang 2; write it in Colang 1.0")
            if not (rails.config.rails.input.flows or rails.config.rails.output.flows):
                raise ValueError("it has neither input nor output flows, so that nothing would be asked")
    except Exception as error:  # YAML, Colang, pydantic, or the folder's own Python
        errors = [str(error) or repr(error)]
    if errors:
        raise SettingsError(f"the rails in {folder} can't be loaded: {shorten(errors[0], 300)}")
    return rails


@contextmanager
def _errors() -> Iterator[list[str]]:
    """What is only logged as an error meanwhile: actions that NeMo Guardrails could not load, or run."""
    heard: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("nemoguardrails")
    logger.propagate = False  # its tracebacks are not for the terminal
    logger.addHandler(handler)
    try:
        yield heard
    finally:
        logger.removeHandler(handler)
