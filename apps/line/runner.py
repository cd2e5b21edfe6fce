"""Turns of the line: begun, taken up again, and finished, a stage at a time, each in a process of its own.

    HOME/line/turns/000001/turn.json       what the turn was begun with
    HOME/line/turns/000001/sft.json        that stage of it, finished: its key, folder and result
    HOME/line/turns/000001/finished.json   the turn, finished
    HOME/line/work/sft-1f0c.../            a stage's own folder, named after all that its outcome follows from
    HOME/line/work/sft-1f0c.../result.json written last: its existence means that this work is done

So a turn that was killed anywhere is the same turn when it goes on, nothing finished is done again, and a
stage whose inputs are those of an earlier turn is not done at all. Processes of their own, because
generating forks, which must not happen beside another stage's threads, and because what a stage held in
memory is then gone.

Not covered: what the stages do (`stages.py`), and retries and schedules (`command.py`, `deploy/prefect/`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from apps.line.plan import DIALS, STAGES, Turn
from tools.lifeline import die_with_parent
from tools.settings import home

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("tools", "agents", "trajectories", "training", "eval", "apps")


class LineFailed(RuntimeError):
    """A stage did not come to its end; `code` is its exit code, negative for a signal."""

    def __init__(self, stage: str, code: int) -> None:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        super().__init__(f"{stage} {how}; what is finished is kept, start again to go on")
        self.stage, self.code = stage, code


class OutOfOrder(ValueError):
    """A stage was asked for before the one that it builds on, or beside another run of the line."""


@dataclass(frozen=True)
class Done:
    """A finished stage. `cached`: it was found done, in this turn or by an earlier one with equal inputs."""

    stage: str
    key: str
    folder: str
    result: Mapping[str, Any]
    seconds: float
    cached: bool


@contextmanager
def alone() -> Iterator[None]:
    """One line at a time in a state folder. Raises OutOfOrder. The lock goes with the process."""
    path = home() / "line" / "lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutOfOrder(f"another line is at work in {home()}; wait, or set SHOPFLOOR_HOME") from error
        yield


def open_turn(size: str, minutes: float | None, from_scratch: bool, workers: int) -> Turn:
    """The turn that is not finished, else a new one. Raises OutOfOrder where that one is of another size."""
    from apps import drift

    turns = home() / "line" / "turns"
    turns.mkdir(parents=True, exist_ok=True)
    last = _last(turns)
    if last and not (turns / f"{last:06d}" / "finished.json").exists():
        turn = begun(last)
        if turn.size != size:
            folder = turns / f"{last:06d}"
            raise OutOfOrder(
                f"turn {last} of size {turn.size} is not finished: go on with --size {turn.size}, or delete "
                f"{folder}"
            )
        return turn
    champion, base = _in_use(size, from_scratch)
    own = DIALS[size].minutes if minutes is None else minutes
    turn = Turn(last + 1, size, own, champion, base, workers, drift.alarms())
    _write(turns / f"{turn.number:06d}" / "turn.json", asdict(turn))
    return turn


def begun(number: int) -> Turn:
    """A turn as it was begun."""
    return Turn(**json.loads((home() / "line" / "turns" / f"{number:06d}" / "turn.json").read_text()))


def _last(turns: Path) -> int:
    """The number of the turn begun last, 0 before the first."""
    return max((int(f.parent.name) for f in turns.glob("*/turn.json")), default=0)


def answered() -> frozenset[str] | None:
    """The figures that had drifted when the last turn began: it has learnt from what was recorded until then.
    None while that turn is open, and what drifts meanwhile waits for its end."""
    turns = home() / "line" / "turns"
    if not (last := _last(turns)):
        return frozenset()
    if not (turns / f"{last:06d}" / "finished.json").exists():
        return None
    return frozenset(json.loads((turns / f"{last:06d}" / "turn.json").read_text()).get("drift", ()))


def _in_use(size: str, from_scratch: bool) -> tuple[str, str]:
    """The folders of the model to beat and of the one to train on, each empty where there is none.

    To train on is the model to beat if it is of that size. From scratch there is none to train on, and the
    released model does not count.
    """
    from training.nano import SIZES
    from training.registry import CHAMPION, NoModel, alias, resolve

    if from_scratch:
        return ("" if alias(CHAMPION) is None else str(resolve(CHAMPION))), ""
    try:
        champion = resolve(None)
    except NoModel:
        return "", ""
    config = json.loads((champion / "config.json").read_text()).get("text_config", {})
    shape = (config.get("hidden_size"), config.get("num_hidden_layers"))
    same = shape == (SIZES[size].width, SIZES[size].layers)
    return str(champion), str(champion) if same else ""


def finished(turn: Turn) -> dict[str, Done]:
    """The stages of a turn that are done; the last one only when the turn is closed as well."""
    found = _noted(turn)
    if not (_folder(turn) / "finished.json").exists():
        found.pop(STAGES[-1], None)
    return found


def _noted(turn: Turn) -> dict[str, Done]:
    notes = {stage: _folder(turn) / f"{stage}.json" for stage in STAGES}
    return {stage: Done(**json.loads(note.read_text())) for stage, note in notes.items() if note.exists()}


def carry_out(stage: str, turn: Turn) -> Done:
    """Do a stage here and now, unless it is done. Raises OutOfOrder, and whatever the stage raises."""
    from apps.line.stages import DO, depends

    before = finished(turn)
    if stage in before:
        return replace(before[stage], cached=True)
    if missing := [s for s in STAGES[: STAGES.index(stage)] if s not in before]:
        raise OutOfOrder(f"{missing[0]} comes before {stage}: shopfloor line --only {missing[0]}")
    given = {name: done.result for name, done in before.items()}
    key = key_of(stage, {"code": code(), **depends(stage, turn, given)})
    folder = home() / "line" / "work" / f"{stage}-{key}"
    note = folder / "result.json"
    began = time.monotonic()
    cached = note.exists()
    if not cached:
        folder.mkdir(parents=True, exist_ok=True)
        _write(note, DO[stage](turn, given, folder))
    seconds = round(time.monotonic() - began, 1)
    done = Done(stage, key, str(folder), json.loads(note.read_text()), seconds, cached)
    _write(_folder(turn) / f"{stage}.json", asdict(done))
    if stage == STAGES[-1]:
        finish(turn)
    return done


def key_of(stage: str, depends: Mapping[str, Any]) -> str:
    """A name for a stage's work that changes when anything changes that its outcome follows from."""
    return hashlib.sha256(f"{stage}\n{json.dumps(depends, sort_keys=True)}".encode()).hexdigest()[:16]


