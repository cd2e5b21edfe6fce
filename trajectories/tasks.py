"""What a task is: a goal, a start, a checker that asks the app's own state, and an oracle that solves it.

A suite names its families; a family makes a task from any seed, the same one every time.
Splits are by seed: see `is_held_out`. Training never sees a held-out seed.

Not covered: the tasks themselves (`helpdesk/tasks.py`, `miniwob/`) and running them (`rollout.py`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tools.actions import Action
from tools.environment import Environment
from tools.observation import Observation

if TYPE_CHECKING:
    from trajectories.episode import Episode

HELD_OUT_FROM = 1_000_000  # seeds from here on are for evaluation only
HELD_OUT_TO = 1_000_000_000  # those from here on are a published benchmark's


def is_held_out(seed: int) -> bool:
    """Whether a seed belongs to evaluation."""
    return seed >= HELD_OUT_FROM


@dataclass(frozen=True)
class Outcome:
    """What the checker found: success, its reward where the task has one, and whether the task is over."""

    success: bool
    reward: float = 0.0
    over: bool = False  # the page itself ended the episode; nothing more can be done


class Task(Protocol):
    """One task, ready to be set up in an environment."""

    suite: str
    family: str
    seed: int

    @property
    def max_steps(self) -> int: ...

    @property
    def script(self) -> str:
        """What the coder would write, for a task that wants a script; empty where the actor is enough."""
        ...

    @property
    def files(self) -> Path | None:
        """The folder of files that the task comes with, from `setup` on; None where there are none."""
        ...

    @property
    def id(self) -> str:
        """`suite/family/seed`."""
        ...

    async def setup(self, env: Environment) -> tuple[str, Observation]:
        """Put app and environment into the starting state; returns the goal in words and the first look."""
        ...

    async def check(self, env: Environment, message: str | None) -> Outcome:
        """Ask the app's own state, never the agent's word; `message` is the answer it gave, where asked."""
        ...

    def oracle(self, observation: Observation, history: Sequence[Action]) -> Action:
        """The next right action from here; ends with `send_msg_to_user`. Only valid after `setup`."""
        ...


class Suite(Protocol):
    """A named set of task families. Use as an async context manager: it starts and stops what it needs.

    One suite object serves one environment at a time; parallel workers open one each. One whose oracles can
    tell nothing of another goal or a form half filled in derives from this and leaves those two out.
    """

    name: str
    families: tuple[str, ...]
    scripted: tuple[str, ...]  # more families: those that want a script of the coder as well
    looks_only: frozenset[str]  # families that can only be done by looking at the screenshot

    def task(self, family: str, seed: int) -> Task: ...

    def asides(
        self, episode: Episode, at: int, count: int, draw: random.Random, look: Observation | None = None
    ) -> Iterator[tuple[str, Action]]:
        """Up to `count` other goals for the page `at` steps into a recorded episode, each with what the
        oracle would do next; none where no oracle can tell. `look` is that page with other things filled in.
        Needs no opened suite."""
        return iter(())

    def midway(
        self, episode: Episode, at: int, count: int, draw: random.Random
    ) -> Iterator[tuple[Observation, tuple[Action, ...], str, Action]]:
        """Up to `count` times that page with a form partly filled in: how it would look, what was filled in,
        the goal, and what the oracle would do next; none where no oracle can tell. Needs no opened suite."""
        return iter(())

    async def __aenter__(self) -> Suite: ...

    async def __aexit__(self, *exc: object) -> None: ...
