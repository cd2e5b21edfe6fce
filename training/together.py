"""Several processes, or machines, training one model: each on screens of its own, gradients averaged.

    torchrun --standalone --nproc-per-node 2 --no-python shopfloor train pretrain

torchrun sets RANK and WORLD_SIZE; without it there is one process and nothing here does anything. On a CPU
two processes of one thread each beat one of two: they meet once a step instead of at every operation.

Not covered: models that do not fit one device.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


def rank() -> int:
    """This process's number, from 0, which alone writes and reports."""
    return int(os.environ.get("RANK", 0))


def world() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", 1))


def meet() -> None:
    """Find the other processes, if there are any."""
    if world() > 1 and not dist.is_initialized():
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=timedelta(hours=1))  # as long as making pages may take
        atexit.register(dist.destroy_process_group)  # else its threads may abort the process at its end


def after_first(work: Callable[[], T]) -> T:
    """Do some work in the first process, then in the others, which find it done."""
    if world() == 1:
        return work()
    meet()
    if rank():
        dist.barrier()
    made = work()
    if not rank():
        dist.barrier()
    return made


def average(model: Any, loss: torch.Tensor, seconds: float = 0.0) -> tuple[float, float]:
    """Average gradients, loss and the seconds spent over all processes; returns the last two, which are the
    same in all."""
    if world() == 1:
        return loss.item(), seconds
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    figures = torch.stack([loss.detach(), torch.as_tensor(seconds, device=loss.device)])
    flat = torch.cat([*(g.flatten() for g in gradients), figures.to(gradients[0].dtype)])
    dist.all_reduce(flat)
    flat /= world()
    at = 0
    for gradient in gradients:
        gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
        at += gradient.numel()
    loss_, seconds_ = flat[-2:].tolist()
    return loss_, seconds_
