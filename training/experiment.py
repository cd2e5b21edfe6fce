"""A/B: which of two models a session gets, and how its tasks went, kept in one SQLite file.

    trial = begin(first="3", second="4", share=0.2)       # versions of the registry
    model = trial.variant(session)                        # always the same for the same session
    trial.record(session, "chat-…", "reviewer", True)     # one task; a person's word counts more, later too

A session's variant follows from a hash of its name, so any number of processes agree without asking, and it
keeps its model whatever happens between its tasks. An outcome comes from the reviewer, from a task's checker,
or from a person, in rising order of whose word counts.

Not covered: which is better (`eval/sequential.py`), and asking people (`apps/feedback.py`).
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from tools.settings import home, home_path

Source = Literal["reviewer", "checker", "person"]  # the later, the more its word counts
WAIT = 10.0  # seconds for another process's write

TABLES = """
CREATE TABLE IF NOT EXISTS trials (
  id INTEGER PRIMARY KEY, first TEXT NOT NULL, second TEXT NOT NULL, share REAL NOT NULL,
  began REAL NOT NULL, ended REAL, winner TEXT);
CREATE UNIQUE INDEX IF NOT EXISTS one_runs ON trials (1) WHERE ended IS NULL;
CREATE TABLE IF NOT EXISTS outcomes (
  trial INTEGER NOT NULL REFERENCES trials, task TEXT NOT NULL, source INTEGER NOT NULL,
  session TEXT NOT NULL, variant TEXT NOT NULL, success INTEGER NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (trial, task, source));
"""


class TrialError(ValueError):
    """No trial, one too many, or one that can't be or be read; the message says what to do."""


@dataclass(frozen=True)
class Trial:
    """`share` of the sessions get `second`; the names are versions, or `released`."""

    id: int
    first: str
    second: str
    share: float
    began: float  # seconds since 1970
    ended: float | None = None
    winner: str | None = None

    def variant(self, session: str) -> str:
        """The model of a session."""
        drawn = hashlib.sha256(f"{self.id}/{self.began}/{session}".encode()).digest()
        return self.second if int.from_bytes(drawn[:8], "big") / 2**64 < self.share else self.first

    def record(self, session: str, task: str, source: Source, success: bool) -> None:
        """Keep how a session's task went; the same source's later word replaces its earlier one, not its
        place in time. What ends after the trial's end is no part of it."""
        with _open() as database:
            database.execute(
                "INSERT INTO outcomes SELECT ?, ?, ?, ?, ?, ?, ? FROM trials WHERE id = ? AND ended IS NULL "
                "ON CONFLICT DO UPDATE SET success = ?",
                (
                    self.id,
                    task,
                    get_args(Source).index(source),
                    session,
                    self.variant(session),
                    success,
                    time.time(),
                    self.id,
                    success,
                ),
            )

    def outcomes(self) -> list[tuple[bool, bool]]:
        """Each task once, in the order they ended: whether `second` did it, and success by the word that
        counts most."""
        return [(second, success) for _, second, success in self._tasks()]

    def sessions(self) -> list[tuple[bool, float]]:
        """Each session once, in the order of their first tasks: whether it was `second`'s, and the share of
        its tasks that went well. A session's tasks share its model and its person, so they are one draw."""
        found: dict[tuple[str, bool], list[bool]] = {}
        for session, second, success in self._tasks():
            found.setdefault((session, second), []).append(success)
        return [(second, sum(own) / len(own)) for (_, second), own in found.items()]

    def _tasks(self) -> list[tuple[str, bool, bool]]:
        with _open() as database:
            rows = database.execute(
                "SELECT session, variant = ?, success, max(source) FROM outcomes AS o WHERE trial = ? "
                "GROUP BY task "
                "ORDER BY (SELECT min(at) FROM outcomes WHERE trial = o.trial AND task = o.task), task",
                (self.second, self.id),
            ).fetchall()  # SQLite gives the columns beside max() from the row that has it
        return [(session, bool(second), bool(success)) for session, second, success, _ in rows]

    def end(self, winner: str | None) -> None:
        """No session is part of it any more."""
        with _open() as database:
            database.execute(
                "UPDATE trials SET ended = ?, winner = ? WHERE id = ?", (time.time(), winner, self.id)
            )


def begin(first: str, second: str, share: float) -> Trial:
    """Start a trial. Raises TrialError where one is running, or for two that are one."""
    if first == second:
        raise TrialError(f"both variants are {first}; name another model than the champion")
    if not 0 < share < 1:
        raise TrialError(f"a share of {share} leaves nothing to compare; give one between 0 and 1")
    try:
        with _open() as database:
            database.execute(
                "INSERT INTO trials (first, second, share, began) VALUES (?, ?, ?, ?)",
                (first, second, share, time.time()),
            )
    except sqlite3.IntegrityError as error:
        raise TrialError("a trial is running already; see shopfloor ab, or end it: ab stop") from error
    found = running()
    assert found is not None
    return found


def running() -> Trial | None:
    """The trial that sessions are part of, if any. Asking makes no file."""
    if not _path().exists():
        return None
    return _one("SELECT * FROM trials WHERE ended IS NULL")


def latest() -> Trial | None:
    """The trial that runs, else the one that ended last."""
    return _one("SELECT * FROM trials ORDER BY id DESC LIMIT 1") if _path().exists() else None


def person_says(task: str, success: bool) -> bool:
    """A person's word on a task that some trial knows; whether one does."""
    if not _path().exists():
        return False
    with _open() as database:
        row = database.execute(
            "SELECT trial, session FROM outcomes WHERE task = ? ORDER BY trial DESC LIMIT 1", (task,)
        ).fetchone()
    if row is None:
        return False
    trial = _one("SELECT * FROM trials WHERE id = ?", row[0])
    assert trial is not None
    trial.record(row[1], task, "person", success)
    return True


def _one(query: str, *values: object) -> Trial | None:
    with _open() as database:
        row = database.execute(query, values).fetchone()
    return Trial(*row) if row else None


def _path() -> Path:
    return home_path() / "ab.db"


@contextmanager
def _open() -> Iterator[sqlite3.Connection]:
    """The file, whose changes are kept if the block ends well. Raises TrialError where it can't be used."""
    home()
    try:
        with closing(sqlite3.connect(_path(), timeout=WAIT)) as database:
            database.executescript(TABLES)
            with database:
                yield database
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:  # a full disk, another process that never ends, no database
        raise TrialError(f"{_path()} can't be used ({error}); free some space, or move it away") from error
