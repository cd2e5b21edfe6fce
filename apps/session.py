"""A session at the terminal: a page, who works on it, the person who watches, approves and takes over.

Every task is kept as an episode under the state folder, beside it its screenshots and the files that its
scripts have left. Ctrl-C hands over to the person (of a program's run it is the end), a second one quits.

Not covered: who works (`chat.py` has the team, `replay.py` a program), where (`places.py`), and a browser of
the person's own.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agents.spans import Span, span, spent
from apps.undo import Trail, Undone
from tools import secrets, settings
from tools.actions import Action, ActionError
from tools.environment import EnvironmentDown
from tools.guard import dialog_box

if TYPE_CHECKING:
    from agents.job import Event, Request
    from agents.policies import Decision
    from agents.team import TeamResult
    from apps.places import Place
    from apps.terminal import Terminal
    from tools.memory import Memory
    from tools.observation import Observation
    from tools.rules import Rules
    from tools.secrets import Discreet
    from training.experiment import Trial

DIALOGS = 5  # that a page may open one after the other
HELP = 'type an action such as "Save" click(5), or: look, undo, continue, stop'


class Interrupt:
    """Ctrl-C: while the team works the first one hands over, or ends the task where nobody could take over;
    while a new task is `awaited` the first one says how to leave; any other one quits.

    `acts` is told when the team begins to act, and when the person has the wheel or a question to answer.
    """

    def __init__(self, terminal: Terminal) -> None:
        self.event = asyncio.Event()
        self.acts: Callable[[bool], None] = lambda acting: None
        self._terminal = terminal
        self._working = self.awaited = False
        self.hands_over = False
        self._main = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._pressed, number)

    @property
    def working(self) -> bool:
        """Whether the team works."""
        return self._working

    @working.setter
    def working(self, now: bool) -> None:
        self._working = now
        self.acts(now)

    @contextmanager
    def acting(self) -> Iterator[None]:
        """While what the person has typed is done."""
        self.acts(True)
        try:
            yield
        finally:
            self.acts(False)

    def touched(self, how: str) -> None:
        """The person has put their hand to the screen that the team works on."""
        if self.working and not self.event.is_set():
            self.event.set()
            self._terminal.say(f"{how}: handing over …")

    def _pressed(self, number: int) -> None:
        if number == signal.SIGINT and self.working and not self.event.is_set():
            self.event.set()
            does = "handing over" if self.hands_over else "stopping"
            self._terminal.say(f"{does} … (Ctrl-C again quits)")
        elif number == signal.SIGINT and self.awaited:
            self.awaited = False
            self._terminal.again("Ctrl-C again, or quit, leaves")
        elif self._main is not None:
            self.event.set()  # whoever waits for a model stops waiting
            self._terminal.say("\nclosing …", "dim")
            self._main.cancel()


@dataclass
class Session:
    """One browser and who works in it, for one task or several.

    `team` is called as `run_team` is, less what it needs for itself; `model` is the actor's name.
    """

    args: argparse.Namespace  # yes, max_steps
    terminal: Terminal
    interrupt: Interrupt
    trail: Trail
    observation: Observation
    place: Place
    policy: Rules
    team: Callable[..., Awaitable[TeamResult]]
    model: str
    kind: Literal["chat", "replay"] = "chat"
    memory: Memory | None = None  # where what worked is kept
    trial: tuple[Trial, str] | None = None  # two models are compared, and what this session is called there
    trace: str | None = None  # where each task's trace is kept, if anywhere (`training/traces.py`)
    last: tuple[str, TeamResult, Path] | None = None  # the last task, how it went, its episode
    _named: str = ""  # what may name secrets: the task, and what the person has answered
    _folder: Path = Path()
    _looks: int = 0
    _begun: int = 0  # tasks
    _keeping: asyncio.Task[None] | None = None
    _tracing: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        """A program can't go on from where a person leaves it."""
        self.interrupt.hands_over = self.terminal.interactive and self.kind == "chat"

    @property
    def env(self) -> Discreet:
        """The browser without its secrets; what is done in it goes through `trail`."""
        return self.trail.env

    async def do(self, task: str) -> dict[str, Any]:
        """One task to its end; what `--json` says about it. What breaks down ends it, and not the session."""
        try:
            return await self._done(task)
        except (settings.SettingsError, EnvironmentDown) as error:
            return self._not_begun(task, str(error))

    async def _done(self, task: str) -> dict[str, Any]:
        from agents.prompts import GOAL
        from apps.kept import keep
        from training.experiment import TrialError
        from trajectories.store import StoreError

        self._named = task
        self.env.give(secrets.named_in(task))
        self.interrupt.event.clear()
        self.interrupt.working = True  # from now on Ctrl-C hands over
        started = datetime.now(UTC)
        ident = f"{self.kind}-{started:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
        self._folder, self._looks = settings.home() / self.kind / ident, 0
        with self.terminal.working("getting ready …"):
            await self.settled()
            if self._begun:
                await self._back_home()
                if self.observation.error and not self.place.home.startswith("app:"):
                    return self._not_begun(task, f"back to the start: {self.observation.error}")
            else:
                # The first look was taken before the task was known.
                self.observation = await self.trail.observe()
        self._begun += 1
        self.trail.did.clear()
        self.last = None  # should it break down, a yes or no is none to the task before
        typed = self.kind == "chat" and self.terminal.interactive and self.args.task is None
        if not typed:  # else it stands right above
            self.terminal.say(f"{'task':>8}  {task}", "bold")
        if len(task) > GOAL:
            self.terminal.say(f"only the first {GOAL} of its {len(task)} characters are read", "bold red")
        self._picture(self.observation)
        with span("task", task, model=self.model, page=self.observation.url) as root:
            result, timings = await self._work(task)
            root.came |= {"outcome": result.outcome, "reason": result.reason}
        goal = result.goal or task
        of = {"model": self.model, "started": started.isoformat(), "max_steps": self.args.max_steps}
        site = self.place.site
        self.observation, episode = result.final, None
        try:
            episode = await asyncio.to_thread(keep, self.kind, ident, site, goal, result, timings, **of)
            self.last = goal, result, episode
        except StoreError as error:  # the task is done all the same
            self.terminal.say(f"{'':>8}  episode not kept: {error}", "bold red")
        good = result.outcome == "done"
        if self.trial is not None and result.outcome in ("done", "not done"):  # else the person ended it
            trial, session = self.trial
            try:
                await asyncio.to_thread(trial.record, session, ident, "reviewer", good)
            except TrialError as error:
                self.terminal.say(f"{'':>8}  not counted in the trial: {error}", "bold red")
        self.terminal.say(f"{result.outcome:>8}  {result.reason}", "bold green" if good else "bold red")
        tokens = f"{result.prompt_tokens} + {result.completion_tokens} tokens"
        self.terminal.say(f"{'':>8}  {len(result.steps)} steps, {tokens}, {result.seconds:.1f} s", "dim")
        if episode is not None:
            self.terminal.say(f"{'':>8}  episode {_short(episode)}", "dim")
        self.terminal.say(f"{'':>8}  screenshots {_short(self._folder)}", "dim")
        roles = spent(root)
        self.terminal.spent(roles)
        if result.outcome == "done" and self.memory is not None:
            self._keeping = asyncio.create_task(self._remember(self.memory, goal, result))
        if self.trace is not None:
            self._tracing = asyncio.create_task(self._traced(self.trace, root, ident, self._tracing))
        return {
            "task": task,
            "outcome": result.outcome,
            "reason": result.reason,
            "steps": [{"by": by, "action": str(d.action), "valid": d.valid} for _, d, by in result.steps],
            "prompt_tokens": result.prompt_tokens,
            "completion_tokens": result.completion_tokens,
            "seconds": round(result.seconds, 2),
            "roles": {
                role: asdict(cost) | {"seconds": round(cost.seconds, 2)} for role, cost in roles.items()
            },
            "model": self.model,
            "episode": str(episode) if episode is not None else None,
            "screenshots": str(self._folder),
            "files": [str(path.absolute()) for path in result.files],
            "not_approved": asdict(result.terms) if result.terms else None,
        }

    async def _back_home(self) -> None:
        """Where tasks begin, past the dialogs that the one before has left open: a page waits for their
        answer, which is no then."""
        for _ in range(DIALOGS):
            self.observation = await self.trail.step(Action("goto", (self.place.home,)))
            left = self.observation.error and dialog_box(self.observation) is not None
            if not left or self.place.home.startswith("app:"):
                return
            await self.trail.step(Action("keyboard_press", ("Escape",)))

    def _not_begun(self, task: str, why: str) -> dict[str, Any]:
        self.interrupt.working = False
        self.terminal.say(f"not done  {why}", "bold red")
        return {"task": task, "outcome": "not done", "reason": why, "steps": []}

    async def _remember(self, memory: Memory, task: str, result: TeamResult) -> None:
        from agents.team import remember
        from tools.memory import MemoryDown

        try:
            kept = await asyncio.to_thread(remember, memory, task, result)
        except (MemoryDown, ActionError) as error:  # the second where another version has kept the like of it
            return self.terminal.say(f"  memory  not kept: {error}", "magenta")
        if kept and not self.terminal.interactive:  # it would break into what is being typed
            self.terminal.say(f"  memory  kept a program of {kept} steps", "magenta")

    async def _traced(self, where: str, root: Span, ident: str, before: asyncio.Task[None] | None) -> None:
        """Write a trace, after the one before; the next task waits for neither."""
        from training.traces import TraceLost, write

        if before is not None:
            await before
        tags = {"episode": ident, "outcome": str(root.came["outcome"])}
        try:
            kept = await asyncio.to_thread(write, root, where, self.kind, masked=self.env.masked, tags=tags)
        except TraceLost as error:
            return self.terminal.say(f"   trace  not kept: {error}", "magenta")
        if not self.terminal.interactive:
            self.terminal.say(f"   trace  {kept}", "dim")

    async def settled(self) -> None:
        """Memory has what the finished task gave it, which the next one may want."""
        if self._keeping is not None:
            await self._keeping
            self._keeping = None

    async def closed(self) -> None:
        """Nothing goes on any more."""
        await self.settled()
        if self._tracing is not None:
            await self._tracing

    async def _work(self, task: str) -> tuple[TeamResult, list[float]]:
        """The team, and the person where they take over, until it ends."""
        from dataclasses import replace

        from tools.environment import origin

        steps: list[tuple[Observation, Decision, str]] = []
        timings: list[float] = []
        spent = [0, 0, 0.0]
        # A page's own start, wherever that has led since; on a desktop what is in front.
        on_desktop = self.place.home.startswith("app:")
        home = self.observation.url if on_desktop else self.place.home
        what = f"hands the {'desktop' if on_desktop else 'browser'} over to you"
        what = what if self.interrupt.hands_over else "stops it"
        policy = replace(self.policy, home=origin(home), careful=self.place.own)
        while True:
            self.interrupt.working = True
            with self.terminal.working(f"working; Ctrl-C {what}"):
                result = await self.team(
                    task,
                    self.trail,
                    self.observation,
                    on_event=self._show,
                    approve=self._approve,
                    **({"ask": self._ask} if self.kind == "chat" and self.terminal.interactive else {}),
                    max_steps=self.args.max_steps,
                    interrupt=self.interrupt.event,
                    earlier=steps,
                    files=Path(self.place.files),
                    work=_short(self._folder / "work"),
                    rules=policy,
                )
            self.interrupt.working = False
            self.interrupt.event.clear()
            task = result.goal or task  # with what the person answered
            steps = list(result.steps)
            timings.extend(result.timings[len(timings) :])
            spent = [
                spent[0] + result.prompt_tokens,
                spent[1] + result.completion_tokens,
                spent[2] + result.seconds,
            ]
            self.observation = result.final
            if result.outcome != "interrupted" or not self.interrupt.hands_over:
                break
            goes_on = await self._hand_over(steps, timings)
            if not goes_on:
                break
        total = replace(
            result,
            steps=tuple(steps),
            final=self.observation,
            prompt_tokens=int(spent[0]),
            completion_tokens=int(spent[1]),
            seconds=spent[2],
        )
        return total, timings

    async def _hand_over(self, steps: list[tuple[Observation, Decision, str]], timings: list[float]) -> bool:
        """The person acts; True to let the team go on."""
        from agents.actor import read
        from agents.job import Event
        from agents.policies import Decision
        from trajectories.examples import UNDO

        self.terminal.say(f"you have the wheel: {HELP}", "bold")
        self.observation = await self.trail.observe()
        while (line := await self.terminal.line("you> ", fresh=True)) is not None:
            match line.strip().lower():
                case "":
                    continue
                case "continue" | "c":
                    self.observation = await self.trail.observe()  # hands may have changed it since
                    return True
                case "stop" | "s" | "quit":
                    return False
                case "look" | "l":
                    self.observation = await self.trail.observe()
                    self.terminal.say(self.observation.text())
                    continue
                case "undo" | "u" | "/undo":
                    undone = await self.undo()
                    self.terminal.say(undone.said)
                    for before, action in undone.steps:
                        steps.append((before, Decision(action, UNDO), "person"))
                        timings.append(0.0)
                    continue
            try:
                action = read(line, self.observation)
            except ActionError as error:
                self.terminal.say(f"{error}; {HELP}", "red")
                continue
            loop = asyncio.get_running_loop()
            since = loop.time()
            self._show(Event("person", "does", str(action), self.observation))
            with span("action", str(action), by="person", page=self.observation.url) as this:
                with self.interrupt.acting():
                    after = await self.trail.step(action)
                this.came |= {"page": after.url, "error": after.error}
            steps.append((self.observation, Decision(action, line), "person"))
            timings.append(loop.time() - since)
            self.observation = after
            self._show(Event("person", "looks", after.error or after.url, after))
        return False

    async def undo(self) -> Undone:
        """Undo the last step of the task as far as can be."""
        with self.interrupt.acting():
            undone = await self.trail.undo()
        self.observation = await self.trail.observe()
        return undone

    async def _approve(self, request: Request) -> bool:
        what = f"{request.action}: {request.verdict.why}"
        self.terminal.terms(request.terms)
        if self.args.yes:
            self.terminal.say(f"{'person':>8}  yes (--yes) to {what}", "bold")
            return True
        if not self.terminal.interactive:
            self.terminal.say(f"nobody is here to approve {what}; run it again with --yes to allow it", "red")
            return False
        yourself = ", or Ctrl-C and do it yourself" if self.interrupt.hands_over else ""
        return (await self._answered(f"  allow this? [y/N{yourself}] ")).lower() in ("y", "yes")

    async def _ask(self, question: str) -> str:
        """The person's answer to a question of the team, which they have just been shown."""
        while True:
            answer = await self._answered("  answer> ")
            try:
                self.env.give(secrets.named_in(f"{self._named} {answer}"))
            except settings.SettingsError as error:
                self.terminal.say(f"{error}, or answer otherwise", "red")
                continue
            self._named += f" {answer}"
            return answer

    async def _answered(self, prompt: str) -> str:
        """What the person types now; nothing where they press Ctrl-C instead."""
        self.interrupt.acts(False)  # the answer may be typed on the very screen that is watched
        answer = asyncio.ensure_future(self.terminal.line(prompt, fresh=True))
        stop = asyncio.ensure_future(self.interrupt.event.wait())
        await asyncio.wait({answer, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        self.interrupt.acts(not self.interrupt.event.is_set())
        if not answer.done():
            answer.cancel()
            return ""
        return (answer.result() or "").strip()

    def _show(self, event: Event) -> None:
        if event.kind == "looks" and event.observation is not None:
            self._picture(event.observation)
        self.terminal.event(event)

    def _picture(self, observation: Observation) -> None:
        """Keep the screenshot, where that can be: on a full disk the work goes on."""
        if observation.screenshot is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"step-{self._looks:02}.png").write_bytes(observation.screenshot)
        except OSError as error:
            return self.terminal.say(f"{'':>8}  screenshot not kept: {error.strerror}", "bold red")
        self._looks += 1


def _short(path: Path) -> Path:
    """The path from where we stand, where that is shorter."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
