"""The processor of a checkpoint, with or without torchvision.

`transformers` makes Qwen-VL's and SmolVLM2's processors only with torchvision, for the sake of their videos;
a screenshot needs none. Where torchvision is missing, such a processor is made without its video part, and
what is trained there is saved without it: other programs then take the processor of the model it came from.

Not covered: processors whose pictures need torchvision as well; they say so themselves.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any


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
