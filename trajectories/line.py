"""The line itself, a Distilabel pipeline, run once a shard:

    propose ─► paraphrase ─► roll out ─► verify ─► deduplicate ─► balance ─► examples ─► preferences

Rows are small and never dropped, only marked (`keep`, `why`); the episodes lie in the store, which is also
what makes the line resumable, for Distilabel's own resuming hangs: a run is never cached, a roll-out whose
episode is stored is not done again, and a shard counts only once its manifest is written. Distilabel turns an
exception in a step into empty rows without a word, so each step writes down how it failed and the run fails
with that.

Must be called from the main thread. Not covered: the plan (`shards.py`), a person's view of it
(`apps/making.py`).
"""

# No `from __future__ import annotations` here: Distilabel reads the annotations of `process`.

import asyncio
import hashlib
import json
import logging
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("DISTILABEL_LOG_LEVEL", "ERROR")  # read at import
from distilabel.pipeline import Pipeline
from distilabel.steps import GeneratorStep, Step, StepInput
from distilabel.typing import GeneratorStepOutput, StepOutput

from agents.actor import model_policy
from agents.clients import ChatModel, Endpoint, ModelDown, endpoint_for
from agents.policies import Policy, RandomPolicy
from tools.environment import EnvironmentDown
from tools.lifeline import die_with_parent
from trajectories import cluster, dagger, nearmiss
from trajectories.episode import Episode
from trajectories.goals import faithful, teacher_endpoint
from trajectories.preferences import preferences
from trajectories.rollout import Job, discard_unfinished, job_ids, oracle_policy, roll_out_all
from trajectories.shards import Folder, Plan, write_json, write_rows
from trajectories.store import Store, StoreError
from trajectories.suites import open_suite, open_workplace
from trajectories.tasks import Task

Row = dict[str, Any]
TEACHER_AT_ONCE = 8
CROWDED = 1.5  # times the median family: what a family may have more of is left out
ERRORS = 0.5  # share of episodes that may fail for want of an environment or a model

INSTRUCTION = (
    "Say this request in other words, as another person would ask for it. Keep everything in double quotes, "
    "and every name and number, exactly as it is. Answer with the request alone, on one line.\n\n"
)
COLUMNS = ["number", "family", "seed", "perturb", "reword", "goal", "said"]
MARKS = ["id", "keep", "why", "success", "ended", "steps", "signature", "examples", "preferences"]


class LineError(RuntimeError):
    """The line failed; the message says where and why. What is finished is kept."""


class Interrupted(Exception):
    """Asked to stop; what is finished is kept."""


def run_shard(plan: Plan, folder: Folder, start: int, count: int, *, bound: float, watch: Path) -> Row:
    """Make one shard; returns its manifest. Raises LineError, or Interrupted after Ctrl-C or SIGTERM.

    `bound` is the share of paraphrases that may fail. `watch` is a folder where the steps note their
    progress: a line of JSON in `progress` for each episode, `stage` with the step at work and its process.
    """
    _quiet()
    begun = time.perf_counter()
    for left in watch.iterdir():
        left.unlink()
    settings = json.dumps({"plan": asdict(plan), "start": start, "count": count, "bound": bound})
    with tempfile.TemporaryDirectory(
        prefix=f".line-{os.getpid()}-", dir=folder.path, ignore_cleanup_errors=True
    ) as cache:
        with _Pipeline(name="shopfloor", cache_dir=cache) as pipeline:
            pipeline.watch = watch
            common = {"settings": settings, "folder": str(folder.path), "watch": str(watch)}
            stages: list[type[_Stage]] = [
                Paraphrase,
                RollOut,
                Verify,
                Deduplicate,
                Balance,
                Examples,
                Preferences,
            ]
            last: Any = Propose(name="propose", **common)
            for stage in stages:
                step = stage(name=stage.__name__.lower(), input_batch_size=count, **common)
                last >> step
                last = step
        global _hooked
        if not _hooked:
            os.register_at_fork(after_in_child=_die_with_parent)
            _hooked = True
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        try:
            made = pipeline.run(use_cache=False)
        finally:
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])
        if (watch / "stop").exists():
            raise Interrupted
        if (watch / "error").exists():
            raise LineError((watch / "error").read_text())
        rows = [dict(row) for row in made["default"]["train"]] if made else []
    if len(rows) != count or any(row.get("preferences") is None for row in rows):
        raise LineError(f"shard {start}: {len(rows)} of {count} rows came through the pipeline")
    rows.sort(key=lambda row: row["number"])
    manifest: Row = {
        "start": start,
        "count": count,
        "teacher": json.loads((watch / "teacher").read_text()),
        "seconds": round(time.perf_counter() - begun, 1),
        "rows": [{k: row[k] for k in (*COLUMNS[:5], *MARKS)} for row in rows],
    }
    write_json(folder.part("shards", start, "json"), manifest)
    return manifest


