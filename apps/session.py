"""A session at the terminal: a page, who works on it, the person who watches, approves and takes over.

Every task is kept as an episode under the state folder, beside it its screenshots and the files that its
scripts have left. Ctrl-C hands over to the person, a second one quits.

Not covered: who works (`chat.py` has the team, `replay.py` a program), and a browser of the person's own.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from agents.spans import Span, span, spent
from apps.undo import Trail, Undone
from tools import secrets, settings
from tools.actions import Action, ActionError

if TYPE_CHECKING:
    from agents.job import Event, Request
    from agents.policies import Decision
    from agents.team import TeamResult
    from apps.terminal import Terminal
    from tools.memory import Memory
    from tools.observation import Observation
    from tools.rules import Rules
    from tools.secrets import Discreet

HELP = 'type an action such as "Save" click(5), or: look, undo, continue, stop'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What every session in a browser can be told."""
    parser.add_argument("--url", help="the page to work on; without it the demo help desk is started")
    parser.add_argument("--headed", action="store_true", help="show the browser's window")
    parser.add_argument("--seed", type=int, default=0, help="the help desk's data and look")
    add_working(parser)


def add_working(parser: argparse.ArgumentParser) -> None:
    """What every session at a terminal can be told, wherever it works."""
    parser.add_argument(
        "--yes", action="store_true", help="approve what would be asked (never what is refused)"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object on stdout, and nothing else there"
    )
    parser.add_argument("--max-steps", type=int, default=30, metavar="N", help="actions a task may take")


def misused(args: argparse.Namespace) -> str | None:
    """What is wrong with those, and the mend."""
    url = getattr(args, "url", None)  # a desktop has none
    if url and urlsplit(url).scheme not in ("http", "https", "file"):
        return f"--url {url} is no address; write it as http://host/path"
    if args.max_steps < 1:
        return "--max-steps must be at least 1"
    return None


@dataclass(frozen=True)
class Place:
    """Where a session works: the first address, the one later tasks begin at, and its short name."""

    enter: str
    home: str
    site: str
    files: str
    own: bool = False  # the person's own screen, where whatever changes something is asked


