"""Exploring an application: state after state, near ones first, all that is harmless is tried.

Two desktops are used: on one a state is reached and its attempts are made, on the other each demonstration is
replayed from a fresh start. After an attempt the first is led back by Escape, by a second click on a box, or
to the tab before, and menus are opened again; where that does not bring the very same look, it is started
again and the way gone anew.

What brings up a menu, a window, a tab or other elements leads to further states; what is ticked, filled in or
pressed otherwise is not built on.

Not covered: using what was found (`suite.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from agents.clients import ChatModel
from tools.actions import Action, Named
from tools.desktop import DesktopEnvironment
from tools.observation import Observation
from tools.x11.menus import MARKED
from trajectories.applications import effects, wording
from trajectories.applications.attempts import attempts
from trajectories.applications.oracle import ESCAPE
from trajectories.applications.state import BOXES, State, fingerprint, held, opens_menu, reached, same, way_to
from trajectories.applications.task import ApplicationTask, walked
from trajectories.explore.attempts import Attempt
from trajectories.explore.demonstration import Demonstration
from trajectories.explore.effects import target_of
from trajectories.explore.exploring import Exploring
from trajectories.explore.site import Known, Link, Site


class Walk(Exploring[State]):
    """One walk of an application: attempts in `env`, replays in `aside`."""

    def __init__(
        self,
        site: Site,
        env: DesktopEnvironment,
        aside: DesktopEnvironment,
        teacher: ChatModel | None = None,
        note: Callable[[str], None] = lambda said: None,
    ) -> None:
        super().__init__(site, aside, teacher, note)
        self.desktop = env
        self._now: Observation | None = None  # what is to be seen on the desktop

    async def _enter(self) -> str:
        if self.site.walked or self.site.queue:
            return ""
        looks = await walked(self.desktop, self.site.access.url, ())
        return fingerprint(looks[0])

    async def _leave(self) -> None:
        return

    def _next(self) -> str:
        """Menus and what they lead to take turns, and of either what is nearest comes first."""
        known = self.site.known
        walked = Counter(known[where].menu for where in self.site.walked)
        return min(self.site.queue, key=lambda where: walked[known[where].menu])

    def _task(self, made: Demonstration, seed: int) -> ApplicationTask:
        return ApplicationTask(self.site, made, seed)

    async def _page(self, where: str, enough: Callable[[], bool]) -> bool:
        here = await self._arrive(where)
        if here is None:
            self.note(f"{len(self.site.walked) + 1}: {self._said(where)}, not the same when reached again")
            return True
        known = self.site.known[where]
        self.site.known[where] = replace(known, heading=here.look.title)
        found = list(attempts(here, self.site.access.writes, self.chance))
        self.note(f"{len(self.site.walked) + 1}: {self._said(where)}, {len(found)} things to try")
        done = {d.steps for d in self.site.demonstrations if d.page == where}
        for attempt in found:
            if enough():
                return False
            if attempt.steps not in done:
                await self.attempt(here, attempt)
        return True

    def _said(self, where: str) -> str:
        known = self.site.known[where]
        return f'"{known.name}" ({known.heading})' if known.name else self.site.access.url

    async def _arrive(self, where: str) -> State | None:
        """The state reached on a fresh desktop; None where the way no longer leads there."""
        way = way_to(where, self.site)
        looks = await walked(self.desktop, self.site.access.url, way)
        self._now = looks[-1]
        if looks[-1].error or fingerprint(looks[-1]) != where:
            return None
        return reached(way, looks)

    async def _again(self, page: State) -> State | None:
        """The state once more: it may be there still, or but for its menus; else it is reached anew."""
        if self._now is not None and same(self._now, page.ground):
            for link in page.menus:
                self._now = await self.desktop.step(Action("click", (link.target,)))
        if self._now is not None and same(self._now, page.look):
            return page
        return await self._arrive(page.place)

    async def _try(self, page: State, attempt: Attempt) -> Demonstration | None:
        again = await self._again(page)
        if again is None:
            return None
        page = again
        target = target_of(attempt.steps[0])
        values = attempt.draw(self.chance)
        action = Demonstration("", page.place, attempt.steps, effects.Effect()).actions(values)[0]
        was = held(page.look)
        after = await self.desktop.step(action)
        self._now = after
        closes = target.role.startswith("menuitem")
        marks = await self.desktop.marks() if target.role in MARKED else {}
        ground = page.ground if closes and not _nested(after, page) else page.look
        found = effects.of(ground, after, attempt, values, was, marks)
        if found is not None and (found[0] == "open" or _new(found[1].shows) or target.role == "tab"):
            self._lead(page, Link(page.place, target.name, fingerprint(after), role=target.role), after)
        if not same(after, page.look) and (back := _back(page, target, found[0] if found else "")):
            self._now = await self.desktop.step(back)
        if found is None:
            return None
        kind, effect = found
        before = {name: said == "on" for name, said in was.items() if name in marks}
        if any(effects.holds(effect, look, before, values) for look in page.looks):
            return None  # doing nothing would do, or going there only
        goals = wording.goals(kind, effect, attempt, page.place, self.site)
        return Demonstration(kind, page.place, attempt.steps, effect, goals, attempt.slots) if goals else None

    def _lead(self, page: State, link: Link, after: Observation) -> None:
        """Put a link on the map, and where it leads on the list of states to walk."""
        site = self.site
        if link.end == link.start or link in site.links:
            return
        site.links.append(link)
        if link.end not in site.known:
            site.known[link.end] = Known(
                link.name, page.place, after.title, menu=opens_menu(page.look, after)
            )
            site.queue.append(link.end)


def _new(shows: tuple[str, ...]) -> bool:
    """Whether something came up that can be used, not only a window's other name."""
    return any(not name.startswith("window(") for name in shows)


def _back(page: State, target: Named, kind: str) -> Action | None:
    """What may bring the state back without starting anew; None where nothing is known to."""
    if kind == "open":
        return ESCAPE
    if target.role == "tab":
        before = [e for e in page.look.actionable() if e.role == "tab" and "selected" in e.states]
        return Action("click", (Named("tab", before[0].name),)) if len(before) == 1 else None
    return Action("click", (target,)) if target.role in BOXES - MARKED - {"radio"} else None


def _nested(after: Observation, page: State) -> bool:
    """Whether the menus of a state are still open: another has opened beside them."""
    fresh = {(e.role, e.name) for e in page.fresh}
    return fresh <= {(e.role, e.name) for e in after.actionable()}
