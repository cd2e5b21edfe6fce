"""What a turn of the line is to do: one dial, `--size`, sets it all; and what a turn began with.

The figures of `nano` and `micro` are those the released models were made with; `tiny` is for seeing the whole
line go in minutes, and for its tests.

Not covered: doing it (`stages.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WRONG_USE = 2  # the exit code that trying again does not mend
STAGES = ("ingest", "generate", "pretrain", "sft", "rft", "evaluate", "promote", "deploy")


@dataclass(frozen=True)
class Dial:
    """One notch. Episodes are of each suite in all, tasks and `episodes` of each family."""

    demonstrations: Mapping[str, int]  # by suite; made where the state's data folder holds none
    families: Mapping[str, tuple[str, ...]]  # by suite; empty: all of them
    minutes: float  # of pretraining on two cores, or on one GPU for micro
    batch: int
    sft_steps: int
    sft_rate: float
    tasks: int  # of rejection sampling
    samples: int
    rft_steps: int
    validate: int
    episodes: int  # of the evaluation that decides

    def suites(self) -> tuple[str, ...]:
        return tuple(self.demonstrations)


ALL: dict[str, tuple[str, ...]] = {"helpdesk": (), "miniwob": ()}
EASY = ("click-test", "click-test-2", "click-button", "click-link", "focus-text")
DIALS = {
    "tiny": Dial({"miniwob": 40}, {"miniwob": EASY}, 1.0, 6, 40, 1e-3, 1, 2, 20, 1, 4),
    "nano": Dial({"helpdesk": 230, "miniwob": 1000}, ALL, 240.0, 8, 300, 1e-4, 4, 4, 300, 5, 20),
    "micro": Dial({"helpdesk": 1380, "miniwob": 19000}, ALL, 30.0, 32, 600, 1e-4, 4, 4, 300, 5, 20),
}


@dataclass(frozen=True)
class Turn:
    """What a turn was begun with, written down once, so that a turn taken up again is the same turn.

    `champion` is the folder of the model in use when it began; empty where there was none that counts, and
    then the challenger has to beat random actions.
    """

    number: int
    size: str
    minutes: float  # of pretraining
    champion: str
    base: str  # the model to train on; empty: pretrain one
    workers: int
    drift: Sequence[str] = ()  # the figures that had drifted when it began (`shopfloor drift`)

    @property
    def dial(self) -> Dial:
        return DIALS[self.size]

    @property
    def name(self) -> str:
        return f"turn-{self.number:06d}"
