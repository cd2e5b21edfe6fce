"""Training runs as plain functions: what `shopfloor train` and the line's stages both call.

    sft("models/nano", [Path(".shopfloor/data/helpdesk")], Recipe(steps=200), Path("out"))

Each is tracked in MLflow, leaves a checkpoint in its folder, and returns figures that fit into JSON. Killed
and called again with the same arguments it goes on where it was; a fine-tuned model becomes the registry's
challenger.

Not covered: the recipes themselves (`training/`), and asking for them (`train.py`, `apps/line/`).
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.lifeline import die_with_parent

if TYPE_CHECKING:
    from training import dpo as preferences
    from training import rft as rejection
    from training.pretrain import Recipe as PretrainRecipe
    from training.sft import Recipe as SftRecipe

EPISODES = 100  # whose pages are made in one go, by one of several processes


def pretrain(recipe: PretrainRecipe, data: Sequence[Path], out: Path) -> dict[str, Any]:
    """A nano model from scratch or from `recipe.start`; `{}` in all but the first of several processes.

    Raises ValueError for a size that there is not, a folder without episodes, or one of another run.
    """
    from training.nano import SIZES
    from training.tracking import start_run

    if recipe.size not in SIZES:
        raise ValueError(f"no size {recipe.size!r}; there are {', '.join(SIZES)}")
    from training import together
    from training.pretrain import pretrain as train

    start = named(recipe.start) if recipe.start else ""
    params = {**asdict(recipe), "start": start, "data": digests(data)}
    if not together.rank():
        _same_run(out, params)
    album = together.after_first(lambda: _album(data, out, recipe.size)) if data else None
    began = time.monotonic()
    if together.rank():  # one of several processes, and not the one that reports
        train(recipe, out, lambda step, metrics: None, album)
        return {}
    with start_run("pretrain", params) as tracked:

        def report(step: int, metrics: dict[str, float]) -> None:
            tracked.log_metrics(metrics, step)
            shown = "  ".join(f"{k} {v:.3g}" for k, v in metrics.items())
            print(f"{step}/{recipe.steps}  {time.monotonic() - began:.0f} s  {shown}", file=sys.stderr)

        folder = train(recipe, out, report, album)
    return {"model": str(folder), "seconds": round(time.monotonic() - began)}


def _album(data: Sequence[Path], out: Path, size: str) -> Any:
    """The pages of the episodes, made once a run and on all cores: shrinking thousands of screenshots takes
    minutes."""
    from training import pages
    from trajectories.lessons import told

    kept = out / "pages.parquet"
    if not kept.exists():
        ids = {folder: told(folder) for folder in data}
        parts = [(f, own[i : i + EPISODES]) for f, own in ids.items() for i in range(0, len(own), EPISODES)]
        with ProcessPoolExecutor(
            mp_context=get_context("spawn"), initializer=die_with_parent, initargs=(os.getpid(),)
        ) as pool:
            pages.write(chain.from_iterable(pool.map(partial(_pages, size), parts)), kept)
    return pages.Album(kept)


def _pages(size: str, part: tuple[Path, list[str]]) -> list[Any]:
    """The pages of some episodes of a data folder."""
    from training import nano, pages
    from training.sft import shrinker
    from trajectories.lessons import lessons

    _, processor = nano.build(size, nano.train_tokenizer(["a"], 512))
    return list(pages.pages(lessons(*part), shrinker(processor)))


def digests(folders: Sequence[Path]) -> list[str]:
    """What data folders hold, as a digest each. Raises ValueError for one that has no episode."""
    from trajectories.store import Store, store_path

    found = []
    for folder in folders:
        try:
            store = Store(store_path(folder))
        except OSError as error:
            raise ValueError(str(error)) from error
        if not len(store):
            raise ValueError(f"no episodes in {folder}; make some: shopfloor generate helpdesk")
        found.append(store.digest())
    return found


def sft(start: str, data: Sequence[Path], recipe: SftRecipe, out: Path) -> dict[str, Any]:
    """All three roles, on recorded episodes, from the model at `start` (a folder or a hub id)."""
    from training.registry import register
    from training.sft import build_rows, fine_tune
    from training.tracking import start_run
    from trajectories.lessons import lessons

    params = {**asdict(recipe), "start": named(start), "data": digests(data)}
    began = time.monotonic()
    _same_run(out, params)
    episodes = chain.from_iterable(map(lessons, data))
    rows = _rows_of(
        out, start, lambda shrink: build_rows(episodes, shrink, recipe.steps * recipe.batch, recipe.seed)
    )
    with start_run("sft", {**params, "rows": len(rows)}) as tracked:
        folder = fine_tune(start, rows, recipe, out, report_to="mlflow")
        seconds = time.monotonic() - began
        tracked.log_metrics({"seconds": seconds})
    version = register(folder, {"seconds": seconds}, params)
    return {"model": str(folder), "version": version, "rows": len(rows), "seconds": round(seconds)}


def _rows_of(
    out: Path, start: str | Path, make: Callable[[Callable[[bytes], bytes]], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """A run's rows, made once, by `make` from what shrinks a screenshot: thousands of them take minutes.
    Raises ValueError where there are none."""
    import pandas as pd

    from training.processors import load_processor
    from training.sft import NOTHING, shrinker

    kept = out / "rows.parquet"
    if not kept.exists():
        rows = make(shrinker(load_processor(start)))
        if not rows:
            raise ValueError(NOTHING)
        pd.DataFrame(rows).to_parquet(kept.with_suffix(".new"))
        kept.with_suffix(".new").rename(kept)
    return pd.read_parquet(kept).to_dict("records")


def rft(
    start: Path,
    plan: rejection.Plan,
    recipe: SftRecipe,
    data: Sequence[Path],
    out: Path,
    *,
    validate: int = 5,
    workers: int = 2,
) -> dict[str, Any]:
    """Rounds on its own verified successes; `validate` held-out tasks of each family before and after.

    Raises RoundFailed where most roll-outs broke off.
    """
    from apps import rounds
    from apps.local_server import local_model
    from training import rft as rejection
    from training.registry import label, register
    from training.sft import build_rows
    from training.tracking import start_run
    from trajectories.lessons import lessons
    from trajectories.shards import write_json

    params = {
        **asdict(recipe),
        **asdict(plan),
        "start": label(start),
        "data": digests(data),
        "validate": validate,
    }
    began = time.monotonic()
    _same_run(out, params)
    finished = out / "result.json"  # written last: without it, started again, the run goes on
    if finished.exists():
        print(f"{out} holds this run, finished; for another give --out or --seed", file=sys.stderr)
        return dict(json.loads(finished.read_text()))
    demonstrations: list[dict[str, Any]] = []
    if data:
        shown = chain.from_iterable(map(lessons, data))
        half = recipe.steps * recipe.batch // 2
        demonstrations = _rows_of(out, start, lambda shrink: build_rows(shown, shrink, half, recipe.seed))
    model, done = start, []
    with start_run("rft", params) as tracked:
        for one, reached in rejection.rounds(
            start,
            plan,
            recipe,
            out,
            serve=lambda folder: local_model(str(folder)),
            measure=rounds.validation(plan.families, validate, workers),
            demonstrations=demonstrations,
            workers=workers,
            progress=rounds.tally(),
        ):
            model = reached
            done.append(rounds.figures(one))
            tracked.log_metrics(done[-1], step=one.number)
            print(rounds.said(one), file=sys.stderr)
        seconds = time.monotonic() - began
        tracked.log_metrics({"seconds": seconds})
    result: dict[str, Any] = {"model": str(model), "rounds": done, "seconds": round(seconds)}
    if not one.kept:
        result["ended"] = rounds.said(one)
    if model != start:
        result["version"] = register(model, {"seconds": seconds}, params)
    write_json(finished, result)
    return result


def dpo(start: Path, data: Sequence[Path], recipe: preferences.Recipe, out: Path) -> dict[str, Any]:
    """On pairs of a better and a worse answer."""
    from eval.preferences import preferred
    from training import dpo as preferences
    from training.registry import label, register
    from training.tracking import start_run

    params = {**asdict(recipe), "start": label(start), "data": digests(data)}
    began = time.monotonic()
    _same_run(out, params)

    def make(shrink: Callable[[bytes], bytes]) -> list[dict[str, Any]]:
        found = [pair for folder in data for pair in preferences.pairs(folder)]
        train, held = preferences.hold_back(found, recipe.seed)
        train = preferences.balanced(train, recipe.steps * recipe.batch, recipe.seed)
        held = preferences.balanced(held, preferences.MEASURED, recipe.seed, passes=1)
        return [row | {"held": p is held} for p in (train, held) for row in preferences.rows(p, shrink)]

    rows = _rows_of(out, start, make)
    train, held = ([row for row in rows if row["held"] == side] for side in (False, True))
    steps = min(recipe.steps, math.ceil(len(train) / recipe.batch))
    with start_run("dpo", {**params, "pairs": len(train)}) as tracked:
        before = preferences.log_probabilities(start, held, recipe.batch)
        folder = preferences.optimise(start, train, replace(recipe, steps=steps), out, report_to="mlflow")
        after = preferences.log_probabilities(folder, held, recipe.batch)
        figures = preferred([row["role"] for row in held], before, after, recipe.beta)
        seconds = time.monotonic() - began
        tracked.log_metrics({f"held_back/{r}/{k}": v for r, own in figures.items() for k, v in own.items()})
    return {
        "model": str(folder),
        "version": register(folder, {"seconds": seconds}, params),
        "pairs": dict(Counter(row["source"] for row in train)),
        "steps": steps,
        "held_back": figures,
        "seconds": round(seconds),
    }


def named(start: str) -> str:
    """What a run starts from, by its weights: a folder may hold others the next time. A hub id is itself.
    Raises NoModel."""
    from transformers import AutoConfig

    from training.registry import NoModel, label

    try:
        AutoConfig.from_pretrained(start)
    except OSError as error:
        raise NoModel(
            f"no model {start!r}: give a model's folder, or a hub id that is on this machine"
        ) from error
    return label(Path(start)) if Path(start).is_dir() else start


def _same_run(out: Path, params: Mapping[str, Any]) -> None:
    """A folder goes on only with the run it holds, if that has made anything yet. Raises ValueError."""
    from trajectories.shards import write_json

    out.mkdir(parents=True, exist_ok=True)
    note = out / "run.json"
    begun = note.exists() and any(other != note for other in out.iterdir())
    if begun and json.loads(note.read_text()) != json.loads(json.dumps(params)):
        raise ValueError(f"{out} holds another run; give --out a new folder, or delete it")
    write_json(note, params)
