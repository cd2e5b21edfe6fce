"""Supervised fine-tuning of all three roles on recorded episodes, through TRL's SFTTrainer.

    shopfloor train sft --data DIR [--size nano | --model HUB_ID|FOLDER] [--lora]

Loss on the answer only. Rows are balanced over tasks and roles. Before training a preflight checks some two
thousand rows' image tokens against the features the model makes of its image, and that a picture counts at
all. A killed run goes on from its last checkpoint when started again with the same arguments.

Not covered: making the model (`pretrain.py`), making the rows (`trajectories/examples.py`).
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from trajectories.episode import Episode
from trajectories.examples import examples, pairs

SHARE = {"actor": 0.68, "reviewer": 0.2, "coder": 0.12}
COMPLETION = {"completion": "answer"}
NOTHING = (
    "nothing to learn from in these episodes: they broke off, are held out, or were left out by the line; "
    "make some: shopfloor generate helpdesk"
)
SHOWN = ("loss", "learning_rate", "rewards/accuracies", "rewards/margins")  # of what a trainer logs


class PreflightError(RuntimeError):
    """Data and model do not fit each other; the message says which row and why."""


@dataclass(frozen=True)
class Recipe:
    """What a run is made of; `batch` is rows a step."""

    steps: int = 2000
    batch: int = 8
    rate: float = 5e-4
    seed: int = 0
    lora: bool = False
    save_steps: int = 250


def build_rows(
    episodes: Iterable[Episode], shrink: Callable[[bytes], bytes], limit: int, seed: int = 0
) -> list[dict[str, str | bytes | None]]:
    """About `limit` rows: roles by `SHARE`, families by how many decisions one of their episodes takes.

    So each decision of a long task is seen as often as that of a short one, however many episodes there are
    of either; rare families are repeated.
    """
    episodes_of: Counter[str] = Counter()
    groups: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    small: dict[str, bytes] = {}
    for episode, other in pairs(episodes):
        family = f"{episode.suite}/{episode.family}"
        episodes_of[family] += 1
        for example in examples(episode, other):
            image = example.screenshot
            if image is not None:
                key = hashlib.sha256(image).hexdigest()
                if key not in small:
                    small[key] = shrink(image)
                image = small[key]
            row = {"role": example.role, "prompt": example.prompt, "answer": example.answer, "image": image}
            groups[example.role][family].append(row)
    draw = random.Random(seed)
    chosen: list[dict[str, Any]] = []
    for role, families in sorted(groups.items()):
        length = {family: len(found) / episodes_of[family] for family, found in families.items()}
        for family, found in sorted(families.items()):
            share = max(1, round(limit * SHARE[role] * length[family] / sum(length.values())))
            draw.shuffle(found)
            chosen += (found * -(-share // len(found)))[:share]
    draw.shuffle(chosen)
    return chosen


def shrinker(processor: Any) -> Callable[[bytes], bytes]:
    """A screenshot as the processor will see it, so that a run resizes each picture once, not at each step.

    Only where the processor makes one square of a picture; others get it as it is.
    """
    images = processor.image_processor
    if getattr(images, "do_image_splitting", True) or not hasattr(images, "max_image_size"):
        return lambda png: png

    def shrink(png: bytes) -> bytes:
        import numpy as np

        seen = images(Image.open(io.BytesIO(png)).convert("RGB"), return_tensors="np")["pixel_values"]
        plain = np.asarray(seen).reshape(seen.shape[-3:])
        mean = np.array(images.image_mean)[:, None, None]
        deviation = np.array(images.image_std)[:, None, None]
        pixels = np.clip(np.rint((plain * deviation + mean) * 255), 0, 255).astype(np.uint8)
        out = io.BytesIO()
        Image.fromarray(pixels.transpose(1, 2, 0)).save(out, "PNG", compress_level=1)
        return out.getvalue()

    return shrink


def dataset(rows: list[dict[str, Any]], answers: Mapping[str, str] = COMPLETION) -> Any:
    """Rows as TRL takes them: images, prompt and answers as messages. A `datasets.Dataset`.

    `answers` maps TRL's columns to the rows' keys.
    """
    from datasets import Dataset, Features, Image, List, Value

    part = {"type": Value("string"), "text": Value("string")}
    message = {"role": Value("string"), "content": List(part)}
    columns = {"images": List(Image()), "prompt": List(message)}
    features = Features(columns | {column: List(message) for column in answers})

    def said(text: str) -> list[dict[str, Any]]:
        return [{"role": "assistant", "content": [{"type": "text", "text": text}]}]

    def made() -> Iterable[dict[str, Any]]:
        for row in rows:
            pictures = [] if row["image"] is None else [{"bytes": row["image"], "path": None}]
            parts = [{"type": "image", "text": None}] * len(pictures)
            yield {
                "images": pictures,
                "prompt": [{"role": "user", "content": [*parts, {"type": "text", "text": row["prompt"]}]}],
                **{column: said(row[key]) for column, key in answers.items()},
            }

    return Dataset.from_list(list(made()), features=features)


def preflight(model: Any, processor: Any, rows: list[dict[str, Any]]) -> None:
    """Every row's image tokens must be as many as the features of its image, and what is seen must count:
    a grey screenshot has to change what the model expects. Raises PreflightError."""
    import torch

    token = model.config.image_token_id
    length = getattr(model.config.text_config, "max_position_embeddings", 1 << 30)
    features: dict[tuple[int, int], int] = {}  # by a picture's size, which many models don't make the same
    for number, row in enumerate(rows):
        parts = [{"type": "image"}] if row["image"] else []
        asked = [{"role": "user", "content": [*parts, {"type": "text", "text": row["prompt"]}]}]
        text = processor.apply_chat_template(asked, add_generation_prompt=True)
        if row["image"]:
            picture = Image.open(io.BytesIO(row["image"])).convert("RGB")
            inputs = processor(text=text, images=[picture], return_tensors="pt")
            if picture.size not in features:
                kept = {k: v for k, v in inputs.items() if k.startswith("pixel") or k.startswith("image")}
                with torch.no_grad():
                    made = model.get_image_features(**kept)
                made = getattr(made, "pooler_output", made)
                features[picture.size] = (
                    sum(len(m) for m in made) if isinstance(made, list | tuple) else made.shape[:-1].numel()
                )
            expected = features[picture.size]
        else:
            inputs, expected = processor(text=text, return_tensors="pt"), 0
        tokens = int((inputs["input_ids"] == token).sum())
        if tokens != expected:
            raise PreflightError(
                f"row {number}: {tokens} image tokens, {expected} image features; is this its own processor?"
            )
        if inputs["input_ids"].shape[1] > length:
            raise PreflightError(
                f"row {number} has {inputs['input_ids'].shape[1]} tokens; the model takes {length}"
            )
    if seen := next((row for row in rows if row["image"]), None):
        picture = Image.open(io.BytesIO(seen["image"])).convert("RGB")
        grey = Image.new("RGB", picture.size, (128, 128, 128))
        if torch.equal(*(_expects(model, processor, seen["prompt"], image) for image in (picture, grey))):
            raise PreflightError("a grey screenshot changes nothing: pictures do not reach this model")


def _expects(model: Any, processor: Any, prompt: str, image: Image.Image) -> Any:
    """The logits of the answer's first token."""
    import torch

    asked = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]
    text = processor.apply_chat_template(asked, add_generation_prompt=True)
    inputs = processor(text=text, images=[image], return_tensors="pt")
    with torch.no_grad():
        return model(**inputs).logits[0, -1]


