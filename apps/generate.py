"""`shopfloor generate`: verified demonstrations on a suite, and the examples made of them.

    shopfloor generate helpdesk --episodes 200 --workers 2 --out data/helpdesk
    shopfloor generate miniwob --families click-test,login-user --episodes 40 --perturb 0.2 --out data/wob
    shopfloor generate helpdesk --policy dagger --episodes 400 --seed 1000 --out data/strayed
    shopfloor generate http://127.0.0.1:8000/ --episodes 50 --out data/mysite
    shopfloor generate app:galculator --episodes 50 --out data/galculator

Where a model acts (`--policy model`, or `dagger`, which lets it stray and the oracle correct it) it is the
endpoint that is set, else the local model, served meanwhile.

With `--ray` the browsers run on a Ray cluster, one to each CPU or as many as `--workers` asks for
(`trajectories/cluster.py`).

A site or application is used as `shopfloor explore` found it; one that has not been explored is first, only
reading.

Work goes a shard at a time (`trajectories/line.py`). Killed at any moment and started again with the same
words, it goes on where it was. Exit codes: 0 done; 1 the work failed and says why; 2 wrong use;
130 interrupted.

Not covered: the work (`making.py`), and exploring a site that needs signing in or may be written to
(`explore.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trajectories.shards import Folder, Plan
    from trajectories.tasks import Suite

POLICIES = ("oracle", "random", "model", "dagger", "near-miss")
MODELS = ("model", "dagger")  # those in which a model acts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", metavar="SUITE|URL", help="helpdesk, miniwob, desktop, crossing, a site or app:NAME"
    )
    parser.add_argument("--episodes", type=int, default=100, metavar="N", help="how many in all (100)")
    parser.add_argument(
        "--workers", type=int, metavar="K", help="roll-outs at once (as set, 2; on Ray all CPUs)"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="where to, or where to go on")
    parser.add_argument("--families", "--tasks", metavar="A,B", help="only these task families")
    parser.add_argument(
        "--split", choices=("train", "test", "webgum"), help="only that split's tasks (MiniWoB++ only)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="first seed of each family (0)")
    parser.add_argument("--policy", choices=POLICIES, default="oracle", help="who does the tasks (oracle)")
    parser.add_argument(
        "--perturb",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of episodes that begin with random actions, for recovery (0)",
    )
    parser.add_argument("--shard", type=int, default=240, metavar="N", help="episodes a shard (240)")
    parser.add_argument(
        "--max-teacher-failures",
        type=float,
        default=20.0,
        metavar="PERCENT",
        help="fail when more of the teacher's paraphrases are errors or unfaithful (20)",
    )
    parser.add_argument(
        "--ray",
        metavar="auto|HOST:PORT",
        help="roll out on that Ray cluster; auto: the one running here, or else one for this run",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    from agents.clients import ModelDown

    try:
        with _model_at_hand() if args.policy in MODELS else nullcontext():
            return _run(args)
    except ModelDown as error:
        print(f"shopfloor generate: {error}", file=sys.stderr)
        return 1


@contextmanager
def _model_at_hand() -> Iterator[None]:
    """The actor's endpoint as it is set, or else the local model, set so that forked steps find it too."""
    from agents.clients import EndpointUnset, endpoint_for, stated
    from apps.local_server import local_model
    from tools import settings

    try:
        endpoint_for("actor", None)
    except EndpointUnset:
        if stated("actor"):
            raise  # half of one is a mistake
    else:
        yield
        return
    with asyncio.Runner() as runner:
        served = local_model(settings.load().model)
        endpoint = runner.run(served.__aenter__())
        try:
            for name in ("BRIEF", "GRAMMAR"):
                os.environ[f"SHOPFLOOR_MODEL_{name}"] = "1"
            os.environ |= {"SHOPFLOOR_MODEL_URL": endpoint.base_url, "SHOPFLOOR_MODEL_NAME": endpoint.model}
            yield
        finally:
            for name in ("URL", "NAME", "BRIEF", "GRAMMAR"):
                os.environ.pop(f"SHOPFLOOR_MODEL_{name}", None)
            runner.run(served.__aexit__(None, None, None))


def _run(args: argparse.Namespace) -> int:
    from trajectories.shards import Folder, PlanError

    try:
        plan = _plan(args)
        folder = Folder(Path(args.out).absolute())
        folder.claim(plan)
    except (PlanError, ValueError) as error:
        print(f"shopfloor generate: {error}", file=sys.stderr)
        return 2
    if not args.ray:
        return _carry_out(plan, folder, args)
    from trajectories.keeper import ClusterError, running

    try:
        with running(args.ray) as address:
            return _carry_out(replace(plan, ray=address), folder, args)
    except ClusterError as error:
        print(f"shopfloor generate: {error}", file=sys.stderr)
        return 2


