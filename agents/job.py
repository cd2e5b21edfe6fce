"""A job: what the team has seen, done and spent on one goal, and the only door to the environment.

Every action goes through `Job.do`: the policy in plain code, the person's approval where it asks, the action,
the record. A job ends by raising `Over` with an outcome; nothing in it waits without a bound but the person.

Not covered: who speaks when (`team.py`) and what each role says (`coder.py`, `reviewer.py`, `actor.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from agents.actor import ModelPolicy
from agents.policies import Decision
from agents.program import WHOLE, Act, Program
from tools.actions import Action
from tools.environment import Environment
from tools.guard import Verdict, assess
from tools.observation import Observation
from tools.rules import Rules
from tools.terms import Terms, terms

Outcome = Literal["done", "not done", "refused", "interrupted"]
Who = Literal["memory", "coder", "reviewer", "policy", "program", "actor", "person"]
REPEATS = 3  # the same action on an unchanged page: told once, then stopped
INVALID = 3  # answers in a row that are no action
T = TypeVar("T")


@dataclass(frozen=True)
class Event:
    """What a person watching is told: who `says` something, `does` an action, or how the page `looks`."""

    who: Who
    kind: Literal["says", "does", "looks"]
    text: str
    observation: Observation | None = None


@dataclass(frozen=True)
class Request:
    """What the person is asked before it is done; a yes is to these terms."""

    action: Action
    verdict: Verdict
    observation: Observation
    terms: Terms


class Over(Exception):
    """The job has ended, and how; with the terms that were not agreed to, if it was that."""

    def __init__(self, outcome: Outcome, reason: str, terms: Terms | None = None) -> None:
        super().__init__(reason)
        self.outcome: Outcome = outcome
        self.reason = reason
        self.terms = terms


@dataclass
class Job:
    """One goal being worked on."""

    goal: str
    env: Environment
    observation: Observation
    actor: ModelPolicy
    on_event: Callable[[Event], None]
    approve: Callable[[Request], Awaitable[bool]]
    max_steps: int
    interrupt: asyncio.Event
    rules: Rules
    program: Program = WHOLE
    steps: list[tuple[Observation, Decision, str]] = field(default_factory=list)
    timings: list[float] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    _repeats: int = 0
    _invalid: int = 0
    _told: bool = False
    _refused: bool = False
    _agreed: Terms | None = None  # what the person said yes to, when that was the last step

    @property
    def history(self) -> list[Action]:
        """What was done, without what was said at the end of a part."""
        return [d.action for _, d, _ in self.steps if d.valid and not d.action.final]

    @property
    def message(self) -> str | None:
        """The actor's last word, if it had one."""
        last = self.steps[-1][1].action if self.steps else None
        return str(last.args[0]) if last is not None and last.final and last.args else None

    def say(self, who: Who, text: str) -> None:
        self.on_event(Event(who, "says", text))

    def spent(self, prompt_tokens: int, completion_tokens: int) -> None:
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens

    async def unless_interrupted(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's result; Over at once if the person interrupts meanwhile."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self.interrupt.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Over("interrupted", "you interrupted")
            return task.result()
        finally:
            for waiting in (task, stop):
                waiting.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    async def run_program(self) -> None:
        """Do the program; what it can't find, or what fails, goes to the actor with the whole goal."""
        for step in self.program.steps:
            if isinstance(step, Act):
                await self.act(step.goal)
                if step.goal is None:
                    return
                continue
            try:
                action = self.observation.labelled(step)
            except KeyError as error:
                self.say("program", f"{error.args[0]}; the actor takes over")
                return await self.act(None)
            await self.do(Decision(action, str(step)), "program")
            if action.final:
                return
            if self.observation.error:
                self.say("program", f"{self.observation.error}; the actor takes over")
                return await self.act(None)

    async def act(self, part: str | None) -> None:
        """The actor works on the goal, or a part of it, until it says it is done."""
        begun = 0 if part is None else len(self.history)
        while True:
            since = time.monotonic()
            decision = await self.unless_interrupted(
                self.actor.decide(part or self.goal, self.observation, self.history[begun:])
            )
            self.spent(decision.prompt_tokens, decision.completion_tokens)
            await self.do(decision, "actor", since)
            if decision.action.final and decision.valid:
                return

    async def do(self, decision: Decision, by: Who, since: float | None = None) -> None:
        """One step: policy, approval, action, record. Raises Over when the job can't go on."""
        since = time.monotonic() if since is None else since
        if self.interrupt.is_set():
            raise Over("interrupted", "you interrupted")
        if len(self.steps) >= self.max_steps:
            raise Over("not done", f"{self.max_steps} steps were not enough")
        before, action = self.observation, decision.action
        if not decision.valid:
            return self._babbled(decision, by, since)
        if not await self._allowed(action):
            return
        self.on_event(Event(by, "does", str(action), before))
        # A step once begun is finished and recorded, interrupted or not: the page has changed.
        after = before if action.final else await self.env.step(action)
        self._record(before, decision, by, since, after)
        if not action.final:
            self._invalid = 0
            self.on_event(Event(by, "looks", after.error or after.url, after))
            self._watch_repeats(before, action)

    async def _allowed(self, action: Action) -> bool:
        """Whether policy and person let it be done; False when the actor is to think again."""
        verdict = assess(action, self.observation, self.goal, self.rules)
        if verdict.decision == "refuse":
            self.say("policy", f"refuse {action}: {verdict.why}")
            if self._refused:
                raise Over("refused", f"the policy refuses {action}: {verdict.why}")
            self._refused = True
            self.tell(f"not allowed: {verdict.why}; do something else")
            return False
        agreed, self._agreed = self._agreed, None
        if verdict.decision == "ask":
            asked = terms(action, self.observation, verdict)
            if agreed is None or not agreed.covers(asked):
                return await self._agrees(Request(action, verdict, self.observation, asked))
        return True

    async def _agrees(self, request: Request) -> bool:
        """Whether the person says yes, and the terms are still the same then; Over where they say no."""
        action, verdict, asked = request.action, request.verdict, request.terms
        self.say("policy", f"ask before {action}: {verdict.why}")
        if not await self.approve(request):
            raise Over("refused", f"not approved: {action} ({verdict.why})", asked)
        now = await self.env.observe()
        if terms(action, now, verdict) != asked:
            self.say("policy", "the page has changed since it was asked about")
            self.observation = now
            self.tell("the page changed while you waited for a yes; look again")
            return False
        self._agreed = asked
        return True

    def _record(
        self, before: Observation, decision: Decision, by: Who, since: float, after: Observation
    ) -> None:
        self.steps.append((before, decision, by))
        self.timings.append(time.monotonic() - since)
        self.observation = after

    def _babbled(self, decision: Decision, by: Who, since: float) -> None:
        said = " ".join(decision.said.split())[:80]
        self.say(by, f"no action: {said!r}")
        self._record(self.observation, decision, by, since, self.observation)
        self._invalid += 1
        if self._invalid >= INVALID:
            raise Over(
                "not done",
                f"the actor's model ({self.actor.name}) answers no action: {said!r}; try another model",
            )
        self.tell("your last answer was no action")

    def _watch_repeats(self, before: Observation, action: Action) -> None:
        last = self.history[-2] if len(self.history) > 1 else None
        after = self.observation
        unchanged = replace(before, error=None).text() == replace(after, error=None).text()
        unchanged = unchanged and before.screenshot == after.screenshot
        self._repeats = (self._repeats + 1 if last == action else 1) if unchanged else 0
        if self._repeats < REPEATS:
            return
        if self._told:
            raise Over("not done", f"stuck: {action} was repeated and the page does not change")
        self._told = True
        self._repeats = 0
        self.say("policy", f"{action} was done {REPEATS} times and the page does not change")
        self.tell(f"{action} was done {REPEATS} times and the page has not changed; do something else")

    def tell(self, error: str) -> None:
        """Show the next decision what was wrong, where failures are shown anyway."""
        self.observation = replace(self.observation, error=error)
