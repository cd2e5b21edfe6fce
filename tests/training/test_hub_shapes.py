"""The same functions on checkpoints of the shapes that a hub has: LoRA, save, reload, merge, serve.

No hub can be reached here, so the checkpoints are made on the spot: settings, chat template and marks as the
hub's own are, random weights stored in bfloat16, a tokenizer of ours. SmolVLM-256M-Instruct is an Idefics3
over a Llama with grouped heads, and splits a picture into tiles; Qwen2.5-VL makes as many tokens of a picture
as it is large, and counts their positions in three directions. What random weights can't show is that a
checkpoint of the hub learns well.

`AutoProcessor` can't make Qwen2.5-VL's processor without torchvision ("Qwen2VLVideoProcessor requires the
Torchvision library"; PyPI's does not load beside a CPU build of torch). `training/processors.py` makes it
without the video part.

All of SmolVLM-256M takes five minutes on one core (2026-11-24, passed), and is run by hand:

    python -m pytest -m slow tests/training/test_hub_shapes.py
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from agents.clients import ChatModel
from agents.prompts import actor_text, messages
from apps.batch import Question
from apps.engine import Engine, lead
from apps.forward import Llama, Part
from apps.local_server import local_model
from tools.actions import parse
from tools.grammar import action_regex
from tools.observation import Box, Element, Observation
from training import nano
from training.pretrain import corpus
from training.processors import load_processor, pictures_only
from training.sft import PreflightError, Recipe, build_rows, fine_tune, preflight, shrinker

from .test_sft import episode, png

PICTURE = Image.effect_mandelbrot((320, 240), (-2, -1.5, 1, 1.5), 40).convert("RGB")
PAGE = Observation(
    "http://h/new",
    "New",
    (320, 240),
    (
        Element(1, "textbox", "Name", Box(0, 0, 9, 9)),
        Element(2, "button", "Save all", Box(0, 9, 9, 9)),
        Element(7, "combobox", "Priority", Box(9, 9, 9, 9), options=("low", "high")),
    ),
)
GOAL = 'Add "Ada 1".'
TILES = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]

SMOLVLM_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
QWEN_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}"
    "{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Size:
    """What differs between SmolVLM-256M and its like with few, narrow layers."""

    layers: int
    heads: int  # of 64, three to a group that shares its keys
    inner: int
    vision_layers: int
    vision_heads: int  # of 64
    tile: int  # pixels a side
    longest: int  # pixels of a picture's longer side before it is split
    vocabulary: int
    scale: int = 4
    patch: int = 16


NARROW = Size(2, 3, 384, 1, 2, 128, 512, 2048)
WHOLE = Size(30, 9, 1536, 12, 12, 512, 1024, 49280)  # the hub's, but for `longest`: 2048 is 13 tiles, not 5


def tokenizer_with(marks: list[str], end: str) -> Any:
    """Our tokenizer, with another model's marks and end."""
    tokenizer = nano.train_tokenizer(corpus(0, count=200), 1024)
    tokenizer.add_tokens(marks, special_tokens=True)
    tokenizer.eos_token = end
    return tokenizer


def keep(model: Any, processor: Any, folder: Path) -> Path:
    """As a hub keeps it: in bfloat16."""
    tokenizer = processor.tokenizer
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    nano.save(model.to(torch.bfloat16), processor, folder)
    return folder