def _carry_out(plan: Plan, folder: Folder, args: argparse.Namespace) -> int:
    """The plan done and reported; returns the exit code."""
    from apps.making import carry_out

    code, summary = carry_out(plan, folder, args.max_teacher_failures / 100)
    if args.json:
        print(json.dumps(summary))
    else:
        _show(summary)
    return code


def _runnable(suite: Suite) -> tuple[str, ...]:
    """The suite's families that come with a script, where scripts can be run; else none, and a line that says
    why."""
    from tools.sandbox import SandboxMissing, find

    if suite.scripted:
        try:
            find()
        except SandboxMissing as error:
            print(f"left out: {', '.join(suite.scripted)}; {error}", file=sys.stderr)
            return ()
    return suite.scripted


def _plan(args: argparse.Namespace) -> Plan:
    from trajectories.goals import teacher_endpoint
    from trajectories.shards import Plan
    from trajectories.suites import open_suite

    if "://" in args.target or args.target.startswith("app:"):
        _explored(args)
    if not 0 <= args.max_teacher_failures <= 100:
        raise ValueError("--max-teacher-failures is a percentage between 0 and 100")
    suite = open_suite(args.target)
    families = suite.families + (_runnable(suite) if args.policy == "oracle" else ())
    if args.split:
        from trajectories.miniwob import protocol

        if args.target != "miniwob" or args.families:
            raise ValueError("--split is MiniWoB++'s, and stands instead of --families")
        families = protocol.families(args.split)
    if args.families:
        families = tuple(dict.fromkeys(f.strip() for f in args.families.split(",") if f.strip()))
        known = suite.families + suite.scripted
        if unknown := [f for f in families if f not in known]:
            raise ValueError(f"no family {', '.join(unknown)} in {args.target}; there are {', '.join(known)}")
    model = ""
    if args.policy in MODELS:
        from agents.clients import endpoint_for

        model = endpoint_for("actor", None).model
    workers = 0 if args.ray and args.workers is None else args.workers
    if workers is None:
        from tools import settings

        workers = settings.load().workers
    teacher = teacher_endpoint()
    return Plan(
        suite=args.target,
        families=families,
        episodes=args.episodes,
        seed=args.seed,
        policy=args.policy,
        model=model,
        perturb=args.perturb,
        shard=args.shard,
        workers=workers,
        teacher=teacher.model if teacher else "",
        ray=args.ray or "",
    )


def _explored(args: argparse.Namespace) -> None:
    """Make sure the site has been explored, and that what is not an expert can do no harm there.

    Raises SiteError.
    """
    from apps.explore import explore, open_site
    from tools.environment import EnvironmentDown
    from trajectories.explore.site import SiteError, map_file

    site = open_site(args.target, None)
    if not map_file(args.target).exists():
        print(f"exploring {args.target} first", file=sys.stderr)
        try:
            if not asyncio.run(explore(site)):
                raise KeyboardInterrupt
        except EnvironmentDown as error:
            raise SiteError(str(error)) from error
    if args.target.startswith("app:"):
        return  # each episode has a desktop of its own
    if (args.perturb or args.policy != "oracle") and site.access.writes and not site.access.reset:
        raise SiteError(
            f"{args.target} may be written to and nothing puts it back: only --policy oracle without "
            "--perturb; explore it with --reset, or without --allow-writes"
        )
    if args.ray and (site.access.writes or site.access.reset):
        raise SiteError(f"{args.target} is written to and put back from this machine only: leave out --ray")


def _show(summary: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True)
    table = Table("family", "episodes", "success", "kept")
    for family, counts in summary["by_family"].items():
        table.add_row(family, str(counts["episodes"]), str(counts["success"]), str(counts["kept"]))
    console.print(table)
    console.print(
        f"{summary['episodes']} episodes, {summary['success']:.1%} solved; left out: {summary['duplicates']} "
        f"duplicates, {summary['unbalanced']} for balance, {summary['errors']} errors\n"
        f"{summary['examples']} examples, {summary['preferences']} preference pairs in {summary['out']}\n"
        f"{summary['made_now']} made now, {summary['there_before']} were there, in {summary['seconds']} s "
        f"({summary['episodes_per_second']} episodes/s, {summary['steps_per_second']} steps/s)",
        highlight=False,
    )
    if summary["teacher"].get("asked"):
        t = summary["teacher"]
        console.print(
            f"teacher: {t['asked']} asked, {t['used']} used, {t['rejected']} rejected, {t['failed']} failed",
            highlight=False,
        )
