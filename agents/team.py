"""The team: coder, reviewer and actor on AutoGen, with a deterministic selector.

    goal -> memory -> coder: a program, or act(goal)
         -> reviewer, before: policy in plain code, then the model: approve | revise | refuse
         -> actor: runs the program; act() and drift are done step by step (a script that
            fails goes back to the coder)
         -> reviewer, after: done | not yet (back to the coder, as often as the effort allows) | give up

AutoGen routes the turns and keeps the thread; its types stay here and in `members.py`, which has the turns.
Observations travel on a `Job`, not in messages: AutoGen would keep every screenshot.

Not covered: showing it to a person (`apps/chat.py`).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autogen_agentchat.conditions import FunctionalTermination
from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage, TextMessage
from autogen_agentchat.teams import SelectorGroupChat
from autogen_ext.models.replay import ReplayChatCompletionClient

from agents.actor import ModelPolicy
from agents.clients import Endpoint
from agents.coder import Coder
from agents.effort import EFFORTS, Deliberate, Effort
from agents.job import Event, Job, Outcome, Over, Request
from agents.lifting import lift, parse_lifted
from agents.members import ActorAgent, CoderAgent, Desk, ReviewerAgent
from agents.policies import Decision
from agents.program import Program, compile_program
from agents.prompts import GOAL, Role
from agents.reviewer import Reviewer
from agents.spans import span
from tools.actions import quote
from tools.environment import Environment
from tools.guard import BUILT_IN
from tools.memory import Memory, site_of
from tools.observation import Observation, shorten
from tools.rules import Rules
from tools.terms import Terms

__all__ = ["Event", "Request", "TeamResult", "remember", "run_team"]


@dataclass(frozen=True)
class TeamResult:
    """How it went. `reason` is the answer to the person, or why it is not done."""

    outcome: Outcome
    reason: str
    steps: tuple[tuple[Observation, Decision, str], ...]
    final: Observation
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    timings: tuple[float, ...] = ()  # seconds of each step
    files: tuple[Path, ...] = ()  # left by scripts
    terms: Terms | None = None  # what was not agreed to, where that ended it
    goal: str = ""  # as it was worked on, with what the person answered
    broken: bool = False  # a model or the place to work broke down


async def run_team(
    goal: str,
    env: Environment,
    observation: Observation,
    endpoints: Mapping[Role, Endpoint],
    *,
    memory: Memory | None,
    on_event: Callable[[Event], None],
    approve: Callable[[Request], Awaitable[bool]],
    max_steps: int = 30,
    interrupt: asyncio.Event | None = None,
    earlier: Sequence[tuple[Observation, Decision, str]] = (),
    files: Path | None = None,
    work: Path | None = None,
    rules: Rules = BUILT_IN,
    effort: Effort = EFFORTS["medium"],
    ask: Callable[[str], Awaitable[str]] | None = None,
) -> TeamResult:
    """Work on the goal from this page until it is done, or it is clear that it won't be.

    Setting `interrupt` ends it between two steps with outcome "interrupted"; what was done is in the result.
    `earlier` are the steps of an interrupted run that this one goes on from; they are in the result again.
    A script finds copies of what is in `files`; what it leaves is kept in `work`, or not at all without.
    `rules` are the person's own; without a `home` in them, it is where the team starts now.
    `effort` is what decisions may cost, and how often the work may go back to the coder.
    `ask` puts a question of the coder's to the person; without it an unclear goal is not done.
    """
    began = time.monotonic()
    actor = ModelPolicy(endpoints["actor"])
    coder = Coder(endpoints["coder"])
    reviewer = Reviewer(endpoints["reviewer"])
    stop = interrupt or asyncio.Event()
    second = reviewer if effort.always else None  # else it is asked once, right after `done`
    job = Job(
        goal,
        env,
        observation,
        Deliberate(actor, effort, second),
        on_event,
        approve,
        max_steps,
        stop,
        rules,
        files,
        work,
        ask,
        steps=[*earlier],
    )
    desk = Desk(job, coder, reviewer, memory, effort.rounds)
    try:
        with span("team", goal) as desk.span:
            await job.begin()
            await _meet(desk)
    except Over as early:  # before anybody's turn
        desk.over = early
    finally:
        await asyncio.gather(actor.close(), coder.close(), reviewer.close())
    if desk.crash is not None:
        raise desk.crash
    over = desk.over or Over("not done", "the team stopped without a verdict")
    return result_of(job, over, began)


def result_of(job: Job, over: Over, began: float) -> TeamResult:
    """What became of a job that was begun at `began` (`time.monotonic`) and is over."""
    return TeamResult(
        over.outcome,
        over.reason,
        tuple(job.steps),
        job.observation,
        job.prompt_tokens,
        job.completion_tokens,
        time.monotonic() - began,
        tuple(job.timings),
        tuple(job.kept.values()),
        over.terms,
        job.goal,
        over.broken,
    )


def remember(memory: Memory, goal: str, result: TeamResult) -> int:
    """Keep the program of what worked, for this goal and those like it; its steps, 0 if there is nothing new
    to keep.

    What a script did is not kept: it was worked out from what the page showed, and must be again. Nor is a
    program without a value that the goal has in quotes: it worked by chance, if at all.
    Apart from `run_team`, so that a person sees the outcome first. Blocks; raises MemoryDown.
    """
    if any(by == "script" for _, _, by in result.steps):
        return 0
    program = compile_program(result.steps, result.final) if result.outcome == "done" else None
    if program is None or not _says(program, goal):
        return 0
    lifted, site = lift(shorten(goal, GOAL), program), site_of(result.final.url)
    known = memory.program(lifted.goal, site)
    if known is not None and parse_lifted(known).program == lifted.program:
        lifted = parse_lifted(known)  # the same, but for the values of the first time
    return len(program.steps) if memory.add_program(lifted.goal, site, str(lifted)) else 0


def _says(program: Program, goal: str) -> bool:
    """Whether every text in quotes of the goal is in the program."""
    said = str(program).casefold()
    return all(quote(value)[1:-1].casefold() in said for value in re.findall(r'"([^"]+)"', goal))


async def _meet(desk: Desk) -> None:
    """Let AutoGen route the turns until one of them ends the job."""
    members: list[Any] = [CoderAgent(desk), ReviewerAgent(desk), ActorAgent(desk)]
    chat = SelectorGroupChat(
        members,
        # The selector below always names a speaker; a model is required by the class, and never asked.
        model_client=ReplayChatCompletionClient([]),
        selector_func=next_speaker,
        allow_repeated_speaker=True,
        termination_condition=FunctionalTermination(
            lambda _: desk.over is not None or desk.crash is not None
        ),
        max_turns=4 * (desk.most + 2),
    )
    await chat.run(task=desk.job.goal)


def next_speaker(messages: Sequence[BaseAgentEvent | BaseChatMessage]) -> str:
    """Whose turn it is, from the last word alone."""
    last = messages[-1]
    if last.source == "coder":
        return "reviewer"  # a plan to check
    if (
        last.source == "actor"
        and isinstance(last, TextMessage)
        and last.content.startswith(("failed", "stuck"))
    ):
        return "coder"  # its script failed, or another approach is wanted
    if last.source == "actor":
        return "reviewer"  # a result to check
    if last.source == "reviewer" and isinstance(last, TextMessage) and last.content.startswith("approve"):
        return "actor"
    return "coder"  # the person's goal, or `revise`, or `not yet`
