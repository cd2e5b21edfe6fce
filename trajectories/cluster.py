"""The same roll-outs on a Ray cluster: many machines, of which any may go away at any moment.

    shopfloor generate miniwob --episodes 20000 --out data/wob --ray auto

Each worker is an actor, a process of one CPU with one Chromium and one suite, somewhere on the cluster; it is
replaced after some episodes, so that memory stays flat. The one who asks (the driver) keeps the list of jobs
and is the only one that writes the store. An episode is handed over when it is done, so a machine that goes
takes only the episodes at work with it, and these are done again elsewhere. Ray's actors and not Ray Data,
since a lost task of Ray Data is made again with all it had finished.

Every node needs this project and a Chromium, a way to the suite's site and to the model's endpoint, and a
site's secrets where Ray was started; the driver runs on one of them, for Ray asks that.

Not covered: starting or finding Ray (`keeper.py`), making a cluster (`deploy/ray/`), the driver's own
machine going away (started again, it goes on where it was).
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from agents.policies import Policy
from tools.environment import EnvironmentDown
from tools.observation import Observation
from trajectories.episode import Episode
from trajectories.keeper import connect
from trajectories.rollout import Job, do, job_ids, not_stored
from trajectories.store import Store
from trajectories.suites import open_suite, open_workplace
from trajectories.tasks import Outcome, Suite, Task

RECYCLED = 200  # episodes after which a worker is replaced
LIVES = 4  # workers that may be lost over one job, or before they could begin
LOOK_AGAIN = 1.0  # seconds between looks at how many CPUs there are, and whether to stop


class Worker:
    """The actor: one Chromium (or desktop) with one suite opened, doing one job at a time.

    `suite_name` is what the suite is opened by, such as a site's address; its own name is then the host.
    """

    def __init__(
        self, suite: Suite, suite_name: str, make_policy: Callable[[Task], Policy], model: str
    ) -> None:
        self._suite, self._suite_name = suite, suite_name
        self._make_policy, self._model = make_policy, model
        self._open = AsyncExitStack()

    async def open(self) -> None:
        """Raises EnvironmentDown where this machine has no Chromium, or no desktop, that works."""
        try:
            workplace = await self._open.enter_async_context(open_workplace(self._suite_name))
        except EnvironmentDown as error:
            raise EnvironmentDown(f"on {socket.gethostname()}: {error}") from error
        await self._open.enter_async_context(self._suite)
        self._env = workplace.environment()

    async def do(self, job: Job, id: str) -> Episode:
        return await do(job, id, self._suite, self._env, self._make_policy, self._model)

    async def close(self) -> None:
        await self._open.aclose()


async def roll_out_all(
    address: str,
    jobs: Iterable[Job],
    suite_name: str,
    make_policy: Callable[[Task], Policy],
    workers: int,
    store: Store,
    progress: Callable[[Episode | None, Job], None] | None = None,
    *,
    policy_name: str = "oracle",
    model: str = "",
    stop: Callable[[], bool] = lambda: False,
    open_: Callable[[str], Suite] = open_suite,
) -> dict[Job, str]:
    """`rollout.roll_out_all` on the Ray at `address`, with at most `workers` at once; 0: one to each CPU.

    Suite and `make_policy` are pickled. A job over which `LIVES` workers were lost ends as an episode that
    says so. Raises as `rollout.roll_out_all` does; EnvironmentDown also where no worker can begin,
    ClusterError where Ray can't be reached.
    """
    ids = job_ids(jobs, suite_name, policy_name)
    waiting = deque(not_stored(ids, store, progress))
    if not waiting:
        return ids
    import ray
    from ray.exceptions import RayError, RayTaskError

    connect(address)
    hire = ray.remote(num_cpus=1)(Worker).remote
    suite = open_(suite_name)
    at_work: set[asyncio.Task[None] | None] = set()  # lives past their beginning
    lost: Counter[Job | None] = Counter()  # workers, by the job they were at; None: those without one

    async def keep(episode: Episode, job: Job) -> None:
        await asyncio.to_thread(store.add, episode)
        if progress:
            progress(episode, job)

    async def life() -> None:
        """A worker's, from hiring it to its end. The job that it was at is given back."""
        worker: Any = hire(suite, suite_name, make_policy, model)
        job: Job | None = None
        try:
            await worker.open.remote()  # not before a CPU is free, which may be on a machine yet to come
            lost[None] = 0
            at_work.add(asyncio.current_task())
            for _ in range(RECYCLED):
                if not waiting:
                    break
                job = waiting.popleft()
                await keep(await worker.do.remote(job, ids[job]), job)
                job = None
            await worker.close.remote()
        except RayTaskError as error:
            raise error.cause from error  # it is our own code that failed
        except RayError as error:  # the worker is gone, or its machine
            lost[job] += 1
            if job is None:
                if lost[job] >= LIVES:
                    why = f"{LIVES} workers on Ray ended before they could begin: {_plain(error)}"
                    raise EnvironmentDown(why) from error
            elif lost[job] >= LIVES:
                await keep(_given_up(job, ids[job], suite.name, policy_name, model, _plain(error)), job)
            else:
                waiting.appendleft(job)
        finally:
            at_work.discard(asyncio.current_task())
            ray.kill(worker)

    lives: set[asyncio.Task[None]] = set()
    try:
        while waiting or at_work:
            wanted = workers or max(1, int(ray.cluster_resources().get("CPU", 0)))
            for _ in range(len(lives), min(wanted, len(waiting) + len(at_work))):
                lives.add(asyncio.create_task(life()))
            ended, lives = await asyncio.wait(lives, timeout=LOOK_AGAIN, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
            if stop():
                waiting.clear()
    finally:
        for task in lives:  # those who wait for a place
            task.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        ray.shutdown()
    return {job: id for job, id in ids.items() if id in store}


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split())[:500]


def _given_up(job: Job, id: str, suite: str, policy: str, model: str, why: str) -> Episode:
    return Episode(
        id=id,
        task=f"{suite}/{job.family}/{job.seed}",
        goal=job.goal,
        steps=(),
        final=Observation(url="about:blank", title="", viewport=(1, 1)),
        outcome=Outcome(False),
        ended="error",
        policy=policy,
        model=model,
        started=datetime.now(UTC).isoformat(),
        extra={"perturb": job.perturb, "error": f"{LIVES} workers were lost over it, the last: {why}"},
    )
