"""A job: what the team has seen, done and spent on one goal, and the only door to the environment.

Every action goes through `Job.do`: the policy in plain code, the person's approval where it asks, the action,
the record. A job ends by raising `Over` with an outcome; nothing in it waits without a bound but the person.

Not covered: who speaks when (`team.py`) and what each role says (`coder.py`, `reviewer.py`, `actor.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from agents.lifting import nearest
from agents.policies import Decision, Policy
from agents.program import WHOLE, Act, Program, Script
from agents.spans import span
from tools.actions import Action, Named, Value, quote
from tools.environment import Environment, EnvironmentDown, origin
from tools.guard import Verdict
from tools.observation import Observation
from tools.rails import judge, judge_goal
from tools.rules import Rules
from tools.terms import Terms, terms

Outcome = Literal["done", "not done", "refused", "interrupted"]
Who = Literal["memory", "coder", "reviewer", "policy", "program", "script", "actor", "person"]
REPEATS = 3  # the same action on the same page: told once, then stopped
LAST = 3  # steps before the end at which the model is told
DETOURS = 3  # steps of the actor towards one of a program
INVALID = 3  # answers in a row that are no action
SILENCE = 180.0  # seconds in which the place to work says nothing at all; its own bounds are far below
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
    """The job has ended, and how; with the terms that were not agreed to, if it was that.

    `broken`: a model or the place to work broke down, so that it says nothing about the team.
    """

    def __init__(
        self, outcome: Outcome, reason: str, terms: Terms | None = None, *, broken: bool = False
    ) -> None:
        super().__init__(reason)
        self.outcome: Outcome = outcome
        self.reason = reason
        self.terms = terms
        self.broken = broken


class Stalled(Over):
    """It leads nowhere, though the model was told: time for another approach, or an honest end."""


async def in_time(work: Coroutine[Any, Any, T]) -> T:
    """What the place to work answers. Raises EnvironmentDown where it answers nothing for `SILENCE`."""
    try:
        async with asyncio.timeout(SILENCE):
            return await work
    except TimeoutError as error:
        raise EnvironmentDown(f"no answer from the page in {SILENCE:g} s; start again") from error


@dataclass
class Job:
    """One goal being worked on."""

    goal: str
    env: Environment
    observation: Observation
    actor: Policy
    on_event: Callable[[Event], None]
    approve: Callable[[Request], Awaitable[bool]]
    max_steps: int
    interrupt: asyncio.Event
    rules: Rules
    files: Path | None = None  # what the browser uploads and downloads; scripts find copies
    work: Path | None = None  # where files are kept that scripts leave
    ask: Callable[[str], Awaitable[str]] | None = None  # the person, where one is there
    whole: bool = True  # whether the actor may take on all of the goal: not after a script
    program: Program | Script = WHOLE
    steps: list[tuple[Observation, Decision, str]] = field(default_factory=list)
    timings: list[float] = field(default_factory=list)
    kept: dict[str, Path] = field(default_factory=dict)  # files that scripts have left, by name
    prompt_tokens: int = 0
    completion_tokens: int = 0
    _seen: Counter[tuple[str, bytes | None, str]] = field(default_factory=Counter)
    _invalid: int = 0
    _told: bool = False
    _refused: bool = False
    _moved: int = 0  # times in a row that the page changed while a yes was waited for
    _agreed: Terms | None = None  # what the person said yes to, when that was the last step

    def __post_init__(self) -> None:
        """Rules without a `home` have it where the job starts; steps of an earlier run took no time here."""
        self.rules = replace(self.rules, home=self.rules.home or origin(self.observation.url))
        self.timings.extend(0.0 for _ in self.steps[len(self.timings) :])

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

    async def clear_up(self, question: str) -> None:
        """Ask the person what they meant; the goal with their answer. Raises Over where there is none.

        The question is not put into the goal: a page may have led to it, and a goal is the person's word.
        """
        self.say("coder", f"asks: {question}")
        if self.ask is None:
            raise Over("not done", f"it is unclear what to do, and nobody can be asked: {question}")
        with span("person", "ask", question=question) as this:
            this.came["answer"] = answer = await self.ask(question)
        if self.interrupt.is_set():
            raise Over("interrupted", "you interrupted")
        if not answer:
            raise Over("not done", f"not answered: {question}")
        self.goal = f"{self.goal} ({answer})"
        await self.begin()

    async def begin(self) -> None:
        """Ask the rails about the goal. Raises Over where they won't have it."""
        why = await self.unless_interrupted(judge_goal(self.goal, self.rules))
        if why is not None:
            self.say("policy", f"refuse the goal: {why}")
            raise Over("refused", f"the policy refuses the goal: {why}")

    async def run_program(self, program: Program) -> bool:
        """Do a straight line; whether it was done to its end.

        A step whose target has another name now, or has moved, is healed: found by what it has in common, or
        else by the actor, who does it or finds the way to it. What can't be healed so, the actor does with
        all that follows.
        """
        for step in program.steps:
            if isinstance(step, Act):
                await self.act(step.goal)
                if step.goal is None:
                    return True
                if self.steps[-1][1].action.name == "report_infeasible":
                    return False  # what follows was written for a page that it does not lead to
                continue
            match await self._found(step, program.values):
                case Action() as action:
                    done = await self.do(Decision(action, str(step)), "program")
                    if done and action.final:
                        return True
                case "over":
                    return False
                case "lost":
                    self.say("program", f"{step} is not found; the actor goes on")
                    await self.act(None)
                    return True
            if self.observation.error:
                self.say("program", f"{self.observation.error}; the actor takes over")
                await self.act(None)
                return True
        return True

    async def _found(self, step: Action, values: Sequence[str]) -> Action | Literal["healed", "over", "lost"]:
        """The step on this page, if need be after the actor has found the way there; or that the actor did
        the like of it in its place, or said that all is over, or has not found it."""
        for _ in range(DETOURS):
            if (action := self._placed(step, values)) is not None:
                return action
            decision, before = await self._healed(step), self.observation
            done = await self.do(decision, "actor")
            if done and decision.action.final:
                return "over"
            if done and _like(decision.action, step, before) and self._placed(step, values) is None:
                return "healed"
        return self._placed(step, values) or "lost"

    def _placed(self, step: Action, values: Sequence[str]) -> Action | None:
        """The step with its targets on this page, by what they are called or else nearly so."""
        args: list[Value] = []
        for arg in step.args:
            if isinstance(arg, Named) and self.observation.find(arg) is None:
                found = nearest(arg, values, self.observation)
                if found is None or found.ref is None:
                    return None
                self.say("program", f"{arg} is {quote(found.name)} here")
                arg = found.ref
            args.append(arg)
        return self.observation.labelled(Action(step.name, tuple(args)))

    async def _healed(self, step: Action) -> Decision:
        """What the actor does where a step of the program finds no target."""
        self.say("program", f"{step}: not on this page; the actor looks for it")
        decision = await self.unless_interrupted(self.actor.decide(self.goal, self.observation, self.history))
        self.spent(decision.prompt_tokens, decision.completion_tokens)
        return decision

    async def act(self, part: str | None) -> None:
        """The actor works on the goal, or a part of it, until it says it is done."""
        if part is None and not self.whole:
            raise Over("not done", "the script ran, the reviewer does not see it done, and no other has come")
        begun = 0 if part is None else len(self.history)
        while True:
            since = time.monotonic()
            decision = await self.unless_interrupted(
                self.actor.decide(part or self.goal, self.observation, self.history[begun:])
            )
            self.spent(decision.prompt_tokens, decision.completion_tokens)
            done = await self.do(decision, "actor", since)
            if done and decision.action.final:
                return

    async def do(self, decision: Decision, by: Who, since: float | None = None) -> bool:
        """One step: policy, approval, action, record; whether it was done, failed or not, and not kept from
        being so. Raises Over when the job can't go on."""
        since = time.monotonic() if since is None else since
        if self.interrupt.is_set():
            raise Over("interrupted", "you interrupted")
        if len(self.steps) >= self.max_steps:
            raise Over("not done", f"{self.max_steps} steps were not enough")
        before, action = self.observation, decision.action
        if not decision.valid:
            self._babbled(decision, by, since)
            return False
        with span("action", str(action), by=by, page=before.url) as this:
            if not await self._allowed(action):
                this.failed = "not done"
                return False
            self.on_event(Event(by, "does", str(action), before))
            # A step once begun is finished and recorded, interrupted or not: the page has changed.
            after = before if action.final else await in_time(self.env.step(action))
            self._record(before, decision, by, since, after)
            this.came |= {"page": after.url, "error": after.error}
        if not action.final:
            self._invalid = 0
            self.on_event(Event(by, "looks", after.error or after.url, after))
            self._watch(before, action, by)
        return True

    async def judged(self, action: Action) -> Verdict:
        """What policy and rails say to an action on this page."""
        with span("policy", str(action)) as this:
            judging = judge(action, self.observation, self.goal, self.rules)
            verdict = await self.unless_interrupted(judging)
            this.came |= {"decision": verdict.decision, "kind": verdict.kind, "why": verdict.why}
        return verdict

    async def _allowed(self, action: Action) -> bool:
        """Whether policy and person let it be done; False when the actor is to think again."""
        verdict = await self.judged(action)
        agreed, self._agreed = self._agreed, None
        if verdict.decision == "refuse":
            self.say("policy", f"refuse {action}: {verdict.why}")
            if self._refused:
                raise Over("refused", f"the policy refuses {action}: {verdict.why}")
            self._refused = True
            self.tell(f"not allowed: {verdict.why}; do something else")
            return False
        if verdict.decision == "ask":
            asked = terms(action, self.observation, verdict)
            if agreed is None or not agreed.covers(asked):
                return await self._agrees(Request(action, verdict, self.observation, asked))
        return True

    async def _agrees(self, request: Request) -> bool:
        """Whether the person says yes, and the terms are still the same then; Over where they say no."""
        action, verdict, asked = request.action, request.verdict, request.terms
        self.say("policy", f"ask before {action}: {verdict.why}")
        with span("person", "approve", terms=[*asked.lines()]) as this:
            this.came["yes"] = yes = await self.approve(request)
        if not yes and self.interrupt.is_set():
            raise Over("interrupted", "you interrupted")
        if not yes:
            raise Over("refused", f"not approved: {action} ({verdict.why})", asked)
        now = await in_time(self.env.observe())
        if terms(action, now, verdict) != asked:
            self.say("policy", "the page has changed since it was asked about")
            self.observation = now
            self._moved += 1
            if self._moved >= REPEATS:
                raise Over("not done", f"{action}: the page changed {REPEATS} times before a yes could count")
            self.tell("the page changed while you waited for a yes; look again")
            return False
        self._moved = 0
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

    def _watch(self, before: Observation, action: Action, by: Who) -> None:
        """Notice when this leads nowhere, in circles too: the model is told once, then it is `Stalled`."""
        if by == "actor" and len(self.steps) == self.max_steps - LAST:  # to a program it would be a failure
            self.tell(f"only {LAST} more steps can be taken; finish, or say what is missing")
        page = replace(before, error=None)
        self._seen[(page.text(), page.screenshot, str(action))] += 1
        if self._seen[(page.text(), page.screenshot, str(action))] < REPEATS:
            return
        self._seen.clear()
        done = f"{action} was done {REPEATS} times on the same page"
        if self._told:
            raise Stalled("not done", f"stuck: {done}")
        self._told = True
        self.say("policy", done)
        self.tell(f"{done}, and it was the same again; do something else")

    def tell(self, error: str) -> None:
        """Show the next decision what was wrong, where failures are shown anyway."""
        self.observation = replace(self.observation, error=error)


def _like(action: Action, step: Action, page: Observation) -> bool:
    """Whether an action on this page may stand for a program's step: the same call on elements of the same
    roles, with the same values. Any other is a step of the way there."""
    if action.name != step.name:
        return False
    for mine, wanted in zip(action.args, step.args, strict=False):
        if isinstance(wanted, Named):
            found = page.find(mine) if isinstance(mine, int | Named) else None
            if found is None or found.role != wanted.role:
                return False
        elif mine != wanted:
            return False
    return True
