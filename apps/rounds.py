"""What `shopfloor train rft` brings to its rounds: families, validation, and what is said of each.

Validation tasks are held out, but others than `shopfloor eval` takes unless told (`--seed 9` takes them).
They choose the model, so figures to report come from `shopfloor eval`.

Not covered: the rounds themselves (`training/rft.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from apps import evaluate
from eval.runner import seeds
from eval.statistics import Paired, paired
from training.rft import BROKEN, Measure, Progress, Results, Round, RoundFailed
from trajectories.episode import Episode
from trajectories.rollout import Job, discard_unfinished
from trajectories.store import Store
from trajectories.suites import SUITES, open_suite

VALIDATION = 9  # the evaluation's seed


def families(suites: str, names: str | None) -> dict[str, tuple[str, ...]]:
    """The families of each of the suites, of a list with commas: those named, else all.

    Raises ValueError for names that no suite has.
    """
    chosen = [suite.strip() for suite in suites.split(",")]
    if foreign := [suite for suite in chosen if suite not in SUITES]:
        raise ValueError(f"no suite {', '.join(foreign)}; there are {', '.join(SUITES)}")
    known = {suite: open_suite(suite).families for suite in chosen}
    if not names:
        return known
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [w for w in wanted if not any(w in own for own in known.values())]:
        every = (family for own in known.values() for family in own)
        raise ValueError(f"no task {', '.join(unknown)} in {suites}; there are {', '.join(every)}")
    found = {suite: tuple(f for f in own if f in wanted) for suite, own in known.items()}
    return {suite: own for suite, own in found.items() if own}


def validation(families: Mapping[str, tuple[str, ...]], episodes: int, workers: int) -> Measure:
    """What measures a model: its success on each validation task, `episodes` of each family.

    The episodes are kept in the folder given, so that a measurement cut short goes on. It raises RoundFailed
    where most of them broke off. Raises ValueError for a count that no evaluation can have.
    """
    seeds(VALIDATION, episodes)
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)

    def measure(model: Path, folder: Path) -> Results:
        store = Store(folder)
        discard_unfinished(store, store.ids())
        results: Results = {}
        for suite, own in families.items():
            words = [suite, "--model", str(model), "--tasks", ",".join(own), "--out", str(folder)]
            words += ["--episodes", str(episodes), "--seed", str(VALIDATION), "--workers", str(workers)]
            report = asyncio.run(evaluate.measure(parser.parse_args(words)))
            if report.errors > BROKEN * report.total:
                raise RoundFailed(
                    f"{report.errors} of {report.total} validation tasks broke off: {report.error}"
                )
            results |= report.results
        return results

    return measure


def tally(every: int = 25) -> Progress:
    """What counts roll-outs, and says on stderr how they go."""
    count: Counter[str] = Counter()

    def progress(episode: Episode | None, job: Job) -> None:
        if episode is None:  # stored before
            return
        count["made"] += 1
        count["solved"] += episode.outcome.success
        if count["made"] % every == 0:
            print(f"{count['made']} roll-outs, {count['solved']} solved", file=sys.stderr)

    return progress


def figures(done: Round) -> dict[str, float]:
    """A round in numbers; validation's are there if there was something to learn from."""
    found: dict[str, float] = {
        "round": done.number,
        "tasks": done.tasks,
        "kept": done.kept,
        "always": done.always,
        "never": done.never,
        "sampled": done.solved,
        "rows": done.rows,
    }
    if done.kept:
        c = _gain(done)
        found |= {"validated": c.n, "before": sum(done.before.values()) / c.n}
        found |= {"after": sum(done.after.values()) / c.n, "gain": c.difference, "stderr": c.stderr, "p": c.p}
    return found


def said(done: Round) -> str:
    """A round in a line."""
    if not done.kept:
        return (
            f"round {done.number}: nothing left to learn from; of {done.tasks} tasks {done.always} were "
            f"always solved, {done.never} never"
        )
    c = _gain(done)
    before, after = (sum(side.values()) / c.n for side in (done.before, done.after))
    return (
        f"round {done.number}: learnt from {done.kept} of {done.tasks} tasks; validation {before:.1%}, then "
        f"{after:.1%}, a gain of {c.difference:+.1%} ± {c.stderr:.1%} on {c.n} tasks"
        + ("" if done.built_on else "; not built on")
    )


def _gain(done: Round) -> Paired:
    tasks = sorted(done.before)
    return paired([done.after[t] for t in tasks], [done.before[t] for t in tasks])
