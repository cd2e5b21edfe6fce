"""A model's forward pass with its cache, as decoding wants it: a prompt, then a few tokens at a time.

`transformers` spends some milliseconds of Python on every token, whatever the model's size: for nano that is
most of an answer. Where the language model is a plain Llama, as in SmolVLM and in ours, its layers are run by
the loop here instead: the same arithmetic, projections joined, a cache that is written in place, the last
layer for the last token alone. Any other model goes through `transformers` itself.

Not covered: choosing tokens (`engine.py`), several prompts in one batch.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

from apps.sight import Sight

STEP = 256  # tokens by which a cache grows


class Forward(Protocol):
    """What the engine asks of a model. Caches are of the implementation's own kind."""

    def begin(self, inputs: Any) -> tuple[torch.Tensor, Any]:
        """Logits (vocabulary,) after a whole prompt, as the processor made it, and the cache of it."""

    def go_on(self, ids: Sequence[int], cache: Any) -> tuple[torch.Tensor, Any]:
        """Logits after some more tokens, and the cache with them."""

    def cut(self, cache: Any, length: int) -> Any:
        """The cache of the first `length` tokens; None where this model can't go back."""

    def fork(self, cache: Any) -> Any:
        """A cache to go on from while `cache` itself stays as it is."""


def forward(model: Any) -> Forward:
    """The fastest way that fits the model."""
    return Llama(model) if _is_plain_llama(model) else Transformers(model)


