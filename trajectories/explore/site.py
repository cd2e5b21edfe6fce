"""The map of a site or application: how it may be used, what has been walked, and every demonstration that
survived its replay.

It is written whole after each page (`$SHOPFLOOR_HOME/sites/`), so that a walk that was killed goes on. It
holds no secret: a sign-in is kept with the names of its secrets, never their values.

Not covered: making it (`walk.py`), using it (`suite.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from tools import settings
from tools.actions import Named
from trajectories.explore.demonstration import Demonstration
from trajectories.shards import write_json


class SiteError(ValueError):
    """The site can't be explored, or gives nothing to do; the message says why."""


@dataclass(frozen=True)
class Access:
    """How a site may be used. `sign_in` is a program with `{{NAME}}` for each secret, done at `url`; `writes`
    allows forms to be submitted; `reset` is a shell command that puts the app back as it was."""

    url: str
    sign_in: str = ""
    writes: bool = False
    reset: str = ""

    @property
    def irreversible(self) -> bool:
        """Whether what can't be undone may be done: it may be written, and a command puts it back."""
        return self.writes and bool(self.reset)

    def address(self, place: str) -> str:
        return urljoin(self.url, place)


@dataclass(frozen=True)
class Link:
    """A link by which one place is reached from another; in an application a menu, a button, a tab."""

    start: str
    name: str
    end: str
    nth: int = 0  # among those of that name, where the page opens
    role: str = "link"

    @property
    def target(self) -> Named:
        return Named(self.role, self.name, self.nth)


@dataclass(frozen=True)
class Known:
    """What is known of a place: the link that led to it and where from, its heading, whether it is one of
    several records of a kind, and whether its texts hold something; in an application, whether it is a menu
    that is open."""

    name: str = ""
    parent: str = ""
    heading: str = ""
    record: bool = False
    filled: bool = False
    menu: bool = False


@dataclass
class Site:
    """The map; grows while the site is walked."""

    access: Access
    queue: list[str] = field(default_factory=list)
    walked: list[str] = field(default_factory=list)
    known: dict[str, Known] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    demonstrations: list[Demonstration] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)  # by kind: tried, kept and so on
    _index: tuple[int, Any] | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Its host, or the application's name, as task ids have it."""
        split = urlsplit(self.access.url)
        return re.sub(r"[^A-Za-z0-9.-]", "-", split.netloc or split.path)

    def count(self, kind: str, what: str, number: int = 1) -> None:
        self.counts.setdefault(kind, Counter())[what] += number

    def way(self, start: str, end: str, longest: int = 4) -> list[Link] | None:
        """The shortest way by links; None if there is none of at most `longest`."""
        queue: deque[tuple[str, list[Link]]] = deque([(start, [])])
        seen = {start}
        while queue:
            at, way = queue.popleft()
            if at == end:
                return way
            for link in self.links_from(at) if len(way) < longest else ():
                if link.end not in seen:
                    seen.add(link.end)
                    queue.append((link.end, [*way, link]))
        return None

    def links_from(self, start: str) -> list[Link]:
        """The links on a page."""
        return self._indexed()[0].get(start, [])

    def links_to(self, end: str) -> list[Link]:
        """The links that lead to a page."""
        return self._indexed()[1].get(end, [])

    def _indexed(self) -> tuple[dict[str, list[Link]], dict[str, list[Link]]]:
        """The links by their starts and by their ends; made anew when some were added."""
        if self._index is None or self._index[0] != len(self.links):
            starts: dict[str, list[Link]] = {}
            ends: dict[str, list[Link]] = {}
            for link in self.links:
                starts.setdefault(link.start, []).append(link)
                ends.setdefault(link.end, []).append(link)
            self._index = len(self.links), (starts, ends)
        return self._index[1]

    def save(self) -> None:
        """Keep the map in the state folder, whole or absent."""
        kept: dict[str, Any] = {
            "access": asdict(self.access),
            "queue": self.queue,
            "walked": self.walked,
            "known": {where: asdict(known) for where, known in self.known.items()},
            "links": [[k.start, k.name, k.end, k.nth, k.role] for k in self.links],
            "counts": self.counts,
            "demonstrations": [d.as_json() for d in self.demonstrations],
        }
        write_json(map_file(self.access.url), kept)

    @staticmethod
    def load(url: str) -> Site:
        """The map made before. Raises SiteError."""
        try:
            kept = json.loads(map_file(url).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise SiteError(f"{url} has not been explored; run: shopfloor explore {url}") from error
        return Site(
            Access(**kept["access"]),
            kept["queue"],
            kept["walked"],
            {where: Known(**known) for where, known in kept["known"].items()},
            [Link(*link) for link in kept["links"]],
            [Demonstration.from_json(d) for d in kept["demonstrations"]],
            {kind: Counter(counts) for kind, counts in kept["counts"].items()},
        )


def map_file(url: str) -> Path:
    """Where a site's map is kept."""
    return settings.home() / "sites" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"
