"""Two real processes training one model, as torchrun starts them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

AVERAGE = """
import torch
from training import together
together.meet()
weight = torch.nn.Parameter(torch.zeros(3))
(weight * torch.tensor([1.0, 2.0, 4.0]) * (1 + 2 * together.rank())).sum().backward()
module = torch.nn.Module()
module.weight = weight
loss, seconds = together.average(module, torch.tensor(10.0 * together.rank()), 4.0 * together.rank())
assert loss == 5.0, loss
assert weight.grad.tolist() == [2.0, 4.0, 8.0], weight.grad
"""


def test_gradients_and_loss_are_averaged(tmp_path: Path) -> None:
    """Processes with gradients g and 3g, losses 0 and 10, both end up with 2g and 5."""
    script = tmp_path / "average.py"
    script.write_text(AVERAGE)
    ran = subprocess.run([*TORCHRUN, str(script)], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr


def test_one_of_them_reports_and_saves(tmp_path: Path) -> None:
    """The whole command in two processes: one JSON object, one checkpoint at the last step."""
    out = tmp_path / "run"
    command = ["-m", "apps.main", "train", "pretrain", "--size", "tiny", "--steps", "3", "--batch", "2"]
    ran = subprocess.run(
        [*TORCHRUN, *command, "--out", str(out), "--json"], capture_output=True, text=True, timeout=240
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["model"] == str(out / "checkpoint")
    assert torch.load(out / "state.pt", weights_only=True)["step"] == 3
