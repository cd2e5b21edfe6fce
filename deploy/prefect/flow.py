"""A turn of the line as a Prefect flow: each stage a task, which is `shopfloor line --only STAGE`.

    shopfloor line --prefect [--every 1d]     # calls this in Prefect's own environment (setup.sh)

With PREFECT_API_URL set, runs show at that server (`setup.sh server`); without, one is started that ends with
the command, over the same database (SHOPFLOOR_HOME/prefect). A stage that was finished, in this turn or with
equal inputs in an earlier one, shows as Cached; one that failed is tried again, and goes on where it was. A
run that was killed shows as Crashed once the next one has begun. Each turn leaves a table with its run in
MLflow. Exit codes are those of `shopfloor line`.

Not covered: what a stage does and keeps (`apps/line/`), which knows nothing of Prefect.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
# Of ours, what needs the standard library only.
from apps.line.plan import STAGES, WRONG_USE  # noqa: E402
from apps.line.runner import OutOfOrder, alone, begun, summary  # noqa: E402
from tools.lifeline import die_with_parent  # noqa: E402
from tools.settings import home  # noqa: E402

os.environ.setdefault("DO_NOT_TRACK", "1")  # read at import, as the next ones
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_HOME", str(home() / "prefect"))

from prefect import flow, get_client, tags, task  # noqa: E402
from prefect.artifacts import create_markdown_artifact  # noqa: E402
from prefect.client.schemas import filters  # noqa: E402
from prefect.client.schemas.objects import StateType  # noqa: E402
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort  # noqa: E402
from prefect.runtime import flow_run  # noqa: E402
from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: E402
from prefect.states import Completed, Crashed, State  # noqa: E402

START = 600.0  # seconds a server may take: its first start makes the database


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
    words = [*command, "--only", name, "--held", "--json"]
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
    """A turn; returns the results of its stages. Raises StageFailed, or OutOfOrder beside another line."""
    command = [python, "-m", "apps.main", "line", "--size", size, *options]
    with alone():
        _bury()
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


def _bury() -> None:
    """Runs of this state folder that still show as running were killed, for the line's lock is ours."""
    running = filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[StateType.RUNNING]))
    ours = filters.FlowRunFilterTags(all_=[str(home())])
    state = Crashed(message="killed; the next run went on where it was")
    with get_client(sync_client=True) as client:
        left = filters.FlowRunFilter(state=running, tags=ours)
        for run in client.read_flow_runs(flow_run_filter=left, sort=FlowRunSort.START_TIME_DESC, limit=200):
            if str(run.id) == flow_run.get_id():
                continue
            within = filters.FlowRunFilter(id=filters.FlowRunFilterId(any_=[run.id]))
            for part in client.read_task_runs(
                flow_run_filter=within, sort=TaskRunSort.EXPECTED_START_TIME_DESC, limit=200
            ):
                if part.state_type == StateType.RUNNING:
                    client.set_task_run_state(part.id, state, force=True)
            client.set_flow_run_state(run.id, state, force=True)


def _server() -> str:
    """The address of a server of our own, which ends when we do. The one that Prefect starts by itself
    outlives a process that is killed, and runs no schedules."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--factory", "prefect.server.api.server:create_app", "--port", str(port), "--log-level", "error"]
    server = subprocess.Popen([sys.executable, "-m", "uvicorn", *words], preexec_fn=die_with_parent)

    def stop() -> None:
        server.terminate()
        server.wait()

    atexit.register(stop)  # after Prefect has sent off, at its end, what it still has to say
    url = f"http://127.0.0.1:{port}/api"
    _await(f"{url}/health", server)
    return url


def _await(url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START
    while True:
        try:
            urlopen(url, timeout=5).close()
            return
        except OSError as error:
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError("Prefect's server did not start; what it said is above") from error
            time.sleep(0.2)


def _short(result: dict[str, Any]) -> str:
    shown = ("kept", "episodes", "made", "rows", "challenger", "champion", "reason", "label", "seconds")
    return ", ".join(f"{key} {result[key]}" for key in shown if key in result)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", required=True)
    parser.add_argument("--size", required=True)
    parser.add_argument("--every", type=float)
    parser.add_argument("--json", action="store_true")
    args, options = parser.parse_known_args()
    given = {"python": args.python, "size": args.size, "options": options}
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with temporary_settings({PREFECT_API_URL: os.environ.get("PREFECT_API_URL") or _server()}):
        if args.every:
            line.serve(name="shopfloor-line", interval=args.every, parameters=given, tags=[str(home())])
            return 0
        try:
            with tags(str(home())):
                results = line(**given)
        except (StageFailed, OutOfOrder) as error:
            print(f"shopfloor line: {error}", file=sys.stderr)
            return WRONG_USE if isinstance(error, OutOfOrder) else 1
    if args.json:
        print(json.dumps(summary(begun(results[STAGES[-1]]["turn"]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
