"""Which model is the one in use: versions in MLflow's registry, under the aliases champion and challenger.

A version is a checkpoint's files, copied. `resolve(None)` is what everything runs on unless told otherwise:
the champion where there is one, else the released model in `models/nano`.

Not covered: judging which of two is better; `promote` takes the judge as an argument
(`eval.statistics.better`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.tracking import connect, database, digest, files, start_run

MODEL = "shopfloor"
CHAMPION, CHALLENGER = "champion", "challenger"
CHECKPOINTS = "checkpoint-"  # a trainer's own folders, with optimiser states: no part of the model
RELEASED = Path(__file__).resolve().parent.parent / "models" / "nano"

Reports = Sequence[Mapping[str, Any]]  # the JSON of `shopfloor eval`, one report a suite
Judge = Callable[[Reports, Reports], tuple[bool, str]]  # challenger's, champion's: better?, and why


class NoModel(LookupError):
    """No model goes by that name; the message says which do."""


@dataclass(frozen=True)
class Promotion:
    promoted: bool
    reason: str
    version: str
    replaced: str | None = None  # the version that was champion before; None: the released model


def register(folder: Path, metrics: Mapping[str, float], params: Mapping[str, object] | None = None) -> str:
    """Copy a checkpoint into the registry as a new version, which becomes the challenger; returns it.

    A trainer's own `checkpoint-*` folders are left out. Weights that have a version keep it.
    """
    if not (folder / "config.json").is_file():
        raise NoModel(f"{folder} holds no model (no config.json); give the folder training wrote")
    if (there := _version_of(folder)) is not None:
        if there != alias(CHAMPION):
            _client().set_registered_model_alias(MODEL, CHALLENGER, there)
        return there
    with start_run("model", dict(params or {}) | {"weights": label(folder)}) as run:
        run.log_metrics(metrics)
        for file in files(folder, skip=CHECKPOINTS):
            run.log_artifact(file, str(Path("model") / file.relative_to(folder).parent))
    client = _client()
    if not client.search_registered_models(f"name = '{MODEL}'"):
        client.create_registered_model(MODEL)
    made = client.create_model_version(MODEL, source=str(run.artifacts / "model"), run_id=run.id)
    client.set_registered_model_alias(MODEL, CHALLENGER, made.version)
    return str(made.version)


def resolve(name: str | None = None) -> Path:
    """The folder of a model: a path, `champion`, `challenger`, a version's number, `released`, or None (see
    above)."""
    if name is None and (version := alias(CHAMPION)) is not None:
        return _folder(version)
    if name is None or name == "released":
        if not (RELEASED / "config.json").is_file():
            raise NoModel(f"the released model is missing from {RELEASED}; give one, or train one")
        return RELEASED
    if (Path(name) / "config.json").is_file():
        return Path(name).absolute()
    if name in (CHAMPION, CHALLENGER):
        version = alias(name)
        if version is None:
            raise NoModel(f"there is no {name} yet; train a model, then `shopfloor train promote`")
        return _folder(version)
    if name.isdigit():
        return _folder(name)
    raise NoModel(f"no model {name!r}: give a model's folder, champion, challenger, or a version's number")


def label(folder: Path) -> str:
    """A name for a model's weights; what follows the `@` is the same for every copy: `nano@1f0c...`."""
    return folder.name + _weights(folder)


def _weights(folder: Path) -> str:
    return "@" + digest(folder, skip=CHECKPOINTS)[:12]


def same_weights(one: Path, other: Path) -> bool:
    """Whether two folders hold the same checkpoint, whatever they are called."""
    return _weights(one) == _weights(other)


def _version_of(folder: Path) -> str | None:
    """The version made of these very weights: a run killed after it registered them must not do so twice."""
    rows = _read(
        "SELECT v.version FROM model_versions v JOIN params p ON p.run_uuid = v.run_id "
        "WHERE v.name = ? AND p.key = 'weights' AND p.value LIKE ? ORDER BY v.version DESC",
        MODEL,
        "%" + _weights(folder),
    )
    return str(rows[0][0]) if rows else None


def alias(name: str) -> str | None:
    """The version an alias points at."""
    rows = _read("SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?", MODEL, name)
    return str(rows[0][0]) if rows else None


def promote(version: str, challenger: Reports, champion: Reports, judge: Judge) -> Promotion:
    """Make a version the champion if its reports are better than the champion's; else nothing moves."""
    before = alias(CHAMPION)
    for reports, folder in ((challenger, _folder(version)), (champion, resolve(None))):
        weights = _weights(folder)
        foreign = [
            r["model"] for r in reports if "@" in r.get("model", "") and not r["model"].endswith(weights)
        ]
        if foreign:
            reason = f"refused: a report is of {foreign[0]}, not of {label(folder)}; evaluate that one"
            return Promotion(False, reason, version, before)
    won, reason = judge(challenger, champion)
    if not won:
        return Promotion(False, reason, version, before)
    return crown(version, reason)


def crown(version: str, reason: str) -> Promotion:
    """Make a version the champion, whoever judged so; the one before is kept for `rollback`."""
    before = alias(CHAMPION)
    client = _client()
    client.set_model_version_tag(MODEL, version, "replaced", before or "")
    client.set_model_version_tag(MODEL, version, "promoted", reason)
    client.set_registered_model_alias(MODEL, CHAMPION, version)
    if alias(CHALLENGER) == version:
        client.delete_registered_model_alias(MODEL, CHALLENGER)
    return Promotion(True, reason, version, before)


