"""`shopfloor drift`: whether what is seen, asked and done now is still what the model was trained on.

    shopfloor drift --reference data/helpdesk        # learns what is usual there, then looks at the chat
    shopfloor drift runs/live --windows 5 --json     # the newest five windows, against the reference kept
    shopfloor drift --new                            # 3 only where a turn of the line is due for it

Recorded episodes, by default those of the chat, are cut into windows of `--steps` steps, and the newest are
held against the reference. What was found is kept in the state folder, where the server's /metrics and
`shopfloor report` take it from. Exit codes: 0 no alarm; 3 something drifted; 2 wrong use. With --new, 3 means
that something drifted that had not yet when the line's last turn began, and that this turn is over: whoever
starts the line upon that (`shopfloor line --every` does) starts it once for each change.

Not covered: the tests (`eval/drift.py`); episodes that are still going on.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools import settings

if TYPE_CHECKING:
    from eval.drift import Drift, Reference
    from trajectories.episode import Episode
    from trajectories.store import Store

DRIFTED = 3  # exit code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="recorded episodes (the chat's)")
    parser.add_argument(
        "--reference", type=Path, metavar="DIR", help="episodes of training (the reference kept before)"
    )
    parser.add_argument("--steps", type=int, default=100, metavar="N", help="of a window (default: 100)")
    parser.add_argument("--windows", type=int, default=1, metavar="N", help="the newest N (default: 1)")
    parser.add_argument("--new", action="store_true", help="3 only for what the line has not answered yet")
    parser.add_argument("--json", action="store_true", help="print what was found as one JSON object")


def run(args: argparse.Namespace) -> int:
    from eval.drift import NoReference
    from trajectories.store import Store, StoreError, store_path

    if args.steps < 1 or args.windows < 1:
        print("shopfloor drift: --steps and --windows must be at least 1", file=sys.stderr)
        return 2
    try:
        reference = _reference(args.reference)
        store = Store(store_path(args.folder or settings.home()))
        found = look(reference, store, args.steps, args.windows)
    except (NoReference, StoreError, OSError) as error:
        print(f"shopfloor drift: {error}", file=sys.stderr)
        return 2
    kept = keep(reference, store.path, found)
    new = _unanswered(kept)
    if args.json:
        print(json.dumps(kept | {"new": new}))
    else:
        _show(found, args.steps)
    return DRIFTED if (new if args.new else kept["alarm"]) else 0


def look(reference: Reference, store: Store, steps: int, windows: int) -> list[Drift]:
    """The newest windows of a store against the reference, oldest first."""
    from eval.drift import compare, samples

    return [compare(reference, list(samples(own))) for own in _newest(store, steps, windows)]


def last() -> dict[str, Any] | None:
    """What was found last, as `--json` prints it; None where nobody has looked."""
    try:
        found: dict[str, Any] = json.loads((settings.home_path() / "drift" / "last.json").read_text())
    except (OSError, ValueError):
        return None
    return found


def alarms() -> tuple[str, ...]:
    """The figures that alarmed when somebody looked last."""
    return _named(last() or {"windows": ()})


def _named(told: dict[str, Any]) -> tuple[str, ...]:
    return tuple(sorted({name for window in told["windows"] for name in window["alarms"]}))


def _unanswered(told: dict[str, Any]) -> list[str]:
    """What drifted and is news to the line, if that is free to answer it."""
    from apps.line.runner import answered

    known = answered()
    return [] if known is None else [name for name in _named(told) if name not in known]


def keep(reference: Reference, store: Path, found: Sequence[Drift]) -> dict[str, Any]:
    """What `--json` prints; kept for others, but where there was nothing to see the last word stands."""
    from trajectories.shards import write_json

    told = {
        "time": time.time(),
        "episodes": str(store),
        "reference": reference.made_from,
        "alarm": any(drift.alarms for drift in found),
        "windows": [drift.json() for drift in found],
    }
    if found:
        write_json(settings.home() / "drift" / "last.json", told)
    return told


def kept_reference() -> Path:
    """Where the reference given last is kept."""
    return settings.home() / "drift" / "reference.json.gz"


def _reference(folder: Path | None) -> Reference:
    """The reference of a folder, read again only where that has changed; else the one kept before."""
    from eval.drift import LARGEST, NoReference, Reference
    from trajectories.store import Store, store_path

    kept = kept_reference()
    if folder is None:
        if not kept.exists():
            raise NoReference("there is no reference yet; give the training data: --reference data/helpdesk")
        return Reference.load(kept)
    store = Store(store_path(folder))
    digest = store.digest()
    if kept.exists():
        try:
            if (known := Reference.load(kept)).made_from == digest:
                return known
        except NoReference:  # it is made again here
            pass
    ids = store.ids()
    taken = random.Random(0).sample(ids, min(LARGEST, len(ids)))
    made = Reference.of((store.load(id) for id in taken if store.fault(id) is None), digest)
    made.save(kept)
    return made


def _newest(store: Store, steps: int, windows: int) -> Iterator[list[Episode]]:
    """The newest whole windows, oldest first; only their episodes are read, and damaged ones left out."""
    from eval.drift import windows as cut
    from trajectories.catalogue import Catalogue

    rows = (row for row in Catalogue(store).rows() if row.result != "broken" and row.steps)
    for window in list(cut(rows, steps))[-windows:]:
        if whole := [store.load(row.id) for row in window if store.fault(row.id) is None]:
            yield whole


def _show(found: list[Drift], steps: int) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True)
    if not found:
        console.print(f"no window of {steps} steps has been recorded yet")
    for drift in found:
        console.print(
            f"{drift.started[:16]} to {drift.ended[:16]}, {drift.episodes} episodes, {drift.steps} steps: "
            f"{len(drift.figures)} figures tested, {len(drift.alarms)} drifted; "
            f"PSI of roles {drift.psi['roles']:.2f}, of actions {drift.psi['actions']:.2f}",
            markup=False,
        )
        if drift.alarms:
            table = Table("what drifted", "reference", "now", "effect", "p", "test")
            for figure in drift.alarms:
                table.add_row(
                    figure.name,
                    f"{figure.reference:.3g}",
                    f"{figure.window:.3g}",
                    f"{figure.effect:.2f}",
                    f"{figure.p:.1g}",
                    figure.test,
                )
            console.print(table)
