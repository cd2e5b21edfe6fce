"""The team: coder, reviewer and actor on AutoGen, with a deterministic selector.

    goal -> memory -> coder: a program, or act(goal)
         -> reviewer, before: policy in plain code, then the model: approve | revise | refuse
         -> actor: runs the program; act() and drift are done step by step (a script that
            fails goes back to the coder)
         -> reviewer, after: done | not yet (back to the coder, as often as the effort allows) | give up

AutoGen routes the turns and keeps the thread; its types stay in this file. What a turn does is plain code
on a `Job`, and observations travel there, not in messages: AutoGen would keep every screenshot.

Not covered: showing it to a person (`apps/chat.py`).
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.conditions import FunctionalTermination
from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage, TextMessage
from autogen_agentchat.teams import SelectorGroupChat
from autogen_core import CancellationToken
from autogen_ext.models.replay import ReplayChatCompletionClient

from agents.actor import ModelPolicy
from agents.clients import Endpoint, ModelDown
from agents.coder import Coder, Plan
from agents.effort import EFFORTS, Deliberate, Effort
from agents.job import Event, Job, Outcome, Over, Request, Stalled
from agents.lifting import lift, parse_lifted
from agents.policies import Decision
from agents.program import WHOLE, Ask, Program, Script, compile_program
from agents.prompts import Role
from agents.reviewer import NoVerdict, Reviewer
from agents.script import run_script
from agents.spans import Span, span
from tools.actions import Action, ActionError
from tools.environment import Environment, EnvironmentDown
from tools.guard import BUILT_IN
from tools.memory import Memory, MemoryDown, site_of
from tools.observation import Observation, shorten
from tools.rules import Rules
from tools.sandbox import SandboxMissing, find
from tools.terms import Terms

__all__ = ["Event", "Request", "TeamResult", "remember", "run_team"]

QUESTIONS = 2  # to the person, before a plan
RECALLED = 3  # pieces of memory shown to the coder
RECALLED_LENGTH = 500
PATIENCE = 15.0  # seconds for memory, whose embeddings may still be loading
RELEVANT = 0.35  # below this score a hit is noise


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
    job = Job(
        goal,
        env,
        observation,
        Deliberate(actor, effort, reviewer),
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
    )


def remember(memory: Memory, goal: str, result: TeamResult) -> int:
    """Keep the program of what worked, for this goal and those like it; its steps, 0 if there is nothing new
    to keep.

    What a script did is not kept: it was worked out from what the page showed, and must be again.
    Apart from `run_team`, so that a person sees the outcome first. Blocks; raises MemoryDown.
    """
    if any(by == "script" for _, _, by in result.steps):
        return 0
    program = compile_program(result.steps, result.final) if result.outcome == "done" else None
    if program is None:
        return 0
    lifted, site = lift(shorten(goal, 600), program), site_of(result.final.url)
    known = memory.program(lifted.goal, site)
    if known is not None and parse_lifted(known).program == lifted.program:
        lifted = parse_lifted(known)  # the same, but for the values of the first time
    return len(program.steps) if memory.add_program(lifted.goal, site, str(lifted)) else 0


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


class Desk:
    """What the three share: the job, their models, what memory gave, and how it ended."""

    def __init__(self, job: Job, coder: Coder, reviewer: Reviewer, memory: Memory | None, most: int) -> None:
        self.job = job
        self.coder = coder
        self.reviewer = reviewer
        self.memory = memory
        self.most = most  # times the work goes back to the coder
        self.recalled: list[str] | None = None  # None: not looked yet
        self.replay: Program | None = None  # what worked for such a goal here, with this one's values
        self.feedback = ""
        self.rounds = 0
        self.failed: list[Script] = []
        self.span: Span | None = None  # what turns lie in, whichever task AutoGen takes them in
        self.planned = False  # a plan waits for review
        self.stalled = False  # another approach was asked for
        self.over: Over | None = None
        self.crash: Exception | None = None

    async def recall(self) -> list[str]:
        """What memory has for this goal and page, once a job."""
        if self.recalled is None:
            self.recalled = []
            if self.memory is not None:
                await self._look_up(self.memory)
        return self.recalled

    async def _look_up(self, memory: Memory) -> None:
        job = self.job
        try:
            looking = asyncio.to_thread(memory.retrieve, job.goal, job.observation.url, RECALLED)
            with span("memory", "retrieve") as this:
                hits = await job.unless_interrupted(asyncio.wait_for(looking, PATIENCE))
                this.came["hits"] = [f"{hit.kind} {hit.source} {hit.score:.2f}" for hit in hits]
        except TimeoutError:
            return job.say("memory", "still loading; going on without it")
        except MemoryDown as error:
            return job.say("memory", f"not available: {error}")
        for hit in hits:
            if hit.score < RELEVANT:
                continue
            text = hit.text
            if hit.kind == "program":
                lifted = parse_lifted(text)
                values = lifted.fit(shorten(job.goal, 600))
                if values is not None and hit.source == site_of(job.observation.url) and not self.replay:
                    self.replay = lifted.filled(values)
                text = f"# {lifted.said({})}\n{lifted.filled({})}"  # as the coder has learnt to read it
            job.say("memory", f"{hit.kind} from {hit.source}: {shorten(text, 100)}")
            assert self.recalled is not None
            self.recalled.append(text[:RECALLED_LENGTH])

    def back_to_coder(self, verdict: str, why: str, last: Over, who: str = "reviewer") -> str:
        """Another round, or the end when there were enough; what was said."""
        if self.rounds >= self.most:
            raise last
        self.rounds += 1
        self.replay = None
        said = f"{verdict}: {why}" if why else verdict
        self.feedback = f"{who}: {said}"
        return said


class Member(BaseChatAgent):
    """A role as AutoGen sees it: a turn of plain code, and one line said about it."""

    def __init__(self, name: str, description: str, desk: Desk) -> None:
        super().__init__(name, description)
        self.desk = desk

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    @abstractmethod
    async def turn(self) -> str:
        """Do the role's part; what was said, which the selector reads."""

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        with span("turn", self.name, within=self.desk.span) as this:
            this.came["said"] = said = await self._said()
        return Response(chat_message=TextMessage(content=said, source=self.name))

    async def _said(self) -> str:
        """The turn's word, or how the job ended in it."""
        try:
            return await self.turn()
        except Over as over:
            self.desk.over = over
            return f"{over.outcome}: {over.reason}"
        except (ModelDown, NoVerdict, EnvironmentDown) as error:
            self.desk.over = Over("not done", str(error))
            return str(error)
        except Exception as error:  # AutoGen would turn it into text; run_team raises it as it is
            self.desk.crash = error
            return repr(error)

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        """Nothing is kept here; the desk belongs to one job."""


