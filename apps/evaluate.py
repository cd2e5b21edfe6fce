"""`shopfloor eval`: measure a policy on held-out tasks of a suite.

    shopfloor eval miniwob --policy oracle --episodes 20
    shopfloor eval helpdesk --model models/nano --without image --json > report.json
    shopfloor eval miniwob --protocol a --split test
    shopfloor eval helpdesk --role reviewer --model models/nano --episodes 20
    shopfloor eval hostile --policy obedient

`--protocol a` is BrowserGym's MiniWoB++ benchmark: 125 tasks, its own five seeds each, at most ten steps.

The report goes to MLflow, and with `--json` to stdout. With `--out`, episodes are kept, and the same
evaluation started again goes on where it was. `--role reviewer` measures the verdict at the end instead, on
as many good episodes as near misses.

Not covered: the figures themselves (`eval/runner.py`, `eval/verdicts.py`), comparing two reports
(`eval/statistics.py`), what the team does with a task (`attempt.py`), `eval hostile` (`hostile.py`) and
`eval lm` (`lm.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools import settings

if TYPE_CHECKING:
    from agents.clients import Endpoint
    from agents.policies import Policy
    from eval.runner import Attempt, Report
    from eval.verdicts import Ask, Pair, Verdicts
    from trajectories.tasks import Task

POLICIES = ("model", "oracle", "random", "team", "obedient")
SPLITS = ("train", "test", "webgum")
NO_VERDICT = "no verdict"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "suite",
        metavar="SUITE|URL",
        help="helpdesk, miniwob, desktop, crossing, hostile, lm, an explored site or app:NAME",
    )
    parser.add_argument("--policy", choices=POLICIES, default="model", help="who decides (default: model)")
    parser.add_argument(
        "--role",
        choices=("actor", "coder", "reviewer"),
        help="reviewer: its verdict on good and near-miss episodes, N pairs of each family; "
        "with hostile: only this role under attack",
    )
    parser.add_argument(
        "--model",
        metavar="FOLDER|URL",
        help="a checkpoint's folder, champion, challenger, a version, or an OpenAI-compatible URL "
        "(default: SHOPFLOOR_MODEL_URL, SHOPFLOOR_MODEL, the champion, the released model)",
    )
    parser.add_argument("--tasks", metavar="A,B", help="task families (default: all of the suite)")
    parser.add_argument("--episodes", type=int, default=20, metavar="N", help="of each family (default: 20)")
    parser.add_argument("--limit", type=int, metavar="N", help="with lm: items of each task (default: all)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="which held-out seeds (default: 0)")
    parser.add_argument("--protocol", choices=("a",), help="a published benchmark's seeds (MiniWoB++ only)")
    parser.add_argument("--split", choices=SPLITS, help="only that split's tasks (MiniWoB++ only)")
    parser.add_argument("--workers", type=int, default=2, metavar="K", help="pages at once (default: 2)")
    parser.add_argument("--effort", choices=settings.EFFORTS, help="what a decision may cost (medium)")
    parser.add_argument(
        "--without",
        choices=("image", "history"),
        default="",
        help="an ablation: grey instead of every screenshot, or nothing of what was done",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="keep the episodes there")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


@dataclass(frozen=True)
class Contestant:
    """Who is measured: either `make_policy` or `attempt`; `model` names the weights."""

    model: str
    effort: str = ""
    make_policy: Callable[[Task], Policy] | None = None
    attempt: Attempt | None = None


def run(args: argparse.Namespace) -> int:
    from training.registry import NoModel
    from trajectories.store import StoreError

    if args.suite == "lm":
        from apps import lm

        return lm.run(args)
    if args.suite == "hostile":
        from apps import hostile

        return hostile.run(args)
    problem = wrong(args)
    if problem:
        print(f"shopfloor eval: {problem}", file=sys.stderr)
        return 2
    try:
        if args.role == "reviewer":
            return _judged(args)
        report = asyncio.run(measure(args))
    except NoModel as error:
        print(f"shopfloor eval: {error}", file=sys.stderr)
        return 2
    except StoreError as error:
        print(f"shopfloor eval: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(report.json()), flush=True)  # before anything that could still fail
    _show(report)
    log(report, part=_tasks(args) is not None)
    if report.errors == report.total:
        print(f"shopfloor eval: every episode broke off, the first with {report.error}", file=sys.stderr)
        return 1
    return 0


def wrong(args: argparse.Namespace) -> str | None:
    """What is wrong with the arguments, and the mend."""
    from eval.runner import seeds
    from trajectories.suites import open_suite

    try:
        suite = open_suite(args.suite)
        families = (*suite.families, *suite.scripted)
        seeds(args.seed, args.episodes)
    except ValueError as error:
        return str(error)
    if args.suite != "miniwob" and (args.protocol or args.split):
        return "--protocol and --split are MiniWoB++'s; say eval miniwob, or leave them out"
    if args.tasks and args.split:
        return "give --tasks or --split, not both"
    unknown = [t for t in _tasks(args) or () if t not in families]
    if unknown:
        return f"{args.suite} has no task {', '.join(unknown)}; there are {', '.join(families)}"
    if args.workers < 1:
        return "--workers must be at least 1"
    if args.policy in ("oracle", "random") and (args.model or args.effort):
        return f"--policy {args.policy} uses no model; leave --model and --effort out"
    if args.policy == "obedient" or args.role in ("actor", "coder"):
        return "--policy obedient and --role actor or coder are for eval hostile"
    if args.role and (args.policy != "model" or args.protocol or args.without or args.out):
        return (
            f"--role {args.role} takes no --policy, --protocol, --without or --out: it makes its own episodes"
        )
    if args.policy == "team" and args.without:
        return "--without is of what one policy is shown; use --policy model"
    return None


def _tasks(args: argparse.Namespace) -> tuple[str, ...] | None:
    if args.split:
        from trajectories.miniwob.protocol import families

        return families(args.split)
    return tuple(t.strip() for t in args.tasks.split(",") if t.strip()) if args.tasks else None


async def measure(args: argparse.Namespace) -> Report:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from eval.runner import evaluate
    from trajectories.episode import Episode
    from trajectories.store import Store
    from trajectories.suites import open_suite

    suite = open_suite(args.suite)
    families = _tasks(args) or (*suite.families, *suite.scripted)
    seeds_of = None
    if args.protocol:
        from trajectories.miniwob import protocol

        seeds_of = protocol.seeds()
    total = sum(len(seeds_of[f]) if seeds_of else args.episodes for f in families)
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn())
    async with _contestant(args) as who:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task(f"{args.suite}, {args.policy}", total=total)
            solved = 0

            def count(episode: Episode) -> None:
                nonlocal solved
                solved += episode.outcome.success
                progress.update(bar, advance=1, description=f"{args.suite}, {args.policy}: {solved} solved")

            return await evaluate(
                args.suite,
                families,
                args.episodes,
                args.seed,
                who.make_policy,
                args.workers,
                policy=args.policy,
                model=who.model,
                without=args.without,
                effort=who.effort,
                attempt=who.attempt,
                store=Store(args.out) if args.out else None,
                progress=count,
                protocol=args.protocol or "",
                seeds_of=seeds_of,
            )


@asynccontextmanager
async def _contestant(args: argparse.Namespace) -> AsyncIterator[Contestant]:
    from agents.policies import RandomPolicy
    from trajectories.rollout import oracle_policy

    if args.policy == "oracle":
        yield Contestant("", make_policy=oracle_policy)
    elif args.policy == "random":
        yield Contestant("", make_policy=lambda task: RandomPolicy(task.seed))
    else:
        async with endpoint_of(args.model) as (endpoint, label):
            from agents.actor import ModelPolicy
            from agents.effort import EFFORTS, Deliberate
            from agents.reviewer import Reviewer

            name = args.effort or settings.load().effort
            effort = EFFORTS[name]
            if args.policy == "team":
                from apps.attempt import team

                yield Contestant(label, name, attempt=team(endpoint, label, effort))
                return
            policy, reviewer = ModelPolicy(endpoint), Reviewer(endpoint)
            try:
                yield Contestant(label, name, lambda task: Deliberate(policy, effort, reviewer))
            finally:
                await asyncio.gather(policy.close(), reviewer.close())


@asynccontextmanager
async def endpoint_of(model: str | None) -> AsyncIterator[tuple[Endpoint, str]]:
    """Where the model answers, and a name for its weights; a local one is served meanwhile."""
    import os

    from agents.clients import endpoint_for

    if model is None and os.environ.get("SHOPFLOOR_MODEL_URL", "").strip():
        endpoint = endpoint_for("actor", None)
        yield endpoint, await _labelled(endpoint)
        return
    if model is not None and model.startswith(("http://", "https://")):
        yield await _served(model)
        return
    from apps.local_server import local_model
    from training.registry import label as named
    from training.registry import resolve

    model = model or settings.load().model
    if model is not None and HUB_ID.fullmatch(model) and not Path(model).exists():
        label = model
    else:
        folder = await asyncio.to_thread(resolve, model)
        model = str(folder)
        label = await asyncio.to_thread(named, folder)
    async with local_model(model) as endpoint:
        yield endpoint, label


async def _served(url: str) -> tuple[Endpoint, str]:
    """The endpoint at a URL, SHOPFLOOR_MODEL_NAME or the first model it lists, and what that is called.
    Raises ModelDown."""
    import os

    import openai

    from agents.clients import Endpoint, ModelDown, flag

    key = os.environ.get("SHOPFLOOR_MODEL_KEY", "").strip() or "none"
    name = os.environ.get("SHOPFLOOR_MODEL_NAME", "").strip()
    if not name:
        try:
            async with openai.AsyncOpenAI(base_url=url, api_key=key, timeout=20) as client:
                name = (await client.models.list()).data[0].id
        except (openai.OpenAIError, IndexError, AttributeError, TypeError) as error:
            raise ModelDown(
                f"{url} lists no models ({error}); its URL usually ends in /v1, or set SHOPFLOOR_MODEL_NAME"
            ) from error
    brief, grammar = (flag(f"SHOPFLOOR_MODEL_{switch}") for switch in ("BRIEF", "GRAMMAR"))
    endpoint = Endpoint(url, name, key, brief, grammar)
    return endpoint, await _labelled(endpoint)


async def _labelled(endpoint: Endpoint) -> str:
    """What an endpoint's model is called; a server of ours says which weights it has now, for under the same
    name others follow."""
    import openai

    from agents.clients import by_proxy

    model, url = endpoint.model, endpoint.base_url
    direct = None if by_proxy(url) else openai.DefaultAsyncHttpxClient(trust_env=False)
    version = None
    # That it can't be asked, or lists nothing, is no failure yet: the questions will tell.
    with suppress(openai.OpenAIError, AttributeError, TypeError, ValueError, TimeoutError):
        async with (
            asyncio.timeout(20),
            openai.AsyncOpenAI(
                base_url=url, api_key=endpoint.api_key, max_retries=0, http_client=direct
            ) as client,
        ):
            listed = (await client.models.list()).data
            version = next(((m.model_extra or {}).get("version") for m in listed if m.id == model), None)
    return f"{model} {version}" if version else model


def _judged(args: argparse.Namespace) -> int:
    """Measure the reviewer's verdict and report it."""
    report = asyncio.run(measure_verdicts(args))
    if args.json:
        print(json.dumps(report.json()), flush=True)
    _show_verdicts(report)
    if not report.n:
        print("shopfloor eval: no family gave a pair of a good episode and a near miss", file=sys.stderr)
        return 1
    _log_verdicts(report)
    return 0


