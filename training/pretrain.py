"""Pretraining on drawn screens and recorded pages: reading, pointing, copying, ordering steps, looking.

    shopfloor train pretrain --size nano --steps 6000
    shopfloor train pretrain --data .shopfloor/data --from models/nano

Several questions share a screen in one row: every question sees the page and itself but no other question
(a block mask, with positions counted as if it stood alone), so a row is exactly what serving shows, several
times over, for one reading of the page. Loss on the answers alone. The curriculum goes from two elements to
many as fast as the model keeps up: screens get harder while the loss is low. Recorded pages, where there are
any, are mixed in with many questions each (`pages.py`), a larger share of them as the run goes on. Of those
the model may read more than it is trained on (`Recipe.read`): a model that knows most of its pages learns
little from another look at them. Stopped at any moment it goes on from the last checkpoint.

Not covered: fine-tuning on what each role decided in recorded episodes alone (`sft.py`).
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from training import nano, together
from training.muon import Muon
from training.pages import Album
from training.precision import bfloat16
from training.screens import Artist, Screen
from trajectories.shards import write_json

IGNORE = -100
POOL = 6  # steps whose screens are drawn at once and shared out by length: little is padded
MANY = 0.3  # share of recorded pages with all the questions a row may have; others: next action and one more
NAMES = re.compile(r'(?m)^\S+ ("(?:[^"\\]|\\.)*") \[\d+\]')  # of the elements listed on a page


@dataclass(frozen=True)
class Recipe:
    """What a run is made of; `batch` is screens a step, for each process."""

    size: str = "nano"
    steps: int = 8000
    minutes: float = 0.0  # at most; the rate then falls by the clock, so that the run ends well. 0: no limit
    batch: int = 6
    questions: int = 7
    rate: float = 1.5e-3
    warmup: int = 100
    decay_from: float = 0.3  # share of the run after which the rate falls, to a tenth at the end
    easy: float = 0.65  # screens get harder while the running loss is below this
    pictures: int = 3  # every so many pools of drawn screens are of screens with pictures
    recorded: tuple[float, float] = (0.85, 0.95)  # share of steps of recorded pages, at first and in the end
    read: int = 1  # recorded pages read for each one trained on: those of higher loss are likelier
    start: str = ""  # a checkpoint of that size to go on from, with its tokenizer
    seed: int = 0
    workers: int = 0
    checkpoint_seconds: float = 120.0


@dataclass(frozen=True)
class Row:
    """One screen as tokens, an entry each in every array; segment 0 is the page, k the k-th question."""

    ids: np.ndarray
    positions: np.ndarray
    segments: np.ndarray
    labels: np.ndarray
    named: np.ndarray  # where the label begins the name of the element to act on
    names: list[int]  # the tokens that names on this page begin with
    pixels: np.ndarray | None  # (3, side, side), from -1 to 1


Batch = dict[str, torch.Tensor]


def pack(screen: Screen, processor: Any) -> Row:
    """A screen and its questions as one row; each question starts where the page ends.

    Where an answer names an element, only names on the page are in the running, in training as in serving,
    where the grammar sees to that: the choice among those present is all there is to learn.
    """

    def encode(text: str) -> list[int]:
        return processor.tokenizer(text, add_special_tokens=False).input_ids

    image = nano.FAKE + nano.GLOBAL + nano.IMAGE * processor.image_seq_len + nano.FAKE
    page = encode(nano.USER + (image if screen.picture else "") + screen.page)
    ids, labels = list(page), [IGNORE] * len(page)
    positions, segments = list(range(len(page))), [0] * len(page)
    named = [False] * len(page)
    for number, question in enumerate(screen.questions, 1):
        asked = encode(question.text + nano.END + nano.ASSISTANT)
        answer = encode(question.answer + nano.END)
        ids += asked + answer
        labels += [IGNORE] * len(asked) + answer
        act = question.acts and question.answer.startswith('"')
        named += [False] * len(asked) + [act and i == 1 for i in range(len(answer))]
        length = len(asked) + len(answer)
        positions += range(len(page), len(page) + length)
        segments += [number] * length
    names = sorted({encode(name)[1] for name in NAMES.findall(screen.page)})
    return Row(
        np.array(ids),
        np.array(positions),
        np.array(segments),
        np.array(labels),
        np.array(named),
        names,
        pixels(screen.picture),
    )


def pixels(picture: Image.Image | None) -> np.ndarray | None:
    """What the processor makes of a picture that has its size already: (3, side, side) from -1 to 1."""
    if picture is None:
        return None
    return np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / 127.5 - 1


def collate(rows: Sequence[Row], pad: int) -> Batch:
    """Rows as one batch: ids, positions, labels (batch, length), mask (batch, 1, length, length), pixels.

    `named` (batch, length) marks labels that begin a name, `names` (batch, most) holds what those may be.
    """
    length = -(-max(len(r.ids) for r in rows) // 32) * 32

    def stacked(field: str, fill: int) -> torch.Tensor:
        out: np.ndarray = np.full((len(rows), length), fill, dtype=np.int64)
        for i, row in enumerate(rows):
            values = getattr(row, field)
            out[i, : len(values)] = values
        return torch.from_numpy(out)

    segments = stacked("segments", -1)
    same = segments[:, :, None] == segments[:, None, :]
    page = (segments == 0)[:, None, :] & (segments >= 0)[:, :, None]
    mask = (same | page).tril()[:, None]
    batch = {
        "input_ids": stacked("ids", pad),
        "position_ids": stacked("positions", 0),
        "labels": stacked("labels", IGNORE),
        "attention_mask": mask,
        "named": stacked("named", 0).bool(),
        "names": torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(row.names or [pad]) for row in rows], batch_first=True, padding_value=pad
        ),
    }
    if pictures := [row.pixels for row in rows if row.pixels is not None]:
        batch["pixel_values"] = torch.from_numpy(np.stack(pictures))[:, None]
    return batch


class Screens(Dataset[list[Row]]):
    """This process's rows for `POOL` steps at a time, shortest first, made from (seed, pool) and the hardness
    alone, so that a run goes on from any of them."""

    def __init__(
        self,
        recipe: Recipe,
        processor: Any,
        side: int,
        start: int,
        hardness: torch.Tensor,
        album: Album | None,
    ) -> None:
        self.recipe, self.processor, self.side, self.start = recipe, processor, side, start
        self.hardness = hardness  # one number, shared with the processes that draw
        self.album = album

    def __len__(self) -> int:
        return max(0, -(-self.recipe.steps // POOL) - self.start)

    def __getitem__(self, index: int) -> list[Row]:
        return [pack(screen, self.processor) for screen in self._screens(self.start + index)]

    def _screens(self, pool: int) -> list[Screen]:
        """Those of all processes are drawn and shared out by length: nobody waits for a neighbour's longer
        rows."""
        recipe, hardness = self.recipe, float(self.hardness)
        draw = random.Random(f"{recipe.seed}/{pool}")
        count = POOL * recipe.batch * together.world()
        first, last = recipe.recorded
        if self.album and draw.random() < first + (last - first) * POOL * pool / recipe.steps:
            found = [
                self.album.page(draw).screen(recipe.questions if draw.random() < MANY else 2, draw)
                for _ in range(count * recipe.read)
            ]
        else:
            picture = pool % recipe.pictures == recipe.pictures - 1
            found = [
                Artist(f"{recipe.seed}/{pool}/{i}", hardness, self.side).screen(recipe.questions, picture)
                for i in range(count)
            ]
        found.sort(key=lambda s: len(s.page) + sum(len(q.text) + len(q.answer) for q in s.questions))
        return found[together.rank() :: together.world()]


def batches(rows: Sequence[Row], model: Any, recipe: Recipe, pad: int, seed: str) -> list[Batch]:
    """A pool's rows as `POOL` batches of like length, in an order that all processes share.

    Where there are more rows than that, those are drawn that the model is likelier to learn from: without
    replacement, in proportion to their loss as the model is now (Selective-Backprop, Jiang et al. 2019,
    https://arxiv.org/abs/1910.00762). A look costs a third of a step on the same row.
    """
    wanted = POOL * recipe.batch
    if len(rows) > wanted:
        chance = np.random.default_rng(list(f"{seed}/{together.rank()}".encode()))
        losses = np.concatenate(
            [row_losses(model, collate(rows[at : at + 16], pad)) for at in range(0, len(rows), 16)]
        )
        keys = np.log(losses + 1e-6) + chance.gumbel(size=len(rows))
        rows = [rows[i] for i in sorted(np.argsort(keys)[-wanted:])]
    starts = list(range(0, len(rows), recipe.batch))
    random.Random(seed).shuffle(starts)
    return [collate(rows[at : at + recipe.batch], pad) for at in starts]


def row_losses(model: Any, batch: Batch) -> np.ndarray:
    """The loss on all answers of each row of a batch, in nats (rows)."""
    at = batch["labels"][:, 1:] != IGNORE
    with torch.no_grad():
        logits, wanted = answers(model, batch)
        each = torch.nn.functional.cross_entropy(logits.float(), wanted, reduction="none").cpu()
    return torch.zeros(len(at)).index_add_(0, at.nonzero()[:, 0], each).numpy()


def answers(model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits at the answers' tokens and those tokens; the rest of the row never meets the output layer."""
    device = next(model.parameters()).device
    batch = {name: values.to(device, non_blocking=True) for name, values in batch.items()}
    labels, mask, named, names = (batch.pop(k) for k in ("labels", "attention_mask", "named", "names"))
    bias = torch.zeros(mask.shape, dtype=torch.float32, device=mask.device).masked_fill_(~mask, -1e9)
    hidden = model.model(**batch, attention_mask=bias, use_cache=False).last_hidden_state
    at = labels[:, 1:] != IGNORE
    logits, wanted = model.lm_head(hidden[:, :-1][at]), labels[:, 1:][at]
    elsewhere = torch.ones(len(names), logits.shape[-1], dtype=torch.bool, device=logits.device)
    elsewhere.scatter_(1, names, False)
    row = torch.arange(len(names), device=at.device)[:, None].expand_as(at)[at]
    return logits.masked_fill(elsewhere[row] & named[:, 1:][at][:, None], -1e9), wanted


def held_out(model: Any, processor: Any, side: int, screens: int = 40) -> dict[str, float]:
    """Share of answers with every token right, the right ones before it given; screens never trained on."""
    right: dict[str, list[bool]] = {}
    model.eval()
    with torch.no_grad():
        for number in range(screens):
            screen = Artist(f"held-out/{number}", 1.0, side).screen(6, picture=number % 2 == 1)
            batch = collate([pack(screen, processor)], processor.tokenizer.pad_token_id)
            logits, wanted = answers(model, batch)
            hits = (logits.argmax(-1) == wanted).tolist()
            for question in screen.questions:
                length = len(processor.tokenizer(question.answer + nano.END).input_ids)
                this, hits = hits[:length], hits[length:]
                cue = question.text.rsplit("\n", 1)[-1].rstrip(":")
                if "colour" in question.text:
                    cue = "colour"
                elif cue == "act":
                    later = " later" if "did:" in question.text else ""
                    cue = question.answer.split("(")[0].split()[-1] + later
                elif cue.startswith("read"):
                    cue = "read"
                right.setdefault(cue, []).append(all(this))
    model.train()
    scores = {cue: sum(hits) / len(hits) for cue, hits in sorted(right.items())}
    return {"all": sum(map(sum, right.values())) / sum(map(len, right.values())), **scores}


def schedule(recipe: Recipe, step: int, done: float) -> float:
    """The learning rate's factor: warm-up, level, then a cosine down to a tenth; `done` is the run's share
    that lies behind."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    past = (done - recipe.decay_from) / (1 - recipe.decay_from)
    return 1.0 if past <= 0 else 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, past)))


def corpus(seed: int, album: Album | None = None, count: int = 3000) -> list[str]:
    """Texts to learn the tokenizer from."""
    texts = list(album.texts()) if album else []
    for number in range(count):
        screen = Artist(f"tokenizer/{seed}/{number}", 1.0).screen(6, picture=number % 4 == 3)
        texts.append(screen.page + "".join(q.text + q.answer for q in screen.questions))
    return texts


def pretrain(
    recipe: Recipe,
    out: Path,
    report: Callable[[int, dict[str, float]], None],
    album: Album | None = None,
) -> Path:
    """Train a nano model from scratch or from `recipe.start`, or go on where `out` stands.

    Returns the checkpoint's folder. Raises ValueError where `recipe.start` is of another size.
    """
    dial = nano.SIZES[recipe.size]
    together.meet()
    chief = together.rank() == 0
    folder, state_file = out / "checkpoint", out / "state.pt"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    state: dict[str, Any] = {}
    together.after_first(lambda: nano.restore(folder))
    if folder.exists() and state_file.exists():
        model, processor = nano.load(folder)
        state = torch.load(state_file, map_location=device, weights_only=True)
    else:
        out.mkdir(parents=True, exist_ok=True)
        if recipe.start:
            model, processor = nano.load(recipe.start)
            if model.config.text_config.hidden_size != dial.width:
                raise ValueError(f"{recipe.start} is of another size than --size {recipe.size}")
        else:
            tokenizer = nano.train_tokenizer(corpus(recipe.seed, album), dial.vocabulary)
            model, processor = nano.build(recipe.size, tokenizer, recipe.seed)
    model.to(device).train()
    optimizer = make_optimizer(model, recipe.rate)
    if state:
        optimizer.load_state_dict(state["optimizer"])
    start = state.get("step", 0)
    hardness = torch.tensor(state.get("hardness", 0.0)).share_memory_()
    running = state.get("running", 5.0)
    spent = earlier = state.get("seconds", 0.0)  # of the whole run, those before it was stopped included
    first = -(-start // POOL)  # checkpoints are at pools' ends, but for the last
    screens = Screens(recipe, processor, dial.image, first, hardness, album)
    pools = enumerate(DataLoader(screens, batch_size=None, num_workers=recipe.workers), first)
    pad = processor.tokenizer.pad_token_id
    amp = torch.autocast(device, dtype=torch.bfloat16, enabled=bfloat16(device))

    def drawn() -> Iterator[tuple[int, Batch]]:
        for pool, rows in pools:
            with amp:
                made = batches(rows, model, recipe, pad, f"{recipe.seed}/{pool}")
            yield from enumerate(made, POOL * pool)

    def checkpoint(step: int) -> None:
        if not chief:
            return
        nano.save(model, processor, folder)
        aside = state_file.with_suffix(".new")
        now = {"step": step, "hardness": float(hardness), "running": running, "seconds": spent}
        torch.save({"optimizer": optimizer.state_dict(), **now}, aside)
        aside.rename(state_file)

    began = saved = time.monotonic()
    losses: list[float] = []
    tokens = 0
    step = start
    for step, batch in drawn():
        done = max(step / recipe.steps, spent / (60 * recipe.minutes) if recipe.minutes else 0.0)
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * schedule(recipe, step, done)
        tokens += together.world() * int((batch["position_ids"] > 0).sum())
        with amp:
            logits, wanted = answers(model, batch)
        loss = torch.nn.functional.cross_entropy(logits.float(), wanted)
        loss.backward()
        averaged, spent = together.average(model, loss, earlier + time.monotonic() - began)
        losses.append(averaged)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if "pixel_values" not in batch:  # drawn, and nothing to look at
            running += 0.03 * (losses[-1] - running)
            if running < recipe.easy:
                hardness.fill_(min(1.0, float(hardness) + 0.004))
        if (step + 1) % 100 == 0 and chief:
            seconds = time.monotonic() - began
            figures = {"loss": sum(losses) / len(losses), "running": running, "hardness": float(hardness)}
            report(step + 1, {**figures, "tokens_per_second": tokens / seconds})
            losses = []
        if (step + 1) % 1000 == 0 and chief:
            report(step + 1, {f"held_out/{k}": v for k, v in held_out(model, processor, dial.image).items()})
        if (step + 1) % POOL == 0 and time.monotonic() - saved > recipe.checkpoint_seconds:
            checkpoint(step + 1)
            saved = time.monotonic()
    checkpoint(recipe.steps)  # also where the clock ended it: nothing is left to go on with
    if not chief:
        return folder
    scores = held_out(model, processor, dial.image, screens=100)
    write_json(out / "scores.json", scores)  # last: its existence means that nothing is left to do
    report(step + 1, {f"held_out/{k}": v for k, v in scores.items()})
    return folder


def make_optimizer(model: Any, rate: float) -> Muon:
    """Muon for the layers' matrices, AdamW for embeddings and vectors, without decay on the latter.

    The vision tower learns at half the rate: it diverges at the text's.
    """
    groups: dict[tuple[bool, bool, bool], list[Any]] = {}
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
        groups.setdefault(("vision_model" in name, parameter.ndim >= 2, matrix), []).append(parameter)
    return Muon(
        [
            {
                "params": found,
                "rate": rate * (0.5 if vision else 1.0),
                "weight_decay": 0.05 if decays else 0.0,
                "muon": matrix,
            }
            for (vision, decays, matrix), found in groups.items()
        ],
        lr=rate,
    )
