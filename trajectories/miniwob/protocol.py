"""BrowserGym's MiniWoB++ benchmark: its 125 tasks, its split, and its five seeds a task.

`browsergym.csv` is the table `miniwob.csv` of the `browsergym-experiments` package 0.14.3 (Apache 2.0,
https://github.com/ServiceNow/BrowserGym), its columns renamed and the comments left out.

Seeds of ours say what a page is drawn from:

    0 to 999,999            training; the page gets -1 - seed, a number that no benchmark uses
    1,000,000 and up        held out, for our own evaluations; the page gets the seed itself
    1,000,000,000 and up    protocol A; the page gets seed - 1,000,000,000, which is BrowserGym's number

Not covered: running it (`eval/runner.py`).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from trajectories.tasks import HELD_OUT_FROM, HELD_OUT_TO

PROTOCOL_A_FROM = HELD_OUT_TO
MAX_STEPS = 10
REPEATS = 5
# BrowserGym means 2 ** 32 and writes 2 ^ 32, which is 34 in Python; published results are for these seeds.
TASK_SEEDS = 2 ^ 32
PAGE_SEEDS = 1_000_000
Split = Literal["train", "test", "webgum"]


@dataclass(frozen=True)
class Entry:
    """One task of the benchmark; tasks of one `group` are variants of one another."""

    family: str
    split: Literal["train", "test"]
    webgum: bool  # of the 56 tasks that WebGUM reports on
    group: int


@cache
def benchmark() -> tuple[Entry, ...]:
    """The 125 tasks in BrowserGym's order, on which its seeds depend."""
    with (Path(__file__).parent / "browsergym.csv").open(newline="", encoding="utf-8") as table:
        return tuple(
            Entry(row["family"], row["split"], row["webgum"] == "1", int(row["group"]))  # type: ignore[arg-type]
            for row in csv.DictReader(table)
        )


def families(split: Split | None = None) -> tuple[str, ...]:
    """The benchmark's tasks, or those of one split."""
    return tuple(
        e.family for e in benchmark() if split is None or e.split == split or (split == "webgum" and e.webgum)
    )


@cache
def seeds() -> dict[str, tuple[int, ...]]:
    """Protocol A's seeds of each task, as ours. Some come twice for one task, as they do in BrowserGym."""
    import numpy as np

    draw = np.random.RandomState(42)
    drawn = {e.family: draw.randint(low=0, high=TASK_SEEDS, size=REPEATS) for e in benchmark()}
    return {
        family: tuple(
            PROTOCOL_A_FROM + int(np.random.RandomState(int(seed)).randint(0, PAGE_SEEDS)) for seed in own
        )
        for family, own in drawn.items()
    }


def page_seed(seed: int) -> int:
    """What a page is given for a seed of ours: disjoint for training, held-out and protocol seeds."""
    if seed < HELD_OUT_FROM:
        return -1 - seed
    return seed if seed < PROTOCOL_A_FROM else seed - PROTOCOL_A_FROM
