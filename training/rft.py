"""Rejection-sampling fine-tuning: the model trained again on its own verified successes.

    shopfloor train rft --rounds 2 --data .shopfloor/data/helpdesk

A round rolls the model out at a temperature, several times on each of some training tasks that no other round
has. It keeps the shortest verified success of each task (after RFT, https://arxiv.org/abs/2308.01825, which
keeps every distinct one), and nothing of tasks always solved, which have nothing to teach, or never solved,
which have nothing to show (DAPO's dynamic sampling, https://arxiv.org/abs/2503.14476). On these the model is
fine-tuned (`sft.py`), with as many rows of demonstrations where there are any, so that what it could is kept.
The same validation tasks are tried before and after; a round after which fewer are solved is not built on.

Killed at any moment it goes on: episodes, checkpoints and finished rounds are kept. What is sampled does not
follow from the seed, the tasks do.

Not covered: serving the model and measuring it, which come in as arguments, for they lie above this room
(`apps/runs.py`); policy gradients; explored sites, whose tasks may not be tried at random.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from agents.actor import ModelPolicy
from agents.clients import Endpoint
from training.registry import label
from training.sft import Recipe, build_rows, fine_tune, shrinker
from training.tracking import start_run
from trajectories import shards
from trajectories.episode import Episode
from trajectories.examples import examples, pairs
from trajectories.rollout import Job, discard_unfinished, roll_out_all
from trajectories.store import Store
from trajectories.tasks import HELD_OUT_FROM

FIRST = 500_000  # training seeds from here on; demonstrations come from the lowest
APART = 10_000  # seeds of a run; those of the next `seed` begin after them
PASSES = 3  # at most, over a round's own rows: a handful is not to be learnt by heart
BROKEN = 0.5  # share of samples that may fail for want of an environment or a model

Rows = list[dict[str, Any]]
Results = dict[str, bool]  # task id to success
Serve = Callable[[Path], AbstractAsyncContextManager[Endpoint]]
Measure = Callable[[Path, Path], Results]  # a model, and a folder for its episodes
Progress = Callable[[Episode | None, Job], None]


class RoundFailed(RuntimeError):
    """Too many roll-outs broke off to judge by the rest; what is finished is kept. The message says why."""


@dataclass(frozen=True)
class Plan:
    """What the rounds sample: of each family `tasks` new tasks a round, `samples` times each.

    Raises ValueError for counts that leave nothing to choose from, or seeds that are not for training.
    """

    families: Mapping[str, tuple[str, ...]]  # by suite
    rounds: int = 2
    tasks: int = 4
    samples: int = 4
    temperature: float = 0.7  # as in RFT
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 2 or self.temperature <= 0:
            raise ValueError("rejection sampling wants --samples 2 or more, and a --temperature above 0")
        if self.rounds < 1 or self.tasks < 1:
            raise ValueError("--rounds and --tasks are counts of at least 1")
        if self.rounds * self.tasks > APART:
            raise ValueError(f"--rounds times --tasks is at most {APART:,}: each run has so many seeds")
        if not 0 <= self.seed < (HELD_OUT_FROM - FIRST) // APART:
            raise ValueError(f"--seed is 0 to {(HELD_OUT_FROM - FIRST) // APART - 1}; others are held out")

    def jobs(self, suite: str, number: int) -> list[Job]:
        """A round's tasks of a suite, their goals said as the line says them; no other round has them."""
        families = self.families[suite]
        first = FIRST + self.seed * APART + (number - 1) * self.tasks
        count = self.tasks * len(families)
        return shards.Plan(suite, families, count, first, policy="model").jobs(0, count)


@dataclass(frozen=True)
class Round:
    """What came of one round. `before` and `after` are of the same validation tasks, empty where there was
    nothing to learn from."""

    number: int
    tasks: int
    always: int  # tasks that every sample solved
    never: int
    solved: float  # share of samples
    rows: int = 0  # trained on, demonstrations among them
    before: Results = field(default_factory=dict)
    after: Results = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """Tasks learnt from."""
        return self.tasks - self.always - self.never

    @property
    def built_on(self) -> bool:
        """Whether its model is the one to go on with."""
        return self.kept > 0 and sum(self.after.values()) >= sum(self.before.values())


def solved(episode: Episode) -> bool:
    """Whether an episode is a success to learn from: the checker says so, and the model then stopped with
    `done`, or the page ended it. One that wandered on, or gave up, is none."""
    return episode.outcome.success and episode.ended in ("done", "over")


def select(episodes: Iterable[Episode]) -> list[Episode]:
    """The shortest success (see `solved`) of each task that some samples solved and some did not.

    Of equals the first counts; tasks come in the order they were first met. An episode that broke off
    (`error`) says nothing of the model and is passed over. At most one episode a task is held in memory.
    """
    tried: dict[str, list[bool]] = defaultdict(list)
    shortest: dict[str, Episode] = {}
    for episode in episodes:
        if episode.ended == "error":
            continue
        tried[episode.task].append(solved(episode))
        if solved(episode):
            best = shortest.setdefault(episode.task, episode)
            if len(episode.steps) < len(best.steps):
                shortest[episode.task] = episode
    return [shortest[task] for task, wins in tried.items() if any(wins) and not all(wins)]