_hooked = False


def _die_with_parent() -> None:
    """In each forked child: end when the line's process is killed, and at SIGTERM, without a word."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()


def _quiet() -> None:
    """Distilabel and datasets print on stdout, which belongs to `--json`."""
    import datasets
    import rich

    rich.reconfigure(stderr=True)
    datasets.disable_progress_bars()
    logging.getLogger("distilabel").setLevel(logging.ERROR)


class _Pipeline(Pipeline):
    """Distilabel's, but that Ctrl-C asks the roll-outs to finish what they are at; a second one quits."""

    watch: Path

    def _handle_keyboard_interrupt(self) -> Any:
        def stop(number: int, frame: Any) -> None:
            if (self.watch / "stop").exists():
                os._exit(130)  # children end with us; nothing in the store can be half-written
            (self.watch / "stop").touch()

        signal.signal(signal.SIGTERM, stop)
        return signal.signal(signal.SIGINT, stop)


class _Work:
    """What a step knows: the plan, its shard, the folder, and where to note how it goes."""

    def __init__(self, settings: str, folder: str, watch: str) -> None:
        known = json.loads(settings)
        self.plan = Plan(**{**known["plan"], "families": tuple(known["plan"]["families"])})
        self.start, self.count, self.bound = known["start"], known["count"], known["bound"]
        self.folder, self.watch = Folder(Path(folder)), Path(watch)

    @property
    def failed(self) -> bool:
        return (self.watch / "error").exists() or (self.watch / "stop").exists()

    def store(self) -> Store:
        return Store(self.folder.episodes)


class Propose(GeneratorStep):
    """Family and seed of each job of the shard, every family in turn, with how its goal may be said."""

    settings: str
    folder: str
    watch: str

    @property
    def outputs(self) -> list[str]:
        return COLUMNS

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        work = _Work(self.settings, self.folder, self.watch)
        jobs = work.plan.jobs(work.start, work.count)
        yield [{"number": work.start + i, **asdict(job)} for i, job in enumerate(jobs)], True


class _Stage(Step):
    """A step over all of the shard's rows; how it fails is written down, and the rest then passes rows on."""

    settings: str
    folder: str
    watch: str

    @property
    def inputs(self) -> list[str]:
        return COLUMNS

    @property
    def outputs(self) -> list[str]:
        return [*COLUMNS, *MARKS]

    def process(self, inputs: StepInput) -> StepOutput:
        work = _Work(self.settings, self.folder, self.watch)
        rows: list[Row] = [dict.fromkeys(MARKS) | row for row in inputs]
        try:
            if not work.failed:
                write_json(work.watch / "stage", [self.name, os.getpid()])
                os.setsid()  # Ctrl-C is for the line, which asks us; here it would kill the browser at work
                rows = self.work(rows, work)
        except Exception as error:
            if os.environ.get("SHOPFLOOR_DEBUG"):
                traceback.print_exc()
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            plain = isinstance(error, LineError | StoreError | EnvironmentDown | ModelDown)
            kind = "" if plain else f"{self.name}: {type(error).__name__}: "
            (work.watch / "error").write_text(f"{kind}{error}")
        finally:
            write_json(work.watch / "stage", ["between", 0])
        yield rows

    def work(self, rows: list[Row], work: _Work) -> list[Row]:
        raise NotImplementedError


