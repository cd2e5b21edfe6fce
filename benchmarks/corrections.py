"""What a hundred corrections teach: a person watches the model, takes over where it errs, and it learns that.

    python benchmarks/corrections.py --out /tmp/corrections          # the released model; most of an hour
    python benchmarks/corrections.py --out /tmp/corrections --stage dpo      # the same corrections, otherwise

The person is the tasks' oracle. The model works on tasks with training seeds; where it does other than the
oracle would, the person takes the wheel as in the chat: undoes the step, does it right, and gives back. What
can't be undone they let be. Of each episode they then say whether it came out right (`shopfloor feedback`).
When they have corrected a hundred steps, `shopfloor train sft` (or `dpo`) goes on from the model with these
episodes alone. Both models are measured on the same held-out tasks of the same families, by the checker.

Started again, it goes on where it was. Not covered: other families, of which it may forget something.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.actor import ModelPolicy
from agents.effort import EFFORTS, Deliberate
from agents.policies import Decision, Policy
from apps.local_server import local_model
from apps.undo import Trail
from eval.runner import evaluate
from eval.statistics import paired
from tools.actions import Action
from tools.browser import Browser, BrowserEnvironment
from tools.secrets import Discreet
from tools.version import commit
from trajectories.episode import Episode, Step
from trajectories.examples import UNDO
from trajectories.feedback import judged
from trajectories.helpdesk.suite import HelpDesk
from trajectories.helpdesk.tasks import HelpDeskTask
from trajectories.rollout import OraclePolicy
from trajectories.store import Store
from trajectories.tasks import Outcome

FAMILIES = ("filter-tickets", "toggle-setting", "open-customer")
FIRST = 800_000  # training seeds from here on


async def watched(task: HelpDeskTask, model: Policy, env: BrowserEnvironment) -> tuple[Episode, int]:
    """An episode of model and person, and how many steps the person corrected."""
    trail, person = Trail(Discreet(env), lambda: env.writes), OraclePolicy(task)
    started = datetime.now(UTC).isoformat()
    goal, look = await task.setup(trail)
    steps: list[Step] = []
    corrected = 0

    async def do(decision: Decision, by: str) -> None:
        nonlocal look
        before = look
        if not decision.action.final:
            look = await trail.step(decision.action)
        steps.append(Step(before, decision, by, 0.0))

    def history() -> list[Action]:
        return [step.decision.action for step in steps]

    while len(steps) < 3 * task.max_steps:
        wanted = await person.decide(goal, look, history())
        said = await model.decide(goal, look, history())
        await do(said, "actor")
        if said.valid and said.action == wanted.action:
            if said.action.final:
                break
            continue
        if said.valid and not said.action.final:
            undone = await trail.undo()
            for before, action in undone.steps:
                steps.append(Step(before, Decision(action, UNDO), "person", 0.0))
            look = await trail.observe()
        if task.spoiled():  # what was sent stays sent
            break
        await do(await person.decide(goal, look, history()), "person")
        corrected += 1
        if steps[-1].decision.action.final:
            break
    success = task.reached()
    extra: dict[str, Any] = {} if success else {"error": "not done"}
    episode = Episode(
        f"corrected-{task.family}-{task.seed}", task.id, goal, tuple(steps), look, Outcome(False), "error",
        "team", model.name, started, extra | {"corrected": corrected, "right": success},
    )  # fmt: skip
    return episode, corrected


async def gather(model: Path, families: tuple[str, ...], wanted: int, store: Store, workers: int) -> int:
    """Work on new tasks until the person has corrected `wanted` steps; how many tasks that took in all."""
    count = sum(int(episode.extra["corrected"]) for episode in store)
    seeds = itertools.count(FIRST)
    jobs = ((family, seed) for seed in seeds for family in families)

    async def worker() -> None:
        nonlocal count
        async with HelpDesk() as suite:
            env = browser.environment()
            for family, seed in jobs:
                if count >= wanted:
                    break
                if f"corrected-{family}-{seed}" in store:
                    continue
                task = suite.task(family, seed)
                assert isinstance(task, HelpDeskTask)
                episode, corrected = await watched(task, policy, env)
                await asyncio.to_thread(store.add, judged(episode, bool(episode.extra["right"])))
                count += corrected
                print(family, seed, corrected, episode.extra["right"], count, file=sys.stderr, flush=True)
            await env.close()

    async with Browser() as browser, local_model(str(model)) as endpoint:
        policy = ModelPolicy(endpoint)
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(worker())
        await policy.close()
    return len(store)


def shopfloor(*words: str) -> str:
    """Run a command as it is typed; what it says on stdout."""
    command = [sys.executable, "-m", "apps.main", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ).stdout


async def measured(
    model: Path, families: tuple[str, ...], episodes: int, store: Store, workers: int
) -> dict[str, bool]:
    """Held-out tasks by this model, likeliest action each: task to success."""
    async with local_model(str(model)) as endpoint:
        policy = ModelPolicy(endpoint)
        report = await evaluate(
            "helpdesk", families, episodes, 0, lambda task: Deliberate(policy, EFFORTS["low"]), workers,
            policy="model", model=str(model), store=store,
        )  # fmt: skip
        await policy.close()
    return report.results


def main(args: argparse.Namespace) -> dict[str, Any]:
    families = tuple(args.families.split(","))
    data, out = args.out / "data", args.out / args.stage
    store = Store(data / "episodes")
    tasks = asyncio.run(gather(args.model, families, args.corrections, store, args.workers))
    words = ("--steps", str(args.steps), "--rate", str(args.rate), "--out", str(out), "--json")
    made = shopfloor("train", args.stage, "--data", str(data), "--model", str(args.model), *words)
    trained = Path(json.loads(made)["model"])
    results = [
        asyncio.run(measured(model, families, args.episodes, Store(args.out / kept), args.workers))
        for model, kept in ((args.model, "before"), (trained, f"after-{args.stage}"))
    ]
    before, after = results
    names = sorted(before)
    by_family = {
        family: [sum(r[n] for n in names if f"/{family}/" in n) for r in results] for family in families
    }
    figures = paired([after[n] for n in names], [before[n] for n in names])
    right = sum(bool(episode.extra["right"]) for episode in store)
    return {
        "commit": commit(), "tasks": tasks, "right": right,
        "corrections": sum(int(episode.extra["corrected"]) for episode in store),
        "trained": json.loads(made), "before": sum(before.values()) / len(before),
        "after": sum(after.values()) / len(after), "solved_before_after": by_family,
        **asdict(figures), "stderr": figures.stderr,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="where episodes, models and results are kept")
    parser.add_argument("--model", type=Path, default=Path("models/nano"))
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--corrections", type=int, default=100)
    parser.add_argument("--stage", choices=("sft", "dpo"), default="sft")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--episodes", type=int, default=30, help="held-out tasks of each family")
    parser.add_argument("--workers", type=int, default=2)
    print(json.dumps(main(parser.parse_args())))
