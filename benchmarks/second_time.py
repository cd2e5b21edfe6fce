"""The second time round: like tasks by the program of the first, against an actor that decides each step.

    python benchmarks/second_time.py                    # the local model as the actor; about ten minutes
    python benchmarks/second_time.py --tasks 3          # of each family
    python benchmarks/second_time.py --families edit-email,sign-in

In each family of the help desk a task is done once by its expert and the run is lifted into a program. Then

    again    other tasks with the same wording and other values, on the same site: by the program alone, a
             step that it can't do being a failure
    first    the same tasks as the team does them when it meets them first: coder, reviewer and actor
    actor    the same by the actor alone, step by step
    moved    such tasks on a site whose labels, layout and data are others: by the program, its steps healed
             by what names have in common, or by the actor

Success is the checker's; seconds are from the goal to the end, of the actor alone those of its steps; the
ratios are of `first` and `actor` against `again`, on what the program did. `lost` says where and why a
program did not succeed. Not covered: whether memory finds the program (`tests/agents/test_team.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence

from agents.actor import ModelPolicy
from agents.clients import ROLES, Endpoint
from agents.effort import EFFORTS, Effort
from agents.job import Request
from agents.lifting import Lifted, lift
from agents.policies import Decision, Policy
from agents.program import compile_program
from agents.replay import replay
from agents.team import run_team
from apps.local_server import local_model
from tools.actions import Action
from tools.browser import Browser
from tools.environment import Environment
from tools.observation import Observation
from tools.version import commit
from trajectories.episode import Episode
from trajectories.helpdesk.suite import HelpDesk
from trajectories.helpdesk.tasks import HelpDeskTask
from trajectories.rollout import oracle_policy, roll_out
from trajectories.tasks import HELD_OUT_FROM

SITE, MOVED = 11, 12  # seeds of the two worlds
TRIED = 4000  # seeds looked through for tasks of the same wording


class Nobody:
    """No actor: a program that needs one has failed."""

    name = "nobody"

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
        return Decision(Action("report_infeasible", ("no actor here",)))


async def yes(request: Request) -> bool:
    return True


def first(episode: Episode) -> Lifted | None:
    """The program of the first time."""
    steps = [(step.observation, step.decision, step.by) for step in episode.steps]
    program = compile_program(steps, episode.final) if episode.outcome.success else None
    return None if program is None else lift(episode.goal, program)


def like(suite: HelpDesk, lifted: Lifted, family: str, world: int, count: int) -> Iterator[HelpDeskTask]:
    """Tasks of the family in that world whose goal differs in its values alone."""
    found = 0
    for seed in range(HELD_OUT_FROM + 1, HELD_OUT_FROM + TRIED):
        task = HelpDeskTask(suite.server, family, seed, world)
        if lifted.fit(task.plan.goal) not in (None, dict(lifted.values)):
            yield task
            found += 1
            if found == count:
                return


async def by_program(
    task: HelpDeskTask, lifted: Lifted, env: Environment, actor: Policy, lost: list[str]
) -> dict[str, float]:
    goal, look = await task.setup(env)
    began = time.perf_counter()
    program = lifted.filled(lifted.fit(goal) or {})
    result = await replay(
        goal, env, look, program=program, actor=actor, on_event=lambda event: None, approve=yes
    )
    seconds = time.perf_counter() - began
    calls = sum(by == "actor" for _, _, by in result.steps)
    success = task.reached()
    if not success:
        lost.append(f"{task.id} in world {task.maker.world_seed}: {result.outcome}, {result.reason}")
    return {"success": float(success), "seconds": seconds, "calls": calls}


async def by_team(
    task: HelpDeskTask, env: Environment, endpoint: Endpoint, effort: Effort
) -> dict[str, float]:
    goal, look = await task.setup(env)
    result = await run_team(
        goal, env, look, dict.fromkeys(ROLES, endpoint), memory=None, on_event=lambda event: None,
        approve=yes, max_steps=task.max_steps, effort=effort,
    )  # fmt: skip
    outcome = await task.check(env, result.reason if result.outcome == "done" else None)
    return {"success": float(outcome.success), "seconds": result.seconds, "calls": len(result.steps)}


async def by_actor(task: HelpDeskTask, env: Environment, actor: Policy) -> dict[str, float]:
    episode = await roll_out(task, actor, env)
    seconds = sum(step.seconds for step in episode.steps)
    return {"success": float(episode.outcome.success), "seconds": seconds, "calls": len(episode.steps)}


async def main(families: Sequence[str], count: int, effort: str) -> dict[str, object]:
    done: dict[str, list[dict[str, float]]] = {"again": [], "first": [], "actor": [], "moved": []}
    left: list[str] = []
    lost: list[str] = []
    async with Browser() as browser, HelpDesk() as suite, local_model() as endpoint:
        env, actor = browser.environment(), ModelPolicy(endpoint)
        for family in families or suite.families:
            before = {kind: len(rows) for kind, rows in done.items()}
            task = HelpDeskTask(suite.server, family, HELD_OUT_FROM, SITE)
            lifted = first(await roll_out(task, oracle_policy(task), env))
            if lifted is None or not lifted.values:
                left.append(family)  # nothing to give another value, or what worked can't be written down
                continue
            for task in like(suite, lifted, family, SITE, count):
                done["again"].append(await by_program(task, lifted, env, Nobody(), lost))
                done["first"].append(await by_team(task, env, endpoint, EFFORTS[effort]))
                done["actor"].append(await by_actor(task, env, actor))
            for task in like(suite, lifted, family, MOVED, count):
                done["moved"].append(await by_program(task, lifted, env, actor, lost))
            shown = {k: [int(r["success"]) for r in v[before[k] :]] for k, v in done.items()}
            print(family, shown, file=sys.stderr, flush=True)
        await actor.close()
    means = {
        f"{kind}_{key}": round(sum(r[key] for r in rows) / max(1, len(rows)), 3)
        for kind, rows in done.items()
        for key in ("success", "seconds", "calls")
    }
    counts = {f"{kind}_tasks": len(rows) for kind, rows in done.items()}
    did = [at for at, row in enumerate(done["again"]) if row["success"]]  # what fails is soon over
    spent = {kind: sum(rows[at]["seconds"] for at in did) for kind, rows in done.items() if kind != "moved"}
    ratios = {
        f"{kind}_ratio": round(spent[kind] / max(1e-9, spent["again"]), 1) for kind in ("first", "actor")
    }
    more = {"effort": effort, "left_out": left, "lost": lost}
    return {"commit": commit(), **counts, **means, **ratios, **more}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=6, help="of each family")
    parser.add_argument("--families", default="", help="only these, with commas")
    parser.add_argument("--effort", choices=EFFORTS, default="medium", help="of the team")
    args = parser.parse_args()
    only = args.families.split(",") if args.families else ()
    print(json.dumps(asyncio.run(main(only, args.tasks, args.effort))))
