"""What was run, with what, and how it came out: MLflow over one SQLite file in the state folder.

    with start_run("sft", {"size": "nano"}) as run:
        run.log_metrics({"loss": 0.4}, step=10)

The run is MLflow's active one meanwhile, so TRL's `report_to="mlflow"` writes into it. Look at it with
`mlflow ui --backend-store-uri sqlite:///.shopfloor/mlflow.db`. MLflow's types stay here, in `registry.py`
and in `traces.py`.

Not covered: model versions and their aliases (`registry.py`).
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tools.settings import home
from tools.version import commit

STAGE = "SHOPFLOOR_LINE_STAGE"  # set in the processes of the line's stages: `turn-000001/sft`


class Run:
    """A run that is open: what may be written to it."""

    def __init__(self, mlflow: ModuleType, run: Any) -> None:
        self._mlflow = mlflow
        self.id: str = run.info.run_id
        self.artifacts = Path(run.info.artifact_uri.removeprefix("file://"))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._mlflow.log_metrics(dict(metrics), step=step)

    def log_artifact(self, file: Path, folder: str | None = None) -> None:
        """Keep a copy of a file, under `folder` of the run's artifacts."""
        self._mlflow.log_artifact(str(file), folder)

    def log_json(self, value: Any, name: str) -> None:
        self._mlflow.log_dict(value, name)


@contextmanager
def start_run(kind: str, params: Mapping[str, object]) -> Iterator[Run]:
    """Open a run in the experiment `kind` (`pretrain`, `sft`, `eval`, ...).

    The commit is always recorded, and the turn and stage of the line that it belongs to (`apps/line/`). An
    exception marks the run failed, an interrupt killed, and both pass on.
    """
    mlflow = connect()
    tags = {"commit": commit()}
    if stage := os.environ.get(STAGE):
        tags["line"] = stage
    nested = mlflow.active_run() is not None
    run = mlflow.start_run(experiment_id=experiment(mlflow, kind), nested=nested, tags=tags)
    status = "FAILED"
    try:
        mlflow.log_params(dict(params))
        yield Run(mlflow, run)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        mlflow.end_run(status)


def connect(server: str | None = None) -> ModuleType:
    """MLflow, set to a server or else to the state folder's database; the first time there takes seconds."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when it is imported
    import mlflow

    for chatty in ("mlflow", "alembic"):  # after the import, which sets them to INFO
        logging.getLogger(chatty).setLevel(logging.WARNING)
    uri = server or f"sqlite:///{database()}"
    if mlflow.get_tracking_uri() != uri:
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
    return mlflow


def database() -> Path:
    return home() / "mlflow.db"


def files(folder: Path, skip: str | None = None) -> list[Path]:
    """All files under a folder, in order, but those in folders whose names begin with `skip`."""
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    return [f for f in found if not skip or not any(p.startswith(skip) for p in f.relative_to(folder).parts)]


def digest(data: Path, skip: str | None = None) -> str:
    """SHA-256 over the names and contents of all files; the same wherever the folder lies."""
    if not data.exists():
        raise FileNotFoundError(f"no data at {data}")
    total = hashlib.sha256()
    for file in files(data, skip) if data.is_dir() else [data]:
        name = file.relative_to(data).as_posix() if data.is_dir() else file.name
        with file.open("rb") as opened:
            content = hashlib.file_digest(opened, "sha256").hexdigest()
        total.update(f"{name}\0{content}\n".encode())
    return total.hexdigest()


def experiment(mlflow: ModuleType, kind: str) -> str:
    """The id of the experiment of that name, made if missing."""
    found = mlflow.get_experiment_by_name(kind)
    if found is not None:
        return str(found.experiment_id)
    if not mlflow.get_tracking_uri().startswith("sqlite:"):
        return str(mlflow.create_experiment(kind))
    # Set by hand: MLflow's default for a SQLite store is ./mlruns of wherever one happens to stand.
    return str(mlflow.create_experiment(kind, artifact_location=str(home() / "artifacts" / kind)))
