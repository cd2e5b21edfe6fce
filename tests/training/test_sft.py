"""Supervised fine-tuning through TRL, on the tiny model and made-up episodes with real pictures."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from agents.policies import Decision
from apps.main import main
from tools.actions import Action
from tools.observation import Box, Element, Observation
from training.sft import PreflightError, Recipe, build_rows, dataset, fine_tune, preflight, shrinker
from trajectories.episode import Episode, Step
from trajectories.examples import examples
from trajectories.store import Store
from trajectories.tasks import Outcome

from .test_pretrain import load


def png(colour: str, size: tuple[int, int] = (320, 240)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def episode(number: int, success: bool = True, family: str = "add") -> Episode:
    def look(value: str | None, colour: str) -> Observation:
        elements = (
            Element(1, "textbox", "Name", Box(0, 0, 9, 9), value),
            Element(2, "button", "Save", Box(0, 9, 9, 9)),
        )
        return Observation("http://h/new", "New", (320, 240), elements, png(colour))

    name = f"Ada {number}"
    taken = [
        (look(None, "white"), Action("fill", (1, name), "Name")),
        (look(name, "white"), Action("click", (2,), "Save")),
        (look(name, "green"), Action("send_msg_to_user", ("done",))),
    ]
    steps = tuple(Step(o, Decision(a, str(a)), "oracle", 0.1) for o, a in taken)
    return Episode(
        f"e{number}-{family}-{success}", f"made/{family}/{number}", f'Add "{name}".', steps,
        look(name, "green"),
        Outcome(success, float(success)), "done", "oracle", "", "2026-01-01T00:00:00+00:00",
    )  # fmt: skip


def test_examples_cover_the_roles_and_imitate_no_failure() -> None:
    """A success teaches all roles; a failure teaches the reviewer alone, and with `not yet`."""
    made = list(examples(episode(1), episode(2)))
    assert {e.role for e in made} == {"actor", "coder", "reviewer"}
    assert [e.answer for e in made if e.role == "actor"] == [
        '"Name" fill(1, "Ada 1")', '"Save" click(2)', 'send_msg_to_user("done")',
    ]  # fmt: skip
    adapted = [e for e in made if e.role == "coder" and "memory:" in e.prompt]
    assert adapted and 'fill(textbox("Name"), "Ada 1")' in adapted[0].answer
    assert 'fill(textbox("Name"), "Ada 2")' in adapted[0].prompt
    passed = list(examples(replace(episode(1), policy="near-miss")))  # a slip that the checker lets pass
    assert {e.role for e in passed} == {"reviewer"} and "done" in [e.answer for e in passed]
    good = episode(4)
    lost = replace(good.steps[2], decision=Decision(Action("report_infeasible", ("lost",)), "lost"))
    mistaken = examples(replace(good, steps=(*good.steps[:2], lost)))  # though the goal was met
    assert [e.answer for e in mistaken if e.role == "actor"] == ['"Name" fill(1, "Ada 4")', '"Save" click(2)']
    failed = list(examples(episode(3, success=False)))
    assert [(e.role, e.answer) for e in failed] == [("reviewer", "not yet: more to do")]


def test_rows_are_balanced_over_families() -> None:
    """Nine episodes of one family and one of another give both the same number of actor rows."""
    many = [episode(i, family="common") for i in range(9)] + [episode(10, family="rare")]
    rows = build_rows(many, lambda image: image, 100)
    actor = [r["prompt"] for r in rows if r["role"] == "actor"]
    assert sum("Ada 10" in str(p) for p in actor) == len(actor) / 2


def test_shrunk_pictures_are_what_the_processor_sees(tiny: Path) -> None:
    """Resizing once beforehand gives the model the same pixels as resizing when served."""
    _, processor = load(tiny)
    image = Image.effect_mandelbrot((320, 240), (-2, -1.5, 1, 1.5), 40).convert("RGB")
    out = io.BytesIO()
    image.save(out, "PNG")
    small = Image.open(io.BytesIO(shrinker(processor)(out.getvalue()))).convert("RGB")
    once = processor.image_processor(small, return_tensors="pt")["pixel_values"]
    served = processor.image_processor(image, return_tensors="pt")["pixel_values"]
    assert small.size == (64, 64)
    assert (once - served).abs().max() <= 1 / 127  # rounding to 8 bits


def test_preflight_names_a_processor_that_does_not_fit(tiny: Path) -> None:
    """A processor that writes too few image tokens is found before any training."""
    model, processor = load(tiny)
    rows = build_rows([episode(1)], shrinker(processor), 10)
    preflight(model, processor, rows)
    processor.image_seq_len = 3
    with pytest.raises(PreflightError, match="image tokens"):
        preflight(model, processor, rows)


def test_preflight_notices_a_model_that_sees_nothing(tiny: Path) -> None:
    """With the way from picture to text cut, a grey screenshot makes no difference, and that is said."""
    model, processor = load(tiny)
    rows = [{"prompt": "act:", "image": png("green")}]
    preflight(model, processor, rows)
    with torch.no_grad():
        model.model.connector.modality_projection.proj.weight.zero_()
    with pytest.raises(PreflightError, match="pictures do not reach"):
        preflight(model, processor, rows)


def test_loss_counts_the_answer_only(tiny: Path) -> None:
    """TRL's labels are the answer's tokens and nothing of the prompt."""
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    _, processor = load(tiny)
    rows = build_rows([episode(1)], shrinker(processor), 12)
    collator = DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True)
    batch = collator(list(dataset(rows)))
    for labels, row in zip(batch["labels"], rows, strict=True):
        kept = labels[labels != -100]
        assert processor.tokenizer.decode(kept) == str(row["answer"]) + "<|end|>"


@pytest.mark.parametrize("lora", [False, True])
def test_it_fits_and_goes_on(tiny: Path, tmp_path: Path, lora: bool) -> None:
    """A few rows are learnt, with full weights or a merged adapter; a second call goes on from there."""
    _, processor = load(tiny)
    rows = build_rows([episode(1), episode(2)], shrinker(processor), 40)
    recipe = Recipe(steps=40, batch=8, rate=5e-3, lora=lora, save_steps=20)
    folder = fine_tune(tiny, rows, recipe, tmp_path)
    state = json.loads((tmp_path / "checkpoints" / "checkpoint-40" / "trainer_state.json").read_text())
    losses = [h["loss"] for h in state["log_history"] if "loss" in h]
    assert losses[-1] < 0.5 * losses[0]
    assert fine_tune(tiny, rows, recipe, tmp_path) == folder  # nothing left to do: goes on from step 40
    trained, _ = load(folder)
    assert not any("lora" in name for name in trained.state_dict())
    before, _ = load(tiny)
    name = "model.text_model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(trained.state_dict()[name], before.state_dict()[name])


def test_killed_while_a_checkpoint_was_written(tiny: Path, tmp_path: Path) -> None:
    """A run goes on from the last checkpoint that is whole, with nothing of one that a kill cut short."""
    _, processor = load(tiny)
    rows = build_rows([episode(1), episode(2)], shrinker(processor), 8)
    recipe = Recipe(steps=4, batch=2, save_steps=2)
    straight = load(fine_tune(tiny, rows, recipe, tmp_path / "a"))[0].state_dict()
    fine_tune(tiny, rows, recipe, tmp_path / "b")
    cut = tmp_path / "b" / "checkpoints" / "checkpoint-4"
    for name in ("trainer_state.json", "scheduler.pt", "rng_state.pth"):  # what is written last
        (cut / name).unlink()
    (cut / "optimizer.pt").write_bytes(b"PK")
    resumed = load(fine_tune(tiny, rows, recipe, tmp_path / "b"))[0].state_dict()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    (cut / "trainer_state.json").write_text("{")
    resumed = load(fine_tune(tiny, rows, recipe, tmp_path / "b"))[0].state_dict()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_wrong_use(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No model of that name, and episodes that teach nothing, are said in a line with the mend; mended, the
    same folder will do."""
    data, words = tmp_path / "data", ["train", "sft", "--steps", "1", "--batch", "1"]
    Store(data).add(replace(episode(1), ended="error"))
    words += ["--out", str(tmp_path / "run"), "--data", str(data), "--model"]
    assert main([*words, str(tmp_path / "nowhere")]) == 2
    assert "give a model's folder, or a hub id" in capsys.readouterr().err
    assert main([*words, str(tiny)]) == 2
    assert "nothing to learn from" in capsys.readouterr().err
    Store(data).add(episode(2))
    assert main([*words, str(tiny)]) == 0
    Store(data).add(episode(3))
    assert main([*words, str(tiny)]) == 2
    assert "holds another run" in capsys.readouterr().err
