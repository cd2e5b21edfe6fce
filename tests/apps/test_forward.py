"""The written-out forward pass gives what `transformers` gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from apps.forward import Cache, Llama, Part, Transformers, forward
from apps.sight import Sight
from training import nano

PICTURE = Image.effect_noise((300, 200), 60).convert("RGB")


def loaded(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    return model, AutoProcessor.from_pretrained(folder)


def grouped(folder: Path) -> tuple[Any, Any]:
    """The same processor over a model whose heads share keys, as SmolVLM's do."""
    from transformers import Idefics3ForConditionalGeneration

    model, processor = loaded(folder)
    config = model.config
    config.text_config.num_key_value_heads = 1
    torch.manual_seed(1)
    return Idefics3ForConditionalGeneration(config).eval(), processor


@pytest.mark.parametrize("make", [loaded, grouped])
@pytest.mark.parametrize("picture", [True, False])
def test_the_same_logits(tiny_model: Path, make: Any, picture: bool) -> None:
    """After a prompt, more tokens, one token, and once it was cut back and gone on with otherwise; the room
    of the cache is outgrown on the way."""
    model, processor = make(tiny_model)
    ours = forward(model)
    theirs = Transformers(model)
    assert isinstance(ours, Llama)
    text = nano.USER + ("<image>" if picture else "") + "page: Customers\n" * 60 + "act:"
    inputs = processor(text=text, images=[PICTURE] if picture else None, return_tensors="pt")
    length = inputs["input_ids"].shape[1]
    more = processor.tokenizer('"Save" click(3) fill(2, "Ada")' * 20).input_ids
    with torch.inference_mode():
        caches: list[Any] = []
        found: list[list[torch.Tensor]] = []
        for way in (ours, theirs):
            [(logits, cache)] = way.run([Part(inputs["input_ids"][0].tolist(), None, inputs)])
            seen = [logits]
            for ids in (more, more[:1]):
                [(logits, cache)] = way.run([Part(ids, cache)])
                seen.append(logits)
            cache = way.fork(way.keep(cache), length + 3)
            [(logits, cache)] = way.run([Part(more[5:9], cache)])
            found.append([*seen, logits])
            caches.append(cache)
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=2e-4), (one - other).abs().max()
    assert isinstance(caches[0], Cache) and caches[0].length == caches[1].past.get_seq_length() == length + 7


@pytest.mark.parametrize("shown", [64, 40])
def test_pictures_are_seen_as_by_transformers(tiny_model: Path, shown: int) -> None:
    """Two pictures give the vectors that `transformers` gives, whole ones and ones that are padded."""
    model, _ = loaded(tiny_model)
    torch.manual_seed(2)
    pixels = torch.rand(1, 2, 3, 64, 64) * 2 - 1
    mask = torch.zeros(1, 2, 64, 64, dtype=torch.int64)
    mask[:, :, :shown] = 1
    with torch.inference_mode():
        theirs = model.model.get_image_features(pixel_values=pixels, pixel_attention_mask=mask)
        ours = Sight(model.model).look(pixels, mask)
    assert torch.allclose(ours, torch.cat(list(theirs.pooler_output)), atol=1e-5)


def test_a_fork_leaves_the_prompt_as_it_was(tiny_model: Path) -> None:
    """Several answers to one prompt each begin from the prompt alone, also while others are under way."""
    model, processor = loaded(tiny_model)
    inputs = processor(text=nano.USER + "page: Customers\nact:", return_tensors="pt")
    ids = inputs["input_ids"][0].tolist()
    for way in (forward(model), Transformers(model)):
        with torch.inference_mode():
            [(_, cache)] = way.run([Part(ids, None, inputs)])
            kept = way.keep(cache)
            [(first, _)] = way.run([Part([40, 41, 42], way.fork(kept, len(ids)))])
            way.run([Part([50, 51, 52, 53], cache)])
            [(again, _)] = way.run([Part([40, 41, 42], way.fork(kept, len(ids)))])
        assert torch.equal(first, again)


@pytest.mark.parametrize("make", [loaded, grouped])
def test_together_as_alone(tiny_model: Path, make: Any) -> None:
    """Prompts and answers under way, of all lengths and with other pictures, give in one pass what each
    gives alone."""
    model, processor = make(tiny_model)
    way = forward(model)
    pictures = [PICTURE, None, PICTURE.rotate(90, expand=True), PICTURE.transpose(0)]
    alone, parts = [], []
    with torch.inference_mode():
        for number, picture in enumerate(pictures):
            text = nano.USER + ("<image>" if picture else "") + "page: Orders\n" * (1 + 20 * number) + "act:"
            inputs = processor(text=text, images=[picture] if picture else None, return_tensors="pt")
            part = Part(inputs["input_ids"][0].tolist(), None, inputs)
            [(logits, cache)] = way.run([part])
            for more in (None, [40], [41, 42, 43 + number]):
                now = part if more is None else Part(more, way.fork(cache, len(part.ids)))
                [(logits, _)] = way.run([now])
                alone.append(logits)
                parts.append(part if more is None else Part(more, way.fork(cache, len(part.ids))))
        together = [logits for logits, _ in way.run(parts)]
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-3)


def test_another_kind_of_model_goes_through_transformers(tiny_model: Path) -> None:
    """Biases, or any language model but a plain Llama: not run by the loop that does not know of them."""
    from transformers import Idefics3ForConditionalGeneration

    model, _ = loaded(tiny_model)
    config = model.config
    config.text_config.attention_bias = True
    assert isinstance(forward(Idefics3ForConditionalGeneration(config)), Transformers)
