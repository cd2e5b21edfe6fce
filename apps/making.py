"""Carrying out a plan of the line, every shard that is not complete yet, with a person's view of it.

    code, summary = carry_out(plan, folder, bound=0.2)

Killed at any moment and called again with the same plan, it goes on where it was. Must be called from the
main thread, as Distilabel wants it.

Not covered: the work of a shard (`trajectories/line.py`), and what to make (`generate.py`, `apps/line/`).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trajectories.shards import Folder, Plan


def carry_out(plan: Plan, folder: Folder, bound: float) -> tuple[int, dict[str, Any]]:
    """The plan done; returns the exit code and a summary, which says under `error` what went wrong.

    `bound` is the share of a teacher's paraphrases that may fail.
    """
    warnings.filterwarnings("ignore", message="The 'default' attribute with value None")  # Distilabel's own
    from trajectories.line import Interrupted, LineError  # three seconds of Distilabel
    from trajectories.store import StoreError

    begun = time.perf_counter()
    code, wrong = 0, ""
    with _Progress(plan, folder) as progress:
        try:
            _make(plan, folder, bound, progress)
        except (Interrupted, KeyboardInterrupt):
            code, wrong = 130, "interrupted; all finished episodes are kept, start again to go on"
        except (LineError, StoreError) as error:
            code, wrong = 1, str(error)
    summary = _summary(plan, folder, progress, time.perf_counter() - begun)
    if wrong:
        summary["error"] = wrong
        print(f"shopfloor generate: {wrong}", file=sys.stderr)
    return code, summary


def _make(plan: Plan, folder: Folder, bound: float, progress: _Progress) -> None:
    """Every shard that is not complete yet."""
    from trajectories.line import run_shard

    complete = folder.manifests()
    for start, count in plan.shards():
        if start in complete and complete[start]["count"] >= count:
            progress.skip(count)
            continue
        run_shard(plan, folder, start, count, bound=bound, watch=progress.watch)
        progress.look()


class _Progress:
    """What the line's steps note down, shown live on stderr and counted for the summary."""

    def __init__(self, plan: Plan, folder: Folder) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.plan = plan
        self.made: Counter[str] = Counter()
        self.solved: Counter[str] = Counter()
        self.again = self.steps = 0
        self._folder = tempfile.TemporaryDirectory(prefix=f".watch-{os.getpid()}-", dir=folder.path)
        self.watch = Path(self._folder.name)
        self._read = 0
        self._inode = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._begun = time.perf_counter()
        self._progress = Progress(
            TextColumn("{task.fields[stage]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=plan.episodes, stage="starting", rate="")

    def __enter__(self) -> _Progress:
        self._progress.start()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()
        self.look()
        self._progress.stop()
        self._folder.cleanup()

    def skip(self, count: int) -> None:
        """A shard that was complete before."""
        self.again += count
        self._progress.advance(self._task, count)

    def look(self) -> None:
        """Take in what was noted since the last look."""
        try:
            with (self.watch / "progress").open() as notes:
                inode = (self.watch / "progress").stat().st_ino
                if inode != self._inode:  # another shard's
                    self._inode, self._read = inode, 0
                notes.seek(self._read)
                text = notes.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind("\n") + 1]
        self._read += len(whole.encode())
        for line in whole.splitlines():
            self._count(json.loads(line))
        seconds = time.perf_counter() - self._begun
        made = sum(self.made.values())
        share = f"{sum(self.solved.values()) / made:.0%} solved, " if made else ""
        rate = f"{share}{made / seconds:.1f} episodes/s"
        self._progress.update(self._task, completed=self.again + made, rate=rate)

    def _count(self, note: dict[str, Any]) -> None:
        if note["again"]:
            self.again += 1
            return
        self.made[note["family"]] += 1
        self.solved[note["family"]] += note["success"]
        self.steps += note["steps"]

    def _follow(self) -> None:
        from trajectories.store import alive

        while not self._done.wait(0.25):
            self.look()
            try:
                stage, process = json.loads((self.watch / "stage").read_text())
            except FileNotFoundError:
                continue
            if stage == "between":
                continue
            self._progress.update(self._task, stage=stage)
            if not alive(process):  # Distilabel would wait for it for ever
                self._progress.stop()
                print(
                    f"shopfloor: the process of the step {stage} was killed (out of memory?); "
                    "all finished episodes are kept, start again to go on",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(1)


def _summary(plan: Plan, folder: Folder, progress: _Progress, seconds: float) -> dict[str, Any]:
    """The whole folder's state, and what this run added to it."""
    teacher: Counter[str] = Counter()
    families: dict[str, dict[str, int]] = {}
    left: Counter[str] = Counter()
    examples = preferences = 0
    for manifest in folder.manifests().values():
        teacher.update({k: v for k, v in manifest["teacher"].items() if isinstance(v, int)})
        for row in manifest["rows"]:
            family = families.setdefault(row["family"], {"episodes": 0, "success": 0, "kept": 0})
            family["episodes"] += 1
            family["success"] += bool(row["success"])
            family["kept"] += bool(row["keep"])
            if not row["keep"]:
                left[row["why"] if row["why"] in ("duplicate", "balance") else "error"] += 1
            examples += row["examples"]
            preferences += row["preferences"]
    total = sum(f["episodes"] for f in families.values())
    made = sum(progress.made.values())
    return {
        "suite": plan.suite,
        "policy": plan.policy,
        "model": plan.model,
        "out": str(folder.path),
        "episodes": total,
        "success": round(sum(f["success"] for f in families.values()) / total, 4) if total else 0.0,
        "by_family": dict(sorted(families.items())),
        "duplicates": left["duplicate"],
        "unbalanced": left["balance"],
        "errors": left["error"],
        "examples": examples,
        "preferences": preferences,
        "teacher": dict(teacher),
        "made_now": made,
        "there_before": progress.again,
        "seconds": round(seconds, 1),
        "episodes_per_second": round(made / seconds, 2),
        "steps_per_second": round(progress.steps / seconds, 2),
    }