def former() -> tuple[str, Path] | None:
    """The version before the champion, or `released`, and its folder; None where nothing was before."""
    version = alias(CHAMPION)
    if version is None:
        return None
    rows = _read(
        "SELECT value FROM model_version_tags WHERE name = ? AND version = ? AND key = 'replaced'",
        MODEL,
        int(version),
    )
    before = rows[0][0] if rows else ""
    return (before, _folder(before)) if before else ("released", RELEASED)


def evaluations(folder: Path) -> list[dict[str, Any]]:
    """What `shopfloor eval` reported of these weights, wherever they lie, newest first; ablations left out.

    Each has `at`, when its run ended, in seconds since 1970.
    """
    rows = _read(
        "SELECT runs.artifact_uri, runs.end_time FROM runs JOIN experiments USING (experiment_id) "
        "JOIN params ON params.run_uuid = runs.run_uuid AND params.key = 'model' "
        "WHERE experiments.name = 'eval' AND runs.status = 'FINISHED' AND substr(params.value, -13) = ? "
        "ORDER BY runs.end_time DESC",
        _weights(folder),
    )
    found = []
    for place, ended in rows:
        try:
            report = json.loads((Path(place.removeprefix("file://")) / "report.json").read_bytes())
        except (OSError, ValueError):  # deleted by hand; the run itself stays listed
            continue
        if not report.get("without"):
            found.append(report | {"at": ended / 1000})
    return found


def finished() -> list[tuple[str, str, int, float]]:
    """How many runs there are of each kind and status, and when the last ended (seconds since 1970)."""
    return _read(
        "SELECT experiments.name, runs.status, count(*), coalesce(max(runs.end_time), 0) / 1000.0 "
        "FROM runs JOIN experiments USING (experiment_id) WHERE runs.lifecycle_stage = 'active' GROUP BY 1, 2"
    )


def successes() -> list[tuple[str, str, float, int]]:
    """The newest evaluation's success for each suite and policy, whichever model it was of, and when that
    ended, in milliseconds; ablations and evaluations of some tasks only are left out."""
    return _read(
        "SELECT suites.value, policies.value, latest_metrics.value, max(runs.end_time) FROM runs "
        "JOIN experiments USING (experiment_id) "
        "JOIN params AS suites ON suites.run_uuid = runs.run_uuid AND suites.key = 'suite' "
        "JOIN params AS policies ON policies.run_uuid = runs.run_uuid AND policies.key = 'policy' "
        "JOIN latest_metrics ON latest_metrics.run_uuid = runs.run_uuid AND latest_metrics.key = 'success' "
        "WHERE experiments.name = 'eval' AND runs.status = 'FINISHED' AND NOT EXISTS (SELECT 1 FROM params "
        "AS part WHERE part.run_uuid = runs.run_uuid AND (part.key = 'without' AND part.value <> '' OR "
        "part.key = 'part' AND part.value = 'True')) GROUP BY 1, 2"
    )


def promote_if_better(
    model: str | None,
    evaluate: Callable[[Path], Reports],
    judge: Judge,
    metrics: Mapping[str, float] | None = None,
) -> Promotion:
    """Evaluate a model (default: the challenger) and the champion alike, and promote it if it is better.

    A folder that is no version yet is registered first. `evaluate` takes a model's folder and returns its
    held-out reports; it is called twice with the same settings, which is what makes the comparison fair.
    """
    name = CHALLENGER if model is None else model
    if name in (CHAMPION, CHALLENGER):
        found = alias(name)
        if found is None:
            raise NoModel(f"there is no {name} to promote; train a model, or give its folder or version")
        version = found
    elif name.isdigit() and not Path(name).exists():
        version = name
    else:
        version = register(resolve(name), metrics or {})
    if version == alias(CHAMPION):
        return Promotion(False, f"refused: version {version} is the champion already", version, version)
    return promote(version, evaluate(_folder(version)), evaluate(resolve(None)), judge)


def rollback() -> str | None:
    """Put back the champion before the present one; returns its version, None for the released model."""
    version = alias(CHAMPION)
    if version is None:
        raise NoModel("there is no champion to roll back: the released model is in use")
    client = _client()
    before = client.get_model_version(MODEL, version).tags.get("replaced") or None
    if before is None:
        client.delete_registered_model_alias(MODEL, CHAMPION)
    else:
        client.set_registered_model_alias(MODEL, CHAMPION, before)
    return before


def _folder(version: str) -> Path:
    rows = _read("SELECT source FROM model_versions WHERE name = ? AND version = ?", MODEL, int(version))
    if not rows:
        raise NoModel(f"no version {version} of {MODEL} in {database()}")
    folder = Path(rows[0][0].removeprefix("file://"))
    if not (folder / "config.json").is_file():
        raise NoModel(f"version {version} is registered, but its files are gone from {folder}")
    return folder


def _read(query: str, *values: object) -> list[tuple[Any, ...]]:
    """Read MLflow's own tables: every command asks for the model as it starts, and MLflow takes seconds."""
    if not database().exists():
        return []
    with closing(sqlite3.connect(f"file:{database()}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # made, but MLflow has not filled it yet
                return []
            raise


def _client() -> Any:
    return connect().tracking.MlflowClient()
