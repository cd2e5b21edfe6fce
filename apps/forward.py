"""A model's forward pass with its caches, as decoding wants it: prompts and answers under way, in one pass.

`transformers` spends some milliseconds of Python on every token, whatever the model's size: for nano that is
most of an answer. Where the language model is a plain Llama, as in SmolVLM and in ours, its layers are run by
the loop here instead: the same arithmetic, projections joined, a cache that is written in place, the last
layer for the last tokens alone. Any other model goes through `transformers`, one sequence after the other.

Sequences of any length are laid end to end, so nothing is padded: their tokens go through the projections
together, and only the attention is each one's own.

Not covered: choosing tokens (`answer.py`), which sequences run together (`batch.py`).
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


@dataclass(frozen=True)
class Part:
    """Some tokens that one sequence goes on with; a sequence that begins has no cache yet.

    `inputs` is the whole prompt as the processor made it, where its pictures are still to be looked at, and
    `seen` what the vision tower made of them, if that is known.
    """

    ids: Sequence[int]
    cache: Any = None
    inputs: Any = None
    seen: torch.Tensor | None = None


class Forward(Protocol):
    """What the engine asks of a model. Caches are of the implementation's own kind."""

    def look(self, inputs: Sequence[Any]) -> list[torch.Tensor | None]:
        """What the vision tower makes of each prompt's pictures; None where this model does that in `run`."""

    def run(self, parts: Sequence[Part]) -> list[tuple[torch.Tensor, Any]]:
        """For each part the logits (vocabulary,) after its last token, and its cache with its tokens."""

    def keep(self, cache: Any) -> Any:
        """What `fork` can later go back to, while the sequence itself goes on; None where it can't be."""

    def fork(self, kept: Any, length: int) -> Any:
        """A cache of its own with the first `length` tokens."""

    def size(self, kept: Any) -> int:
        """Its bytes."""


def forward(model: Any) -> Forward:
    """The fastest way that fits the model."""
    return Llama(model) if _is_plain_llama(model) else Transformers(model)


class Transformers:
    """Any model, as `transformers` runs it."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def look(self, inputs: Sequence[Any]) -> list[torch.Tensor | None]:
        return [None] * len(inputs)

    def run(self, parts: Sequence[Part]) -> list[tuple[torch.Tensor, Any]]:
        return [self._one(part) for part in parts]

    def _one(self, part: Part) -> tuple[torch.Tensor, Any]:
        inner: Any = getattr(self._model, "model", None)
        counted = hasattr(inner, "rope_deltas")  # Qwen-VL keeps the last prompt's there, for one sequence
        if part.cache is None:
            how = dict(part.inputs)
        else:
            more = torch.tensor([list(part.ids)], device=self._model.device)
            how = {"input_ids": more, "past_key_values": part.cache.past}
        if counted:
            inner.rope_deltas = part.cache.deltas if part.cache else None
        output = self._model(**how, use_cache=True, logits_to_keep=1)
        deltas = inner.rope_deltas if counted else None
        return output.logits[0, -1].float().cpu(), _Past(output.past_key_values, deltas)

    def keep(self, cache: Any) -> Any:
        if not all(type(layer).__name__ == "DynamicLayer" for layer in cache.past.layers):
            return None  # a sliding window, or a state: it can't go back
        return copy.deepcopy(cache)

    def fork(self, kept: Any, length: int) -> Any:
        own = copy.deepcopy(kept)
        if (surplus := own.past.get_seq_length() - length) > 0:
            own.past.crop(-surplus)
        return own

    def size(self, kept: Any) -> int:
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in kept.past.layers)


@dataclass(frozen=True)
class _Past:
    """The cache of `transformers`, and by how much Qwen-VL's positions lag behind the tokens."""

    past: Any
    deltas: Any


