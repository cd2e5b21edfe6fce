"""What a run of the line is to make, and how much of it is made: the plan and its shards.

    OUT/plan.json                 what the folder was made with; another plan needs another folder
    OUT/episodes/                 the store
    OUT/shards/000000.json        a shard's manifest, written last: its existence means the shard is complete
    OUT/examples/000000.parquet   what its episodes teach all roles, and pairs of a better and a worse action,
    OUT/preferences/000000.parquet    for other trainers: ours ask the store, in the words of today's prompts

Every job follows from the plan and its number alone, so a run started again knows what it has done.

Not covered: doing the work (`line.py`).
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tools.files import write_whole
from trajectories.rollout import Job
from trajectories.store import alive
from trajectories.tasks import HELD_OUT_FROM

REWORDED = 0.75  # share of goals said otherwise


class PlanError(ValueError):
    """A plan that can't be carried out, or not in this folder; the message says what to change."""


@dataclass(frozen=True)
class Plan:
    """What to make. Only `episodes`, and `workers` and `ray`, which say where, may change between runs in one
    folder."""

    suite: str
    families: tuple[str, ...]
    episodes: int
    seed: int = 0
    policy: str = "oracle"  # oracle, random, model, dagger or near-miss
    model: str = ""  # the model's name, where the policy is one
    perturb: float = 0.0  # share of episodes that begin with random actions
    shard: int = 240
    workers: int = 2  # roll-outs at once; on Ray, 0 is one to each CPU
    teacher: str = ""  # the teacher's model, where there is one
    ray: str = ""  # address of the Ray to do the roll-outs on

    def __post_init__(self) -> None:
        if not self.families:
            raise PlanError("no task families to make episodes of")
        if self.episodes < 1 or self.shard < 1 or self.workers < (0 if self.ray else 1):
            raise PlanError("--episodes, --shard and --workers are counts of at least 1")
        if not 0 <= self.perturb <= 1:
            raise PlanError("--perturb is a share between 0 and 1")
        last = self.seed + (self.episodes - 1) // len(self.families)
        if self.seed < 0 or last >= HELD_OUT_FROM:
            raise PlanError(
                f"seeds {self.seed} to {last} reach outside the training seeds: those from "
                f"{HELD_OUT_FROM} on are held out for evaluation; choose another --seed or fewer --episodes"
            )

    def jobs(self, start: int, count: int) -> list[Job]:
        """Jobs `start` to `start + count`: every family in turn, with the next seed."""
        return [self._job(number) for number in range(start, start + count)]

    def _job(self, number: int) -> Job:
        family = self.families[number % len(self.families)]
        seed = self.seed + number // len(self.families)
        chance = random.Random(f"{self.suite}/{family}/{seed}")
        perturb = chance.randint(1, 3) if chance.random() < self.perturb else 0
        reword = chance.randint(1, 99_999) if chance.random() < REWORDED else 0
        return Job(family, seed, perturb, reword)

    def shards(self) -> Iterator[tuple[int, int]]:
        """Start and count of each shard."""
        for start in range(0, self.episodes, self.shard):
            yield start, min(self.shard, self.episodes - start)

    @property
    def fixed(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if k not in ("episodes", "workers", "ray")}


@dataclass(frozen=True)
class Folder:
    """The folder a plan is carried out in."""

    path: Path

    @property
    def episodes(self) -> Path:
        return self.path / "episodes"

    def claim(self, plan: Plan) -> None:
        """Begin here, or go on with the same plan. Raises PlanError."""
        self._sweep()
        written = self.path / "plan.json"
        fixed = json.loads(json.dumps(plan.fixed))
        try:
            before = json.loads(written.read_text())
        except FileNotFoundError:
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(written, fixed)
            return
        except ValueError as error:
            raise PlanError(f"{written} can't be read: {error}; choose another --out") from error
        other = sorted(k for k in fixed if before.get(k) != fixed[k])
        if other:
            were = ", ".join(f"{k} {before.get(k)!r}" for k in other)
            raise PlanError(f"{self.path} was made with {were}; say the same, or choose another --out")

    def _sweep(self) -> None:
        """Remove what killed runs left; named after the process, so a live one's stays."""
        for kind in ("line", "watch"):
            for left in self.path.glob(f".{kind}-*-*"):
                process = left.name.split("-")[1]
                if process.isdigit() and not alive(int(process)):
                    shutil.rmtree(left, ignore_errors=True)

    def manifests(self) -> dict[int, dict[str, Any]]:
        """Every complete shard's manifest, by its start."""
        found = {int(p.stem): p for p in (self.path / "shards").glob("*.json")}
        return {start: json.loads(found[start].read_text()) for start in sorted(found)}

    def part(self, kind: str, start: int, ending: str) -> Path:
        """Where a shard's part of a kind lies: `shards`, `examples`, `preferences`."""
        return self.path / kind / f"{start:06d}.{ending}"


def write_json(path: Path, value: Any) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(value, indent=1))


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """A parquet file, whole or not at all; no rows, no file."""
    if not rows:
        path.unlink(missing_ok=True)
        return
    from datasets import Dataset

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        Dataset.from_list(rows).to_parquet(partial)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
