"""The nano model: SmolVLM's architecture (Idefics3, https://huggingface.co/papers/2504.05299) made small.

`transformers` classes only; a byte-level BPE tokenizer of its own; one dial, `size`, sets everything.
Text and vision towers start from random weights; `pretrain.py` teaches them to read, point and look.

What was found to matter at this width (see LOG.md): initial weights of about 1/sqrt(width) instead of
0.02, heads of 48, one token a ref (numbers of up to three digits are never joined to what is beside
them), every punctuation mark and the space before a word a token of its own, so that a name is the same
tokens everywhere: quoted, in the middle of a sentence, in the listing.

Not covered: training (`pretrain.py`, `sft.py`) and decoding (`apps/engine.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAD, USER, ASSISTANT, END = "<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"
IMAGE, FAKE, GLOBAL = "<image>", "<fake_token_around_image>", "<global-img>"
SPECIAL = [PAD, USER, ASSISTANT, END, IMAGE, FAKE, GLOBAL, "<end_of_utterance>"]
PIECES = r"\n|\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]|\s"

CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'system' %}"
    "{{ '<|assistant|>' if message['role'] == 'assistant' else '<|user|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}<image>{% endif %}{% endfor %}{% endif %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True)
class Size:
    """One notch of the dial. Widths are heads x 48 (text) and heads x 32 (vision)."""

    layers: int
    heads: int
    vocabulary: int
    image: int  # pixels a side
    vision_layers: int
    vision_heads: int
    context: int = 2048
    patch: int = 16
    shuffle: int = 2  # image patches joined a side into one token

    @property
    def width(self) -> int:
        return self.heads * 48

    @property
    def image_tokens(self) -> int:
        return (self.image // self.patch // self.shuffle) ** 2


SIZES = {
    "tiny": Size(layers=2, heads=2, vocabulary=1024, image=64, vision_layers=1, vision_heads=2),
    "nano": Size(layers=4, heads=4, vocabulary=2048, image=128, vision_layers=3, vision_heads=4),
    "micro": Size(layers=12, heads=8, vocabulary=4096, image=256, vision_layers=6, vision_heads=8),
}


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A byte-level BPE tokenizer of `vocabulary` tokens learnt from `texts`; a PreTrainedTokenizerFast."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 200,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    _join_numbers(tokenizer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=SPECIAL[4:],
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def _join_numbers(tokenizer: Any) -> None:
    """Make every number below 200 one token, by BPE merges that go before all others."""
    import json

    from tokenizers import Tokenizer

    state = json.loads(tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    first: list[list[str]] = []
    for number in map(str, range(10, 200)):
        first.append([number[:-1], number[-1]])
        if len(number) == 3 and number[1] != "0":  # whichever two digits were joined first
            first.append([number[0], number[1:]])
        vocabulary.setdefault(number, len(vocabulary))
    learnt = [m for m in state["model"]["merges"] if m not in first]
    state["model"]["merges"] = first + learnt
    tokenizer.model = Tokenizer.from_str(json.dumps(state)).model


def build(size: str, tokenizer: Any, seed: int = 0) -> tuple[Any, Any]:
    """A fresh model with its processor: (Idefics3ForConditionalGeneration, Idefics3Processor)."""
    import torch
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, LlamaConfig
    from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
    from transformers.models.idefics3.processing_idefics3 import Idefics3Processor

    dial = SIZES[size]
    torch.manual_seed(seed)
    processor = Idefics3Processor(
        Idefics3ImageProcessorPil(
            do_image_splitting=False,
            size={"longest_edge": dial.image},
            max_image_size={"longest_edge": dial.image},
        ),
        tokenizer,
        image_seq_len=dial.image_tokens,
        chat_template=CHAT_TEMPLATE,
    )
    ids = tokenizer.convert_tokens_to_ids
    text = LlamaConfig(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=dial.width,
        intermediate_size=dial.width * 8 // 3 // 32 * 32,
        num_hidden_layers=dial.layers,
        num_attention_heads=dial.heads,
        num_key_value_heads=dial.heads,
        max_position_embeddings=dial.context,
        initializer_range=dial.width**-0.5,
        tie_word_embeddings=True,
        pad_token_id=ids(PAD),
        bos_token_id=None,
        eos_token_id=ids(END),
    )
    vision = Idefics3VisionConfig(
        hidden_size=dial.vision_heads * 32,
        intermediate_size=dial.vision_heads * 96,
        num_hidden_layers=dial.vision_layers,
        num_attention_heads=dial.vision_heads,
        image_size=dial.image,
        patch_size=dial.patch,
    )
    config = Idefics3Config(
        text_config=text,
        vision_config=vision,
        scale_factor=dial.shuffle,
        image_token_id=ids(IMAGE),
        tie_word_embeddings=True,
    )
    model = Idefics3ForConditionalGeneration(config)
    model.generation_config.pad_token_id = ids(PAD)
    model.generation_config.eos_token_id = ids(END)
    return model, processor


def load(folder: str | Path) -> tuple[Any, Any]:
    """A checkpoint as it was saved, weights in fp32: model and processor."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    auto: Any = AutoModelForImageTextToText
    return auto.from_pretrained(folder, dtype=torch.float32), AutoProcessor.from_pretrained(folder)


def save(model: Any, processor: Any, folder: Path) -> None:
    """Model and processor in one folder, as any `transformers` checkpoint; written aside, then renamed.
    Killed between the two renames it leaves the former one for `restore`."""
    import shutil

    restore(folder)
    aside = folder.with_name(folder.name + ".new")
    shutil.rmtree(aside, ignore_errors=True)
    model.save_pretrained(aside)
    processor.save_pretrained(aside)
    former = folder.with_name(folder.name + ".old")
    shutil.rmtree(former, ignore_errors=True)
    if folder.exists():
        folder.rename(former)
    aside.rename(folder)
    shutil.rmtree(former, ignore_errors=True)


def restore(folder: Path) -> None:
    """Put the former checkpoint back where `save` was killed before the new one stood."""
    former = folder.with_name(folder.name + ".old")
    if former.exists() and not folder.exists():
        former.rename(folder)
