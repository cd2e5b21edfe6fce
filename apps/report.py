"""`shopfloor report`: one static page on the model in use, where it is strong, where it fails, what it costs.

    shopfloor report                                        # report.html, from the evaluations in MLflow
    shopfloor report --episodes runs/eval --out champion.html

The champion (or the released model, where there is none) stands against the one before it, on the tasks both
were evaluated on. `--episodes` names folders that `shopfloor eval --out` filled: from them come samples, how
attempts ended and what they cost in tokens. The page is one file that loads nothing from elsewhere. Exit
codes: 0 written; 1 the model was never evaluated; 2 wrong use.

Not covered: evaluating (`evaluate.py`), how the page looks (`report.html`).
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.files import write_whole

if TYPE_CHECKING:
    from trajectories.catalogue import Row
    from trajectories.episode import Episode
    from trajectories.store import Store

    Attempt = tuple[Store, Row]

SAMPLES = 3  # episodes that went well, and as many that did not
STEPS = 6  # of a sample that are shown
WIDTH = 560  # pixels of a screenshot
STRONG, WEAK = 0.8, 0.2  # success of a family
ENDS = {  # how an attempt went, in words
    "success": "done right",
    "done": "said done, and was not",
    "budget": "ran out of steps",
    "infeasible": "gave up",
    "over": "ended by the page",
    "error": "broke off",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--episodes",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="recorded attempts of the model, what eval had as --out; repeatable",
    )
    parser.add_argument("--model", metavar="M", help="another than the champion: a folder or version")
    parser.add_argument("--former", metavar="M", help="what it stands against (default: the one before it)")
    parser.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE", help="(report.html)")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")


def run(args: argparse.Namespace) -> int:
    from training.registry import label, resolve
    from trajectories.store import StoreError

    if missing := [str(f) for f in args.episodes if not f.is_dir()]:
        print(
            f"shopfloor report: no folder {', '.join(missing)}; give what eval had as --out", file=sys.stderr
        )
        return 2
    folder = resolve(args.model)
    try:
        attempts = _attempts(args.episodes, label(folder))
        figures = gather(folder, _former(args), attempts)
    except StoreError as error:
        print(f"shopfloor report: {error}", file=sys.stderr)
        return 2
    if not figures["suites"]:
        print(
            f"shopfloor report: {label(folder)} was never evaluated here; "
            f"run: shopfloor eval helpdesk --model {args.model or folder} --out runs/eval",
            file=sys.stderr,
        )
        return 1
    samples = list(_samples(attempts))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(args.out, render(figures, samples))
    if args.json:
        print(json.dumps(figures | {"out": str(args.out)}))
    else:
        print(f"{args.out}: {figures['model']}, {len(figures['suites'])} evaluations", file=sys.stderr)
    return 0


def _former(args: argparse.Namespace) -> Path | None:
    from training.registry import former, resolve

    if args.former:
        return resolve(args.former)
    before = former() if args.model is None else None
    return before[1] if before else None


def gather(folder: Path, before: Path | None, attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Everything on the page but the samples, as plain JSON values."""
    from apps import ab, drift
    from training import experiment
    from training.registry import CHAMPION, alias, evaluations, label, resolve

    ours, theirs = _newest(evaluations(folder)), _newest(evaluations(before)) if before else {}
    model = label(folder)
    trial = experiment.latest()
    return {
        "model": model,
        "version": (alias(CHAMPION) or "released") if folder == resolve(None) else None,
        "former": label(before) if before else None,
        "made": datetime.now(UTC).isoformat(timespec="minutes"),
        "size": sum(f.stat().st_size for f in folder.glob("*.safetensors")),
        "suites": [_suite(report, theirs.get(key)) for key, report in ours.items() if "results" in report],
        "verdicts": [report for report in ours.values() if "balanced_accuracy" in report],
        "ends": dict(Counter(row.ended if row.result != "success" else "success" for _, row in attempts)),
        "attempts": len(attempts),
        "tokens": _tokens(attempts),
        "drift": drift.last(),
        "ab": ab.standing(trial)[1] if trial else None,
    }


def _newest(reports: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], Mapping[str, Any]]:
    """The newest report of each kind of evaluation."""
    kinds = ("suite", "policy", "role", "effort", "protocol")
    found: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for report in reports:
        found.setdefault(tuple(str(report.get(kind, "")) for kind in kinds), report)
    return found


