"""Tasks that need both sides, done by the team with a coder that writes each task's own script.

    python benchmarks/both_sides.py                   # twenty unseen seeds of each family, ten minutes
    python benchmarks/both_sides.py --episodes 3 --tasks sum-column,count-rows

That the tasks and their scripts are right: the whole way is the team's, as `eval helpdesk --policy team` goes
it, behind real endpoints, but for the three models. The coder's is one that knows each task's script, the
reviewer's agrees to all, and the actor's gives up. Success is the checker's, in the app's database.

Not covered: a model that has to write the scripts (`shopfloor eval helpdesk --policy team`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re

from agents.clients import Endpoint
from agents.effort import EFFORTS
from agents.scripted import ScriptedServer
from apps.attempt import team
from eval.runner import evaluate, seeds
from tools.observation import shorten
from trajectories.helpdesk.suite import HelpDesk

NAMED = re.compile(r'"([^"]*)"')
GOAL = re.compile(r"^goal: (.*)$", re.MULTILINE)


def scripts(families: tuple[str, ...], episodes: int) -> dict[str, list[str]]:
    """The scripts of each goal that will be met: several where labels differ that only the page shows."""
    suite = HelpDesk()  # not opened: a plan needs no server
    known: dict[str, list[str]] = {}
    for family in families:
        for seed in seeds(0, episodes):
            task = suite.task(family, seed)
            known.setdefault(shorten(task.plan.goal, 600), []).append(task.script)
    return known


def fits(script: str, question: str) -> bool:
    """Whether all that the script names stands in the question."""
    named = (text for text in NAMED.findall(script) if text != "Enter" and text[:1] != "/")
    return all(f'"{text}"' in question for text in named)


async def main(families: tuple[str, ...], episodes: int, workers: int) -> dict[str, object]:
    known = scripts(families, episodes)

    def plan(question: str) -> str:
        return next(script for script in known[GOAL.findall(question)[-1]] if fits(script, question))

    answers = {"plan:": [plan], "act:": ['report_infeasible("only scripts here")']}
    with ScriptedServer(answers) as server:
        attempt = team(Endpoint(server.url, "scripts"), "scripts", EFFORTS["medium"])
        report = await evaluate(
            "helpdesk", families, episodes, 0, None, workers, policy="team", model="scripts", attempt=attempt
        )
    rows = {family: f"{row['success']:.0%} of {row['n']}" for family, row in report.by_task.items()}
    lost = [task for task, success in report.results.items() if not success]
    return {
        "commit": report.commit, **rows, "all": report.success, "lost": lost, "errors": report.errors,
        "error": report.error, "steps": report.steps, "seconds_per_step": report.seconds_per_step,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default=",".join(HelpDesk.scripted))
    parser.add_argument("--episodes", type=int, default=20, help="of each family")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    print(json.dumps(asyncio.run(main(tuple(args.tasks.split(",")), args.episodes, args.workers))))