@dataclass(frozen=True)
class Cache:
    """Keys, and below them values, of one sequence (layers, 2 * heads, room, width of a head).

    The first `length` tokens are meant. What goes on from it writes behind them, into the same room.
    """

    room: torch.Tensor
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

    def look(self, inputs: Sequence[Any]) -> list[torch.Tensor | None]:
        """Prompts whose pictures are alike in size, and not padded, go through the tower together."""
        return self._sight.look_at_all(inputs)

    def run(self, parts: Sequence[Part]) -> list[tuple[torch.Tensor, Any]]:
        x = torch.cat([self._vectors(part) for part in parts])
        bounds: list[tuple[int, int, int, int]] = []  # in x from, to; in the sequence from, to
        caches: list[Cache] = []
        at = 0
        for part in parts:
            begun = part.cache.length if part.cache else 0
            ended = begun + len(part.ids)
            bounds.append((at, at := at + len(part.ids), begun, ended))
            caches.append(self._roomy(part.cache, ended))
        met_by = self._attentions(bounds, x.device)
        cos, sin = (
            torch.cat([table[begun:ended] for _, _, begun, ended in bounds])
            for table in (self._cos, self._sin)
        )
        layered = [cache.room[:, :, : b[3]].unbind(0) for cache, b in zip(caches, bounds, strict=True)]
        lasts = [end - 1 for _, end, _, _ in bounds]
        queries = self._heads
        for number, layer in enumerate(self._layers):
            heads = (self._normed(x) @ layer.query_key_value).view(len(x), -1, self._width)
            heads[:, : queries + self._kv] = _turned(heads[:, : queries + self._kv], cos, sin)
            last = number == len(self._layers) - 1  # what the others come to there, no further layer asks
            met = []
            for (start, end, begun, _), room, how in zip(bounds, layered, met_by, strict=True):
                known = room[number]
                known[:, begun:] = heads[start:end, queries:].transpose(0, 1)
                asking = heads[end - 1 : end, :queries] if last else heads[start:end, :queries]
                out = scaled_dot_product_attention(
                    asking.transpose(0, 1)[None],
                    known[None, : self._kv],
                    known[None, self._kv :],
                    enable_gqa=queries != self._kv,
                    **({} if last else how),
                )
                met.append(out[0].transpose(0, 1).flatten(1))
            if last:
                x = x[lasts]
            x = torch.addmm(x, met[0] if len(met) == 1 else torch.cat(met), layer.out)
            gate, up = (self._normed(x) @ layer.gate_up).chunk(2, -1)
            x = torch.addmm(x, silu(gate) * up, layer.down)
        logits = ((self._normed(x) * self._norm) @ self._head.T).float().cpu()
        return [
            (scores, replace(cache, length=b[3]))
            for scores, cache, b in zip(logits, caches, bounds, strict=True)
        ]

    def keep(self, cache: Any) -> Any:
        return cache  # nobody writes before its length

    def fork(self, kept: Any, length: int) -> Any:
        return self._grown(replace(kept, length=length), length)

    def size(self, kept: Any) -> int:
        return int(kept.room.nbytes)

    def _vectors(self, part: Part) -> torch.Tensor:
        """The tokens' vectors (count, width), the pictures' in the places of their marks."""
        ids = torch.tensor(list(part.ids), device=self._embed.device)
        vectors = self._embed[ids]
        if part.cache is None and part.inputs is not None and "pixel_values" in part.inputs:
            seen = part.seen if part.seen is not None else self._sight.look_at_all([part.inputs])[0]
            vectors[ids == self._model.config.image_token_id] = seen
        return vectors

    def _attentions(self, bounds: Sequence[tuple[int, ...]], device: Any) -> list[dict[str, Any]]:
        """How each sequence's new tokens may look at those before them."""
        found: list[dict[str, Any]] = []
        for start, end, begun, ended in bounds:
            if end - start == 1:
                found.append({})
            elif not begun:
                found.append({"is_causal": True})
            else:
                mask = torch.ones(end - start, ended, dtype=torch.bool, device=device).tril(begun)
                found.append({"attn_mask": mask})
        return found

    def _roomy(self, cache: Cache | None, end: int) -> Cache:
        """The same tokens with room up to `end`."""
        if cache is None:
            empty = self._embed.new_empty(len(self._layers), 2 * self._kv, 0, self._width)
            cache = Cache(empty, 0)
        return cache if end <= cache.room.shape[2] else self._grown(cache, end)

    def _grown(self, cache: Cache, end: int) -> Cache:
        """The same tokens, in a room of their own with space up to `end` and some more."""
        layers, heads, _, width = cache.room.shape
        new = cache.room.new_empty(layers, heads, -(-end // STEP) * STEP + STEP // 2, width)
        new[:, :, : cache.length] = cache.room[:, :, : cache.length]
        return Cache(new, cache.length)

    def _normed(self, x: torch.Tensor) -> torch.Tensor:
        return rms_norm(x, x.shape[-1:], eps=self._eps)


def _joined(norm: Any, *projections: Any) -> torch.Tensor:
    return (torch.cat([projection.weight for projection in projections]) * norm.weight).T.contiguous()


def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions, the halves of a head turned against each other (https://arxiv.org/abs/2104.09864).

    `sin` is negative for the first half, which takes what comes from the second.
    """
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


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
