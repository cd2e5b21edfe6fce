"""Where training multiplies in bfloat16: on GPUs, and on processors that have instructions for it.

On an AMD EPYC with AVX512-BF16 a core did 470 GFLOP/s so and 109 in float32, and a step of pretraining took
1.14 s instead of 2.04; a processor that only knows AVX2 has to emulate it, and is many times slower.
Weights, gradients and losses stay in float32 (autocast).

Not covered: serving, which answers in float32 (`apps/engine.py`).
"""

from __future__ import annotations

import torch


def bfloat16(device: str) -> bool:
    """Whether the device ("cpu", "cuda") multiplies faster in bfloat16 than in float32."""
    if device != "cpu":
        return True
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