class Paraphrase(_Stage):
    """A teacher's words for each goal, where there is one; what is not faithful is rejected and counted."""

    def work(self, rows: list[Row], work: _Work) -> list[Row]:
        endpoint = teacher_endpoint()
        notes = work.folder.path / "paraphrases.jsonl"  # asked once: a run started again must say the same
        known = _paraphrases(notes)
        verdicts: Counter[str] = Counter()
        wanted = [row for row in rows if row["reword"]] if endpoint else []
        for row in wanted:
            if (found := known.get((row["family"], row["seed"]))) is not None:
                row["said"], row["goal"], verdict = found
                verdicts[verdict] += 1
        missing = [row for row in wanted if (row["family"], row["seed"]) not in known]
        failed: list[tuple[Row, str, str]] = []
        if endpoint and missing:
            failed = asyncio.run(_ask(missing, work, endpoint, notes))
        verdicts.update(used=len(missing) - len(failed))
        verdicts.update(verdict for _, verdict, _ in failed)
        asked, bad = len(wanted), verdicts["rejected"] + verdicts["failed"]
        if bad > work.bound * asked:
            raise LineError(
                f"the teacher failed {bad} of {asked} paraphrases ({verdicts['failed']} errors, "
                f"{verdicts['rejected']} rejected), above the bound of {work.bound:.0%}"
                + (f"; the last: {failed[-1][2]}" if failed else "")
                + ". Mend SHOPFLOOR_TEACHER_URL or _MODEL, or unset them to use the grammar"
            )
        for row, verdict, _ in failed:  # only now: a run that failed here asks again
            _note(notes, row, "", verdict)
        counts = {"asked": asked, **{k: verdicts[k] for k in ("used", "rejected", "failed")}}
        write_json(work.watch / "teacher", counts)
        return rows


async def _ask(rows: list[Row], work: _Work, endpoint: Endpoint, notes: Path) -> list[tuple[Row, str, str]]:
    """Ask the teacher for each goal in other words; returns where that failed: row, verdict, problem."""
    model = ChatModel(endpoint, timeout=60, retries=1)
    gate = asyncio.Semaphore(TEACHER_AT_ONCE)
    failed: list[tuple[Row, str, str]] = []

    async def one(row: Row) -> None:
        question = {"role": "user", "content": INSTRUCTION + row["said"]}
        async with gate:
            try:
                text = (await model.ask([question], temperature=0.9)).text.strip()
            except ModelDown as error:
                failed.append((row, "failed", str(error)))
                return
        if faithful(row["said"], text):
            row["goal"] = text
            _note(notes, row, text, "used")
        else:
            failed.append((row, "rejected", repr(text[:120])))

    try:
        await _state_goals(rows, work)
        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(one(row))
    finally:
        await model.close()
    return failed


def _note(notes: Path, row: Row, text: str, verdict: str) -> None:
    with notes.open("a") as file:
        file.write(json.dumps([row["family"], row["seed"], row["said"], text, verdict]) + "\n")


def _paraphrases(notes: Path) -> dict[tuple[str, int], tuple[str, str, str]]:
    known = {}
    if notes.exists():
        for line in notes.read_text().splitlines():
            try:
                family, seed, said, text, verdict = json.loads(line)
            except ValueError:
                continue  # the line a killed run was at
            known[family, seed] = (said, text, verdict)
    return known


async def _state_goals(rows: list[Row], work: _Work) -> None:
    """Set each task up just to read its goal, which may stand on its page only."""
    queue = iter(rows)
    async with open_workplace(work.plan.suite) as workplace:

        async def reader() -> None:
            async with open_suite(work.plan.suite) as suite:
                env = workplace.environment()
                try:
                    for row in queue:
                        row["said"], _ = await suite.task(row["family"], row["seed"]).setup(env)
                finally:
                    await env.close()

        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, min(work.plan.workers, len(rows)))):
                group.create_task(reader())


class RollOut(_Stage):
    """Each job done in the browser by the policy, several at once; what is stored is not done again."""

    def work(self, rows: list[Row], work: _Work) -> list[Row]:
        plan, store = work.plan, work.store()
        jobs = {_job(row): row for row in rows}
        name, make = _policy(plan)
        for id, why in discard_unfinished(store, job_ids(jobs, plan.suite, name).values()).items():
            print(f"episode {id} is made anew: {why}", file=sys.stderr)
        with (work.watch / "progress").open("a", buffering=1) as notes:

            def note(episode: Episode | None, job: Job) -> None:
                line: Row = {"family": job.family, "again": episode is None}
                if episode is not None:
                    line |= {
                        "success": episode.outcome.success,
                        "steps": len(episode.steps),
                        "ended": episode.ended,
                    }
                    if episode.ended == "error":
                        line["error"] = episode.extra.get("error", "")
                notes.write(json.dumps(line) + "\n")

            run = partial(cluster.roll_out_all, plan.ray) if plan.ray else roll_out_all
            done = asyncio.run(
                run(
                    jobs,
                    plan.suite,
                    make,
                    plan.workers,
                    store,
                    note,
                    policy_name=name,
                    model=plan.model,
                    stop=lambda: work.failed,
                )
            )
        for job, id in done.items():
            jobs[job]["id"] = id
        return rows


