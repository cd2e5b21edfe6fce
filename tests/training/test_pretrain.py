"""Pretraining: drawn screens, one row for many questions, the tokenizer, going on after a stop."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from agents import prompts
from apps.main import main
from tools.actions import parse
from tools.observation import Box, Element, Observation
from training import nano
from training.pretrain import POOL, Recipe, answers, batches, collate, pack, pixels, pretrain, row_losses
from training.screens import Artist, Screen


def load(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    return AutoModelForImageTextToText.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)


def test_refs_are_one_token_and_text_survives(tiny: Path) -> None:
    """Every ref up to 199 is one token, the same after `[` and `(`, and any text comes back as it was."""
    _, processor = load(tiny)
    tokenizer = processor.tokenizer
    for ref in range(200):
        listed, acted = tokenizer.tokenize(f'"Save" [{ref}]'), tokenizer.tokenize(f'"Save" click({ref})')
        assert str(ref) in listed and str(ref) in acted
    text = 'naïve "Ω" [12]\n  fill(3, "a\\"b") 🙂 12345.678'
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_questions_do_not_see_each_other(tiny: Path) -> None:
    """A question among others on a screen is answered exactly as when it stands alone."""
    model, processor = load(tiny)
    for picture in (False, True):
        screen = Artist("alone", 1.0, 64).screen(5, picture=picture)
        pad = processor.tokenizer.pad_token_id
        with torch.no_grad():
            together, _ = answers(model, collate([pack(screen, processor)], pad))
            alone = [
                answers(model, collate([pack(Screen(screen.page, (q,), screen.picture), processor)], pad))[0]
                for q in screen.questions
            ]
        assert torch.allclose(together, torch.cat(alone), atol=1e-4)


def test_training_and_serving_render_the_same_tokens(tiny: Path) -> None:
    """A packed row begins with just the tokens that the served chat prompt for that question has."""
    _, processor = load(tiny)
    page = Observation("http://h/a", "T", (64, 64), (Element(1, "button", "Save", Box(0, 0, 9, 9)),))
    picture = Image.new("RGB", (64, 64), "red")
    png = io.BytesIO()
    picture.save(png, "PNG")
    text = prompts.actor_text('Click "Save".', page, [])
    asked = prompts.messages("actor", text, png.getvalue(), brief=True)
    served = processor(
        text=processor.apply_chat_template(asked, add_generation_prompt=True), images=[picture]
    )
    from training.screens import Question

    cut = len(page.text()) + 1
    row = pack(Screen(text[:cut], (Question(text[cut:], '"Save" click(1)'),), picture), processor)
    ids = list(served["input_ids"][0])
    assert list(row.ids[: len(ids)]) == ids
    assert np.allclose(np.asarray(served["pixel_values"]).reshape(3, 64, 64), pixels(picture), atol=1e-5)


MARK = re.compile(r"\[[=@~+!]?\d*(?: [=@~]?\d+| checked)*\]")  # grounding's, which may stand within a value


@pytest.mark.parametrize("hardness", [0.02, 0.5, 1.0])
def test_every_answer_is_right_on_its_screen(hardness: float) -> None:
    """Answers parse, name an element of the page by its own ref, and type only what the goal says."""
    for seed in range(60):
        screen = Artist(seed, hardness).screen(8, picture=seed % 3 == 0)
        for question in screen.questions:
            if not question.text.endswith("act:"):
                continue
            action = parse(question.answer)
            if action.final:
                continue
            assert f'"{action.label}" [{action.args[0]}]' in screen.page
            if action.name == "fill":
                assert str(action.args[1]) in MARK.sub("", question.text)


def test_a_page_without_anything_to_ask_about_is_asked_nothing() -> None:
    """A desktop's combobox lists no options while it is closed; nothing, or something else, is asked then."""
    box = Box(0, 0, 9, 9)
    closed = Observation("app:x", "X", (64, 64), (Element(1, "combobox", "Font", box),))
    mixed = replace(closed, elements=(*closed.elements, Element(2, "button", "Close", box)))
    for seed in range(40):
        assert not Artist(seed).asides(closed, 4)
        assert {parse(question.answer).name for question in Artist(seed).asides(mixed, 4)} <= {"click"}


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    """Stopped in the middle and started again, a run ends with the same weights as one never stopped."""
    whole = Recipe("tiny", steps=2 * POOL, batch=2, questions=3, checkpoint_seconds=0)

    class Stop(Exception):
        pass

    def silent(step: int, metrics: dict[str, float]) -> None:
        pass

    straight = pretrain(whole, tmp_path / "a", silent)
    import training.pretrain as module

    calls = 0
    real = module.schedule

    def breaks(recipe: Recipe, step: int, done: float) -> float:
        nonlocal calls
        calls += 1
        if calls == POOL + 3:
            raise Stop
        return real(recipe, step, done)

    module.schedule = breaks
    try:
        with pytest.raises(Stop):
            pretrain(whole, tmp_path / "b", silent)
    finally:
        module.schedule = real
    resumed = pretrain(whole, tmp_path / "b", silent)
    first, second = load(straight)[0].state_dict(), load(resumed)[0].state_dict()
    assert all(torch.allclose(first[k], second[k], atol=1e-5) for k in first)