def code(root: Path = ROOT) -> str:
    """A digest of all that the rooms hold: what other code did is other work. No stage runs all of it, but
    whoever leaves out what one does run gets old work for new without a word."""
    from training.tracking import digest

    return " ".join(digest(root / room, skip="__pycache__")[:16] for room in ROOMS)


def start(stage: str, turn: Turn) -> Done:
    """Do a stage in a process of its own, which dies with this one. Raises LineFailed."""
    before = finished(turn)
    if stage in before:
        return replace(before[stage], cached=True)
    command = [sys.executable, "-m", "apps.main", "line", "--only", stage, "--size", turn.size, "--held"]
    ran = subprocess.run(command, stdout=sys.stderr, preexec_fn=die_with_parent)
    if ran.returncode:
        raise LineFailed(stage, ran.returncode)
    return _noted(turn)[stage]


def finish(turn: Turn) -> None:
    """Note the turn in MLflow, beside its stages' own runs (tag `line`), and close it."""
    from training.tracking import start_run

    done = _noted(turn)
    results = {stage: one.result for stage, one in done.items()}
    prefect = os.environ.get("SHOPFLOOR_PREFECT_RUN", "")
    with start_run("line", {**asdict(turn), "prefect_run": prefect}) as run:
        run.log_metrics({f"seconds/{stage}": one.seconds for stage, one in done.items()})
        run.log_metrics({side: results["evaluate"][side] for side in ("challenger", "champion")})
        run.log_metrics({"promoted": float(results["promote"]["promoted"])})
        run.log_json(results, "turn.json")
        id = run.id
    _write(_folder(turn) / "finished.json", {"mlflow_run": id, "prefect_run": prefect})


def summary(turn: Turn) -> dict[str, Any]:
    """A turn in figures, as far as it is finished."""
    done = _noted(turn)
    found: dict[str, Any] = {
        "turn": turn.number,
        "size": turn.size,
        "stages": {s: {"key": o.key, "seconds": o.seconds, "cached": o.cached} for s, o in done.items()},
    }
    if "deploy" in done:
        evaluated, decided = done["evaluate"].result, done["promote"].result
        found |= {key: evaluated[key] for key in ("challenger", "champion", "against")}
        found |= {key: decided[key] for key in ("promoted", "reason", "version")}
        found["deployed"] = done["deploy"].result["label"]
    return found


def _folder(turn: Turn) -> Path:
    return home() / "line" / "turns" / f"{turn.number:06d}"


def _write(path: Path, value: Any) -> None:
    from trajectories.shards import write_json

    write_json(path, value)