class CoderAgent(Member):
    def __init__(self, desk: Desk) -> None:
        super().__init__("coder", "Writes a program for the goal, or leaves it to the actor.", desk)

    async def turn(self) -> str:
        desk, job = self.desk, self.desk.job
        recalled = await desk.recall()
        if desk.replay is not None:
            job.program = desk.replay
            job.say("coder", f"a program that worked here for such a goal:\n{job.program}")
        else:
            told = [f"{desk.feedback}\n{_so_far(job.history)}".strip()] if desk.feedback else []
            plan = await self._planned([*told, *recalled])
            asked = 0
            while isinstance(plan.program, Ask):
                if asked == QUESTIONS:
                    raise Over("not done", f"it is still unclear what to do: {plan.program.question}")
                asked += 1
                await job.clear_up(plan.program.question)
                plan = await self._planned([*told, *recalled])
            again = isinstance(plan.program, Script) and plan.program in desk.failed
            job.program = WHOLE if again else plan.program
            note = "the script that failed, again; the actor goes step by step" if again else plan.note
            job.say("coder", note or _shown(job.program))
        desk.planned = True
        return str(job.program)

    async def _planned(self, shown: Sequence[str]) -> Plan:
        job = self.desk.job
        plan = await job.unless_interrupted(self.desk.coder.plan(job.goal, job.observation, shown))
        job.spent(plan.prompt_tokens, plan.completion_tokens)
        return plan


