"""`shopfloor train`: pretrain the nano model, fine-tune any model on episodes, promote what is better.

    shopfloor train pretrain --size nano --steps 5000
    shopfloor train sft --data .shopfloor/data
    shopfloor train rft --rounds 2 --data .shopfloor/data/helpdesk
    shopfloor train dpo --data .shopfloor/data/helpdesk --model challenger
    shopfloor train promote --suites helpdesk,miniwob

Each run is tracked in MLflow, and a fine-tuned model becomes the registry's challenger. A run that was killed
goes on where it was when the same command is given again.

Not covered: the recipes themselves (`training/`); what rounds of `rft` look like from here (`rounds.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

EPISODES = 100  # whose pages are made in one go, by one of several processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    pre = stages.add_parser("pretrain", help="on drawn screens and, with --data, recorded pages")
    pre.add_argument("--size", default="nano", help="tiny, nano or micro (default: nano)")
    pre.add_argument(
        "--data", type=Path, action="append", default=[], metavar="DIR", help="recorded episodes; repeatable"
    )
    pre.add_argument("--from", dest="start", default="", metavar="FOLDER", help="a checkpoint to go on from")
    pre.add_argument("--steps", type=int, default=8000)
    pre.add_argument(
        "--minutes", type=float, default=0.0, help="at most; the rate falls by the clock (no limit)"
    )
    pre.add_argument("--questions", type=int, default=7, help="questions a screen (default: 7)")
    pre.add_argument("--batch", type=int, default=6, help="screens a step and process (default: 6)")
    pre.add_argument("--rate", type=float, default=1.5e-3, help="learning rate (default: 1.5e-3)")
    pre.add_argument("--workers", type=int, default=0, help="processes that draw (default: 0, this one)")

    sft = stages.add_parser("sft", help="all three roles, on recorded episodes")
    sft.add_argument("--data", type=Path, action="append", required=True, metavar="DIR", help="repeatable")
    sft.add_argument(
        "--size",
        "--model",
        dest="model",
        default="nano",
        metavar="nano|HUB_ID|FOLDER",
        help="what to start from; nano means its pretrained checkpoint, else the released one",
    )
    sft.add_argument("--lora", action="store_true", help="train an adapter, merged at the end")
    sft.add_argument("--steps", type=int, default=2000)
    sft.add_argument("--batch", type=int, default=8, help="rows a step (default: 8)")
    sft.add_argument("--rate", type=float, default=5e-4, help="learning rate (default: 5e-4)")

    rft = stages.add_parser("rft", help="on its own verified successes, round by round")
    rft.add_argument("--rounds", type=int, default=2, help="(default: 2)")
    rft.add_argument("--suites", default="helpdesk,miniwob", metavar="A,B")
    rft.add_argument("--families", metavar="A,B", help="task families (default: all of the suites)")
    rft.add_argument("--tasks", type=int, default=4, help="new ones of each family a round (default: 4)")
    rft.add_argument("--samples", type=int, default=4, help="roll-outs of each task (default: 4)")
    rft.add_argument("--temperature", type=float, default=0.7, help="(default: 0.7)")
    rft.add_argument("--steps", type=int, default=300, help="a round, at most (default: 300)")
    rft.add_argument("--batch", type=int, default=8, help="rows a step (default: 8)")
    rft.add_argument("--rate", type=float, default=1e-4, help="learning rate (default: 1e-4)")
    rft.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="demonstrations to mix in; repeatable",
    )
    rft.add_argument(
        "--validate", type=int, default=5, help="held-out tasks of each family, before and after (default: 5)"
    )
    rft.add_argument("--workers", type=int, default=2, help="pages at once (default: 2)")

    dpo = stages.add_parser("dpo", help="on pairs of a better and a worse answer")
    dpo.add_argument("--data", type=Path, action="append", required=True, metavar="DIR", help="repeatable")
    dpo.add_argument("--steps", type=int, default=300, help="at most (default: 300)")
    dpo.add_argument("--batch", type=int, default=8, help="pairs a step (default: 8)")
    dpo.add_argument("--rate", type=float, default=2e-5, help="learning rate (default: 2e-5)")
    dpo.add_argument("--beta", type=float, default=0.1, help="how near to stay to the start (default: 0.1)")
    for stage in (rft, dpo):
        stage.add_argument(
            "--model", metavar="M", help="a folder, champion, challenger or version (default: the one in use)"
        )
    for stage in (pre, sft, rft, dpo):
        stage.add_argument("--seed", type=int, default=0)
        stage.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (default: in the state)")

    promote = stages.add_parser("promote", help="make a model the champion if held-out tasks say so")
    promote.add_argument("model", nargs="?", help="folder or version (default: the challenger)")
    promote.add_argument("--suites", default="helpdesk,miniwob", metavar="A,B")
    promote.add_argument("--episodes", type=int, default=20, help="of each family (default: 20)")
    promote.add_argument("--workers", type=int, default=2)
    stages.add_parser("rollback", help="put back the champion before this one")
    for stage in stages.choices.values():
        stage.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from training.registry import NoModel
    from training.rft import RoundFailed

    stages = {"pretrain": _pretrain, "sft": _sft, "rft": _rft, "dpo": _dpo}
    stage = (stages | {"promote": _promote, "rollback": _rollback})[args.stage]
    try:
        result = stage(args)
    except (ValueError, NoModel, RoundFailed) as error:
        print(f"shopfloor train {args.stage}: {error}", file=sys.stderr)
        return 1 if isinstance(error, RoundFailed) else 2
    if args.json and result:
        print(json.dumps(result))
    elif result:
        shown = (f"{key}: {value}" for key, value in result.items() if key != "rounds")  # said one by one
        print("\n".join(shown), file=sys.stderr)
    return 0 if result.get("promoted", True) else 1


def _run_folder(args: argparse.Namespace, name: str) -> Path:
    from tools.settings import home

    folder: Path = args.out or home() / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _pretrain(args: argparse.Namespace) -> dict[str, Any]:
    from training.nano import SIZES
    from training.tracking import start_run

    if args.size not in SIZES:
        raise ValueError(f"no size {args.size!r}; there are {', '.join(SIZES)}")
    from training import together
    from training.pretrain import Recipe, pretrain

    out = _run_folder(args, f"pretrain-{args.size}")
    recipe = Recipe(
        args.size,
        args.steps,
        args.minutes,
        args.batch,
        args.questions,
        args.rate,
        start=args.start,
        seed=args.seed,
        workers=args.workers,
    )
    params = {**asdict(recipe), "data": [store.digest() for store in _stores(args.data)]}
    if not together.rank():
        _same_run(out, params)
    album = together.after_first(lambda: _album(args.data, out, args.size)) if args.data else None
    began = time.monotonic()
    if together.rank():  # one of several processes, and not the one that reports
        pretrain(recipe, out, lambda step, metrics: None, album)
        return {}
    with start_run("pretrain", params) as tracked:

        def report(step: int, metrics: dict[str, float]) -> None:
            tracked.log_metrics(metrics, step)
            shown = "  ".join(f"{k} {v:.3g}" for k, v in metrics.items())
            print(f"{step}/{recipe.steps}  {time.monotonic() - began:.0f} s  {shown}", file=sys.stderr)

        folder = pretrain(recipe, out, report, album)
    return {"model": str(folder), "seconds": round(time.monotonic() - began)}


def _album(data: Sequence[Path], out: Path, size: str) -> Any:
    """The pages of the episodes, made once a run and on all cores: shrinking thousands of screenshots takes
    minutes."""
    from training import pages

    kept = out / "pages.parquet"
    if not kept.exists():
        told = [(store.path, id) for store in _stores(data) for id in store.ids()]
        parts = [told[i : i + EPISODES] for i in range(0, len(told), EPISODES)]
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            pages.write(chain.from_iterable(pool.map(partial(_pages, size), parts)), kept)
    return pages.Album(kept)


def _pages(size: str, told: Sequence[tuple[Path, str]]) -> list[Any]:
    """The pages of some episodes, given by store and id; those that can't be read are left out."""
    from training import nano, pages
    from training.sft import shrinker
    from trajectories.store import Store, StoreError

    _, processor = nano.build(size, nano.train_tokenizer(["a"], 512))
    stores = {path: Store(path) for path, _ in told}

    def episodes() -> Iterator[Any]:
        for path, id in told:
            with suppress(StoreError):
                yield stores[path].load(id)

    return list(pages.pages(episodes(), shrinker(processor)))


