"""Pictures made small before the processor has them come out of it as they would have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from training import nano
from training.processors import shrunk


@pytest.fixture(scope="module")
def processor() -> Any:
    tokenizer = nano.train_tokenizer(["some words"], nano.SIZES["tiny"].vocabulary)
    return nano.build("tiny", tokenizer)[1]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("size", [(1024, 768), (160, 210), (500, 77), (31, 900), (64, 64), (20, 30)])
def test_the_same_tensors(processor: Any, size: tuple[int, int], mode: str) -> None:
    """Every pixel and the mask of what is picture: of screenshots of both suites, strips, small pictures."""
    picture = Image.effect_noise(size, 90).convert(mode)
    small = shrunk(picture, processor)
    seen = [
        processor.image_processor(image.convert("RGB"), return_tensors="np") for image in (picture, small)
    ]
    for key in ("pixel_values", "pixel_attention_mask"):
        assert np.array_equal(seen[0][key], seen[1][key])
    if size == (1024, 768):
        assert small.size == (64, 48)


def test_other_processors_get_the_picture_whole(processor: Any) -> None:
    """One that does not resize first, or of another kind, is given every pixel."""
    picture = Image.effect_noise((300, 200), 90)
    processor.image_processor.do_resize = False
    try:
        assert shrunk(picture, processor).size == (300, 200)
    finally:
        processor.image_processor.do_resize = True