def rounds(
    start: Path,
    plan: Plan,
    recipe: Recipe,
    out: Path,
    *,
    serve: Serve,
    measure: Measure,
    demonstrations: Sequence[dict[str, Any]] = (),
    workers: int = 2,
    progress: Progress | None = None,
) -> Iterator[tuple[Round, Path]]:
    """Each round as it is finished, and the model to go on with; ends early after one with nothing to learn.

    `recipe.steps` is the most a round trains; `demonstrations` are rows as `sft.build_rows` makes them.
    Raises RoundFailed where most samples broke off.
    """
    model, known = start, Results()
    for number in range(1, plan.rounds + 1):
        folder = out / f"round-{number}"
        note = folder / "round.json"  # written last: its existence means that the round is finished
        if note.exists():
            done = Round(**json.loads(note.read_text()))
        else:
            asyncio.run(sample(model, plan, number, folder / "samples", serve, workers, progress))
            done, kept = _sampled(number, folder / "samples")
            if kept:
                before = known or measure(model, folder / "before")
                rows = mixed(kept, demonstrations, _shrinker(model), recipe)
                trained = _trained(model, rows, replace(recipe, seed=recipe.seed + number), folder)
                after = measure(trained, folder / "after")
                done = replace(done, rows=len(rows), before=before, after=after)
            shards.write_json(note, asdict(done))
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # only a killed run needs them
        if done.built_on:
            model = folder / "model"
        known = done.after if done.built_on else done.before
        yield done, model
        if not done.kept:
            return


async def sample(
    model: Path,
    plan: Plan,
    number: int,
    folder: Path,
    serve: Serve,
    workers: int = 2,
    progress: Progress | None = None,
) -> None:
    """A round's roll-outs, a store for each sample of all tasks, for the samples of one task have one id.

    What is stored is not done again, except what broke off. Raises EnvironmentDown, ModelDown, StoreError.
    """
    name = label(model)
    async with serve(model) as endpoint:
        policy = ModelPolicy(endpoint, temperature=plan.temperature)
        try:
            for turn in range(plan.samples):
                store = Store(folder / str(turn))
                discard_unfinished(store, store.ids())
                for suite in plan.families:
                    await roll_out_all(
                        plan.jobs(suite, number),
                        suite,
                        lambda task: policy,
                        workers,
                        store,
                        progress,
                        policy_name="model",
                        model=name,
                    )
        finally:
            await policy.close()


def _sampled(number: int, folder: Path) -> tuple[Round, list[Episode]]:
    """How a round's samples came out, and those to learn from. Raises RoundFailed."""
    tried: dict[str, list[bool]] = defaultdict(list)
    broken: list[str] = []

    def read() -> Iterator[Episode]:
        for store in sorted(folder.iterdir()):
            for episode in Store(store):
                if episode.ended == "error":
                    broken.append(str(episode.extra.get("error", "an error")))
                else:
                    tried[episode.task].append(solved(episode))
                    yield episode

    kept = select(read())
    wins = [won for own in tried.values() for won in own]
    if len(broken) > BROKEN * (len(broken) + len(wins)):
        total = len(broken) + len(wins)
        raise RoundFailed(f"{len(broken)} of {total} roll-outs broke off, the first with {broken[0]}")
    always = sum(all(own) for own in tried.values())
    never = sum(not any(own) for own in tried.values())
    return Round(number, len(tried), always, never, sum(wins) / max(1, len(wins))), kept


def mixed(
    kept: Sequence[Episode],
    demonstrations: Sequence[dict[str, Any]],
    shrink: Callable[[bytes], bytes],
    recipe: Recipe,
) -> Rows:
    """A round's rows, shuffled: the kept episodes' some `PASSES` times over, and as many demonstrations.

    Together they are about `recipe.steps` batches at most.
    """
    most = recipe.steps * recipe.batch // (2 if demonstrations else 1)
    there = sum(1 for episode, other in pairs(kept) for _ in examples(episode, other))
    rows = build_rows(kept, shrink, min(most, PASSES * there), recipe.seed)
    draw = random.Random(recipe.seed)
    rows += draw.sample(list(demonstrations), min(len(demonstrations), len(rows)))
    draw.shuffle(rows)
    return rows


def _shrinker(model: Path) -> Callable[[bytes], bytes]:
    from training.processors import load_processor

    return shrinker(load_processor(model))


def _trained(model: Path, rows: Rows, recipe: Recipe, folder: Path) -> Path:
    steps = min(recipe.steps, math.ceil(len(rows) / recipe.batch))
    with start_run("rft", {"start": label(model), "rows": len(rows)}):
        return fine_tune(model, rows, replace(recipe, steps=steps), folder, report_to="mlflow")
