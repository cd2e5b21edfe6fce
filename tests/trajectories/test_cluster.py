"""Roll-outs on a real Ray on this machine: workers and nodes that die in the middle, and the command itself.

`--ray auto` looks for any Ray on the machine, so one test has one at a time, whichever processes run them.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from agents.policies import Decision, Policy
from tools.actions import Action
from tools.desktop import DesktopEnvironment
from tools.observation import Observation
from trajectories import cluster
from trajectories.cluster import roll_out_all
from trajectories.episode import Episode
from trajectories.keeper import ClusterError, running
from trajectories.rollout import Job, job_ids, oracle_policy
from trajectories.store import Store
from trajectories.tasks import Task

ROOT = Path(__file__).parents[2]
NODE = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
pytestmark = pytest.mark.timeout(600)  # half a minute on a quiet machine, minutes on a busy one


@pytest.fixture
def alone() -> Iterator[None]:
    with (Path(tempfile.gettempdir()) / "shopfloor-test-ray.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def nodes(alone: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Ray's own cluster for tests, one node so far: each has processes of its own, as on as many machines."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args=NODE)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def begun(log: Path) -> list[list[str]]:
    """Each job that a policy was made for: its seed, the worker's process, its node."""
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.1)


async def test_what_dies_is_done_again_elsewhere(nodes: Any, tmp_path: Path) -> None:
    """A worker is killed over a job, then its whole node is, and another joins: every episode comes once.

    So that each happens in the middle, the second node never ends a job from seed 4 on, and the first none
    from seed 8 on until the third has begun one.
    """
    second = nodes.add_node(**NODE)
    first_id, second_id = nodes.head_node.node_id, second.node_id
    log, store = tmp_path / "log", Store(tmp_path / "store")

    def policy(task: Task) -> Policy:
        import ray

        node = ray.get_runtime_context().get_node_id()
        with log.open("a") as file:
            file.write(f"{task.seed} {os.getpid()} {node}\n")

        class Slow:
            name = "oracle"

            async def decide(self, goal: str, look: Observation, history: Sequence[Action]) -> Decision:
                while node == second_id and task.seed >= 4:
                    await asyncio.sleep(0.1)
                while node == first_id and task.seed >= 8 and len({line[2] for line in begun(log)}) < 3:
                    await asyncio.sleep(0.1)
                return await oracle_policy(task).decide(goal, look, history)

        return Slow()

    async def misfortunes() -> list[psutil.Process]:
        def stuck() -> list[int]:
            return [int(pid) for seed, pid, node in begun(log) if node == second_id and int(seed) >= 4]

        await until(lambda: len(set(stuck())) == 1)
        worker = psutil.Process(stuck()[0])
        gone = [worker, *worker.children(recursive=True)]
        worker.kill()
        await until(lambda: len(set(stuck())) == 2)
        worker = psutil.Process(stuck()[-1])
        gone += [worker, *worker.children(recursive=True)]
        nodes.remove_node(second, allow_graceful=False)
        nodes.add_node(**NODE)
        return gone

    jobs = [Job("click-test", seed) for seed in range(14)]
    came: Counter[Job] = Counter()

    def note(episode: Episode | None, job: Job) -> None:
        came[job] += episode is not None

    async with asyncio.TaskGroup() as group:
        trouble = group.create_task(misfortunes())
        done = await roll_out_all(nodes.address, jobs, "miniwob", policy, 0, store, note)
    dead = trouble.result()

    assert came == Counter(jobs)
    assert done == job_ids(jobs, "miniwob", "oracle") and sorted(done.values()) == store.ids()
    assert all(store.fault(id) is None and store.load(id).outcome.success for id in done.values())
    assert len(begun(log)) >= len(jobs) + 2  # what was lost was begun again
    assert len({node for _, _, node in begun(log)}) == 3
    assert len(dead) > 6 and not psutil.wait_procs(dead, timeout=20)[1]  # nor do their browsers stay


async def test_a_job_that_kills_its_workers_is_given_up(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends as an episode that says so, the others are done, and a worker does no more than its share."""
    monkeypatch.setattr(cluster, "LIVES", 2)
    monkeypatch.setattr(cluster, "RECYCLED", 3)
    log, store = tmp_path / "log", Store(tmp_path / "store")

    def policy(task: Task) -> Policy:
        with log.open("a") as file:
            file.write(f"{task.seed} {os.getpid()} -\n")
        if task.seed == 1:
            os._exit(1)
        return oracle_policy(task)

    jobs = [Job("click-test", seed) for seed in range(6)]
    done = await roll_out_all(nodes.address, jobs, "miniwob", policy, 1, store)

    ends = [store.load(done[job]).ended for job in jobs]
    assert ends == ["over", "error", *["over"] * 4]
    assert "2 workers were lost over it" in store.load(done[jobs[1]]).extra["error"]
    work = Counter(pid for _, pid, _ in begun(log))
    assert sum(work.values()) == len(jobs) + 1 and len(work) == 4 and max(work.values()) == 3


async def test_a_worker_works_where_its_suite_does() -> None:
    """An application's tasks on a desktop, though its suite is called by the bare name of it."""
    suite: Any = AsyncExitStack()
    suite.name = "galculator"
    worker = cluster.Worker(suite, "app:galculator", oracle_policy, "")
    await worker.open()
    assert isinstance(worker._env, DesktopEnvironment)
    await worker.close()


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "SHOPFLOOR_HOME": str(home), "PYTHONPATH": str(ROOT)}


