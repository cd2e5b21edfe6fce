"""What a store holds, a row an episode: enough to list, filter and count without opening one.

    rows = Catalogue(Store("data/helpdesk/episodes")).rows()

An `episode.json` is read once; its row is kept in the state folder and taken from there while the file's time
of change is the same (20,000 episodes: seconds at first, a fraction of one afterwards). An episode that can't
be read has a row that says why.

Not covered: the episodes themselves and whether their images are whole (`store.py` checks that on loading).
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from tools import settings
from tools.files import write_whole
from trajectories.store import Store

Result = Literal["success", "failure", "error", "broken"]


@dataclass(frozen=True)
class Row:
    """One episode in a line. `changed` is its file's time of change in nanoseconds; `why` is empty unless the
    episode failed with an error or is broken."""

    id: str
    changed: int
    result: Result
    task: str = ""  # suite/family/seed
    goal: str = ""
    ended: str = ""
    policy: str = ""
    model: str = ""
    steps: int = 0
    started: str = ""  # ISO 8601
    why: str = ""

    @property
    def suite(self) -> str:
        return self.task.split("/")[0]

    @property
    def family(self) -> str:
        return self.task.split("/")[1] if self.task else ""

    @property
    def seed(self) -> int:
        return int(self.task.split("/")[2]) if self.task else 0

    @property
    def place(self) -> tuple[str, str, int, str]:
        """What a list is ordered by."""
        return self.suite, self.family, self.seed, self.id

    @property
    def by(self) -> str:
        """Who attempted it: the policy, and its model where it has one."""
        return f"{self.policy}: {self.model}" if self.model else self.policy


class Catalogue:
    """The rows of one store, read again when the store has changed. Safe to ask from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._stamp = -1
        self._rows: dict[str, Row] | None = None

    def rows(self, progress: Callable[[int, int], None] = lambda done, total: None) -> list[Row]:
        """Every episode, by suite, family and seed. `progress` hears how many of how many are read."""
        with self._lock:
            stamp = self._store.path.stat().st_mtime_ns  # an episode is renamed into it, so this changes
            if stamp != self._stamp or self._rows is None:
                kept = _kept(self._store) if self._rows is None else self._rows
                self._rows = _read(self._store, kept, progress)
                self._stamp = stamp
            return list(self._rows.values())


def _read(store: Store, kept: Mapping[str, Row], progress: Callable[[int, int], None]) -> dict[str, Row]:
    """Rows of all episodes, those in `kept` unread where the file has not changed; what is new is kept."""
    ids = store.ids()
    rows: dict[str, Row] = {}
    try:
        for done, id in enumerate(ids, start=1):
            before = kept.get(id)
            changed = _changed(store.path / id)
            rows[id] = (
                before if before is not None and before.changed == changed else _row(store, id, changed)
            )
            if done % 100 == 0 or done == len(ids):
                progress(done, len(ids))
    except KeyboardInterrupt:  # what was read need not be read again
        _keep(store, {**kept, **rows}.values())
        raise
    if rows != kept:
        _keep(store, rows.values())
    return dict(sorted(rows.items(), key=lambda item: item[1].place))


def _changed(folder: Path) -> int:
    try:
        return (folder / "episode.json").stat().st_mtime_ns
    except OSError:
        return 0


def _row(store: Store, id: str, changed: int) -> Row:
    try:
        document = json.loads((store.path / id / "episode.json").read_bytes())
        ours, user = document["extra"], document["steps"][0]
        result: Result = "success" if ours["outcome"]["success"] else "failure"
        row = Row(
            id=id,
            changed=changed,
            result="error" if ours["ended"] == "error" else result,
            task=ours["task"],
            goal=user["message"],
            ended=ours["ended"],
            policy=ours["policy"],
            model=ours["model"],
            steps=len(document["steps"]) - 2,  # the goal and the first look are steps in ATIF
            started=user["timestamp"],
            why=str(ours["more"].get("error", "")),
        )
        _, _, seed = row.task.split("/")
        int(seed)
        return row
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return Row(id, changed, "broken", why=f"{type(error).__name__}: {error}")


def _file(store: Store) -> Path:
    place = hashlib.sha256(os.fsencode(store.path.resolve())).hexdigest()[:16]
    return settings.home() / "catalogue" / f"{place}.json"


def _kept(store: Store) -> dict[str, Row]:
    """The rows read before; none where there are none, or where they were written by another version."""
    try:
        names, *values = json.loads(_file(store).read_bytes())
        if names != [field.name for field in fields(Row)]:
            return {}
        return {value[0]: Row(*value) for value in values}
    except (OSError, ValueError, TypeError):
        return {}


def _keep(store: Store, rows: Iterable[Row]) -> None:
    """Whole or not at all, on a full disk not at all; the first line names the columns."""
    names = [field.name for field in fields(Row)]
    with suppress(OSError):
        _file(store).parent.mkdir(parents=True, exist_ok=True)
        write_whole(_file(store), json.dumps([names, *([getattr(row, n) for n in names] for row in rows)]))
