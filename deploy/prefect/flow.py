"""A turn of the line as a Prefect flow: each stage a task, which is `shopfloor line --only STAGE`.

    shopfloor line --prefect [--every 1d]     # calls this in Prefect's own environment (setup.sh)

With PREFECT_API_URL set, runs show at that server (`setup.sh server`); without, Prefect starts one for the
run. A stage that was finished, in this turn or with equal inputs in an earlier one, shows as Cached; one that
failed is tried again, and goes on where it was. Each turn leaves a table with its run in MLflow.

Not covered: what a stage does and keeps (`apps/line/`), which knows nothing of Prefect.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("DO_NOT_TRACK", "1")  # read at import
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from prefect import flow, task  # noqa: E402
from prefect.artifacts import create_markdown_artifact  # noqa: E402
from prefect.runtime import flow_run  # noqa: E402
from prefect.states import Completed, State  # noqa: E402

from apps.line.plan import STAGES, WRONG_USE  # noqa: E402  (standard library only)
from tools.lifeline import die_with_parent  # noqa: E402  (standard library only)


class StageFailed(RuntimeError):
    def __init__(self, stage: str, code: int) -> None:
        super().__init__(f"{stage} ended with exit code {code}; its log has what it said")
        self.code = code


def _may_mend(task: Any, run: Any, state: State[Any]) -> bool:
    error = state.data
    for _ in range(3):  # Prefect wraps what a task raised
        error = getattr(error, "exception", error)
    return getattr(error, "code", 1) not in (WRONG_USE, 130)


@task(task_run_name="{name}", retries=2, retry_delay_seconds=[5, 50], retry_condition_fn=_may_mend)
def stage(name: str, command: list[str]) -> Any:
    """One stage; its result, as a state that says whether anything had to be done."""
    environment = os.environ | {"SHOPFLOOR_PREFECT_RUN": flow_run.get_id() or ""}
    words = [*command, "--only", name, "--json"]
    ran = subprocess.run(
        words, cwd=os.getcwd(), env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent
    )
    if ran.returncode:
        raise StageFailed(name, ran.returncode)
    result = json.loads(ran.stdout)
    if result.pop("cached"):
        return Completed(name="Cached", message="finished before with equal inputs", data=result)
    return result


@flow(name="shopfloor-line", flow_run_name="{size}", persist_result=False)
def line(python: str, size: str, options: list[str]) -> dict[str, Any]:
    """A turn; returns the results of its stages."""
    command = [python, "-m", "apps.main", "line", "--size", size, *options]
    results = {name: stage(name, command) for name in STAGES}
    rows = "\n".join(f"| {name} | {_short(result)} |" for name, result in results.items())
    create_markdown_artifact(
        f"| stage | result |\n| --- | --- |\n{rows}\n\nIn MLflow: experiment `line`, parameter `prefect_run` "
        f"`{flow_run.get_id()}`; the stages' own runs have the tag `line` = "
        f"`turn-{results[STAGES[-1]]['turn']:06d}/STAGE`.",
        key="turn",
        description="What this turn of the line came to",
    )
    return results


def _short(result: dict[str, Any]) -> str:
    shown = ("kept", "episodes", "made", "rows", "challenger", "champion", "reason", "label", "seconds")
    return ", ".join(f"{key} {result[key]}" for key in shown if key in result)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", required=True)
    parser.add_argument("--size", required=True)
    parser.add_argument("--every", type=float)
    args, options = parser.parse_known_args()
    given = {"python": args.python, "size": args.size, "options": options}
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    if args.every:
        line.serve(name="shopfloor-line", interval=args.every, parameters=given)
    else:
        line(**given)


if __name__ == "__main__":
    main()