def fine_tune(
    start: str | Path, rows: list[dict[str, Any]], recipe: Recipe, out: Path, report_to: str = "none"
) -> Path:
    """Train from the model at `start` (a folder or a hub id); returns the folder of the result.

    `out` keeps checkpoints; an interrupted run goes on from the last one. With LoRA the adapter is merged at
    the end, so that the result is served like any other.
    """
    import torch
    from transformers import AutoModelForImageTextToText
    from trl import SFTConfig, SFTTrainer

    from training import nano
    from training.processors import load_processor

    processor = load_processor(start)
    model = AutoModelForImageTextToText.from_pretrained(start, dtype=torch.float32)
    preflight(model, processor, rows[:: max(1, len(rows) // 2000)])
    peft_config = None
    if recipe.lora:
        from peft import LoraConfig

        peft_config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = SFTTrainer(
        model=model,
        processing_class=processor,
        train_dataset=dataset(rows),
        peft_config=peft_config,
        args=SFTConfig(**options(recipe, out, report_to), completion_only_loss=True, logging_steps=20),
    )
    run(trainer, out)
    trained: Any = trainer.model
    if recipe.lora:
        trained = trained.merge_and_unload()
    nano.save(trained.cpu(), processor, out / "model")
    return out / "model"


def options(recipe: Any, out: Path, report_to: str) -> dict[str, Any]:
    """What every TRL trainer here is told: the recipe's figures, and the hardware that is there."""
    import torch

    from training.precision import bfloat16

    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(out / "checkpoints"),
        "max_steps": recipe.steps,
        "per_device_train_batch_size": recipe.batch,
        "learning_rate": recipe.rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": min(100, recipe.steps // 10),
        "adam_beta2": 0.95,
        "max_length": None,
        "bf16": bfloat16("cuda" if gpu else "cpu"),
        "use_cpu": not gpu,
        "dataloader_pin_memory": gpu,
        "save_steps": recipe.save_steps,
        "save_total_limit": 2,
        "seed": recipe.seed,
        "report_to": report_to,
        "disable_tqdm": True,
    }


def run(trainer: Any, out: Path) -> None:
    """Train, from the last whole checkpoint in `out` if there is one, and say on stderr how it goes."""
    from transformers.trainer_callback import PrinterCallback

    (out / "checkpoints").mkdir(parents=True, exist_ok=True)
    trainer.remove_callback(PrinterCallback)  # it writes to stdout, which is for results
    trainer.add_callback(_progress())
    trainer.train(resume_from_checkpoint=_last_whole(out / "checkpoints"))


def _last_whole(folder: Path) -> str | None:
    """The last checkpoint in the folder; those after it, whose writing was cut short, are removed."""
    from transformers.trainer_utils import get_last_checkpoint

    while last := get_last_checkpoint(str(folder)):
        try:
            json.loads((Path(last) / "trainer_state.json").read_bytes())  # the trainer writes it last
            return last
        except (FileNotFoundError, ValueError):
            shutil.rmtree(last)
    return None


def _progress() -> Any:
    """What a run says of itself while it goes on, to stderr."""
    from transformers import TrainerCallback

    class Progress(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
            figures = "  ".join(f"{k} {logs[k]:.4g}" for k in SHOWN if k in (logs or {}))
            print(f"{state.global_step}/{state.max_steps}  {figures}", file=sys.stderr)

    return Progress()