def _job(row: Row) -> Job:
    return Job(row["family"], row["seed"], row["perturb"], row["reword"], row["goal"], row["said"])


def _policy(plan: Plan) -> tuple[str, Any]:
    """The policy's name and how to make it for a task."""
    if plan.policy == "oracle":
        return "oracle", oracle_policy
    if plan.policy == nearmiss.NAME:
        return nearmiss.NAME, nearmiss.NearMissPolicy
    if plan.policy == "random":

        def at_random(task: Task) -> Policy:
            return RandomPolicy(task.seed)

        return "random", at_random
    endpoint = endpoint_for("actor", None)
    if plan.policy == dagger.NAME:
        return dagger.NAME, lambda task: dagger.DaggerPolicy(task, model_policy(endpoint, 0.0))
    return endpoint.model, lambda task: model_policy(endpoint, 0.7)


class Verify(_Stage):
    """Each episode read back from the store: whole, valid, and what the checker found at its end."""

    def work(self, rows: list[Row], work: _Work) -> list[Row]:
        store = work.store()
        for row in rows:
            episode = store.load(row["id"])
            row["success"], row["ended"] = episode.outcome.success, episode.ended
            row["steps"], row["signature"] = len(episode.steps), _signature(episode)
            row["keep"] = episode.ended != "error"
            row["why"] = "" if row["keep"] else episode.extra.get("error", "error")
        wrong = [row["why"] for row in rows if not row["keep"]]
        if len(wrong) > ERRORS * len(rows):
            raise LineError(
                f"{len(wrong)} of {len(rows)} episodes failed for want of a working part: {wrong[0]}"
            )
        return rows


def _signature(episode: Episode) -> str:
    """Equal for episodes that teach the same: goal, pages and actions."""
    seen = [episode.goal, *(f"{s.observation.text()}\n{s.decision.action}" for s in episode.steps)]
    return hashlib.sha256("\0".join(seen).encode("utf-8", "surrogatepass")).hexdigest()[:24]


class Deduplicate(_Stage):
    """An episode that teaches what an earlier one does, of this shard or one before, is left out."""

    def work(self, rows: list[Row], work: _Work) -> list[Row]:
        before = [m for start, m in work.folder.manifests().items() if start < work.start]
        seen = {row["signature"] for manifest in before for row in manifest["rows"] if row["keep"]}
        for row in rows:
            if row["keep"] and row["signature"] in seen:
                row["keep"], row["why"] = False, "duplicate"
            seen.add(row["signature"])
        return rows


class Balance(_Stage):
    """No family may have much more than its share, for instance where others mostly failed."""

    def work(self, rows: list[Row], work: _Work) -> list[Row]:
        have = Counter(row["family"] for row in rows if row["keep"])
        most = max(1, round(CROWDED * median(have.values()))) if have else 0
        taken: Counter[str] = Counter()
        for row in rows:
            if row["keep"]:
                taken[row["family"]] += 1
                if taken[row["family"]] > most:
                    row["keep"], row["why"] = False, "balance"
        return rows


class Examples(_Stage):
    """What actor, coder and reviewer learn from the kept episodes, as one parquet file."""

    def work(self, rows: list[Row], work: _Work) -> list[Row]:
        from trajectories import examples

        made = list(examples.rows(_kept(rows, work)))
        write_rows(work.folder.part("examples", work.start, "parquet"), made)
        for number, row in enumerate(rows):
            row["examples"] = len(made) if number == 0 else 0  # the shard's count, on its first row
        return rows


class Preferences(_Stage):
    """Pairs of a better and a worse action on the same page, from what went wrong."""

    def work(self, rows: list[Row], work: _Work) -> list[Row]:
        made = list(preferences(_kept(rows, work)))
        write_rows(work.folder.part("preferences", work.start, "parquet"), made)
        for number, row in enumerate(rows):
            row["preferences"] = len(made) if number == 0 else 0
        return rows


def _kept(rows: list[Row], work: _Work) -> Iterator[Episode]:
    store = work.store()
    return (store.load(row["id"]) for row in rows if row["keep"])