def test_killed_between_two_checkpoints(tmp_path: Path) -> None:
    """Killed when the former checkpoint was moved aside and the new one not yet in place, a run goes on."""
    recipe = Recipe("tiny", steps=2, batch=2, questions=3, checkpoint_seconds=0)
    folder = pretrain(recipe, tmp_path, lambda step, metrics: None)
    before = load(folder)[0].state_dict()
    folder.rename(folder.with_name("checkpoint.old"))
    after = load(pretrain(recipe, tmp_path, lambda step, metrics: None))[0].state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_the_clock_ends_a_run(tmp_path: Path) -> None:
    """With minutes given it ends when they are over, its rate fallen."""
    recipe = Recipe("tiny", steps=100_000, minutes=0.05, batch=1, questions=1, warmup=0, decay_from=0.0)
    pretrain(recipe, tmp_path, lambda step, metrics: None)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert 3 <= state["seconds"] < 20 and state["step"] == recipe.steps
    assert state["optimizer"]["param_groups"][0]["lr"] < 0.5 * recipe.rate


def test_it_learns(tmp_path: Path) -> None:
    """A hundred steps of the tiny model bring the loss well down from where it began."""
    losses: list[float] = []
    recipe = Recipe("tiny", steps=200, batch=4, questions=4, rate=3e-3, warmup=20)
    pretrain(recipe, tmp_path, lambda step, m: losses.append(m["loss"]) if "loss" in m else None)
    assert losses[-1] < 0.75 * losses[0]
    assert nano.SIZES["tiny"].image_tokens == 4


def test_going_on_from_a_checkpoint(tiny: Path, tmp_path: Path) -> None:
    """A run from a checkpoint begins with its weights and keeps its tokenizer, whatever the pages."""
    recipe = Recipe("tiny", steps=1, batch=1, questions=2, rate=0.0, start=str(tiny))
    ours, processor = load(pretrain(recipe, tmp_path, lambda step, metrics: None))
    theirs, before = load(tiny)
    assert processor.tokenizer.get_vocab() == before.tokenizer.get_vocab()
    ours, theirs = ours.state_dict(), theirs.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    with pytest.raises(ValueError, match="another size"):
        pretrain(replace(recipe, size="nano"), tmp_path / "nano", lambda step, metrics: None)


@pytest.mark.parametrize(
    "words", [["--steps", "0"], ["--batch", "0"], ["--questions", "0"], ["--read", "0"], ["--workers", "-1"]]
)
def test_wrong_use(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts that leave nothing to train on are refused before anything is made."""
    out = tmp_path / "run"
    assert main(["train", "pretrain", "--size", "tiny", "--steps", "1", *words, "--out", str(out)]) == 2
    assert f"{words[0]} must be at least" in capsys.readouterr().err and not out.exists()


def test_a_page_without_a_picture_among_others(tiny: Path) -> None:
    """Whichever comes first in a batch, a picture is seen as in a row that is alone."""
    model, processor = load(tiny)
    pad = processor.tokenizer.pad_token_id
    bare, seen = (pack(Artist("mixed", 0.5, 64).screen(3, picture), processor) for picture in (False, True))
    (alone,) = row_losses(model, collate([seen], pad))
    assert row_losses(model, collate([seen, bare], pad))[0] == pytest.approx(alone, rel=1e-5)
    assert row_losses(model, collate([bare, seen], pad))[1] == pytest.approx(alone, rel=1e-5)


def test_of_more_rows_than_a_pool_trains_on_those_of_higher_loss_are_likelier(tiny: Path) -> None:
    """A row's loss is the sum over its answers, and the rows chosen have more of it than those left."""
    model, processor = load(tiny)
    pad = processor.tokenizer.pad_token_id
    rows = [pack(Artist(f"read/{i}", 0.5, 64).screen(1 + i % 4), processor) for i in range(6 * POOL)]
    losses = row_losses(model, collate(rows, pad))
    alone, wanted = answers(model, collate(rows[:1], pad))
    assert losses[0] == pytest.approx(
        torch.nn.functional.cross_entropy(alone, wanted).item() * len(wanted), rel=1e-2
    )
    recipe = Recipe("tiny", batch=2, read=3)
    chosen = batches(rows, model, recipe, pad, "0/0")
    assert [len(batch["input_ids"]) for batch in chosen] == [2] * POOL
    again = batches(rows, model, recipe, pad, "0/0")
    assert all(
        torch.equal(one["input_ids"], two["input_ids"]) for one, two in zip(chosen, again, strict=True)
    )
    assert np.mean([row_losses(model, batch).mean() for batch in chosen]) > losses.mean()
    few = batches(rows[: 2 * POOL], model, recipe, pad, "0/0")  # no more than are trained on: all of them
    assert sum((batch["labels"] >= 0).sum() for batch in few) == sum(
        (row.labels >= 0).sum() for row in rows[: 2 * POOL]
    )