def smolvlm(folder: Path, size: Size = NARROW) -> Path:
    """HuggingFaceTB/SmolVLM-256M-Instruct, or a narrow one."""
    from transformers import Idefics3ForConditionalGeneration
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
    from transformers.models.idefics3.processing_idefics3 import Idefics3Processor

    torch.manual_seed(0)
    tokenizer = tokenizer_with(["<|im_start|>", *TILES], "<end_of_utterance>")
    processor = Idefics3Processor(
        Idefics3ImageProcessorPil(
            do_image_splitting=True,
            size={"longest_edge": size.longest},
            max_image_size={"longest_edge": size.tile},
        ),
        tokenizer,
        image_seq_len=(size.tile // size.patch // size.scale) ** 2,
        chat_template=SMOLVLM_TEMPLATE,
    )
    config = smolvlm_config(tokenizer, size)
    return keep(Idefics3ForConditionalGeneration(config), processor, folder)


def smolvlm_config(tokenizer: Any, size: Size) -> Any:
    """The hub's settings at this size."""
    from transformers import Idefics3Config

    return Idefics3Config(
        text_config={
            "model_type": "llama",
            "hidden_size": size.heads * 64,
            "intermediate_size": size.inner,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.heads // 3,
            "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-5,
            "rope_theta": 100000.0,
            "vocab_size": size.vocabulary,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={
            "hidden_size": size.vision_heads * 64,
            "intermediate_size": size.vision_heads * 256,
            "num_hidden_layers": size.vision_layers,
            "num_attention_heads": size.vision_heads,
            "image_size": size.tile,
            "patch_size": size.patch,
        },
        scale_factor=size.scale,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
    )


def qwen(folder: Path) -> Path:
    """Qwen/Qwen2.5-VL-3B-Instruct with two narrow layers a tower, of which one looks by windows."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    torch.manual_seed(0)
    marks = [
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|image_pad|>",
        "<|video_pad|>",
    ]
    tokenizer = tokenizer_with(marks, "<|im_end|>")
    pictures = Qwen2VLImageProcessorPil(size={"shortest_edge": 56 * 56, "longest_edge": 224 * 168})
    processor = pictures_only(Qwen2_5_VLProcessor)(pictures, tokenizer, chat_template=QWEN_TEMPLATE)
    ids = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1000000.0,
            "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
            "vocab_size": 2048,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 2,
            "out_hidden_size": 128,
            "fullatt_block_indexes": [1],
        },
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    keep(Qwen2_5_VLForConditionalGeneration(config), processor, folder)
    (folder / "processor_config.json").unlink()  # the hub's folder is older than such a file
    settings = pictures.to_dict() | {"image_processor_type": "Qwen2VLImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


@dataclass(frozen=True)
class Trained:
    """A checkpoint, what became of it, and the adapter that made the difference."""

    start: Path
    merged: Path
    adapter: Path
    rows: list[dict[str, Any]]


def trained(make: Callable[[Path], Path], folder: Path, batch: int = 2) -> Trained:
    """Two steps of LoRA on rows of two episodes, without and with a picture, of two sizes."""
    start = make(folder / "hub")
    rows = build_rows([episode(1), episode(2)], shrinker(load_processor(start)), 8)
    seen = [row for row in rows if row["image"]]
    rows = [
        *seen[:3],
        *(row for row in rows if not row["image"]),
        {**seen[0], "image": png("red", (200, 260))},
    ]
    recipe = Recipe(steps=2, batch=batch, rate=1e-2, lora=True, save_steps=1)
    merged = fine_tune(start, rows, recipe, folder)
    return Trained(start, merged, folder / "checkpoints" / "checkpoint-2", rows)


@pytest.fixture(scope="module", params=[smolvlm, qwen])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Both shapes, one after the other."""
    return trained(request.param, tmp_path_factory.mktemp("hub"))


def loaded(folder: Path) -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()


def asking(text: str, picture: bool = True) -> list[dict[str, Any]]:
    parts = [{"type": "image"}] * picture
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


def inputs_of(processor: Any, text: str, picture: Image.Image | None = PICTURE) -> Any:
    asked = processor.apply_chat_template(asking(text, picture is not None), add_generation_prompt=True)
    return processor(text=asked, images=picture and [picture], return_tensors="pt")


def prove_the_merge(model: Trained) -> None:
    """The saved model has the start's own weights by name and shape, some of them changed, and gives what the
    start with the adapter beside it gives; the start alone gives something else."""
    from peft import PeftModel

    inputs = inputs_of(load_processor(model.merged), str(model.rows[0]["prompt"]))
    with torch.inference_mode():
        merged = loaded(model.merged)
        after = merged(**inputs).logits
        start = loaded(model.start)
        weights = start.state_dict()
        assert {n: w.shape for n, w in merged.state_dict().items()} == {
            n: w.shape for n, w in weights.items()
        }
        changed = {n for n, w in merged.state_dict().items() if not torch.equal(w, weights[n])}
        assert any("q_proj" in n for n in changed) and not any("embed_tokens" in n for n in changed)
        before = start(**inputs).logits
        del merged
        beside = PeftModel.from_pretrained(start, model.adapter).eval()(**inputs).logits
    assert (after - before).abs().max() > 100 * (after - beside).abs().max()
    torch.testing.assert_close(after, beside, atol=2e-4, rtol=1e-3)


def prove_the_serving(folder: Path) -> None:
    """Answers under the grammar are actions on this page, greedy and sampled, with the picture seen."""
    engine = Engine(folder)
    regex = action_regex(PAGE, [GOAL])
    question = asking(PAGE.text() + "\n" + GOAL)
    for temperature in (0.0, 1.5):
        for answer in engine.generate(
            question, [PICTURE], regex=regex, temperature=temperature, n=2, seed=1, max_tokens=60
        ):
            assert re.fullmatch(regex, answer.text) and answer.finish_reason == "stop"
            action = parse(answer.text)
            assert all(PAGE.find(target) for target in action.targets[:1])


def test_the_merge_is_the_start_with_its_adapter(model: Trained) -> None:
    """See `prove_the_merge`."""
    prove_the_merge(model)


def test_served_answers_are_actions_on_the_page(model: Trained) -> None:
    """See `prove_the_serving`."""
    prove_the_serving(model.merged)


def test_the_processor_is_saved_as_it_was(model: Trained) -> None:
    """The processor beside the trained model makes the same inputs as the one that it began with."""
    first, second = (inputs_of(load_processor(folder), GOAL) for folder in (model.start, model.merged))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_processor_saved_without_videos_loads_beside_torchvision(
    model: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where torchvision is, what was trained where it is not can be served all the same."""
    monkeypatch.setattr("transformers.utils.is_torchvision_available", lambda: True)
    load_processor(model.merged)


def test_decoding_step_by_step_is_one_pass(model: Trained) -> None:
    """With the cache the engine's logits are those of `transformers` over the whole text: after a picture in
    tiles or patches; for a prompt without a picture after one with; for one that shares a beginning."""
    engine, plain = Engine(model.merged), loaded(model.merged)
    assert isinstance(engine.forward, Llama) == ("Idefics3" in type(plain).__name__)
    more = engine.processor.tokenizer('"Save all" click(2)').input_ids
    shares = 0
    for text, picture in (("act:", PICTURE), ("act:", None), ("act: now", PICTURE), ("act: then", PICTURE)):
        inputs = inputs_of(engine.processor, text, picture)
        ids = inputs["input_ids"][0].tolist()
        with torch.inference_mode():
            pictures = b"one" if picture else b""
            question = Question(tuple(ids), inputs, pictures, None, 9, 0.0, 1, (), None)
            shared, cache = engine.kept.beginning(question, engine.tokens.image)
            shares += shared > 0
            [(logits, cache)] = engine.forward.run([Part(ids[shared:], cache, inputs)])
            engine.kept.add(question, engine.forward.keep(cache))
            found = [logits]
            for new in (more[:1], more[1:]):
                [(logits, cache)] = engine.forward.run([Part(new, cache)])
                found.append(logits)
            whole = dict(inputs, input_ids=torch.tensor([ids + more]))
            for name in ("attention_mask", "mm_token_type_ids"):
                if name in inputs:
                    whole[name] = torch.nn.functional.pad(inputs[name], (0, len(more)), value=name[0] == "a")
            plain.model.rope_deltas = None
            expected = plain(**whole).logits[0]
        for at, logits in zip((len(ids) - 1, len(ids), len(ids) + len(more) - 1), found, strict=True):
            torch.testing.assert_close(logits, expected[at], atol=2e-4, rtol=1e-3)
    assert shares == 2


def test_preflight_counts_each_size_of_picture(model: Trained) -> None:
    """Pictures of several sizes make several numbers of tokens; no misfit. A real one is found."""
    start, processor = loaded(model.start), load_processor(model.start)
    rows = [{"prompt": "act:", "image": png("red", size)} for size in ((320, 240), (300, 90), (320, 240))]
    counts = {
        int(
            (
                inputs_of(processor, "act:", Image.new("RGB", size))["input_ids"]
                == start.config.image_token_id
            ).sum()
        )
        for size in ((320, 240), (300, 90))
    }
    assert len(counts) == 2
    preflight(start, processor, rows)
    start.config.image_token_id = processor.tokenizer.convert_tokens_to_ids("a")
    with pytest.raises(PreflightError, match="image tokens"):
        preflight(start, processor, rows)


def test_an_answer_begins_as_it_was_learnt(model: Trained) -> None:
    """SmolVLM writes `Assistant: done` and has learnt the space as part of the first word: an answer under a
    grammar begins with those same tokens, and the space is not in the text."""
    engine = Engine(model.merged)
    assert lead(engine.processor) == engine.lead == (" " if "Idefics3" in type(engine.model).__name__ else "")
    heard: list[str] = []
    choices = ["done", "not yet: more to do"]
    [answer] = engine.generate(
        asking("?"), [PICTURE], choices=choices, on_token=lambda _, text: heard.append(text)
    )
    assert answer.text in choices and "".join(heard) == answer.text
    [only] = engine.generate(asking("?"), [PICTURE], choices=["done"])
    assert only.text == "done" and only.confidence == 1.0
    assert only.completion_tokens == len(engine.processor.tokenizer(engine.lead + "done").input_ids)


@pytest.mark.parametrize("model", [qwen], indirect=True)
async def test_served_over_http(model: Trained) -> None:
    """`shopfloor serve` as every command starts it, with a question as the actor asks it."""
    regex = action_regex(PAGE, [GOAL])
    async with local_model(str(model.merged)) as endpoint:
        client = ChatModel(endpoint)
        question = messages("actor", actor_text(GOAL, PAGE, []), png("white"), brief=endpoint.brief)
        reply = await client.ask(question, regex=regex, max_tokens=60)
        await client.close()
    assert re.fullmatch(regex, reply.text)
    parse(reply.text)


def test_the_whole_size_is_the_hubs() -> None:
    """The slow test's model has SmolVLM-256M's number of parameters (a file of 513 MB in bfloat16)."""
    from transformers import Idefics3ForConditionalGeneration

    with torch.device("meta"):
        model = Idefics3ForConditionalGeneration(smolvlm_config(tokenizer_with([], nano.END), WHOLE))
    assert sum(weight.numel() for weight in model.parameters()) == 256_484_928


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_smolvlm_256m_whole(tmp_path: Path) -> None:
    """The same at the size of SmolVLM-256M itself: two steps of a row each, merged, served."""
    model = trained(lambda folder: smolvlm(folder, WHOLE), tmp_path, batch=1)
    prove_the_merge(model)
    prove_the_serving(model.merged)
