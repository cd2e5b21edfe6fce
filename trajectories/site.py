"""Any web site as a suite, with nobody writing tasks for it: pages to open and searches to run.

`survey` walks the site once as a reader does: it follows links within the origin and tries its search
fields, and writes down what each did. Tasks are made of that map: a start, a page some links away or a
search, and a goal in words. The oracle follows the map, the checker compares the address at the end, so
that a demonstration counts only when the same effect shows again. Nothing is typed but searches, no button
is pressed but a search's, and links that sound like an end or a loss are left alone.

Not covered: sign-in, forms that write, sites whose pages have no addresses of their own.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urldefrag, urlsplit

from tools import settings
from tools.actions import Action, Named, quote
from tools.environment import Environment, Start
from tools.observation import Element, Observation
from trajectories.episode import Episode
from trajectories.tasks import Outcome

DONE = Action("send_msg_to_user", ("done",))
HARMFUL = re.compile(
    r"(?i)\b(log ?out|sign ?out|log ?off|leave|delete|remove|cancel|unsubscribe|reset|clear|destroy|"
    r"deactivate|close|archive|buy|pay|order now|checkout|download|export|revoke|block|ban|spam)\b"
)
SEARCH = re.compile(r"(?i)search|find|look ?up|filter|query|keyword")
LINKS_A_PAGE = 14
MAX_CLICKS = 3  # links between a task's start and its end


class SiteError(ValueError):
    """The site can't be surveyed or gives nothing to do; the message says why."""


@dataclass(frozen=True)
class Edge:
    """What one reader's act does: following a link, or searching in a field for a text."""

    start: str  # address without fragment
    role: str
    name: str
    end: str
    text: str = ""  # searched for


