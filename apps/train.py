"""`shopfloor train`: pretrain the nano model, fine-tune any model on episodes, promote what is better.

    shopfloor train pretrain --size nano --steps 5000 [--ray 2]
    shopfloor train sft --data .shopfloor/data
    shopfloor train rft --rounds 2 --data .shopfloor/data/helpdesk
    shopfloor train dpo --data .shopfloor/data/helpdesk --model challenger
    shopfloor train average FOLDER FOLDER --out FOLDER
    shopfloor train promote --suites helpdesk,miniwob

Each run is tracked in MLflow, and a fine-tuned model becomes the registry's challenger. A run that was killed
goes on where it was when the same command is given again.

Not covered: the runs (`runs.py`) and recipes (`training/`); what rounds of `rft` look like from here
(`rounds.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

LEAST = {"steps": 1, "batch": 1, "questions": 1, "read": 1, "minutes": 0, "workers": 0, "ray": 0}


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
    pre.add_argument(
        "--read", type=int, default=1, help="recorded pages read for each trained on, by loss (default: 1)"
    )
    pre.add_argument("--rate", type=float, default=1.5e-3, help="learning rate (default: 1.5e-3)")
    pre.add_argument("--workers", type=int, default=0, help="processes that draw (default: 0, this one)")
    pre.add_argument(
        "--ray", type=int, default=0, metavar="N", help="by Ray Train, in so many workers (default: here)"
    )

    sft = stages.add_parser("sft", help="all three roles, on recorded episodes")
    sft.add_argument("--data", type=Path, action="append", required=True, metavar="DIR", help="repeatable")
    sft.add_argument(
        "--size",
        "--model",
        dest="model",
        default="nano",
        metavar="nano|HUB_ID|FOLDER",
        help="what to start from; a size means its pretrained checkpoint, nano else the released one",
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

    mean = stages.add_parser("average", help="the mean of models trained on from one another")
    mean.add_argument("models", nargs="+", type=Path, metavar="FOLDER")
    mean.add_argument("--out", type=Path, required=True, metavar="DIR")

    promote = stages.add_parser("promote", help="make a model the champion if held-out tasks say so")
    promote.add_argument("model", nargs="?", help="folder or version (default: the challenger)")
    promote.add_argument("--suites", default="helpdesk,miniwob", metavar="A,B")
    promote.add_argument("--episodes", type=int, default=20, help="of each family (default: 20)")
    promote.add_argument(
        "--seed",
        type=int,
        default=10,
        metavar="S",
        help="which held-out seeds; 0 is for reports (default: 10)",
    )
    promote.add_argument("--workers", type=int, default=2)
    stages.add_parser("rollback", help="put back the champion before this one")
    for stage in stages.choices.values():
        stage.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from training.registry import NoModel
    from training.rft import RoundFailed
    from training.sft import PreflightError

    stages = {"pretrain": _pretrain, "sft": _sft, "rft": _rft, "dpo": _dpo}
    stage = (stages | {"average": _average, "promote": _promote, "rollback": _rollback})[args.stage]
    try:
        for name, least in LEAST.items():
            if getattr(args, name, least) < least:
                raise ValueError(f"--{name} must be at least {least}")
        result = stage(args)
    except (ValueError, NoModel, RoundFailed, PreflightError) as error:
        print(f"shopfloor train {args.stage}: {error}", file=sys.stderr)
        return 1 if isinstance(error, RoundFailed | PreflightError) else 2
    if args.json and result:
        print(json.dumps(result))
    elif result:
        shown = (f"{key}: {value}" for key, value in result.items() if key != "rounds")  # said one by one
        print("\n".join(shown), file=sys.stderr)
    return 0 if result.get("promoted", True) else 1


def _run_folder(args: argparse.Namespace, name: str) -> Path:
    from tools.settings import home

    return args.out or home() / "runs" / name


def _pretrain(args: argparse.Namespace) -> dict[str, Any]:
    from apps import runs
    from tools.lifeline import die_with_parent
    from training.pretrain import Recipe

    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun takes its processes along only when it can
        die_with_parent()
    recipe = Recipe(
        args.size,
        args.steps,
        args.minutes,
        args.batch,
        args.questions,
        args.rate,
        read=args.read,
        start=args.start,
        seed=args.seed,
        workers=args.workers,
    )
    out = _run_folder(args, f"pretrain-{args.size}")
    if not args.ray:
        return runs.pretrain(recipe, args.data, out)
    from apps import ray_training
    from trajectories.keeper import running

    with running("auto") as address:
        return ray_training.pretrain(recipe, args.data, out, args.ray, address)


def _average(args: argparse.Namespace) -> dict[str, Any]:
    from training.average import average

    return {"model": str(average(args.models, args.out))}


def _sft(args: argparse.Namespace) -> dict[str, Any]:
    from apps import runs
    from tools.settings import home
    from training.nano import SIZES
    from training.registry import RELEASED
    from training.sft import Recipe

    start = args.model
    if start in SIZES:
        pretrained = home() / "runs" / f"pretrain-{start}" / "checkpoint"
        if not pretrained.exists() and start != "nano":
            raise ValueError(f"no {start} model yet; make one: shopfloor train pretrain --size {start}")
        start = str(pretrained if pretrained.exists() else RELEASED)
    recipe = Recipe(args.steps, args.batch, args.rate, args.seed, args.lora)
    return runs.sft(start, args.data, recipe, _run_folder(args, "sft"))


def _rft(args: argparse.Namespace) -> dict[str, Any]:
    from apps import rounds, runs
    from training import rft
    from training.registry import resolve
    from training.sft import Recipe

    start = resolve(args.model)
    families = rounds.families(args.suites, args.families)
    plan = rft.Plan(families, args.rounds, args.tasks, args.samples, args.temperature, args.seed)
    recipe = Recipe(args.steps, args.batch, args.rate, args.seed)
    out = _run_folder(args, "rft")
    return runs.rft(start, plan, recipe, args.data, out, validate=args.validate, workers=args.workers)


def _dpo(args: argparse.Namespace) -> dict[str, Any]:
    from apps import runs
    from training.dpo import Recipe
    from training.registry import resolve

    recipe = Recipe(args.steps, args.batch, args.rate, args.beta, args.seed)
    return runs.dpo(resolve(args.model), args.data, recipe, _run_folder(args, "dpo"))


def _promote(args: argparse.Namespace) -> dict[str, Any]:
    from apps import evaluate
    from eval.statistics import better
    from training.registry import promote_if_better

    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    options = ["--episodes", str(args.episodes), "--workers", str(args.workers), "--seed", str(args.seed)]

    asked = [parser.parse_args([suite.strip(), *options]) for suite in args.suites.split(",")]
    if problem := next(filter(None, map(evaluate.wrong, asked)), None):  # before any of them takes its time
        raise ValueError(problem)

    def reports(folder: Path) -> Sequence[Mapping[str, Any]]:
        for one in asked:
            one.model = str(folder)
        found = [asyncio.run(evaluate.measure(one)) for one in asked]
        for report in found:
            evaluate.log(report)
        return [report.json() for report in found]

    promotion = promote_if_better(args.model, reports, better)
    return asdict(promotion)


def _rollback(args: argparse.Namespace) -> dict[str, Any]:
    from training.registry import rollback

    return {"champion": rollback() or "the released model"}
