"""The whole line on real parts, from nothing to a served model: undisturbed, killed in the middle of each
stage (slow), and as a Prefect flow (slow; needs `deploy/prefect/setup.sh`)."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apps.line.plan import DIALS, STAGES
from tests.training.test_sft import episode
from trajectories.store import PARTIAL, Store

ROOT = Path(__file__).parents[2]
PREFECT = os.environ.get("SHOPFLOOR_PREFECT_PYTHON")  # read now: no test sees the user's settings
MINUTES = "0.1"  # of pretraining: what is shown here does not hang on how good the model gets
TOLD = 300  # recorded episodes that tell the same, so that ingesting takes long enough to be killed in it
# What stands in a stage's folder once it is in the middle of its work.
MIDDLE = {
    "ingest": "ingest-*/episodes/chat-*",
    "generate": "generate-*/miniwob/episodes/*/episode.json",
    "pretrain": "pretrain-*/recorded/run.json",
    "sft": "sft-*/checkpoints",
    "rft": "rft-*/rounds/round-1/samples/0/*/episode.json",
    "evaluate": "evaluate-*/challenger/*/*/episode.json",
    "promote": "promote-*",
    "deploy": "deploy-*",
}


def line(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "apps.main", "line", "--size", "tiny", "--from-scratch", "--json"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"SHOPFLOOR_HOME": str(folder), "PYTHONPATH": str(ROOT)}
    if PREFECT:
        environment["SHOPFLOOR_PREFECT_PYTHON"] = PREFECT
    return subprocess.Popen(
        [*command, "--minutes", MINUTES, *words], env=environment, text=True, stdout=subprocess.PIPE
    )


def left(folder: Path) -> list[str]:
    """Processes still at work with that state folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " ")[:200])
        except OSError:
            continue
    return found