def generate(out: Path, *more: str) -> list[str]:
    start = [sys.executable, "-m", "apps.main", "generate", "miniwob", "--families", "click-test"]
    return [*start, "--json", "--out", str(out), *more]


def of_run(home: Path) -> list[psutil.Process]:
    """Every process that the command has started, Ray's and the browsers' too: they inherit its home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SHOPFLOOR_HOME") == str(home):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_the_command_with_a_ray_of_its_own(alone: None, tmp_path: Path) -> None:
    """Killed outright it leaves no process; started again, it goes on; in the end none is left either."""
    out = tmp_path / "out"
    words = generate(out, "--episodes", "12", "--ray", "auto")
    first = subprocess.Popen(words, cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.DEVNULL)
    episodes = out / "episodes"
    while not (episodes.exists() and Store(episodes).ids()):
        assert first.poll() is None
        time.sleep(0.1)
    left = of_run(tmp_path)
    assert any("raylet" in process.name() for process in left)
    first.kill()
    first.wait()
    assert not psutil.wait_procs(left, timeout=60)[1]

    again = subprocess.run(words, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    said = json.loads(again.stdout)
    assert said["there_before"] >= 1 and said["made_now"] + said["there_before"] == 12
    plan = json.loads((out / "plan.json").read_text())
    assert "ray" not in plan and len(Store(episodes)) == 12
    assert not psutil.wait_procs(of_run(tmp_path), timeout=60)[1]


def test_every_policy_of_the_line_can_travel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made anew from its pickle in another process, which needs none of the line's own libraries."""
    from ray.cloudpickle import dumps

    from trajectories.line import _policy
    from trajectories.shards import Plan

    monkeypatch.setenv("SHOPFLOOR_ACTOR_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("SHOPFLOOR_ACTOR_MODEL", "tiny")
    plans = [Plan("miniwob", ("click-test",), 1, policy=kind) for kind in ("oracle", "random", "model")]
    (tmp_path / "makers").write_bytes(dumps([_policy(plan)[1] for plan in plans]))
    script = """
import pickle, sys
from trajectories.suites import open_suite
task = open_suite("helpdesk").task("open-ticket", 1)
print(*(make(task).name for make in pickle.load(open("makers", "rb"))), "distilabel" in sys.modules)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert ran.stdout.split() == ["oracle", "random", "tiny", "False"], ran.stderr


def test_without_the_option_ray_is_not_imported(tmp_path: Path) -> None:
    """Not by any process of a run: each would end at once."""
    script = """
import os, sys
class NoRay:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "ray": os._exit(77)
sys.meta_path.insert(0, NoRay)
from apps.main import main
code = main(sys.argv[1:])
assert "ray" not in sys.modules
sys.exit(code)
"""
    words = [sys.executable, "-c", script, *generate(tmp_path / "out", "--episodes", "2")[3:]]
    ran = subprocess.run(words, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["episodes"] == 2


def test_a_ray_that_does_not_start_is_said_in_a_line(tmp_path: Path) -> None:
    """A node that can't come up, for its sockets want a short path, is a line and no wait."""
    deep = tmp_path / ("deep" * 30)
    words = generate(tmp_path / "out", "--episodes", "2", "--ray", "auto")
    ran = subprocess.run(
        words,
        cwd=tmp_path,
        env=environment(tmp_path) | {"RAY_TMPDIR": str(deep)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 2 and not ran.stdout
    last = ran.stderr.splitlines()[-1]
    assert "no Ray at auto" in last and "path length" in last and "ray start --head" in last
    assert "Traceback" not in ran.stderr


def test_no_ray_is_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing at the address, an address that is none, and no Ray installed: each with the mend."""
    words = generate(tmp_path / "out", "--episodes", "2", "--ray", "127.0.0.1:1")
    ran = subprocess.run(words, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True)
    assert ran.returncode == 2 and "ray start --head" in ran.stderr and not ran.stdout
    with pytest.raises(ClusterError, match="Invalid address"), running("nonsense"):
        pass
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match="pip install"), running("auto"):
        pass


def test_a_site_that_is_written_to_stays_on_one_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its reset is this machine's command, and who writes when is kept apart by a lock here."""
    from apps.main import main
    from trajectories.explore.site import Access, Site

    url = "http://127.0.0.1:9/"
    Site(Access(url, writes=True)).save()
    assert main(["generate", url, "--out", str(tmp_path / "out"), "--ray", "auto"]) == 2
    assert "leave out --ray" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_cluster_file_is_one_of_rays() -> None:
    """Valid by Ray's own schema, with its head on demand and its workers on spot machines."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    file = prepare_config(yaml.safe_load((ROOT / "deploy/ray/cluster.yaml").read_text()))
    validate_config(file)
    kinds = file["available_node_types"]
    assert "InstanceMarketOptions" not in kinds[file["head_node_type"]]["node_config"]
    spot = next(kinds[name] for name in kinds if name != file["head_node_type"])
    assert spot["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert spot["min_workers"] == 0 < spot["max_workers"] <= file["max_workers"]