@dataclass
class Survey:
    """A site's map: its first address and every edge found."""

    url: str
    edges: list[Edge] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return survey_file(self.url)

    def save(self) -> None:
        """Keep the map in the state folder, whole or absent."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        aside = self.file.with_suffix(".new")
        aside.write_text(json.dumps({"url": self.url, "edges": [vars(e) for e in self.edges]}, indent=1))
        aside.rename(self.file)

    @staticmethod
    def load(url: str) -> Survey:
        """The map made before. Raises SiteError."""
        try:
            kept = json.loads(survey_file(url).read_text())
        except FileNotFoundError as error:
            raise SiteError(f"{url} has not been surveyed; run: shopfloor generate {url}") from error
        return Survey(kept["url"], [Edge(**e) for e in kept["edges"]])

    def route(self, start: str, end: str) -> list[Edge] | None:
        """The shortest way by links; None if there is none."""
        before: dict[str, Edge | None] = {start: None}
        queue = deque([start])
        while queue:
            at = queue.popleft()
            if at == end:
                way: list[Edge] = []
                while (edge := before[at]) is not None:
                    way.insert(0, edge)
                    at = edge.start
                return way
            for edge in self.edges:
                if edge.start == at and not edge.text and edge.end not in before:
                    before[edge.end] = edge
                    queue.append(edge.end)
        return None


def survey_file(url: str) -> Path:
    return settings.home() / "sites" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"


def address(url: str) -> str:
    """What tells one page from another: everything but the fragment."""
    return urldefrag(url).url


async def survey(env: Environment, url: str, pages: int = 20, seed: int = 0) -> Survey:
    """Walk up to `pages` pages of a site, the nearest first. Raises SiteError where there is nothing to walk.

    Raises EnvironmentDown if the first page won't open.
    """
    chance = random.Random(f"{url}/{seed}")
    look = await env.reset(Start(url))
    found = Survey(url)
    queue = deque([address(look.url)])
    seen = set(queue)
    visited = 0
    while queue and visited < pages:
        here = queue.popleft()
        visited += 1
        look = await env.reset(Start(here))
        links = [e for e in _distinct(look) if e.role == "link" and not HARMFUL.search(e.name)]
        for link in chance.sample(links, min(len(links), LINKS_A_PAGE)):
            if await _open(env, here) is None:
                break
            after = await env.step(Action("click", (Named("link", link.name),)))
            end = address(after.url)
            if after.error or end == here or not _same_site(end, url) or len(after.tabs) > 1:
                continue
            found.edges.append(Edge(here, "link", link.name, end))
            if end not in seen:
                seen.add(end)
                queue.append(end)
        for entry in (e for e in _distinct(look) if _searches(e)):
            text = _word(look, chance)
            if not text or await _open(env, here) is None:
                continue
            target = Named(entry.role, entry.name)
            await env.step(Action("fill", (target, text)))
            after = await env.step(Action("press", (target, "Enter")))
            asked = [v for _, v in parse_qsl(urlsplit(after.url).query)]
            if not after.error and text in asked:
                found.edges.append(Edge(here, entry.role, entry.name, address(after.url), text))
    if not found.edges:
        raise SiteError(f"{url}: no link or search on it leads to a page of its own; nothing to demonstrate")
    return found


async def _open(env: Environment, url: str) -> Observation | None:
    look = await env.reset(Start(url))
    return look if address(look.url) == url else None


def _same_site(one: str, other: str) -> bool:
    a, b = urlsplit(one), urlsplit(other)
    return (a.scheme, a.netloc) == (b.scheme, b.netloc)


def _distinct(look: Observation) -> list[Element]:
    """Elements whose role and name say which one is meant."""
    every = [e for e in look.actionable() if e.name.strip()]
    return [e for e in every if sum((o.role, o.name) == (e.role, e.name) for o in every) == 1]


def _searches(element: Element) -> bool:
    text = element.role in ("textbox", "searchbox", "combobox") and not element.options
    return text and (element.role == "searchbox" or SEARCH.search(element.name) is not None)


def _word(look: Observation, chance: random.Random) -> str:
    """Something that stands on the page, to search for."""
    words = sorted({w for e in look.elements for w in re.findall(r"[A-Za-z]{4,12}", e.name)})
    return chance.choice(words) if words else ""


@dataclass
class SiteTask:
    """One page to reach, or one search to run."""

    suite: str
    family: str
    seed: int
    found: Survey
    max_steps: int = 10

    def __post_init__(self) -> None:
        chance = random.Random(f"{self.found.url}/{self.family}/{self.seed}")
        if self.family == "search":
            self.last = chance.choice([e for e in self.found.edges if e.text])
            self.way = [self.last]
            self.goal = chance.choice(
                ("Search for {}.", "Find {}.", "Look up {}.", "Search this site for {}.")
            ).format(quote(self.last.text))
        else:
            self.way = _walk(self.found, chance)
            self.last = self.way[-1]
            names = [quote(e.name) for e in self.way]
            frames = ("Open {}.", "Go to {}.", "Show me {}.", "Take me to {}.")
            self.goal = chance.choice(frames).format(", then ".join(names))
        self.start = self.way[0].start

    @property
    def id(self) -> str:
        return f"{self.suite}/{self.family}/{self.seed}"

    async def setup(self, env: Environment) -> tuple[str, Observation]:
        return self.goal, await env.reset(Start(self.start))

    async def check(self, env: Environment, message: str | None) -> Outcome:
        look = await env.observe()
        success = address(look.url) == self.last.end
        return Outcome(success, float(success))

    def oracle(self, observation: Observation, history: Sequence[Action]) -> Action:
        here = address(observation.url)
        if here == self.last.end:
            return DONE
        edge = next((e for e in self.way if e.start == here), None)
        if edge is None:
            back = self.found.route(here, self.last.start)
            if not back:
                return Action("go_back")
            edge = back[0]
        target = Named(edge.role, edge.name)
        element = observation.find(target)
        if element is None:
            return Action("go_back")
        if not edge.text:
            return observation.labelled(Action("click", (target,)))
        if element.value != edge.text:
            return observation.labelled(Action("fill", (target, edge.text)))
        return observation.labelled(Action("press", (target, "Enter")))


def _walk(found: Survey, chance: random.Random) -> list[Edge]:
    """One to three links in a row, to a page not seen on the way."""
    links = [e for e in found.edges if not e.text]
    way = [chance.choice(links)]
    for _ in range(chance.choice((0, 0, 1, 2))):
        known = {way[0].start, *(e.end for e in way)}
        onward = [e for e in links if e.start == way[-1].end and e.end not in known]
        if not onward or len(way) >= MAX_CLICKS:
            break
        way.append(chance.choice(onward))
    return way


class Site:
    """The suite of a surveyed site. `name` is its host, as task ids have it."""

    looks_only: frozenset[str] = frozenset()

    def __init__(self, url: str) -> None:
        self.found = Survey.load(url)
        self.name = re.sub(r"[^A-Za-z0-9.-]", "-", urlsplit(url).netloc)
        kinds = {"search" if e.text else "open-page" for e in self.found.edges}
        self.families = tuple(sorted(kinds))

    def task(self, family: str, seed: int) -> SiteTask:
        return SiteTask(self.name, family, seed, self.found)

    def asides(
        self, episode: Episode, at: int, count: int, draw: random.Random, look: Observation | None = None
    ) -> Iterator[tuple[str, Action]]:
        return iter(())  # not yet: every link on the way would do

    def midway(
        self, episode: Episode, at: int, count: int, draw: random.Random
    ) -> Iterator[tuple[Observation, tuple[Action, ...], str, Action]]:
        return iter(())

    async def __aenter__(self) -> Site:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None
