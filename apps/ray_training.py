"""Pretraining on a Ray cluster by Ray Train: `shopfloor train pretrain --ray N`.

Each of N workers is a process with a CPU, or a GPU where the cluster has them, that runs the very function
which one process runs (`runs.py`); gradients are averaged as under torchrun (`training/together.py`). `batch`
is for each worker, so N workers take the steps of one with N times the batch. Where a worker dies, Ray starts
all of them again, and they go on from the run's last checkpoint.

Not covered: fine-tuning (one process does it in minutes), and machines that share no disk: `out` and the data
must be on one that all workers see.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.pretrain import Recipe

FAILURES = 10  # of workers, before the run gives up


def pretrain(recipe: Recipe, data: Sequence[Path], out: Path, workers: int, address: str) -> dict[str, Any]:
    """As `runs.pretrain`, by so many workers of the Ray at `address`. Raises ClusterError, RuntimeError."""
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from tools.settings import home
    from training.nano import SIZES
    from trajectories.keeper import ClusterError, connect

    if recipe.size not in SIZES:
        raise ValueError(f"no size {recipe.size!r}; there are {', '.join(SIZES)}")
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    # What the workers' libraries print is in Ray's logs; what training says of itself is MLflow's.
    connect(address)
    try:
        there = ray.cluster_resources()
        gpus = there.get("GPU", 0) >= workers
        if not gpus and there.get("CPU", 0) < workers:
            raise ClusterError(
                f"--ray {workers} wants {workers} CPUs; the Ray at {address} has {there.get('CPU', 0):.0f}"
            )
        trainer = TorchTrainer(
            _work,
            train_loop_config={
                "recipe": asdict(recipe),
                "data": [str(folder.absolute()) for folder in data],
                "out": str(out.absolute()),
                "home": str(home()),
            },
            torch_config=TorchConfig(backend="nccl" if gpus else "gloo", timeout_s=3600),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
            run_config=RunConfig(
                name="ray", storage_path=str(out.absolute()), failure_config=FailureConfig(FAILURES)
            ),
        )
        trainer.fit()
    finally:
        ray.shutdown()
    return {"model": str(out / "checkpoint"), "seconds": round(time.monotonic() - began), "workers": workers}


def _work(config: dict[str, Any]) -> None:
    """One worker's whole run; Ray has made it one of a process group (RANK, WORLD_SIZE)."""
    import torch

    from apps import runs

    os.environ["SHOPFLOOR_HOME"] = config["home"]  # a Ray that was there before has another, or none
    torch.set_num_threads(1)  # they meet once a step instead of at every operation
    recipe = Recipe(**{**config["recipe"], "recorded": tuple(config["recipe"]["recorded"])})
    runs.pretrain(recipe, [Path(folder) for folder in config["data"]], Path(config["out"]))