async def measure_verdicts(args: argparse.Namespace) -> Verdicts:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from eval.verdicts import measure as ask_on_pairs
    from trajectories.suites import open_suite

    families = _tasks(args) or open_suite(args.suite).families
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn())
    async with _reviewer(args.model) as (ask, label):
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task(f"{args.suite}, pairs", total=len(families) * args.episodes)

            def count(pair: Pair) -> None:
                progress.advance(bar)

            return await ask_on_pairs(
                args.suite, families, args.episodes, args.seed, ask, args.workers, model=label, progress=count
            )


@asynccontextmanager
async def _reviewer(model: str | None) -> AsyncIterator[tuple[Ask, str]]:
    """The reviewer as the team has it, and a name for its weights."""
    import os

    from agents.clients import endpoint_for
    from agents.reviewer import NoVerdict, Reviewer
    from tools.actions import Action
    from tools.observation import Observation

    urls = ("SHOPFLOOR_REVIEWER_URL", "SHOPFLOOR_MODEL_URL")
    if model is None and any(os.environ.get(url, "").strip() for url in urls):
        endpoint = endpoint_for("reviewer", None)
        found: AbstractAsyncContextManager[tuple[Endpoint, str]] = nullcontext(
            (endpoint, await _labelled(endpoint))
        )
    else:
        found = endpoint_of(model)
    async with found as (endpoint, label):
        reviewer = Reviewer(endpoint)

        async def ask(goal: str, look: Observation, history: Sequence[Action]) -> str:
            try:
                return (await reviewer.after(goal, look, history)).verdict
            except NoVerdict:
                return NO_VERDICT

        try:
            yield ask, label
        finally:
            await reviewer.close()


