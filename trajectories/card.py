"""A dataset's card: what folders made by `shopfloor generate` hold, counted, as Markdown.

Counts are read from the shards' manifests, which are written last; digest and sizes from the stores.

Not covered: making the folders (`line.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from trajectories.shards import Folder, PlanError
from trajectories.store import Store
from trajectories.tasks import is_held_out

LENGTHS = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 8), (9, 12), (13, 20), (21, 10_000))  # steps


@dataclass(frozen=True)
class Part:
    """One folder: its plan, the rows of its manifests, what it takes up and what its episodes hash to."""

    name: str
    plan: dict[str, Any]
    rows: tuple[dict[str, Any], ...]
    seconds: float
    size: int  # bytes of the episodes' files
    digest: str

    @property
    def suite(self) -> str:
        return str(self.plan["suite"])

    def count(self, mark: str) -> int:
        """How many rows have a mark set: `success`, `keep`, `perturb`, `reword`."""
        return sum(bool(row[mark]) for row in self.rows)


def read(path: Path) -> Part:
    """A folder as a part of the card. Raises PlanError where there is nothing to describe."""
    folder = Folder(path)
    manifests = folder.manifests().values()
    try:
        plan = json.loads((path / "plan.json").read_text())
    except (OSError, ValueError) as error:
        raise PlanError(f"{path} was not made by shopfloor generate: {error}") from error
    if not manifests:
        raise PlanError(f"{path} has no complete shard yet; let shopfloor generate go on")
    files = (f for f in folder.episodes.rglob("*") if f.is_file())
    return Part(
        path.name,
        plan,
        tuple(row for manifest in manifests for row in manifest["rows"]),
        sum(manifest["seconds"] for manifest in manifests),
        sum(f.stat().st_size for f in files),
        Store(folder.episodes).digest(),
    )


def summary(parts: Sequence[Part]) -> dict[str, Any]:
    """The whole dataset in figures."""
    rows = [row for part in parts for row in part.rows]
    verified = Counter(_task(part, row) for part in parts for row in part.rows if row["success"])
    return {
        "episodes": len(rows),
        "verified": sum(verified.values()),
        "kept": sum(bool(row["keep"]) for row in rows),
        "steps": sum(row["steps"] for row in rows),
        "tasks": len({_task(part, row) for part in parts for row in part.rows}),
        "held_out": sum(is_held_out(row["seed"]) for row in rows),
        "per_task": {
            "least": min(verified.values(), default=0),
            "median": median(verified.values()) if verified else 0,
            "most": max(verified.values(), default=0),
        },
        "seconds": round(sum(part.seconds for part in parts), 1),
        "bytes": sum(part.size for part in parts),
        "digest": hashlib.sha256("".join(part.digest for part in parts).encode()).hexdigest(),
    }


def markdown(parts: Sequence[Part]) -> str:
    """The card: the whole, by folder, by length, by task."""
    return "\n".join(_lines(parts)) + "\n"


def _lines(parts: Sequence[Part]) -> Iterator[str]:
    whole = summary(parts)
    per = whole["per_task"]
    yield (
        f"{whole['episodes']:,} episodes, {whole['verified']:,} of them verified successes, over "
        f"{whole['tasks']} tasks; {whole['steps']:,} steps; {whole['bytes'] / 2**20:,.0f} MiB, "
        f"{whole['bytes'] / whole['episodes'] / 1024:.0f} KiB an episode. "
        f"Made in {whole['seconds'] / 60:.0f} minutes. Held-out seeds among them: {whole['held_out']}. "
        f"Verified successes a task: {per['least']} to {per['most']}, median {per['median']:g}. "
        f"Digest `{whole['digest'][:16]}`."
    )
    yield ""
    columns = "folder, from, by, episodes, verified, begun off the path, reworded, kept, KiB each, minutes"
    yield "| " + columns.replace(", ", " | ") + " |"
    yield "| --- " * 10 + "|"
    for part in parts:
        n = len(part.rows)
        yield (
            f"| {part.name} | {part.suite} | {part.plan['policy']} | {n:,} | {part.count('success'):,} | "
            f"{part.count('perturb'):,} | {part.count('reword'):,} | {part.count('keep'):,} | "
            f"{part.size / n / 1024:.0f} | {part.seconds / 60:.0f} |"
        )
    yield ""
    rows = [row for part in parts for row in part.rows]
    yield "| steps | " + " | ".join(_range(*length) for length in LENGTHS) + " |"
    yield "| --- " * (len(LENGTHS) + 1) + "|"
    yield "| episodes | " + " | ".join(f"{_between(rows, *length):,}" for length in LENGTHS) + " |"
    yield ""
    yield "| task | episodes | verified | kept | mean steps |"
    yield "| --- | --- | --- | --- | --- |"
    tasks: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        for row in part.rows:
            tasks.setdefault(_task(part, row), []).append(row)
    for task, own in sorted(tasks.items()):
        solved, kept = (sum(bool(row[mark]) for row in own) for mark in ("success", "keep"))
        yield f"| {task} | {len(own)} | {solved} | {kept} | {sum(r['steps'] for r in own) / len(own):.1f} |"


def _task(part: Part, row: dict[str, Any]) -> str:
    return f"{part.suite}/{row['family']}" if "://" not in part.suite else f"{part.name}/{row['family']}"


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}" if high < 1000 else f"{low} and more"


def _between(rows: Sequence[dict[str, Any]], low: int, high: int) -> int:
    return sum(low <= row["steps"] <= high for row in rows)