class Transformers:
    """Any model, as `transformers` runs it."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def begin(self, inputs: Any) -> tuple[torch.Tensor, Any]:
        inner: Any = getattr(self._model, "model", None)
        if hasattr(inner, "rope_deltas"):
            inner.rope_deltas = None  # Qwen-VL would add the last picture's to a prompt that has none
        output = self._model(**inputs, use_cache=True, logits_to_keep=1)
        return output.logits[0, -1].float().cpu(), output.past_key_values

    def go_on(self, ids: Sequence[int], cache: Any) -> tuple[torch.Tensor, Any]:
        more = torch.tensor([list(ids)], device=self._model.device)
        output = self._model(input_ids=more, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return output.logits[0, -1].float().cpu(), output.past_key_values

    def cut(self, cache: Any, length: int) -> Any:
        if not all(type(layer).__name__ == "DynamicLayer" for layer in cache.layers):
            return None
        if (surplus := cache.get_seq_length() - length) > 0:
            cache.crop(-surplus)
        return cache

    def fork(self, cache: Any) -> Any:
        return copy.deepcopy(cache)


@dataclass(frozen=True)
class Cache:
    """Keys and values (layers, heads, room, width of a head), of which the first `length` tokens are meant.

    Forks share the room, so they are to be gone on with one after the other: what a fork writes, the next
    one writes over.
    """

    keys: torch.Tensor
    values: torch.Tensor
    length: int


@dataclass(frozen=True)
class _Layer:
    """Weights of one layer, (width in, width out), those that are multiplied with the same vector joined.

    The norms' weights are multiplied into what comes after them.
    """

    query_key_value: torch.Tensor
    out: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor


class Llama:
    """Idefics3 (and SmolVLM) over a Llama with rotary positions, no biases, SiLU: as in `_is_plain_llama`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        text = model.model.text_model
        config = text.config
        self._heads, self._kv = config.num_attention_heads, config.num_key_value_heads
        self._width, self._eps = config.head_dim, config.rms_norm_eps
        self._layers = [
            _Layer(
                _joined(layer.input_layernorm, *(getattr(layer.self_attn, f"{n}_proj") for n in "qkv")),
                layer.self_attn.o_proj.weight.T,
                _joined(layer.post_attention_layernorm, layer.mlp.gate_proj, layer.mlp.up_proj),
                layer.mlp.down_proj.weight.T,
            )
            for layer in text.layers
        ]
        self._sight = Sight(model.model)
        self._norm, self._embed, self._head = text.norm.weight, text.embed_tokens.weight, model.lm_head.weight
        angles = torch.arange(config.max_position_embeddings, device=self._embed.device)[:, None, None]
        angles = angles * text.rotary_emb.inv_freq.float()  # (positions, 1, half a head)
        self._cos = angles.cos().repeat(1, 1, 2)
        self._sin = torch.cat((-angles.sin(), angles.sin()), -1)

    def begin(self, inputs: Any) -> tuple[torch.Tensor, Any]:
        ids = inputs["input_ids"][0]
        vectors = self._embed[ids]
        if "pixel_values" in inputs:
            seen = self._sight.look(inputs["pixel_values"], inputs.get("pixel_attention_mask"))
            vectors[ids == self._model.config.image_token_id] = seen
        shape = (len(self._layers), self._kv, 0, self._width)
        return self._run(vectors, Cache(vectors.new_empty(shape), vectors.new_empty(shape), 0))

    def go_on(self, ids: Sequence[int], cache: Any) -> tuple[torch.Tensor, Any]:
        return self._run(self._embed[list(ids)], cache)

    def cut(self, cache: Any, length: int) -> Any:
        return replace(cache, length=min(length, cache.length))

    def fork(self, cache: Any) -> Any:
        return cache

    def _run(self, x: torch.Tensor, cache: Cache) -> tuple[torch.Tensor, Cache]:
        """Some tokens' vectors (count, width) through all layers."""
        start, count = cache.length, len(x)
        end = start + count
        if end > cache.keys.shape[2]:
            cache = _roomier(cache, end)
        cos, sin = self._cos[start:end], self._sin[start:end]
        causal, mask = count > 1 and not start, None
        if count > 1 and start:
            mask = torch.ones(count, end, dtype=torch.bool, device=x.device).tril(start)
        for keys, values, layer in zip(cache.keys, cache.values, self._layers, strict=True):
            joined = self._normed(x) @ layer.query_key_value
            heads = joined.view(count, self._heads + 2 * self._kv, self._width)
            turned = _turned(heads[:, : self._heads + self._kv], cos, sin)
            asking = turned[:, : self._heads]
            keys[:, start:end] = turned[:, self._heads :].transpose(0, 1)
            values[:, start:end] = heads[:, self._heads + self._kv :].transpose(0, 1)
            if layer is self._layers[-1]:  # what the others come to here, no further layer asks
                x, asking, mask, causal = x[-1:], asking[-1:], None, False
            met = scaled_dot_product_attention(
                asking.transpose(0, 1)[None],
                keys[None, :, :end],
                values[None, :, :end],
                attn_mask=mask,
                is_causal=causal,
                enable_gqa=self._heads != self._kv,
            )
            x = torch.addmm(x, met[0].transpose(0, 1).reshape(len(x), -1), layer.out)
            gate, up = (self._normed(x) @ layer.gate_up).chunk(2, -1)
            x = torch.addmm(x, silu(gate) * up, layer.down)
        logits = self._head @ (self._normed(x[0]) * self._norm)
        return logits.float().cpu(), replace(cache, length=end)

    def _normed(self, x: torch.Tensor) -> torch.Tensor:
        return rms_norm(x, x.shape[-1:], eps=self._eps)


def _joined(norm: Any, *projections: Any) -> torch.Tensor:
    return (torch.cat([projection.weight for projection in projections]) * norm.weight).T.contiguous()


def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions, the halves of a head turned against each other (https://arxiv.org/abs/2104.09864).

    `sin` is negative for the first half, which takes what comes from the second.
    """
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


def _roomier(cache: Cache, end: int) -> Cache:
    """The same tokens with room for `end` and some more."""
    layers, heads, _, width = cache.keys.shape
    room = -(-end // STEP) * STEP + STEP

    def grown(old: torch.Tensor) -> torch.Tensor:
        new = old.new_zeros(layers, heads, room, width)
        new[:, :, : cache.length] = old[:, :, : cache.length]
        return new

    return Cache(grown(cache.keys), grown(cache.values), cache.length)


def _is_plain_llama(model: Any) -> bool:
    """Whether the loop of `Llama` is this model's own arithmetic."""
    inner: Any = getattr(model, "model", None)
    text: Any = getattr(inner, "text_model", None)
    if type(text).__name__ != "LlamaModel" or not hasattr(inner, "get_image_features"):
        return False
    config = text.config
    return (
        config.rope_parameters.get("rope_type") == "default"
        and not (config.attention_bias or config.mlp_bias)
        and config.hidden_act == "silu"
    )