def _show(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    from eval.statistics import wilson

    table = Table(
        "task", "success", "95 %", "n", title=f"{report.suite}: {report.policy} {report.model}".strip()
    )
    for family, row in report.by_task.items():
        low, high = wilson(round(row["success"] * row["n"]), int(row["n"]))
        table.add_row(
            family,
            f"{row['success']:.1%} ± {row['stderr']:.1%}",
            f"{low:.0%} to {high:.0%}",
            f"{row['n']:.0f}",
        )
    table.add_section()
    for name, row in report.by_group.items():
        low, high = wilson(round(row["success"] * row["n"]), int(row["n"]))
        share = f"{row['success']:.1%} ± {row['stderr']:.1%}"
        table.add_row(name, share, f"{low:.1%} to {high:.1%}", f"{row['n']:.0f}")
    low, high = report.interval
    overall = f"{report.success:.1%} ± {report.stderr:.1%}"
    table.add_row("all", overall, f"{low:.1%} to {high:.1%}", str(report.total))
    console = Console(stderr=True)
    console.print(table)
    console.print(
        f"the whole reward {report.whole:.1%}, said done wrongly {report.false_done:.1%}, "
        f"answers that were no action {report.invalid_actions}, "
        f"{report.steps:.1f} steps an episode, {report.seconds_per_step:.2f} s a step, "
        f"{report.errors} broke off, commit {report.commit[:12]}"
    )


def _show_verdicts(report: Verdicts) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{report.suite}: {report.role} {report.model}".strip()
    table = Table("task", "balanced accuracy", "good: done", "near miss: not yet", "pairs", title=title)

    def row(name: str, figures: Mapping[str, float]) -> None:
        shares = (
            f"{figures[of]:.1%} ± {figures[error]:.1%}"
            for of, error in (
                ("balanced_accuracy", "stderr"),
                ("good", "good_stderr"),
                ("near_miss", "near_miss_stderr"),
            )
        )
        table.add_row(name, *shares, f"{figures['n']:.0f}")

    for family, figures in report.by_task.items():
        row(family, figures)
    table.add_section()
    row("all", report.json())
    console = Console(stderr=True)
    console.print(table)
    for family, why in report.left_out.items():
        console.print(f"left out: {family}, {why}", markup=False)
    said = (f"{side.replace('_', ' ')}: {_words(words)}" for side, words in report.said.items())
    console.print(f"{'; '.join(said)}; commit {report.commit[:12]}", markup=False)


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {word}" for word, n in counts.items()) or "nothing"


def _log_verdicts(report: Verdicts) -> None:
    from training.tracking import start_run

    names = ("suite", "role", "model", "seed", "episodes")
    with start_run("eval", {name: getattr(report, name) for name in names}) as run:
        figures = ("balanced_accuracy", "stderr", "good", "near_miss", "n")
        run.log_metrics({name: float(getattr(report, name)) for name in figures})
        run.log_metrics({f"balanced_accuracy.{f}": r["balanced_accuracy"] for f, r in report.by_task.items()})
        run.log_json(report.json(), "report.json")


def log(report: Report, *, part: bool = False) -> None:
    """Keep a report in MLflow; of `part` of a suite, it is not what the suite is watched by."""
    from training.tracking import start_run

    params = {
        "suite": report.suite,
        "policy": report.policy,
        "model": report.model,
        "seed": report.seed,
        "episodes": report.episodes,
        "without": report.without,
        "effort": report.effort,
        "protocol": report.protocol,
        "part": part,
    }
    with start_run("eval", params) as run:
        figures = (
            "success",
            "stderr",
            "whole",
            "false_done",
            "invalid_actions",
            "steps",
            "seconds_per_step",
            "errors",
        )
        run.log_metrics({name: float(getattr(report, name)) for name in figures})
        run.log_metrics({f"success.{family}": row["success"] for family, row in report.by_task.items()})
        run.log_json(report.json(), "report.json")
