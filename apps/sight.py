"""Pictures through the vision tower of Idefics3 and SmolVLM: what a prompt's image tokens stand for.

The layers' loop is written out, with the projections of an attention joined: half of the time of so small a
tower was Python of `transformers`. Its beginning and its end are `transformers`' own modules, and a picture
that is padded, or another kind of tower, goes through `transformers` altogether.

Not covered: the language model (`forward.py`), and making tensors of pictures (the processor).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import linear, scaled_dot_product_attention

TOWERS = ("Idefics3VisionTransformer", "SmolVLMVisionTransformer")


class Sight:
    """The vision tower and the connector of a `transformers` model, which is given without its head."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._tower: Any = getattr(model, "vision_model", None)
        self._weights: tuple[torch.Tensor, ...] = ()
        self._biases: tuple[torch.Tensor, ...] = ()
        if self.written_out:
            layers = [layer.self_attn for layer in model.vision_model.encoder.layers]
            self._weights = tuple(_joined(layer, "weight") for layer in layers)
            self._biases = tuple(_joined(layer, "bias") for layer in layers)

    @property
    def written_out(self) -> bool:
        return type(self._tower).__name__ in TOWERS

    def look_at_all(self, prompts: Sequence[Any]) -> list[torch.Tensor | None]:
        """For each prompt, as the processor made it, the vectors of its pictures (tokens, width), or None.

        Pictures of one size that are not padded go through the tower together.
        """
        found: list[torch.Tensor | None] = [None] * len(prompts)
        alike: dict[tuple[int, ...], list[int]] = {}
        for index, prompt in enumerate(prompts):
            if "pixel_values" not in prompt:
                continue
            mask = prompt.get("pixel_attention_mask")
            if self.written_out and (mask is None or mask.all()):
                alike.setdefault(prompt["pixel_values"].shape[2:], []).append(index)
            else:
                found[index] = self.look(prompt["pixel_values"], mask)
        for indices in alike.values():
            pixels = [prompts[index]["pixel_values"] for index in indices]
            seen = self.look(torch.cat(pixels, 1), None)
            each = len(seen) // sum(p.shape[1] for p in pixels)  # tokens of a picture
            parts = seen.split([each * p.shape[1] for p in pixels])
            for index, part in zip(indices, parts, strict=True):
                found[index] = part
        return found

    def look(self, pixels: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Vectors (tokens, width) of all pictures, given as (1, pictures, colours, height, width).

        `mask` (1, pictures, height, width) is not zero where there is picture.
        """
        if not self.written_out or not (mask is None or mask.all()):
            seen = self._model.get_image_features(pixel_values=pixels, pixel_attention_mask=mask)
            return torch.cat(list(getattr(seen, "pooler_output", seen)))
        tower, side = self._tower, self._model.config.vision_config.patch_size
        count, _, height, width = pixels[0].shape
        patches = pixels.new_ones(count, height // side, width // side, dtype=torch.bool)
        x = tower.embeddings(pixel_values=pixels[0], patch_attention_mask=patches)
        for layer, weight, bias in zip(tower.encoder.layers, self._weights, self._biases, strict=True):
            joined = linear(layer.layer_norm1(x), weight, bias)
            heads = joined.unflatten(-1, (3, layer.self_attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
            met = scaled_dot_product_attention(heads[0], heads[1], heads[2]).transpose(1, 2).flatten(2)
            x = x + layer.self_attn.out_proj(met)
            x = x + layer.mlp(layer.layer_norm2(x))
        out: torch.Tensor = self._model.connector(tower.post_layernorm(x).contiguous())
        return out.flatten(0, 1)


def _joined(attention: Any, part: str) -> torch.Tensor:
    return torch.cat([getattr(getattr(attention, f"{name}_proj"), part) for name in "qkv"])
