"""The mean of two models is that of their weights, loads as a model, and is refused where it is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModelForImageTextToText

from apps.main import main
from training.average import average


@pytest.fixture
def two(tiny: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A tiny checkpoint, and the same after some training: every weight moved, and the tokenizer padding as
    a trainer had it pad."""
    other = tmp_path / "other"
    shutil.copytree(tiny, other)
    model = AutoModelForImageTextToText.from_pretrained(other)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.5)
    model.save_pretrained(other)
    tokenizer = Tokenizer.from_file(str(other / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.save(str(other / "tokenizer.json"))
    return tiny, other


def test_the_mean(two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mean"
    assert main(["train", "average", *map(str, two), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == str(out)
    first, mean = (load_file(folder / "model.safetensors") for folder in (two[0], out))
    assert first.keys() == mean.keys()
    for name, weight in first.items():
        torch.testing.assert_close(mean[name], weight + 0.25)
    AutoModelForImageTextToText.from_pretrained(out)
    assert (out / "tokenizer.json").read_bytes() == (two[1] / "tokenizer.json").read_bytes()


def test_no_mean(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Of one, of another shape, of no checkpoint, or over one of them."""
    first, other = two
    with pytest.raises(ValueError, match="at least two"):
        average([first], tmp_path / "out")
    with pytest.raises(ValueError, match="another --out"):
        average([first, other], other)
    with pytest.raises(ValueError, match=r"no model\.safetensors"):
        average([tmp_path, first], tmp_path / "out")
    (other / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match="same tokenizer"):
        average([first, other], tmp_path / "out")
    shutil.copy(first / "tokenizer.json", other)
    weights = load_file(other / "model.safetensors")
    save_file({name: weight[:1] for name, weight in weights.items()}, other / "model.safetensors")
    with pytest.raises(ValueError, match="one size"):
        average([first, other], tmp_path / "out")
    (other / "model.safetensors").write_bytes(bytes(20))
    with pytest.raises(ValueError, match=r"other can't be read"):
        average([first, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()
