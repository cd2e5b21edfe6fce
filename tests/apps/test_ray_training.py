"""Pretraining by Ray Train in two real workers, one of which is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch

from apps import ray_training, runs
from training import nano
from training.pretrain import Recipe, answers, collate, pack
from training.screens import Artist
from trajectories.keeper import ClusterError, running

STEPS = 60


def loss_of(folder: Path) -> float:
    """Of drawn screens that no run was trained on."""
    model, processor = nano.load(folder)
    screens = [Artist(f"compared/{n}", 0.3, nano.SIZES["tiny"].image).screen(5, False) for n in range(12)]
    batch = collate([pack(s, processor) for s in screens], processor.tokenizer.pad_token_id)
    with torch.no_grad():
        return torch.nn.functional.cross_entropy(*answers(model.eval(), batch)).item()


def kill_one(state: Path, killed: list[int]) -> None:
    """Kill a worker of this process's Ray once there is a checkpoint to go on from."""
    while not state.exists():
        time.sleep(0.05)
    own = {str(state.parent), os.environ["SHOPFLOOR_HOME"]}
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("SHOPFLOOR_HOME") in own
            if ours and "TrainWorker" in " ".join(process.cmdline()):
                process.send_signal(signal.SIGKILL)
                killed.append(process.pid)
                return
        except psutil.Error:
            continue


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_workers_come_to_the_loss_of_one_though_one_is_killed(tmp_path: Path) -> None:
    """Two workers of half the batch see the screens that one sees, and end at its loss within noise, also
    when one of them is killed in between: the run goes on from its checkpoint. More workers than there are
    CPUs are refused."""
    alone = runs.pretrain(Recipe("tiny", STEPS, batch=4), [], tmp_path / "one")
    killed: list[int] = []
    threading.Thread(target=kill_one, args=(tmp_path / "two" / "state.pt", killed), daemon=True).start()
    recipe = Recipe("tiny", STEPS, batch=2, checkpoint_seconds=0.5)
    with running("auto") as address:
        together = ray_training.pretrain(recipe, [], tmp_path / "two", 2, address)
        with pytest.raises(ClusterError, match="--ray 999 wants 999 CPUs"):
            ray_training.pretrain(recipe, [], tmp_path / "many", 999, address)
    assert killed
    assert torch.load(tmp_path / "two" / "state.pt", weights_only=True)["step"] == STEPS
    one, two = loss_of(Path(alone["model"])), loss_of(Path(together["model"]))
    untrained = nano.build("tiny", nano.load(Path(alone["model"]))[1].tokenizer)
    nano.save(*untrained, tmp_path / "none")
    assert two == pytest.approx(one, rel=0.05) and two < 0.9 * loss_of(tmp_path / "none")
