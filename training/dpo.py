"""Direct preference optimisation (https://arxiv.org/abs/2305.18290) through TRL's DPOTrainer.

    shopfloor train dpo --data .shopfloor/data/miniwob --model challenger

Pairs of a better and a worse answer to the same question: the actor's, where an oracle stood when chance or a
model acted, or where a failed episode left the way of a successful one of the same task (of samples, such as
those of `train rft`); what a person did instead, having taken over; and the reviewer's, whose right verdict
on an episode is preferred to the opposite one. Balanced over families, and over verdicts within a family.
Pairs of some tasks are held back, whole tasks and never single steps, to measure by.

Not covered: the coder, of whose programs no worse ones are known; LoRA; making the pairs on the model's own
answers as it learns.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from agents.prompts import Role, actor_text
from training import nano
from training.processors import load_processor
from training.sft import SHARE, dataset, options, preflight, run
from trajectories.episode import image_name
from trajectories.examples import NOT_YET, UNFIT, corrections, examples
from trajectories.lessons import lessons
from trajectories.preferences import preferences
from trajectories.store import store_path

OPPOSITE = {"done": NOT_YET, NOT_YET: "done", "approve": UNFIT, UNFIT: "approve"}
ANSWERS = {"chosen": "chosen", "rejected": "rejected"}
HELD_BACK = 0.1  # share of tasks
MEASURED = 400  # pairs held back at most
PASSES = 3  # times at most that a pair is trained on

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Recipe:
    """What a run is made of; `batch` is pairs a step, `beta` the price of leaving the model it began as."""

    steps: int = 300
    batch: int = 8
    rate: float = 2e-5
    beta: float = 0.1
    seed: int = 0
    save_steps: int = 50


@dataclass(frozen=True)
class Pair:
    """Two answers to one question; `source` is "oracle" or "success" (`trajectories/preferences.py`),
    "verdict", or "person"."""

    task: str  # suite/family/seed
    role: Role
    prompt: str
    chosen: str
    rejected: str
    image: Path | None
    source: str

    @property
    def family(self) -> str:
        return self.task.rpartition("/")[0]


def pairs(folder: Path) -> Iterator[Pair]:
    """What a data folder has: the actor's pairs, the reviewer's, then a person's; a pair comes once, however
    many episodes it is in."""
    store = store_path(folder)
    seen: set[tuple[str, str, str, str]] = set()
    for pair in chain(_actions(folder, store), _verdicts(folder, store), _corrections(folder, store)):
        key = (pair.prompt, pair.chosen, pair.rejected, pair.image.name if pair.image else "")
        if key not in seen:
            seen.add(key)
            yield pair


def _actions(folder: Path, store: Path) -> Iterator[Pair]:
    for row in preferences(lessons(folder)):
        image = store / row["image"].removeprefix("episodes/") if row["image"] else None
        yield Pair(row["task"], "actor", row["text"], row["chosen"], row["rejected"], image, row["source"])


def _verdicts(folder: Path, store: Path) -> Iterator[Pair]:
    for episode in lessons(folder):
        for e in examples(episode):
            if e.role == "reviewer":
                shot = e.screenshot
                image = None if shot is None else store / episode.id / image_name(shot)
                yield Pair(e.task, e.role, e.prompt, e.answer, OPPOSITE[e.answer], image, "verdict")


def _corrections(folder: Path, store: Path) -> Iterator[Pair]:
    """What a person did where the team had done otherwise, for the question that the team was asked."""
    for episode in lessons(folder):
        for number, better in corrections(episode).items():
            look, worse = episode.steps[number].observation, episode.steps[number].decision.action
            image = None
            if look.screenshot is not None:
                image = store / episode.id / image_name(look.screenshot)
            prompt = actor_text(episode.goal, look, episode.actions[:number])
            yield Pair(episode.task, "actor", prompt, str(better), str(worse), image, "person")


def hold_back(found: Sequence[Pair], seed: int = 0) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on, and those of `HELD_BACK` of the tasks. Raises ValueError where there are no pairs,
    or of one task only."""
    tasks = sorted({pair.task for pair in found})
    if len(tasks) < 2:
        have = f"preference pairs of one task only, {tasks[0]}" if tasks else "no preference pairs"
        raise ValueError(f"{have}; make some: shopfloor generate helpdesk --perturb 0.15")
    random.Random(seed).shuffle(tasks)
    held = set(tasks[: max(1, round(HELD_BACK * len(tasks)))])
    return [p for p in found if p.task not in held], [p for p in found if p.task in held]


