"""Direct preference optimisation: which pairs, which are held back, and that the tiny model learns them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agents.policies import Decision
from apps.main import main
from tools.actions import Action
from training import dpo
from training.dpo import Pair, Recipe, balanced, hold_back, log_probabilities, optimise, pairs, rows
from training.registry import CHALLENGER, alias
from training.sft import dataset, shrinker
from trajectories.examples import NOT_YET, UNDO, UNFIT, examples
from trajectories.store import Store
from trajectories.tasks import HELD_OUT_FROM

from .test_pretrain import load
from .test_sft import episode


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder as the line leaves it: successes, and of some tasks a failure that pressed Save at once."""
    store = Store(tmp_path / "data" / "episodes")
    made = []
    for number in range(8):
        good = episode(number, family=f"add-{number % 2}")
        bad = replace(good, id=f"bad-{number}", steps=(good.steps[0], *good.steps[1:]))
        strayed = replace(good.steps[0], decision=good.steps[1].decision)
        failed = replace(bad.outcome, success=False)
        made += [good, replace(bad, steps=(strayed,), outcome=failed, ended="budget", policy="model")]
    for one in made:
        store.add(one)
    return tmp_path / "data"


def test_pairs_of_actions_and_of_verdicts(data: Path) -> None:
    """The line's pairs for the actor, and for the reviewer each verdict against its opposite; every image
    is there."""
    found = list(pairs(data))
    actor = [p for p in found if p.role == "actor"]
    assert len(actor) == 8 and {p.source for p in actor} == {"success"}
    assert (actor[0].chosen, actor[0].rejected) == ('"Name" fill(1, "Ada 0")', '"Save" click(2)')
    verdicts = {(p.chosen, p.rejected) for p in found if p.role == "reviewer"}
    assert verdicts == {("done", NOT_YET), (NOT_YET, "done"), ("approve", UNFIT), (UNFIT, "approve")}
    assert all(p.image is not None and p.image.exists() for p in found)


def test_what_a_person_did_instead(tmp_path: Path) -> None:
    """Where a person acted otherwise on a page on which the team had acted, and it ended well, theirs is the
    better answer to what the team was asked there, and a demonstration; what the team did is none, and how
    the person undid it is none."""
    good = episode(1)
    first = good.steps[0]
    wrong = replace(first, decision=good.steps[1].decision, by="actor")
    undo = replace(first, by="person", decision=Decision(Action("go_back"), UNDO))
    steps = (wrong, undo, replace(first, by="person"), *(replace(s, by="actor") for s in good.steps[1:]))
    Store(tmp_path).add(replace(good, steps=steps, policy="team"))
    (pair,) = [p for p in pairs(tmp_path) if p.role == "actor"]
    assert (pair.source, pair.chosen, pair.rejected) == (
        "person", str(first.decision.action), str(wrong.decision.action)
    )  # fmt: skip
    assert pair.image is not None and pair.image.exists() and "did:" not in pair.prompt
    taught = [e.answer for e in examples(next(iter(Store(tmp_path)))) if e.role == "actor"]
    assert taught == [str(step.decision.action) for step in (first, *good.steps)]


def test_no_held_out_task_no_broken_episode_and_nothing_twice(tmp_path: Path) -> None:
    """A held-out seed is left out; of an episode that broke off there is no verdict; the same pair from two
    episodes counts once."""
    store = Store(tmp_path)
    store.add(episode(HELD_OUT_FROM))
    store.add(replace(episode(1, success=False), ended="error"))
    assert list(pairs(tmp_path)) == []
    store.add(episode(2, success=False))
    store.add(replace(episode(2, success=False), id="again"))
    assert len(list(pairs(tmp_path))) == 1


def pair(task: str, chosen: str = "a", role: str = "actor", number: int = 0) -> Pair:
    return Pair(task, role, f"{task} {number}", chosen, "b", None, "oracle")  # type: ignore[arg-type]


def test_families_and_verdicts_are_balanced() -> None:
    """Ninety pairs of one family and ten of another come alike, but none more than three times; what most
    verdicts say is not preferred more often."""
    many = [pair("s/common/1", number=i) for i in range(90)] + [pair("s/rare/1", number=i) for i in range(10)]
    families = Counter(p.family for p in balanced(many, 40))
    assert families == {"s/common": 20, "s/rare": 20}
    assert Counter(p.family for p in balanced(many, 1000)) == {"s/common": 270, "s/rare": 30}
    said = [pair("s/f/1", "done", "reviewer", i) for i in range(20)]
    said += [pair("s/f/1", NOT_YET, "reviewer", i) for i in range(200)]
    assert Counter(p.chosen for p in balanced(said, 40)) == {"done": 20, NOT_YET: 20}