def _stores(folders: Sequence[Path]) -> list[Any]:
    """The episode stores of data folders. Raises ValueError where there is no episode."""
    from trajectories.store import Store

    stores = [Store(folder / "episodes" if (folder / "episodes").is_dir() else folder) for folder in folders]
    if folders and not any(len(store) for store in stores):
        raise ValueError(
            f"no episodes in {', '.join(map(str, folders))}; make some: shopfloor generate helpdesk"
        )
    return stores


def _sft(args: argparse.Namespace) -> dict[str, Any]:
    from tools.settings import home
    from training.nano import SIZES
    from training.registry import register, resolve
    from training.tracking import start_run

    start = args.model
    if start in SIZES:
        pretrained = home() / "runs" / f"pretrain-{start}" / "checkpoint"
        start = str(pretrained if pretrained.exists() else resolve(None))
    stores = _stores(args.data)
    from training.sft import Recipe, build_rows, fine_tune

    out = _run_folder(args, "sft")
    recipe = Recipe(args.steps, args.batch, args.rate, args.seed, args.lora)
    params = {**asdict(recipe), "start": start, "data": [s.digest() for s in stores]}
    began = time.monotonic()
    _same_run(out, params)
    episodes = (episode for store in stores for episode in store)
    rows = _rows_of(
        out, start, lambda shrink: build_rows(episodes, shrink, args.steps * args.batch, args.seed)
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
    """A run's rows, made once, by `make` from what shrinks a screenshot: thousands of them take minutes."""
    import pandas as pd

    from training.processors import load_processor
    from training.sft import shrinker

    kept = out / "rows.parquet"
    if not kept.exists():
        made = pd.DataFrame(make(shrinker(load_processor(start))))
        made.to_parquet(kept.with_suffix(".new"))
        kept.with_suffix(".new").rename(kept)
    return pd.read_parquet(kept).to_dict("records")


def _rft(args: argparse.Namespace) -> dict[str, Any]:
    from apps import rounds
    from apps.local_server import local_model
    from training import rft
    from training.registry import label, register, resolve
    from training.sft import Recipe, build_rows
    from training.tracking import start_run
    from trajectories.tasks import is_held_out

    start = resolve(args.model)
    families = rounds.families(args.suites, args.families)
    plan = rft.Plan(families, args.rounds, args.tasks, args.samples, args.temperature, args.seed)
    recipe = Recipe(args.steps, args.batch, args.rate, args.seed)
    stores = _stores(args.data)
    out = _run_folder(args, "rft")
    params = {
        **asdict(recipe),
        **asdict(plan),
        "start": label(start),
        "data": [store.digest() for store in stores],
        "validate": args.validate,
    }
    began = time.monotonic()
    _same_run(out, params)
    finished = out / "result.json"  # written last: without it, started again, the run goes on
    if finished.exists():
        print(f"{out} holds this run, finished; for another give --out or --seed", file=sys.stderr)
        return dict(json.loads(finished.read_text()))
    demonstrations: list[dict[str, Any]] = []
    if stores:
        shown = (e for store in stores for e in store if not is_held_out(e.seed))
        half = args.steps * args.batch // 2
        demonstrations = _rows_of(out, start, lambda shrink: build_rows(shown, shrink, half, args.seed))
    model, done = start, []
    with start_run("rft", params) as tracked:
        for one, reached in rft.rounds(
            start,
            plan,
            recipe,
            out,
            serve=lambda folder: local_model(str(folder)),
            measure=rounds.validation(families, args.validate, args.workers),
            demonstrations=demonstrations,
            workers=args.workers,
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
    finished.write_text(json.dumps(result, indent=1))
    return result


def _dpo(args: argparse.Namespace) -> dict[str, Any]:
    from eval.preferences import preferred
    from training import dpo
    from training.registry import label, register, resolve
    from training.tracking import start_run

    start = resolve(args.model)
    stores = _stores(args.data)
    out = _run_folder(args, "dpo")
    recipe = dpo.Recipe(args.steps, args.batch, args.rate, args.beta, args.seed)
    params = {**asdict(recipe), "start": label(start), "data": [store.digest() for store in stores]}
    began = time.monotonic()
    _same_run(out, params)

    def make(shrink: Callable[[bytes], bytes]) -> list[dict[str, Any]]:
        found = [pair for folder in args.data for pair in dpo.pairs(folder)]
        train, held = dpo.hold_back(found, args.seed)
        train = dpo.balanced(train, args.steps * args.batch, args.seed)
        held = dpo.balanced(held, dpo.MEASURED, args.seed, passes=1)
        return [row | {"held": part is held} for part in (train, held) for row in dpo.rows(part, shrink)]

    rows = _rows_of(out, start, make)
    train, held = ([row for row in rows if row["held"] == side] for side in (False, True))
    steps = min(args.steps, math.ceil(len(train) / args.batch))
    with start_run("dpo", {**params, "pairs": len(train)}) as tracked:
        before = dpo.log_probabilities(start, held, args.batch)
        folder = dpo.optimise(start, train, replace(recipe, steps=steps), out, report_to="mlflow")
        after = dpo.log_probabilities(folder, held, args.batch)
        figures = preferred([row["role"] for row in held], before, after, args.beta)
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


def _same_run(out: Path, params: Mapping[str, Any]) -> None:
    """A folder goes on only with the run it holds. Raises ValueError."""
    note = out / "run.json"
    if note.exists() and json.loads(note.read_text()) != json.loads(json.dumps(params)):
        raise ValueError(f"{out} holds another run; give --out a new folder, or delete it")
    note.write_text(json.dumps(params, indent=1))


def _promote(args: argparse.Namespace) -> dict[str, Any]:
    from apps import evaluate
    from eval.statistics import better
    from training.registry import promote_if_better

    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    options = ["--episodes", str(args.episodes), "--workers", str(args.workers)]

    def reports(folder: Path) -> Sequence[Mapping[str, Any]]:
        asked = ([suite, "--model", str(folder), *options] for suite in args.suites.split(","))
        found = [asyncio.run(evaluate.measure(parser.parse_args(a))) for a in asked]
        for report in found:
            evaluate.log(report)
        return [report.json() for report in found]

    promotion = promote_if_better(args.model, reports, better)
    return asdict(promotion)


def _rollback(args: argparse.Namespace) -> dict[str, Any]:
    from training.registry import rollback

    return {"champion": rollback() or "the released model"}