def _suite(report: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
    """One evaluation, against the former's of the same kind where there is one."""
    from eval.statistics import paired, wilson

    def shares(of: Mapping[str, Any], family: str) -> dict[str, float] | None:
        row = of["by_task"].get(family)
        if not row or not row["n"]:
            return None
        low, high = wilson(round(row["success"] * row["n"]), int(row["n"]))
        return {"success": row["success"], "low": low, "high": high, "n": row["n"]}

    families = [
        {"name": family, "now": now, "before": shares(before, family) if before else None}
        for family in report["by_task"]
        if (now := shares(report, family))
    ]
    families.sort(key=lambda row: (-row["now"]["success"], row["name"]))
    kept = ("suite", "policy", "effort", "protocol", "commit", "at", "success", "interval", "false_done")
    costs = ("steps", "seconds_per_step", "invalid_actions", "errors")
    made: dict[str, Any] = {name: report.get(name) for name in (*kept, *costs)}
    made |= {
        "n": len(report["results"]),
        "families": families,
        "strong": [f["name"] for f in families if f["now"]["success"] >= STRONG],
        "weak": [f["name"] for f in reversed(families) if f["now"]["success"] <= WEAK],
        "before": {name: before.get(name) for name in (*kept, *costs)} if before else None,
        "paired": None,
    }
    if before and (both := sorted(report["results"].keys() & before["results"].keys())):
        found = paired([report["results"][t] for t in both], [before["results"][t] for t in both])
        made["paired"] = {
            name: getattr(found, name) for name in ("n", "wins", "losses", "difference", "low", "high")
        }
    return made


def _attempts(folders: Sequence[Path], model: str) -> list[Attempt]:
    """The folders' episodes of these weights, under whatever name the model had, each with its store."""
    from trajectories.catalogue import Catalogue
    from trajectories.store import Store, store_path

    weights = model.rpartition("@")[2]
    stores = [Store(store_path(folder)) for folder in folders]
    rows = [(store, row) for store in stores for row in Catalogue(store).rows()]
    return [(store, row) for store, row in rows if row.model.endswith(weights) and row.result != "broken"]


def _tokens(attempts: Sequence[Attempt]) -> dict[str, float] | None:
    """Tokens read and written by an attempt, on average; read from the documents, without their images."""
    totals = Counter[str]()
    for store, row in attempts:
        document = json.loads((store.path / row.id / "episode.json").read_bytes())
        totals.update({k: v for k, v in document["final_metrics"].items() if k.endswith("tokens")})
    return {name: value / len(attempts) for name, value in totals.items()} if attempts else None


def _samples(attempts: Sequence[Attempt]) -> Iterator[dict[str, Any]]:
    """Some attempts that failed and some that did not, each of another family, ready to draw."""
    for good in (False, True):
        families: set[str] = set()
        for store, row in attempts:
            if (row.result == "success") != good or row.family in families or not row.steps:
                continue
            if len(families) == SAMPLES:
                break
            families.add(row.family)
            yield _sample(store.load(row.id), row)


def _sample(episode: Episode, row: Row) -> dict[str, Any]:
    from apps.viewer.marks import marks

    frames = []
    for step in episode.steps[:STEPS]:
        drawn = marks(step.observation, step.decision.action)
        width, height = step.observation.viewport
        frames.append(
            {
                "action": str(step.decision.action),
                "picture": _picture(step.observation.screenshot),
                "width": width,
                "height": height,
                "boxes": [(b.x, b.y, b.width, b.height) for b in drawn.boxes],
                "line": drawn.line,
                "unit": width / 100,
            }
        )
    return {
        "goal": episode.goal,
        "family": f"{episode.suite}/{episode.family}",
        "good": episode.outcome.success,
        "ended": ENDS["success" if episode.outcome.success else row.ended],
        "left": len(episode.steps) - len(frames),
        "frames": frames,
    }


def _picture(png: bytes | None) -> str:
    """A smaller copy as a data: URL; empty where there was nothing to see."""
    from PIL import Image

    if png is None:
        return ""
    with Image.open(io.BytesIO(png)) as image:
        small = image.convert("RGB")
        small.thumbnail((WIDTH, WIDTH))
    made = io.BytesIO()
    small.save(made, "JPEG", quality=70)
    return "data:image/jpeg;base64," + base64.b64encode(made.getvalue()).decode()


def render(figures: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> str:
    """The page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["percent"] = lambda share: f"{share:.1%}"
    pages.filters["points"] = lambda share: f"{100 * share:+.1f}"
    pages.filters["day"] = lambda at: f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"
    return pages.get_template("report.html").render(**figures, samples=samples, words=ENDS)
