"""`shopfloor line`: from what was recorded to a model in use, once or every so often, by itself.

    shopfloor line                              # a turn: ingest to deploy
    shopfloor line --every 1d                   # and again, each day, or at once when something drifts
    shopfloor line --size tiny --from-scratch   # the whole line in minutes, a model made from nothing
    shopfloor line --only sft                   # one stage, for Airflow, cron or a person
    shopfloor line --prefect                    # through Prefect: retries and runs to be seen in its UI

A turn ingests and cleans what people and agents recorded, takes or makes demonstrations, pretrains if there
is no model to train on, fine-tunes, samples its own successes and learns from those, evaluates beside the
champion on held-out tasks that no turn before had, promotes the better one, and tries out that it serves.
Killed at any moment and started again, it goes on with the stage it was at. Exit codes: 0 done, promoted or
not; 1 a stage failed; 2 wrong use; 130 interrupted.

Not covered: the stages (`stages.py`) and what is kept of them (`runner.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from apps.line.plan import DIALS, STAGES, Turn
from tools.lifeline import die_with_parent

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
TRIES = 3  # of a stage; each goes on where the one before ended
LOOK = 600.0  # seconds between two looks for drift while the next turn is waited for
PAUSE = 5.0  # seconds before the second; ten times as long before the third
PREFECT = Path(__file__).resolve().parents[2] / "deploy" / "prefect"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", choices=tuple(DIALS), default="nano", help="(default: nano)")
    parser.add_argument("--every", type=period, metavar="1d", help="a turn every so often: 30m, 12h, 1d")
    parser.add_argument("--minutes", type=float, help="of pretraining, where that is needed (by size)")
    parser.add_argument(
        "--from-scratch",
        action="store_true",
        help="pretrain a model; to beat is the champion, or where there is none yet (the released model does "
        "not count) random actions",
    )
    parser.add_argument("--workers", type=int, default=2, metavar="K", help="pages at once (default: 2)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--only", choices=STAGES, help="one stage of the turn at hand")
    how.add_argument("--prefect", action="store_true", help="as a Prefect flow (deploy/prefect/setup.sh)")
    parser.add_argument("--held", action="store_true", help=argparse.SUPPRESS)  # our parent holds the lock
    parser.add_argument("--json", action="store_true", help="print one JSON object for each turn")


def period(text: str) -> float:
    """Seconds of `30m`, `12h`, `1d`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no period; write 30m, 12h or 1d")
    return float(found[1]) * SECONDS[found[2]]


def run(args: argparse.Namespace) -> int:
    from apps.line.runner import LineFailed, OutOfOrder, alone
    from apps.line.stages import StageFailed

    if args.workers < 1 or (args.minutes is not None and args.minutes <= 0):
        print("shopfloor line: --workers and --minutes must be above 0", file=sys.stderr)
        return 2
    if args.prefect:
        return _prefect(args)
    try:
        if args.held:
            return _only(args)
        with alone():
            return _only(args) if args.only else _turns(args)
    except (OutOfOrder, LineFailed, StageFailed) as error:
        print(f"shopfloor line: {error}", file=sys.stderr)
        return 2 if isinstance(error, OutOfOrder) else 1


def _only(args: argparse.Namespace) -> int:
    """One stage, here; what it prints on stdout goes to stderr, where people look."""
    from apps.line.runner import carry_out
    from training.tracking import STAGE

    turn = _turn(args)
    os.environ[STAGE] = f"{turn.name}/{args.only}"
    done = carry_out(args.only, turn)
    if args.json:
        print(json.dumps({"turn": turn.number, "stage": done.stage, "cached": done.cached, **done.result}))
    else:
        _say(turn, done.stage, f"{'as before' if done.cached else 'done'}, {done.seconds:.0f} s")
    return 0


def _turns(args: argparse.Namespace) -> int:
    """A turn, or one every so often. A turn that failed is taken up again when the next is due."""
    from apps.line.runner import LineFailed, summary

    while True:
        began = time.monotonic()
        turn = _turn(args)
        try:
            for stage in STAGES:
                _tried(stage, turn)
        except LineFailed as error:
            if not args.every or error.code == 2:
                raise
            print(f"shopfloor line: {error}", file=sys.stderr)
        found = summary(turn)
        if args.json:
            print(json.dumps(found), flush=True)
        elif "reason" in found:
            _say(turn, "promotion", f"{found['reason']}; in use: {found['deployed']}")
        if not args.every:
            return 0
        if new := _awaited(began + args.every):
            _say(turn, "drift", f"{', '.join(new)}: the next turn begins now")


def _awaited(due: float) -> list[str]:
    """Wait until the next turn is due, by the monotonic clock, or something drifts that the last one knew
    nothing of; returns what drifted."""
    from apps.drift import DRIFTED, kept_reference

    while (left := due - time.monotonic()) > 0:
        time.sleep(min(LOOK, left))
        if not kept_reference().exists():  # nobody has said what is usual
            continue
        # A process of its own: what it loads would stay in this one, which lives for weeks.
        command = [sys.executable, "-m", "apps.main", "drift", "--new", "--json"]
        looked = subprocess.run(command, stdout=subprocess.PIPE, preexec_fn=die_with_parent)
        if looked.returncode == DRIFTED:
            found: list[str] = json.loads(looked.stdout)["new"]
            return found
    return []


def _tried(stage: str, turn: Turn) -> None:
    """A stage, tried again where that may help. Raises LineFailed."""
    from apps.line.plan import WRONG_USE
    from apps.line.runner import LineFailed, start

    for attempt in range(1, TRIES + 1):
        try:
            done = start(stage, turn)
        except LineFailed as error:
            if attempt == TRIES or error.code in (WRONG_USE, 130):
                raise
            _say(turn, stage, f"{error}; trying again")
            time.sleep(PAUSE * 10 ** (attempt - 1))
        else:
            if done.cached:
                _say(turn, stage, "as before")
            return


def _turn(args: argparse.Namespace) -> Turn:
    from apps.line.runner import open_turn

    return open_turn(args.size, args.minutes, args.from_scratch, args.workers)


def _say(turn: Turn, stage: str, text: str) -> None:
    print(f"{turn.name}  {stage:9}  {text}", file=sys.stderr, flush=True)


def _prefect(args: argparse.Namespace) -> int:
    """The same through Prefect, which has an environment of its own because its pins clash with ours."""
    python = Path(os.environ.get("SHOPFLOOR_PREFECT_PYTHON") or PREFECT / ".venv" / "bin" / "python")
    if not python.exists():
        print(
            f"shopfloor line: no Prefect at {python}; make it: bash deploy/prefect/setup.sh", file=sys.stderr
        )
        return 2
    words = ["--python", sys.executable, "--size", args.size, "--workers", str(args.workers)]
    words += ["--minutes", str(args.minutes)] if args.minutes else []
    words += ["--from-scratch"] if args.from_scratch else []
    words += ["--every", str(args.every)] if args.every else []
    words += ["--json"] if args.json else []
    sys.stdout.flush()
    os.execv(python, [str(python), str(PREFECT / "flow.py"), *words])