def balanced(found: Iterable[Pair], limit: int, seed: int = 0, passes: int = PASSES) -> list[Pair]:
    """About `limit` pairs, fewer where each would come more than `passes` times: roles by `sft.SHARE`,
    families alike, and in a family the answers preferred alike."""
    draw = random.Random(seed)
    groups: dict[str, dict[str, list[Pair]]] = defaultdict(lambda: defaultdict(list))
    for pair in found:
        groups[pair.role][pair.family].append(pair)
    chosen: list[Pair] = []
    for role, families in sorted(groups.items()):
        part = SHARE[role] / sum(SHARE[other] for other in groups)
        share = max(1, round(limit * part / len(families)))
        for _, own in sorted(families.items()):
            draw.shuffle(own)
            chosen += (_in_turn(own) * passes)[:share]
    draw.shuffle(chosen)
    return chosen


def _in_turn(found: Iterable[Pair]) -> list[Pair]:
    """The same pairs, those that prefer each of several answers in turn."""
    preferring: dict[str, list[Pair]] = defaultdict(list)
    for pair in found:
        preferring[pair.chosen].append(pair)
    return [pair for turn in zip_longest(*preferring.values()) for pair in turn if pair is not None]


def rows(found: Iterable[Pair], shrink: Callable[[bytes], bytes]) -> Rows:
    """Pairs as plain rows: role, source, prompt, chosen, rejected, and the image as PNG bytes, shrunk.

    Raises ValueError for an image that is gone.
    """
    small: dict[Path, bytes] = {}

    def picture(path: Path) -> bytes:
        if path not in small:
            try:
                small[path] = shrink(path.read_bytes())
            except OSError as error:
                raise ValueError(f"a pair's screenshot is gone: {path}; make its episode anew") from error
        return small[path]

    return [
        {
            "role": pair.role,
            "source": pair.source,
            "prompt": pair.prompt,
            "chosen": pair.chosen,
            "rejected": pair.rejected,
            "image": None if pair.image is None else picture(pair.image),
        }
        for pair in found
    ]


def optimise(start: str | Path, rows: Rows, recipe: Recipe, out: Path, report_to: str = "none") -> Path:
    """Train from the model at `start` (a folder or a hub id), which stays the reference; returns the folder
    of the result. `out` keeps checkpoints; an interrupted run goes on from the last one. Raises
    PreflightError where rows and model do not fit each other."""
    import torch
    from transformers import AutoModelForImageTextToText
    from trl import DPOConfig, DPOTrainer

    processor = load_processor(start)
    model = AutoModelForImageTextToText.from_pretrained(start, dtype=torch.float32)
    preflight(model, processor, rows[:: max(1, len(rows) // 2000)])
    trainer = DPOTrainer(
        model=model,  # the reference is loaded from where this was
        processing_class=processor,
        train_dataset=dataset(rows, ANSWERS),
        args=DPOConfig(
            **options(recipe, out, report_to),
            beta=recipe.beta,
            gradient_checkpointing=False,
            logging_steps=10,
        ),
    )
    run(trainer, out)
    nano.save(trainer.model.cpu(), processor, out / "model")
    return out / "model"


def log_probabilities(model: str | Path, rows: Rows, batch: int = 8) -> list[tuple[float, float]]:
    """What a model gives each pair: the log-probabilities of the chosen and the rejected answer, whole."""
    import torch
    from transformers import AutoModelForImageTextToText
    from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

    device = "cuda" if torch.cuda.is_available() else "cpu"
    auto: Any = AutoModelForImageTextToText
    loaded = auto.from_pretrained(model, dtype=torch.float32).to(device).eval()
    collate = DataCollatorForVisionPreference(load_processor(model))
    data = dataset(rows, ANSWERS)
    found: list[tuple[float, float]] = []
    for first in range(0, len(rows), batch):
        inputs = collate([data[i] for i in range(first, min(first + batch, len(rows)))]).to(device)
        answered = inputs.pop("completion_mask")[:, 1:]
        with torch.no_grad():
            expected = loaded(**inputs).logits[:, :-1].log_softmax(-1)
        given = expected.gather(2, inputs["input_ids"][:, 1:, None]).squeeze(2)
        chosen, rejected = (given * answered).sum(1).chunk(2)
        found += zip(chosen.tolist(), rejected.tolist(), strict=True)
    return found
