"""Muon for the matrices of a small model, AdamW for the rest, as one optimizer.

Muon (https://kellerjordan.github.io/posts/muon/, scaled as in https://arxiv.org/abs/2502.16982) makes every
update of a weight matrix orthogonal. `torch.optim.Muon` does that in bfloat16, which AVX2 processors have to
emulate; here it is in float32 there, and equal shapes are done in one batch.

Not covered: which parameters learn how fast (`pretrain.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from training.precision import bfloat16

STEPS = ((3.4445, -4.7750, 2.0315),) * 5  # of Newton and Schulz


class Muon(torch.optim.Optimizer):
    """Groups with `muon=True` hold matrices (rows, columns); the others are left to AdamW's rule."""

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0, "betas": (0.9, 0.95), "muon": False})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if group["muon"]:
                self._orthogonal(parameters, group)
            else:
                self._adam(parameters, group)

    def _orthogonal(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
        for p in parameters:
            alike[p.shape].append(p)
        for shape, same in alike.items():
            moved = []
            for p in same:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 0.05)
                moved.append(p.grad.lerp(state["momentum"], 0.95))
            scale = 0.2 * max(shape) ** 0.5  # an update of AdamW's usual size
            for p, update in zip(same, orthogonal(torch.stack(moved)), strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * scale)

    def _adam(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        first, second = group["betas"]
        for p in parameters:
            state = self.state[p]
            if not state:
                state.update(step=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
            state["step"] += 1
            state["mean"].lerp_(p.grad, 1 - first)
            state["square"].lerp_(p.grad.square(), 1 - second)
            mean = state["mean"] / (1 - first ** state["step"])
            spread = (state["square"] / (1 - second ** state["step"])).sqrt().add_(1e-8)
            p.mul_(1 - group["lr"] * group["weight_decay"]).addcdiv_(mean, spread, value=-group["lr"])


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest (roughly) orthogonal matrices to a batch (count, rows, columns) of them."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    x = x.bfloat16() if bfloat16(x.device.type) else x
    for a, b, c in STEPS:
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if tall else x).to(matrices.dtype)