def kill_amid(stage: str, process: subprocess.Popen[str], folder: Path) -> None:
    """SIGKILL to the line as soon as a stage is in the middle of its work. Nothing that it started may
    outlive it, for that would go on writing beside the line that is started next."""
    work = folder / "line" / "work"
    while not any(work.glob(MIDDLE[stage])):
        assert process.poll() is None, f"the line ended before {stage} was in the middle of its work"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while (still := left(folder)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not still
    assert not any(work.glob(f"{stage}-*/result.json")), f"{stage} was done before it was killed"


def finished(folder: Path) -> dict[Path, int]:
    """What is finished: stages, parts of stages and episodes, with the inodes that tell whether one was
    written again."""
    kept = ("result.json", "scores.json", "round.json", "episode.json")
    files = [
        f for f in (folder / "line" / "work").rglob("*.json") if f.name in kept and PARTIAL not in f.parts
    ]
    files += (folder / "line" / "turns").glob("*/*.json")
    return {file: file.stat().st_ino for file in files}


def whole(folder: Path, said: dict[str, Any]) -> None:
    """The turn came to its end: every stage is done and whole, the decision is the statistics', and what is
    deployed is the champion or, where luck could have been, what was in use."""
    results = {stage: result(folder, said["turn"], stage) for stage in STAGES}
    assert results["generate"]["episodes"] == sum(DIALS["tiny"].demonstrations.values())
    both = json.loads(Path(results["evaluate"]["reports"]).read_text())
    dial = DIALS["tiny"]
    tasks = dial.episodes * sum(map(len, dial.families.values()))
    assert [sum(len(r["results"]) for r in both[side]) for side in ("challenger", "champion")] == [tasks] * 2
    served = json.loads((folder / "line" / "deployed.json").read_text())
    assert served["label"] == said["deployed"] == served["served"] and served["answer"]
    assert said["promoted"] == said["reason"].startswith(("better", "promoted before"))
    assert (served["champion"] == said["version"]) == said["promoted"]


def result(folder: Path, turn: int, stage: str) -> dict[str, Any]:
    note = json.loads((folder / "line" / "turns" / f"{turn:06d}" / f"{stage}.json").read_text())
    found: dict[str, Any] = note["result"]
    return found


@pytest.mark.timeout(1500)
def test_the_whole_line(tmp_path: Path) -> None:
    """From nothing to a served model, in one command."""
    process = line(tmp_path)
    said = json.loads(process.communicate()[0])
    assert process.returncode == 0 and list(said["stages"]) == list(STAGES)
    whole(tmp_path, said)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_killed_in_the_middle_of_each_stage(tmp_path: Path) -> None:
    """Killed by SIGKILL in each stage in turn and started again, it comes to what it comes to undisturbed, as
    one turn; no finished stage, part of one or episode is done again, and nothing is left running. Another
    turn makes no demonstrations and no pretraining again."""
    recorded = Store(tmp_path / "episodes")
    for number in range(TOLD):
        recorded.add(replace(episode(1), id=f"chat-{number:03d}"))
    before: dict[Path, int] = {}
    for stage in STAGES:
        process = line(tmp_path)
        kill_amid(stage, process, tmp_path)
        now = finished(tmp_path)
        assert before.items() <= now.items(), f"done again, or lost, up to {stage}"
        before = now
    process = line(tmp_path)
    said = json.loads(process.communicate()[0])
    assert process.returncode == 0 and said["turn"] == 1
    assert before.items() <= finished(tmp_path).items()
    assert result(tmp_path, 1, "ingest")["left_out"] == {"told twice": TOLD - 1}
    whole(tmp_path, said)

    again = json.loads(line(tmp_path).communicate()[0])
    assert again["turn"] == 2
    assert {stage for stage, one in again["stages"].items() if one["cached"]} >= set(STAGES[:4])


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_as_a_prefect_flow(tmp_path: Path) -> None:
    """Killed by SIGKILL amid a stage, Prefect's own server included, and started again, the flow goes on to a
    served model, and says on stdout what the line says. Prefect has the first run as crashed, and stages
    that were finished as cached, in the same turn and in the next; MLflow's run of a turn names Prefect's."""
    if not PREFECT:
        subprocess.run(["bash", "deploy/prefect/setup.sh"], cwd=ROOT, check=True, timeout=2400)
    kill_amid("generate", line(tmp_path, "--prefect"), tmp_path)
    before = finished(tmp_path)
    process = line(tmp_path, "--prefect")
    said = json.loads(process.communicate()[0])
    assert process.returncode == 0 and said["turn"] == 1
    assert before.items() <= finished(tmp_path).items()
    whole(tmp_path, said)
    assert json.loads(line(tmp_path, "--prefect").communicate()[0])["turn"] == 2
    assert not left(tmp_path)

    recorded = tmp_path / "prefect" / "prefect.db"
    runs = rows(recorded, "SELECT id, state_name FROM flow_run ORDER BY start_time")
    assert [state for _, state in runs] == ["Crashed", "Completed", "Completed"]
    done = [
        dict(rows(recorded, "SELECT name, state_name FROM task_run WHERE flow_run_id = ?", id))
        for id, _ in runs
    ]
    assert done[0] == {"ingest": "Completed", "generate": "Crashed"}
    assert done[1] == dict.fromkeys(STAGES, "Completed") | {"ingest": "Cached"}
    assert set(done[2]) == set(STAGES)
    assert {name for name, state in done[2].items() if state == "Cached"} >= set(STAGES[:4])
    named = rows(tmp_path / "mlflow.db", "SELECT value FROM params WHERE key = 'prefect_run'")
    assert {id for (id,) in named} == {id for id, _ in runs[1:]}
    tables = [data for (data,) in rows(recorded, "SELECT data FROM artifact WHERE key = 'turn'")]
    assert len(tables) == 2 and all("experiment `line`" in data for data in tables)


def rows(database: Path, query: str, *values: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query, values).fetchall()
