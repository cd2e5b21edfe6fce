"""The mean of checkpoints that were trained on from one another: a model soup (Wortsman et al.,
https://arxiv.org/abs/2203.05482).

What a training gained on new pages and lost on old ones is weighed out at no cost. The released model is such
a mean; its card has the figures of what it is made of.

Not covered: which to take and by what weight, which held-out tasks say (`shopfloor eval`); adapters, and
checkpoints in several files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"


def average(checkpoints: Sequence[Path], out: Path) -> Path:
    """Write the mean of the checkpoints' weights to the folder `out`, all else as in the last; returns it.

    Raises ValueError where there are fewer than two, one is no whole checkpoint in one file, `out` is one of
    them, or their weights or tokens are not the same ones: a weight then means something else in each.
    """
    if len(checkpoints) < 2:
        raise ValueError("there are at least two checkpoints to a mean")
    if out.resolve() in [folder.resolve() for folder in checkpoints]:
        raise ValueError(f"{out} is one of those to be averaged; give another --out")
    for folder in checkpoints:
        if not ((folder / WEIGHTS).exists() and (folder / TOKENIZER).exists()):
            raise ValueError(
                f"{folder} has no {WEIGHTS} or no {TOKENIZER}; a checkpoint in one file is wanted"
            )
    last = checkpoints[-1]
    states = []
    for folder in checkpoints:
        try:
            states.append(load_file(folder / WEIGHTS))
        except SafetensorError as error:
            raise ValueError(f"{folder} can't be read: {error}") from error
    shapes = [{name: weight.shape for name, weight in state.items()} for state in states]
    for folder, shape in zip(checkpoints, shapes, strict=True):
        if _tokens(folder) != _tokens(last):
            raise ValueError(f"{folder} and {last} have not the same tokenizer")
        if shape != shapes[-1]:
            raise ValueError(f"{folder} and {last} are not of one size")
    with safe_open(last / WEIGHTS, "pt") as file:
        kind = file.metadata()
    mean = {name: sum(state[name] for state in states) / len(states) for name in shapes[-1]}
    shutil.copytree(last, out, ignore=shutil.ignore_patterns(WEIGHTS), dirs_exist_ok=True)
    save_file(mean, out / WEIGHTS, kind)
    return out


def _tokens(folder: Path) -> dict[str, Any]:
    """The tokenizer, but for how it was last asked to pad: a trainer leaves that in the file."""
    said = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))
    return {key: value for key, value in said.items() if key not in ("padding", "truncation")}
