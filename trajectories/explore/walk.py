"""Exploring a site: page after page, those least like what was walked first, all that is harmless is tried.

Every attempt is made with values of its own, its effect is read off the app (`effects.py`) and said in words
(`wording.py`); what becomes of it is any walk's matter (`exploring.py`).

Not covered: using what was found (`suite.py`); desktop applications (`trajectories/applications/`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

from agents.clients import ChatModel
from tools.actions import Action, Named, parse
from tools.browser import BrowserEnvironment
from tools.environment import EnvironmentDown
from trajectories.explore import effects, questions, wording
from trajectories.explore.attempts import Attempt, attempts, leads_to
from trajectories.explore.demonstration import Demonstration, is_at, place
from trajectories.explore.door import Door
from trajectories.explore.exploring import Exploring
from trajectories.explore.page import Page, read_page
from trajectories.explore.site import Known, Link, Site
from trajectories.explore.task import SiteTask

ALIKE = 3  # pages walked of those whose addresses differ in numbers only
VARIANTS = 5  # pages walked of those whose addresses differ in their query only
SAME = 3  # things tried of those that do the same to pages alike
CONFIRMS = re.compile(r"(?i)\b(yes|sure|confirm|delete|remove|ok)\b")


class Walk(Exploring[Page]):
    """One walk of a site, in one environment."""

    def __init__(
        self,
        site: Site,
        env: BrowserEnvironment,
        teacher: ChatModel | None = None,
        note: Callable[[str], None] = lambda said: None,
    ) -> None:
        super().__init__(site, env, teacher, note)
        self.browser = env
        self.door = Door(site.access)
        self._tried = Counter(_likeness(d.page, d.steps) for d in site.demonstrations)

    async def _enter(self) -> str:
        await self.door.put_back()
        if self.site.walked or self.site.queue:
            return ""
        return place((await self.door.enter(self.browser, place(self.site.access.url))).url)

    async def _leave(self) -> None:
        await self.door.leave()

    def _next(self) -> str:
        """What is least known comes first, and of that what is nearest."""
        walked = Counter(_pattern(w) for w in self.site.walked)
        return min(self.site.queue, key=lambda w: walked[_pattern(w)])

    def _task(self, made: Demonstration, seed: int) -> SiteTask:
        return SiteTask(self.site, self.door, made, seed)

    async def _page(self, where: str, enough: Callable[[], bool]) -> bool:
        """Try all that is new on a page; False where it was enough before its end."""
        site = self.site
        try:
            look = await self.door.enter(self.browser, where)
        except EnvironmentDown:
            if not site.walked:
                raise
            return True
        if (there := place(look.url)) != where:  # it sends elsewhere
            if there not in site.known:
                site.known[there] = site.known[where]
                site.queue.append(there)
            return True
        page = await read_page(self.browser)
        if page.status >= 400:
            return True
        known = site.known[where]
        name = known.name or (page.heading if known.parent else "")
        filled = any(t.element.value and not t.element.options for t in page.things)
        site.known[where] = known = replace(known, heading=page.heading, name=name, filled=filled)
        alike = [site.known[w] for w in site.walked if urlsplit(w).path == urlsplit(where).path]
        if any((other.heading, other.filled) == (known.heading, filled) for other in alike):
            return True  # the same list, sorted or filtered
        found = list(attempts(page, site, self.chance))
        ways = [(effects.target_of(a.steps[0]), a.leads) for a in found if a.leads]
        ways += [(target, leads_to(page, thing, site.access)) for target, thing in page.others()]
        self._links(page, [(target, leads) for target, leads in ways if leads])
        self.note(f"{len(site.walked) + 1}: {where}, {len(found)} things to try")
        for question in questions.on(page, site):
            await self.keep(question)
        for attempt in found:
            if enough():
                return False
            if self._new(page, attempt):
                await self.attempt(page, attempt)
        return True

    def _links(self, page: Page, ways: list[tuple[Named, str]]) -> None:
        """Put the page's links on the map, and what they lead to on the list of pages to walk."""
        site = self.site
        alike = Counter(_pattern(leads) for _, leads in ways)
        named = Counter(target.name for target, _ in ways)
        have = {(link.start, link.name, link.nth) for link in site.links if link.start == page.place}
        for target, leads in ways:
            if (page.place, target.name, target.nth) not in have:
                site.links.append(Link(page.place, target.name, leads, target.nth))
            path = urlsplit(leads).path
            record = alike[_pattern(leads)] > 1 and re.search(r"\d", path) is not None
            if leads not in site.known:
                name = target.name if named[target.name] == 1 else ""
                site.known[leads] = Known(name, page.place, record=record and bool(name))
            there = (*site.walked, *site.queue)
            same = [w for w in there if _pattern(w) == _pattern(leads)]
            queried = [w for w in there if urlsplit(w).path == path and "?" in w]
            variant = "?" in leads and (path == urlsplit(page.place).path or len(queried) >= VARIANTS)
            if leads not in there and len(same) < ALIKE and not variant:
                site.queue.append(leads)

    def _new(self, page: Page, attempt: Attempt) -> bool:
        """Whether enough of its like has not been tried yet."""
        if attempt.leads:
            known = (d for d in self.site.demonstrations if d.steps == attempt.steps and d.effect.at)
            if any(is_at(attempt.leads, d.effect.at, {}) for d in known if not d.slots):
                return False  # the same link on another page
            like = f"{_pattern(page.place)} {_pattern(attempt.leads)}"
        else:
            like = _likeness(page.place, attempt.steps)
        self._tried[like] += 1
        return self._tried[like] <= SAME

    async def _try(self, page: Page, attempt: Attempt) -> Demonstration | None:
        values = attempt.draw(self.chance)
        if attempt.writes or self.door.wrote:
            look = await self.door.enter(self.browser, page.place, attempt.writes)
        else:
            look = await self.browser.step(Action("goto", (self.site.access.address(page.place),)))
        steps = list(attempt.steps)
        for action in Demonstration("", page.place, attempt.steps, effects.Effect()).actions(values):
            if look.find(action.targets[0]) is None:
                look = await self._into_view(action)
            look = await self.browser.step(action)
            if look.error:
                return None
        if attempt.means == "delete" and (confirm := self._confirmation(look, page)):
            steps.append(f"click({confirm})")
            await self.browser.step(parse(steps[-1]))
        after = await read_page(self.browser, 1)
        if after.look.tabs:
            return None  # a window of its own
        if attempt.writes:
            found = await effects.of_writing(self.browser, self.door, self.site, page, after, attempt, values)
        else:
            found = effects.of_reading(page, after, attempt, values)
            if found and attempt.leads and attempt.leads in self.site.known:
                known = self.site.known[attempt.leads]
                self.site.known[attempt.leads] = replace(known, heading=known.heading or after.heading)
        if found is None:
            return None
        kind, effect = found
        goals = wording.goals(kind, effect, attempt, page, self.site)
        if not goals:
            return None
        return Demonstration(kind, page.place, tuple(steps), effect, goals, attempt.slots)

    async def _into_view(self, action: Action) -> effects.Observation:
        """Scroll until what an action is for can be seen."""
        look = await self.browser.step(Action("scroll", (0, -3000)))
        for _ in range(8):
            if look.find(action.targets[0]) is not None:
                break
            look = await self.browser.step(Action("scroll", (0, 500)))
        return look

    def _confirmation(self, look: effects.Observation, page: Page) -> Named | None:
        """The button by which a dialog or a page of its own asks whether one is sure."""
        dialog = any(e.role == "dialog" and e.ref is None for e in look.elements)
        if place(look.url) == page.place and not dialog:
            return None
        sure = [e for e in look.actionable() if e.role == "button" and CONFIRMS.search(e.name)]
        return Named("button", sure[0].name) if sure else None


def _pattern(where: str) -> str:
    """What pages alike share: the path without its numbers, and the names in its query."""
    split = urlsplit(where)
    names = sorted({key for key, _ in parse_qsl(split.query, keep_blank_values=True)})
    return re.sub(r"\d+", "#", split.path) + ("?" + "&".join(names) if names else "")


def _likeness(where: str, steps: tuple[str, ...]) -> str:
    """Equal for what does the same to pages alike."""
    return f"{_pattern(where)} {steps}"
