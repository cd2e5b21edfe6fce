"""The help desk's SQLite database: schema, filling it from a `World`, and what has changed since.

One connection behind a lock, shared by the server's thread and by the tasks that check it. A reset builds the
rows in memory and copies them over the file in a few milliseconds.

Not covered: what the rows mean (`world.py`) and who changes them (`app.py`).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trajectories.helpdesk.world import Row, World

SCHEMA = """
create table agents (id integer primary key, name text, login text unique, password text);
create table customers (id integer primary key, name text, email text, phone text);
create table products (id integer primary key, name text);
create table tickets (id integer primary key, title text, customer integer references customers(id),
    state text, priority text, assignee integer references agents(id));
create table comments (id integer primary key, ticket integer references tickets(id),
    author integer references agents(id), text text);
create table attachments (id integer primary key, ticket integer references tickets(id), filename text,
    content blob);
create table orders (id integer primary key, customer integer references customers(id),
    product integer references products(id), quantity integer, date text);
create table settings (id integer primary key references agents(id), email_alerts integer,
    weekly_report integer, sounds integer, auto_assign integer, language text, theme text, signature text);
create table reports (id integer primary key references agents(id), colour text);
create table bills (id integer primary key, list text, number text, debtor text, amount text, standing text,
    reminders integer);
create table summaries (id integer primary key references agents(id), total text, tally text, remark text);
create table lamp (colour text);
create table sessions (token text primary key, agent integer, flash text, page text);
create table entries (token text primary key, agent integer);
"""
WATCHED = (
    "agents",
    "customers",
    "products",
    "tickets",
    "comments",
    "attachments",
    "orders",
    "settings",
    "reports",
    "bills",
    "summaries",
)


@dataclass(frozen=True)
class Change:
    """One row that differs: `id` is None for a new row; `values` are the changed or the new columns."""

    table: str
    id: int | None
    values: tuple[tuple[str, Any], ...]

    @staticmethod
    def of(table: str, id: int | None, **values: Any) -> Change:
        """A change, written shortly."""
        return Change(table, id, tuple(sorted(values.items())))


Snapshot = dict[str, dict[int, Row]]


class Database:
    """The app's database in a file; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        # The file lasts as long as one server; losing it in a power cut is no loss.
        self._connection.execute("pragma journal_mode = memory")
        self._connection.execute("pragma synchronous = off")

    def load(self, world: World) -> None:
        """Replace everything by the rows of `world`."""
        fresh = sqlite3.connect(":memory:")
        fresh.executescript(SCHEMA)
        tables: dict[str, list[Row]] = {
            "agents": world.agents,
            "customers": world.customers,
            "products": world.products,
            "tickets": world.tickets,
            "comments": world.comments,
            "orders": world.orders,
            "settings": [world.settings],
            "bills": world.bills,
            "lamp": [{"colour": world.lamp}],
        }
        for table, rows in tables.items():
            names = list(rows[0])
            marks = ", ".join("?" * len(names))
            fresh.executemany(
                f"insert into {table} ({', '.join(names)}) values ({marks})",
                [[row[n] for n in names] for row in rows],
            )
        fresh.commit()
        with self.lock:
            fresh.backup(self._connection)
        fresh.close()

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """The rows a query finds."""
        with self.lock:
            return [dict(row) for row in self._connection.execute(sql, values)]

    def row(self, sql: str, *values: Any) -> Row | None:
        """The first row a query finds, or None."""
        found = self.rows(sql, *values)
        return found[0] if found else None

    def run(self, sql: str, *values: Any) -> int:
        """Change something; returns the id of a row it inserted."""
        with self.lock:
            return self._connection.execute(sql, values).lastrowid or 0

    def snapshot(self) -> Snapshot:
        """Every row of the tables a task may be asked to change, by id."""
        with self.lock:
            return {t: {row["id"]: row for row in self.rows(f"select * from {t}")} for t in WATCHED}

    def close(self) -> None:
        with self.lock:
            self._connection.close()


def changes(before: Snapshot, after: Snapshot) -> list[Change]:
    """What differs, in no particular order. A row that went is a change with no values."""
    found = []
    for table, rows in after.items():
        old = before[table]
        for id, row in rows.items():
            if id not in old:
                found.append(Change.of(table, None, **{k: v for k, v in row.items() if k != "id"}))
            elif row != old[id]:
                found.append(Change.of(table, id, **{k: v for k, v in row.items() if v != old[id][k]}))
        found.extend(Change.of(table, id) for id in old if id not in rows)
    return found


def same(found: Iterable[Change], expected: Iterable[Change]) -> bool:
    """Whether two sets of changes are the same, order aside."""
    return sorted(map(repr, found)) == sorted(map(repr, expected))
