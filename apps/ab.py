"""`shopfloor ab`: two models side by side on real tasks, until it is sure which is better.

    shopfloor ab start challenger --share 0.5   # half of the chat's sessions get it, the others the champion
    shopfloor ab                                # success of both, with intervals, and whether it is decided
    shopfloor ab try helpdesk --episodes 20     # have it decided sooner, on held-out tasks with checkers
    shopfloor ab settle                         # the winner becomes the champion; `train rollback` undoes it
    shopfloor ab stop                           # no winner

A session keeps its model. Outcomes come from the reviewer (every task of the chat), from checkers (`ab try`)
and from people (`/yes`, `/no`, `shopfloor feedback`), whose word counts most. Programs that serve models
themselves ask `ab variant SESSION` and tell `ab record SESSION TASK yes|no`. What is compared is sessions, by
the share of their tasks that went well, for the tasks of one are not independent. It may be looked at and
settled at any time: the test allows for that. Exit codes: 0 done; 1 not decided; 2 wrong use.

Not covered: the test (`eval/sequential.py`), where outcomes are kept (`training/experiment.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from tools import settings

if TYPE_CHECKING:
    from agents.policies import Policy
    from eval.sequential import Sequential
    from training.experiment import Trial
    from trajectories.tasks import Task


def add_arguments(parser: argparse.ArgumentParser) -> None:
    deeds = parser.add_subparsers(dest="deed", metavar="WHAT")
    start = deeds.add_parser("start", help="give some sessions another model than the champion")
    start.add_argument("model", nargs="?", help="a folder or version (default: the challenger)")
    start.add_argument("--share", type=float, default=0.5, help="of the sessions get it (default: 0.5)")
    trying = deeds.add_parser("try", help="have both do held-out tasks until it is decided")
    trying.add_argument("suite", metavar="SUITE|URL")
    trying.add_argument("--tasks", metavar="A,B", help="task families (default: all of the suite)")
    trying.add_argument("--episodes", type=int, default=20, metavar="N", help="of each at most (default: 20)")
    trying.add_argument("--seed", type=int, default=0, metavar="S", help="which held-out seeds (default: 0)")
    variant = deeds.add_parser("variant", help="which model a session gets")
    record = deeds.add_parser("record", help="tell how a session's task went")
    for one in (variant, record):
        one.add_argument("session", metavar="SESSION")
    record.add_argument("task", metavar="TASK", help="a name of its own, such as the episode's")
    record.add_argument("success", choices=("yes", "no"))
    record.add_argument("--by", choices=("reviewer", "checker", "person"), default="checker")
    deeds.add_parser("settle", help="end it and make the winner the champion")
    deeds.add_parser("stop", help="end it without a winner")
    for one in (parser, *deeds.choices.values()):
        one.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from training.experiment import TrialError

    deed = {
        None: _show,
        "start": _start,
        "try": _try,
        "variant": _variant,
        "record": _record,
        "settle": _settle,
        "stop": _stop,
    }[args.deed]
    try:
        code, said, result = deed(args)
    except (TrialError, ValueError) as error:
        print(f"shopfloor ab: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result) if args.json else said, file=sys.stdout if args.json else sys.stderr)
    return code


Answer = tuple[int, str, dict[str, Any]]  # exit code, what is said, and the same as JSON


def standing(trial: Trial) -> tuple[Sequential, dict[str, Any]]:
    """Where a trial stands, and all of it as JSON."""
    from eval.sequential import Comparison
    from eval.statistics import wilson

    outcomes, sessions = trial.outcomes(), trial.sessions()
    found = Comparison(trial.share).after(sessions)
    variants = {}
    for second, name in ((False, trial.first), (True, trial.second)):
        tasks = [success for which, success in outcomes if which == second]
        own = [success for which, success in sessions if which == second]
        low, high = wilson(sum(own), len(own))
        variants[name] = {
            "n": len(tasks),
            "successes": sum(tasks),
            "sessions": len(own),
            "success": sum(own) / max(1, len(own)),
            "low": low,
            "high": high,
        }
    winner = {"first": trial.first, "second": trial.second, None: None}[found.winner]
    return found, {
        "first": trial.first,
        "second": trial.second,
        "share": trial.share,
        "variants": variants,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "winner": winner,
        "running": trial.ended is None,
    }


def said(told: dict[str, Any]) -> str:
    """Where a trial stands, in words."""
    lines = []
    for name, row in told["variants"].items():
        interval = f"95 % {row['low']:.1%} to {row['high']:.1%}, as if looked at once"
        lines.append(
            f"{name}: {row['success']:.1%} ({interval}), {row['n']} tasks in {row['sessions']} sessions"
        )
    interval = f"95 % at all times {told['low']:+.1%} to {told['high']:+.1%}"
    lines.append(f"{told['second']} less {told['first']}: {told['difference']:+.1%} ({interval})")
    lines.append(f"{told['winner']} is better" if told["winner"] else "not decided")
    return "\n".join(lines)


def _now() -> Trial:
    from training.experiment import TrialError, running

    trial = running()
    if trial is None:
        raise TrialError("no trial is running; begin one: shopfloor ab start challenger")
    return trial


def _show(args: argparse.Namespace) -> Answer:
    from training.experiment import TrialError, latest

    trial = latest()
    if trial is None:
        raise TrialError("there was no trial yet; begin one: shopfloor ab start challenger")
    _, told = standing(trial)
    return 0, said(told) + ("" if told["running"] else "; this trial has ended"), told


def _start(args: argparse.Namespace) -> Answer:
    from training import registry
    from training.experiment import TrialError, begin, running

    if running() is not None:  # said before a folder is registered in vain
        raise TrialError("a trial is running already; see shopfloor ab, or end it: shopfloor ab stop")
    name = args.model or registry.CHALLENGER
    if name == registry.CHALLENGER:
        registry.resolve(name)  # which says what to do where there is none
        second = registry.alias(registry.CHALLENGER) or ""
    elif name.isdigit():
        registry.resolve(name)
        second = name
    else:
        second = registry.register(registry.resolve(name), {})
    first = registry.alias(registry.CHAMPION) or "released"
    trial = begin(first, second, args.share)
    words = f"{second} gets {args.share:.0%} of the sessions, {first} the others"
    return 0, words, {"first": trial.first, "second": trial.second, "share": trial.share}


def _variant(args: argparse.Namespace) -> Answer:
    from training.registry import resolve

    name = _now().variant(args.session)
    return 0, f"{name}: {resolve(name)}", {"variant": name, "folder": str(resolve(name))}


def _record(args: argparse.Namespace) -> Answer:
    trial = _now()
    trial.record(args.session, args.task, args.by, args.success == "yes")
    return 0, "noted", {"variant": trial.variant(args.session), "success": args.success == "yes"}


def _settle(args: argparse.Namespace) -> Answer:
    trial = _now()
    code, words, told = settle(trial)
    return code, words, told


def _stop(args: argparse.Namespace) -> Answer:
    trial = _now()
    _, told = standing(trial)
    trial.end(None)
    return 0, said(told) + "; ended without a winner", told


def settle(trial: Trial) -> Answer:
    """End a decided trial; where the second variant won, it becomes the champion. Raises TrialError."""
    from training import registry
    from training.experiment import TrialError

    _, told = standing(trial)
    if told["winner"] is None:
        return 1, said(told) + "; let it go on", told
    champion = registry.alias(registry.CHAMPION) or "released"
    if champion not in (trial.first, told["winner"]):
        raise TrialError(
            f"the champion is {champion} now, and {trial.first} was compared; end this one: shopfloor ab stop"
        )
    if told["winner"] != champion:  # it is already where this was killed after crowning
        interval = f"95 % at all times {told['low']:+.1%} to {told['high']:+.1%}"
        registry.crown(trial.second, f"better in an A/B trial: {told['difference']:+.1%} ({interval})")
    trial.end(told["winner"])
    return 0, said(told) + f"; the champion is {told['winner']}", told


def _try(args: argparse.Namespace) -> Answer:
    trial = _now()
    done = asyncio.run(_tasks(args, trial))
    code, words, told = settle(trial)
    return code, f"{done} tasks done\n{words}", told


async def _tasks(args: argparse.Namespace, trial: Trial) -> int:
    """Held-out tasks one after the other, each a session of its own, until it is decided; how many.

    What was done before, by the same command that was killed, is not done again.
    """
    from agents.actor import ModelPolicy
    from agents.effort import EFFORTS, Deliberate
    from agents.reviewer import Reviewer
    from apps.evaluate import endpoint_of
    from eval.runner import seeds
    from training.registry import resolve
    from trajectories.rollout import Job, do, episode_id
    from trajectories.store import Store
    from trajectories.suites import open_suite, open_workplace

    effort = EFFORTS[settings.load().effort]
    store = Store(settings.home() / "ab" / str(trial.id) / "episodes")
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_suite(args.suite))
        families = args.tasks.split(",") if args.tasks else [*opened.families]
        if unknown := set(families) - {*opened.families}:
            raise ValueError(f"{args.suite} has no {', '.join(unknown)}; it has {', '.join(opened.families)}")
        order = [
            (seed, family)  # every family as often, whenever it ends
            for seed in seeds(args.seed, args.episodes)
            for family in random.Random(seed).sample(families, len(families))
        ]
        policies, reviewers, labels = {}, {}, {}
        for name in (trial.first, trial.second):
            endpoint, labels[name] = await stack.enter_async_context(endpoint_of(str(resolve(name))))
            policies[name], reviewers[name] = ModelPolicy(endpoint), Reviewer(endpoint)
            stack.push_async_callback(policies[name].close)
            stack.push_async_callback(reviewers[name].close)
        place = await stack.enter_async_context(open_workplace(args.suite))
        env = place.environment()
        stack.push_async_callback(env.close)
        for number, (seed, family) in enumerate(order, start=1):
            session = opened.task(family, seed).id
            name = trial.variant(session)
            id = episode_id(session, "model", variant=f"{trial.id} {labels[name]}")
            if id in store:
                episode = await asyncio.to_thread(store.load, id)
            else:
                make = partial(_policy, Deliberate(policies[name], effort, reviewers[name]))
                episode = await do(Job(family, seed), id, opened, env, make, labels[name])
                if episode.ended == "error":  # that says nothing of the model
                    print(f"{session}  {name}  broke off: {episode.extra.get('error', '')}", file=sys.stderr)
                    continue
                await asyncio.to_thread(store.add, episode)
            trial.record(session, id, "checker", episode.outcome.success)
            found, _ = standing(trial)
            print(
                f"{number}/{len(order)}  {session}  {name}  "
                f"{'success' if episode.outcome.success else 'failure'}  "
                f"{found.low:+.0%} to {found.high:+.0%}",
                file=sys.stderr,
            )
            if found.winner is not None:
                return number
    return len(order)


def _policy(policy: Policy, task: Task) -> Policy:
    return policy
