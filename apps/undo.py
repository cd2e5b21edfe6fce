"""Undoing the last step of a task, as far as that can honestly be done.

A step that only led to another page is undone by going back; one that only filled in a field, chose an option
or ticked a box, by putting back what was there. What was sent to the app (by anything but GET and HEAD) stays
sent, and that is said; so is what a page's own script did in place. In the end the page is compared with
what it was, and a difference is shown.

Not covered: what an app does upon a GET, or is told through a WebSocket; episode and memory, where what was
done stays done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import urldefrag

from tools.actions import ACTIONS, Action
from tools.environment import Start
from tools.observation import EDITABLE, Element, Observation, Table, shorten
from tools.secrets import Discreet

DRAWN = frozenset({"mouse_path", "mouse_drag_and_drop"})  # what they change may be seen only
TICKED = frozenset({"checkbox", "switch"})


@dataclass(frozen=True)
class Did:
    """A step, the page that it was done on, and how much had been sent before it."""

    action: Action
    before: Observation
    sent: int


@dataclass(frozen=True)
class Undone:
    """What came of it, in words, and the actions that it took, each with the page that it was done on."""

    said: str
    steps: list[tuple[Observation, Action]] = field(default_factory=list)


class Trail:
    """An environment that remembers what was done in it. Implements `Environment`.

    `sent` counts the requests that may have changed something, as `BrowserEnvironment.writes` does.
    """

    def __init__(self, env: Discreet, sent: Callable[[], int]) -> None:
        self.env = env
        self.sent = sent
        self.did: list[Did] = []
        self._seen: Observation | None = None

    async def reset(self, start: Start) -> Observation:
        self.did.clear()
        self._seen = await self.env.reset(start)
        return self._seen

    async def observe(self) -> Observation:
        self._seen = await self.env.observe()
        return self._seen

    async def step(self, action: Action) -> Observation:
        before, sent = self._seen or await self.env.observe(), self.sent()
        self._seen = await self.env.step(action)
        self.did.append(Did(action, before, sent))
        return self._seen

    async def tables(self) -> list[Table]:
        return await self.env.tables()

    async def close(self) -> None:
        await self.env.close()

    async def undo(self) -> Undone:
        """Undo the last step that changed anything, and forget it; or say why that can't be."""
        now, sent = await self.observe(), self.sent()
        while self.did and sent == self.did[-1].sent and _idle(self.did[-1], now):
            self.did.pop()
        if not self.did:
            return Undone("nothing to undo: no step of this task has changed anything")
        last = self.did[-1]
        what = f"not undone: {last.action}"
        if sent > last.sent:
            return Undone(f"{what} has sent something to the app, and that stays; mend it there")
        steps: list[tuple[Observation, Action]] = []
        for way in _ways(last, now):
            if way.name == "goto" and steps and not now.error and _place(now) == _place(last.before):
                break  # it has gone back already
            if all(now.find(target) for target in way.targets):
                steps.append((now, now.labelled(way)))
                now = self._seen = await self.env.step(steps[-1][1])
        if not steps:
            if last.before.url.startswith("app:"):
                return Undone(f"{what} can only be undone by the application itself: try its Edit menu")
            return Undone(
                f"{what} changed the page in place. Loading {last.before.url} anew may bring it back, and "
                "loses what is filled in there"
            )
        if now.error:
            return Undone(f"{what}: {now.error}", steps)
        self.did.pop()
        also = " This itself has sent something to the app." if self.sent() > sent else ""
        return Undone(f"{_compared(last, now)}.{also}", steps)


def _idle(did: Did, now: Observation) -> bool:
    """Whether nothing came of the step that could be undone."""
    if _place(did.before) != _place(now):
        return False
    return ACTIONS[did.action.name].risk == "read" or (
        did.action.name not in DRAWN and _lines(did.before) == _lines(now)
    )


def _ways(did: Did, now: Observation) -> Iterator[Action]:
    """The actions that lead back, none where there is no way; a `goto` where those before it do not."""
    before = did.before
    opened = len(now.tabs) - len(before.tabs)
    if opened > 0:
        yield Action("tab_close")
    elif opened == 0 and before.tab != now.tab:
        yield Action("tab_focus", (before.tab,))
    elif opened == 0 and before.url != now.url:
        if did.action.name != "go_back":
            yield Action("go_back")  # it keeps what was filled in there
        yield Action("goto", (before.url,))
    elif opened == 0:
        yield from _put_back(before, now)


def _put_back(before: Observation, after: Observation) -> Iterator[Action]:
    """What fills the fields that both pages have with what they held before."""
    for was in before.actionable():
        assert was.ref is not None
        target = before.named(was.ref)
        now = after.find(target) if target is not None else None
        if target is None or now is None:
            continue
        ticks = _ticked(was) != _ticked(now)
        if ticks and (was.role in TICKED or (was.role == "radio" and _ticked(was))):
            yield Action("click", (target,))
        elif was.role in EDITABLE and (was.value or "") != (now.value or ""):
            if was.options and was.value:
                yield Action("select_option", (target, was.value))
            elif not (was.value or "").startswith("\u2022"):  # a password that was typed before
                yield Action("fill", (target, was.value or ""))


def _ticked(element: Element) -> bool:
    return "checked" in element.states


def _place(seen: Observation) -> tuple[str, int, int]:
    return seen.url, max(1, len(seen.tabs)), seen.tab


def _lines(seen: Observation) -> list[str]:
    return replace(seen, error=None).text().splitlines()


def _compared(did: Did, now: Observation) -> str:
    """How the page is now, against what it was."""
    was, shows = _lines(did.before), _lines(now)
    where = shorten(urldefrag(now.url).url, 100)
    if was == shows:
        return f"undone: {did.action}; {where} is as it was before"
    missing = [f"it had {shorten(line)}" for line in was if line not in shows]
    more = [f"now it has {shorten(line)}" for line in shows if line not in was]
    other = [*missing[:1], *more[:1]] or ["the order is another"]
    return f"undone as far as can be: {did.action}; {where} is not quite as before: {', '.join(other)}"