class ReviewerAgent(Member):
    def __init__(self, desk: Desk) -> None:
        super().__init__("reviewer", "Checks the plan before, and the page after.", desk)

    async def turn(self) -> str:
        return await (self._before() if self.desk.planned else self._after())

    async def _before(self) -> str:
        desk, job = self.desk, self.desk.job
        desk.planned = False
        if isinstance(job.program, Script):
            try:
                await asyncio.to_thread(find)
            except SandboxMissing as error:
                job.say("policy", f"refuse the script: {error}")
                only = "only plain calls, one a line, can be run here; write those, or act(goal)"
                return desk.back_to_coder("revise", only, Over("refused", str(error)))
        for action in job.program.actions:
            verdict = await job.judged(action)
            if verdict.decision == "refuse":
                job.say("policy", f"refuse {action}: {verdict.why}")
                last = Over("refused", f"the policy refuses {action}: {verdict.why}")
                return desk.back_to_coder("revise", f"{action} is not allowed: {verdict.why}", last)
        review = await job.unless_interrupted(
            desk.reviewer.before(job.goal, job.observation, str(job.program))
        )
        job.spent(review.prompt_tokens, review.completion_tokens)
        job.say("reviewer", str(review))
        if review.verdict == "refuse":
            raise Over("refused", f"the reviewer refuses: {review.why or 'no reason given'}")
        if review.verdict == "revise":
            last = Over("not done", f"the reviewer wants another plan: {review.why}")
            return desk.back_to_coder("revise", review.why, last)
        return "approve"

    async def _after(self) -> str:
        desk, job = self.desk, self.desk.job
        if job.message is None:  # a program that ran through ends with a word, as the actor does
            job.steps.append((job.observation, Decision(Action("send_msg_to_user", ("done",))), "reviewer"))
            job.timings.append(0.0)
        history = [d.action for _, d, _ in job.steps if d.valid]
        review = await job.unless_interrupted(desk.reviewer.after(job.goal, job.observation, history))
        job.spent(review.prompt_tokens, review.completion_tokens)
        job.say("reviewer", str(review))
        said = job.message
        if review.verdict == "not yet":
            job.tell(f"not yet: {review.why}")
            last = Over("not done", f"the reviewer does not see it done: {review.why}")
            return desk.back_to_coder("not yet", review.why, last)
        if review.verdict == "give up":
            raise Over("not done", f"the reviewer gives up: {review.why}")
        if job.steps and job.steps[-1][1].action.name == "report_infeasible":
            raise Over("not done", f"the actor says it can't be done: {said}")
        raise Over("done", said or "done")


class ActorAgent(Member):
    def __init__(self, desk: Desk) -> None:
        super().__init__("actor", "Runs the program; works step by step where it must.", desk)

    async def turn(self) -> str:
        job = self.desk.job
        if isinstance(job.program, Script):
            why = await run_script(job, job.program)
            if why is not None:
                job.say("script", f"failed: {why}")
                self.desk.failed.append(job.program)
                last = Over("not done", f"the script failed: {why}")
                return self.desk.back_to_coder("failed", why, last, "script")
            return "the script has run"
        try:
            await job.run_program(job.program)
        except Stalled as stuck:
            if self.desk.stalled:
                raise
            self.desk.stalled = True
            return self.desk.back_to_coder("stuck", stuck.reason.removeprefix("stuck: "), stuck, "actor")
        except ActionError as error:  # a step that does not fit this page after all
            raise Over("not done", str(error)) from error
        return "the program has run"


def _shown(program: Program | Script) -> str:
    """A plan as a person reads it."""
    return f"{program}  # the actor goes step by step" if program == WHOLE else str(program)


def _so_far(history: Sequence[Action]) -> str:
    return "\n".join(f"did: {action}" for action in history[-10:])