def test_whole_tasks_are_held_back() -> None:
    """No task is on both sides; with none or one there is nothing to hold back, which is said."""
    train, held = hold_back([pair(f"s/f/{i % 20}", number=i) for i in range(60)])
    assert not {p.task for p in train} & {p.task for p in held}
    assert (len(train), len(held)) == (54, 6)
    with pytest.raises(ValueError, match="no preference pairs; make some: shopfloor generate"):
        hold_back([])
    with pytest.raises(ValueError, match="one task only, s/f/1"):
        hold_back([pair("s/f/1"), pair("s/f/1", number=2)])


def test_a_lost_screenshot_is_named(data: Path) -> None:
    """A pair whose episode was deleted since is no row without a picture, but an error that names it."""
    found = [p for p in pairs(data) if p.role == "actor"]
    assert found[0].image is not None
    found[0].image.unlink()
    with pytest.raises(ValueError, match=found[0].image.name):
        rows(found, lambda png: png)


def test_only_answers_count(tiny: Path, data: Path) -> None:
    """TRL's masks cover the two answers and nothing of the question; our log-probabilities are the model's
    own, summed over the answer."""
    from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

    model, processor = load(tiny)
    made = rows(pairs(data), shrinker(processor))[:4]
    batch = DataCollatorForVisionPreference(processor)(list(dataset(made, dpo.ANSWERS)))
    answers = [row[key] for key in ("chosen", "rejected") for row in made]
    for ids, mask, answer in zip(batch["input_ids"], batch["completion_mask"], answers, strict=True):
        assert processor.tokenizer.decode(ids[mask.bool()]) == f"{answer}<|end|>"
    (given,) = log_probabilities(tiny, made[:1])
    plain = model.eval()
    one = DataCollatorForVisionPreference(processor)(list(dataset(made[:1], dpo.ANSWERS)))
    mask = one.pop("completion_mask").bool()
    with torch.no_grad():
        logits = plain(**one).logits.log_softmax(-1)
    for number in (0, 1):
        at = mask[number].nonzero().flatten().tolist()
        total = sum(float(logits[number, i - 1, one["input_ids"][number, i]]) for i in at)
        assert given[number] == pytest.approx(total, abs=1e-3)


def test_it_learns_what_is_preferred_and_goes_on(tiny: Path, data: Path, tmp_path: Path) -> None:
    """After a few steps what is preferred has gained on what is not, for every pair trained on; a second call
    has nothing left to do."""
    _, processor = load(tiny)
    made = rows(pairs(data), shrinker(processor))
    recipe = Recipe(steps=30, batch=8, rate=2e-3, save_steps=15)
    before = log_probabilities(tiny, made)
    folder = optimise(tiny, made, recipe, tmp_path / "run")
    after = log_probabilities(folder, made)
    margins = [(a[0] - b[0]) - (a[1] - b[1]) for b, a in zip(before, after, strict=True)]
    assert sum(margin > 0 for margin in margins) > 0.9 * len(margins)
    state = tmp_path / "run" / "checkpoints" / "checkpoint-30" / "trainer_state.json"
    written = state.stat().st_mtime_ns
    assert optimise(tiny, made, recipe, tmp_path / "run") == folder
    assert state.stat().st_mtime_ns == written
    assert log_probabilities(folder, made) == after


def test_the_command(tiny: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`shopfloor train dpo` reports held-back pairs before and after, and makes the result the challenger; a
    folder without pairs is wrong use."""
    out = tmp_path / "run"
    words = ["train", "dpo", "--model", str(tiny), "--data", str(data), "--steps", "3", "--batch", "4"]
    assert main([*words, "--rate", "1e-3", "--out", str(out), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["version"] == alias(CHALLENGER) and result["steps"] == 3
    assert set(result["pairs"]) == {"success", "verdict"}
    assert set(result["held_back"]) == {"all", "actor", "reviewer"}
    figures = result["held_back"]["all"]
    assert figures["gain"] == pytest.approx(figures["after"] - figures["before"])
    assert 0 <= figures["reward_accuracy"] <= 1 and figures["reward_margin"] != 0

    lone = tmp_path / "lone"
    Store(lone).add(replace(episode(1, success=False), ended="error"))
    assert (
        main(["train", "dpo", "--model", str(tiny), "--data", str(lone), "--out", str(tmp_path / "x")]) == 2
    )
    assert "no preference pairs; make some: shopfloor generate" in capsys.readouterr().err
