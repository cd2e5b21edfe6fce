"""The processor of a checkpoint, with or without torchvision, and pictures made ready for it.

`transformers` makes Qwen-VL's and SmolVLM2's processors only with torchvision, for the sake of their videos;
a screenshot needs none. Where torchvision is missing, such a processor is made without its video part, and
what is trained there is saved without it: other programs then take the processor of the model it came from.

Not covered: processors whose pictures need torchvision as well; they say so themselves.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def load_processor(start: str | Path) -> Any:
    """What `AutoProcessor` gives for the folder or hub id `start`, without videos where they can't be had."""
    from transformers import AutoConfig, AutoProcessor
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
    from transformers.utils import is_torchvision_available

    kind = PROCESSOR_MAPPING.get(type(AutoConfig.from_pretrained(start)), None)
    if kind is None or "video_processor" not in kind.get_attributes():
        return AutoProcessor.from_pretrained(start)
    if is_torchvision_available():
        with contextlib.suppress(OSError):  # the folder was saved where there was none
            return AutoProcessor.from_pretrained(start)
    return pictures_only(kind).from_pretrained(start)


def pictures_only(kind: Any) -> Any:
    """The processor class without its video part; of the same name, which is what it saves itself under."""
    parts = [part for part in kind.get_attributes() if part != "video_processor"]
    return type(kind.__name__, (kind,), {"get_attributes": classmethod(lambda cls: parts)})


def shrunk(image: Image.Image, processor: Any) -> Image.Image:
    """The picture in RGB, and as small as `processor` would make it first; what it then gives is the same.

    Idefics3's processor for PIL copies a whole screenshot several times around its first resize, which costs
    more than the resize itself. Any other processor gets the picture as large as it is.
    """
    picture = image if image.mode == "RGB" else image.convert("RGB")
    own = processor.image_processor
    if type(own).__name__ == "Idefics3ImageProcessorPil" and own.do_resize and own.size.get("longest_edge"):
        from transformers.models.idefics3.image_processing_pil_idefics3 import get_resize_output_image_size

        def resized(width: int, height: int) -> tuple[int, int]:
            empty: Any = np.empty((3, height, width), np.uint8)
            height, width = get_resize_output_image_size(empty, own.size["longest_edge"])
            return width, height

        size = resized(*picture.size)
        if resized(*size) == size:  # else it would be resized twice
            return picture.resize(size, own.resample)
    return picture