class Interrupt:
    """Ctrl-C: while the team works the first one hands over; any other one quits.

    `acts` is told when the team begins to act, and when the person has the wheel or a question to answer.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.event = asyncio.Event()
        self.acts: Callable[[bool], None] = lambda acting: None
        self._say = say
        self._working = False
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
            self._say(f"{how}: handing over …")

    def _pressed(self, number: int) -> None:
        if number == signal.SIGINT and self.working and not self.event.is_set():
            self.event.set()
            self._say("handing over … (Ctrl-C again quits)")
        elif self._main is not None:
            self.event.set()  # whoever waits for a model stops waiting
            self._main.cancel()


async def opened_page(
    args: argparse.Namespace, stack: AsyncExitStack, policy: Rules, interrupt: Interrupt
) -> tuple[Trail, Observation, Place]:
    """A browser at `args.url`, or at a demo help desk started for it. Raises EnvironmentDown."""
    from tools.browser import Browser
    from tools.environment import Start, origin

    browser = Browser(headless=settings.load().headless and not args.headed)
    _, place = await asyncio.gather(stack.enter_async_context(browser), _place(args, stack))
    page = browser.environment()
    trail = Trail(secrets.Discreet(page), lambda: page.writes)
    start = Start(place.enter, (origin(place.enter), *policy.opened), files=place.files)
    return trail, await trail.reset(start), place


async def _place(args: argparse.Namespace, stack: AsyncExitStack) -> Place:
    if args.url:
        files = settings.home() / "files"
        files.mkdir(exist_ok=True)
        site = re.sub(r"[^A-Za-z0-9.-]+", "-", urlsplit(args.url).hostname or "file")
        return Place(args.url, args.url, site, str(files))
    from trajectories.helpdesk.server import HelpDeskServer

    desk = await stack.enter_async_context(HelpDeskServer(args.seed))
    return Place(desk.home_url, desk.url + "/", "helpdesk", str(desk.files))


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
    trace: str | None = None  # where each task's trace is kept, if anywhere (`training/traces.py`)
    last: tuple[str, TeamResult, Path] | None = None  # the last task, how it went, its episode
    _folder: Path = Path()
    _looks: int = 0
    _begun: int = 0  # tasks
    _keeping: asyncio.Task[None] | None = None
    _tracing: asyncio.Task[None] | None = None

    @property
    def env(self) -> Discreet:
        """The browser without its secrets; what is done in it goes through `trail`."""
        return self.trail.env

    async def do(self, task: str) -> dict[str, Any]:
        """One task to its end; what `--json` says about it."""
        try:
            self.env.give(secrets.named_in(task))
        except settings.SettingsError as error:
            self.terminal.say(f"not done  {error}", "bold red")
            return {"task": task, "outcome": "not done", "reason": str(error), "steps": []}
        started = datetime.now(UTC)
        ident = f"{self.kind}-{started:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
        self._folder, self._looks = settings.home() / self.kind / ident, 0
        self._folder.mkdir(parents=True)
        await self.settled()
        if self._begun:
            self.observation = await self.trail.step(Action("goto", (self.place.home,)))
        else:
            # The first look was taken before the task was known.
            self.observation = await self.trail.observe()
        self._begun += 1
        self.trail.did.clear()
        self.terminal.say(f"{'task':>8}  {task}", "bold")
        self._picture(self.observation)
        with span("task", task, model=self.model, page=self.observation.url) as root:
            result, timings = await self._work(task)
            root.came |= {"outcome": result.outcome, "reason": result.reason}
        episode = await asyncio.to_thread(self._keep, ident, task, result, timings, started.isoformat())
        self.observation = result.final
        self.last = task, result, episode
        good = result.outcome == "done"
        self.terminal.say(f"{result.outcome:>8}  {result.reason}", "bold green" if good else "bold red")
        tokens = f"{result.prompt_tokens} + {result.completion_tokens} tokens"
        self.terminal.say(
            f"{'':>8}  {len(result.steps)} steps, {tokens}, {result.seconds:.1f} s; {episode}", "dim"
        )
        roles = spent(root)
        self.terminal.spent(roles)
        if result.outcome == "done" and self.memory is not None:
            self._keeping = asyncio.create_task(self._remember(self.memory, task, result))
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
            "episode": str(episode),
            "screenshots": str(self._folder),
            "files": [str(path.absolute()) for path in result.files],
            "not_approved": asdict(result.terms) if result.terms else None,
        }

    async def _remember(self, memory: Memory, task: str, result: TeamResult) -> None:
        from agents.team import remember
        from tools.memory import MemoryDown

        try:
            kept = await asyncio.to_thread(remember, memory, task, result)
        except MemoryDown as error:
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
        policy = replace(self.policy, home=origin(self.observation.url), careful=self.place.own)
        while True:
            self.interrupt.event.clear()
            self.interrupt.working = True
            result = await self.team(
                task,
                self.trail,
                self.observation,
                on_event=self._show,
                approve=self._approve,
                max_steps=self.args.max_steps,
                interrupt=self.interrupt.event,
                earlier=steps,
                files=Path(self.place.files),
                work=_short(self._folder / "work"),
                rules=policy,
            )
            self.interrupt.working = False
            steps = list(result.steps)
            timings.extend(result.timings[len(timings) :])
            spent = [
                spent[0] + result.prompt_tokens,
                spent[1] + result.completion_tokens,
                spent[2] + result.seconds,
            ]
            self.observation = result.final
            if result.outcome != "interrupted" or not self.terminal.interactive or self.kind == "replay":
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

        self.terminal.say(f"you have the wheel: {HELP}", "bold")
        self.observation = await self.trail.observe()
        while (line := await self.terminal.line("you> ", fresh=True)) is not None:
            match line.strip().lower():
                case "":
                    continue
                case "continue" | "c":
                    return True
                case "stop" | "s" | "quit":
                    return False
                case "look" | "l":
                    self.terminal.say(self.observation.text())
                    continue
                case "undo" | "u" | "/undo":
                    undone = await self.undo()
                    self.terminal.say(undone.said)
                    for before, action in undone.steps:
                        steps.append((before, Decision(action, "undo"), "person"))
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
        self.interrupt.acts(False)  # the answer may be typed on the very screen that is watched
        answer = asyncio.ensure_future(self.terminal.line(f"  allow {what}? [y/N] ", fresh=True))
        stop = asyncio.ensure_future(self.interrupt.event.wait())
        await asyncio.wait({answer, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        self.interrupt.acts(not self.interrupt.event.is_set())
        if not answer.done():  # Ctrl-C at the question is a no
            answer.cancel()
            return False
        return (answer.result() or "").strip().lower() in ("y", "yes")

    def _show(self, event: Event) -> None:
        picture = None
        if event.kind == "looks" and event.observation is not None:
            picture = self._picture(event.observation)
        self.terminal.event(event, picture)

    def _picture(self, observation: Observation) -> Path | None:
        """The screenshot saved; its path, relative where that is shorter."""
        if observation.screenshot is None:
            return None
        path = self._folder / f"step-{self._looks:02}.png"
        path.write_bytes(observation.screenshot)
        self._looks += 1
        return _short(path)

    def _keep(self, ident: str, task: str, result: TeamResult, timings: list[float], started: str) -> Path:
        """Write the episode. Its success is the reviewer's word, and says so; a replay's is that it ran."""
        from trajectories.episode import Ended, Episode, Step
        from trajectories.store import Store
        from trajectories.tasks import Outcome

        checked = {"checked_by": "reviewer"} if self.kind == "chat" else {}
        extra: dict[str, Any] = {**checked, "outcome": result.outcome, "reason": result.reason}
        if result.files:
            extra["files"] = [path.name for path in result.files]
        last = result.steps[-1][1].action.name if result.steps else ""
        ended: Ended = "done" if result.outcome == "done" else "error"
        if ended == "error":
            extra["error"] = f"{result.outcome}: {result.reason}"
            if last == "report_infeasible":
                ended = "infeasible"
            elif len(result.steps) >= self.args.max_steps:
                ended = "budget"
        pairs = zip(result.steps, timings, strict=True)
        steps = tuple(Step(look, decision, by, round(s, 4)) for (look, decision, by), s in pairs)
        episode = Episode(
            id=ident,
            task=f"{self.kind}/{self.place.site}/0",
            goal=task,
            steps=steps,
            final=result.final,
            outcome=Outcome(result.outcome == "done"),
            ended=ended,
            policy="team" if self.kind == "chat" else self.kind,
            model=self.model,
            started=started,
            extra=extra,
        )
        return Store(settings.home() / "episodes").add(episode)


def _short(path: Path) -> Path:
    """The path from where we stand, where that is shorter."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
