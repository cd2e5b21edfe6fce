"""The three members as AutoGen sees them, and the desk that they share: what each does in its turn.

A turn is plain code on the job; one line is said about it, from which the next speaker follows (`team.py`).

Not covered: whose turn it is, and what a whole task comes to (`team.py`); what the models are asked
(`coder.py`, `reviewer.py`, `actor.py`).
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_core import CancellationToken

from agents.clients import ModelDown
from agents.coder import Coder, Plan
from agents.job import Job, Over, Stalled
from agents.lifting import parse_lifted
from agents.policies import Decision
from agents.program import WHOLE, Ask, Program, Script
from agents.prompts import GOAL
from agents.reviewer import NoVerdict, Review, Reviewer
from agents.script import run_script
from agents.spans import Span, span
from tools.actions import Action, ActionError
from tools.environment import EnvironmentDown
from tools.memory import Memory, MemoryDown, site_of
from tools.observation import shorten
from tools.sandbox import SandboxMissing, find

QUESTIONS = 2  # to the person, before a plan
RECALLED = 3  # pieces of memory shown to the coder
RECALLED_LENGTH = 500
PATIENCE = 15.0  # seconds for memory, whose embeddings may still be loading
RELEVANT = 0.35  # below this score a hit is noise


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
        self.unseen: tuple[int, Review] | None = None  # what was done when the reviewer did not see it done
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
            text, values = hit.text, None
            if hit.kind == "program":
                try:
                    lifted = parse_lifted(text)
                except ActionError as error:  # of another version, with other actions
                    job.say("memory", f"a program from {hit.source} can't be read: {error}")
                    continue
                here = hit.source == site_of(job.observation.url)
                values = lifted.fit(shorten(job.goal, GOAL)) if here else None
                if values is not None and not self.replay:
                    self.replay = lifted.filled(values)
                text = f"# {lifted.said({})}\n{lifted.filled({})}"  # as the coder has learnt to read it
            if (
                hit.score < RELEVANT and values is None
            ):  # a short goal is mostly its values: its wording says more
                continue
            told = text.removeprefix("# ").splitlines()[0] if hit.kind == "program" else text
            job.say("memory", f"{hit.kind} from {hit.source}: {shorten(told, 100)}")
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
            self.desk.over = Over("not done", str(error), broken=not isinstance(error, NoVerdict))
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
        if desk.unseen and desk.unseen[0] == len(job.history):
            review = desk.unseen[1]  # to ask until the answer is another would be no review
        else:
            review = await job.unless_interrupted(desk.reviewer.after(job.goal, job.observation, history))
            job.spent(review.prompt_tokens, review.completion_tokens)
        job.say("reviewer", str(review))
        said = job.message
        if review.verdict == "not yet":
            job.tell(f"not yet: {review.why}")
            desk.unseen = (len(job.history), review)
            job.whole = job.whole and not isinstance(job.program, Script)
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
