"""Rejection-sampling fine-tuning: what is kept, and whole rounds in a real browser with the tiny model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.clients import Endpoint
from agents.scripted import ScriptedServer, pick
from apps.main import main
from training import rft
from training.registry import CHALLENGER, alias
from training.rft import Plan, Round, RoundFailed, mixed, rounds, select
from training.sft import Recipe, build_rows
from trajectories.episode import Ended, Episode
from trajectories.tasks import HELD_OUT_FROM, Outcome

from .test_sft import episode

DONE = 'send_msg_to_user("done")'
RIGHT, WRONG = pick("Click Me!"), 'report_infeasible("no")'


def tried(task: int, success: bool, steps: int = 3, ended: Ended = "done") -> Episode:
    one = episode(task)
    won = Outcome(success, float(success))
    return replace(one, steps=(one.steps * 3)[:steps], outcome=won, ended=ended, id=f"{task}-{steps}")


def test_the_shortest_success_of_what_is_neither_easy_nor_hopeless() -> None:
    """Of a task solved now and then its shortest success is kept, the first of equals; of a task always or
    never solved nothing is."""
    first = tried(1, True, 4)
    kept = select(
        [
            tried(1, True, 5), first, tried(1, True, 4), tried(1, False, 1),
            tried(2, True), tried(2, True),
            tried(3, False), tried(3, False),
        ]
    )  # fmt: skip
    assert len(kept) == 1 and kept[0] is first
    assert select([]) == []


def test_what_broke_off_counts_for_nothing_and_wandering_on_is_no_success() -> None:
    """A browser that broke is no failure of the model; a goal met by one that then wandered or gave up is no
    success to imitate."""
    assert select([tried(1, True), tried(1, False, ended="error")]) == []
    finished = tried(2, True, 5)
    assert select([tried(2, True, 3, "budget"), tried(2, True, 1, "infeasible"), finished]) == [finished]
    assert select([tried(3, True, ended="over"), tried(3, False, ended="over")])


def test_each_round_has_training_tasks_of_its_own() -> None:
    """No two rounds or runs share a seed, and none is held out; what would leave nothing to choose from, or
    reach held-out seeds, is refused."""
    families = {"miniwob": ("click-test", "enter-text")}
    seen: set[int] = set()
    for seed in (0, 49):
        plan = Plan(families, rounds=3, tasks=2, seed=seed)
        for number in (1, 2, 3):
            jobs = plan.jobs("miniwob", number)
            own = {job.seed for job in jobs}
            assert len(jobs) == 4 and len(own) == 2 and not own & seen and max(own) < HELD_OUT_FROM
            seen |= own
    for wrong in ({"seed": 50}, {"samples": 1}, {"temperature": 0.0}, {"rounds": 0}, {"tasks": 9000}):
        with pytest.raises(ValueError, match="--"):
            Plan(families, **wrong)  # type: ignore[arg-type]


def test_rows_are_its_own_and_as_many_demonstrations() -> None:
    """A handful of episodes is gone over a few times only, whatever steps are allowed; demonstrations are
    half of the rows where there are any."""
    own, recipe = [episode(1), episode(2)], Recipe(steps=1000, batch=8)
    alone = mixed(own, [], lambda png: png, recipe)
    assert 0 < len(alone) < 80
    shown = build_rows([episode(i, family="shown") for i in range(3, 9)], lambda png: png, 400)
    both = mixed(own, shown, lambda png: png, recipe)
    prompts = {row["prompt"] for row in alone}
    assert sum(row["prompt"] in prompts for row in both) == len(both) / 2
    assert len(mixed(own, shown, lambda png: png, Recipe(steps=2, batch=8))) <= 2 * 8 + 3  # of each role one


def test_a_round_that_lost_is_not_built_on() -> None:
    """Validation decides; a tie goes on, nothing learnt does not."""
    fought = Round(1, 4, 1, 1, 0.5, 8, {"a": True, "b": False}, {"a": False, "b": True})
    assert fought.kept == 2 and fought.built_on
    assert not replace(fought, after={"a": False, "b": False}).built_on
    assert not replace(fought, always=3).built_on


def scripted(server: ScriptedServer) -> rft.Serve:
    @asynccontextmanager
    async def serve(model: Path) -> AsyncIterator[Endpoint]:
        yield Endpoint(server.url, "scripted")

    return serve


def test_rounds_in_a_browser(tiny: Path, tmp_path: Path) -> None:
    """A model that solves a task every other time is trained on the success; killed before validation, the
    run goes on without a roll-out made twice; with all solved the next round ends it."""
    plan = Plan({"miniwob": ("click-test",)}, rounds=3, tasks=1, samples=2)
    recipe = Recipe(steps=2, batch=4)
    measured: list[Path] = []

    def killed(model: Path, folder: Path) -> dict[str, bool]:
        if model != tiny:
            raise KeyboardInterrupt
        return {"miniwob/click-test/1090000": False}

    def measure(model: Path, folder: Path) -> dict[str, bool]:
        measured.append(model)
        return {"miniwob/click-test/1090000": model != tiny}

    with ScriptedServer({"act:": [WRONG, RIGHT]}) as server, pytest.raises(KeyboardInterrupt):
        list(rounds(tiny, plan, recipe, tmp_path, serve=scripted(server), measure=killed))
    assert len(server.asked) == 2
    trained = tmp_path / "round-1" / "model"
    assert (trained.parent / "checkpoints" / "checkpoint-2").exists()

    with ScriptedServer({"act:": [RIGHT]}) as server:
        made = list(rounds(tiny, plan, recipe, tmp_path, serve=scripted(server), measure=measure))
    (first, after_first), (second, after_second) = made
    assert (first.kept, first.solved, first.built_on) == (1, 0.5, True)
    assert (second.kept, second.always, second.solved) == (0, 1, 1.0)
    assert after_first == after_second == trained and measured == [tiny, trained]
    assert len(server.asked) == 2  # both of the second round's
    assert not (trained.parent / "checkpoints").exists()  # a finished round needs none
    assert list(rounds(tiny, plan, recipe, tmp_path, serve=scripted(server), measure=measure)) == made


def test_a_model_that_is_down_is_no_verdict(tiny: Path, tmp_path: Path) -> None:
    """With an endpoint that refuses, the round fails and says why; started again it is all made anew."""
    plan = Plan({"miniwob": ("click-test",)}, rounds=1, tasks=1, samples=2)
    options: dict[str, Any] = {"measure": lambda model, folder: {}}
    with (
        ScriptedServer(status=401) as server,
        pytest.raises(RoundFailed, match="2 of 2 roll-outs broke off.*401"),
    ):
        list(rounds(tiny, plan, Recipe(), tmp_path, serve=scripted(server), **options))
    with ScriptedServer({"act:": [WRONG]}) as server:
        ((done, model),) = rounds(tiny, plan, Recipe(), tmp_path, serve=scripted(server), **options)
    assert (done.never, done.kept, model) == (1, 0, tiny)


def test_the_command(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`shopfloor train rft` samples, trains, validates before and after on held-out tasks, and makes the
    result the challenger; the same words again give the same result at once."""
    # Sampled: wrong, then right. Validated: wrong before, right after.
    server = ScriptedServer({"act:": [WRONG, RIGHT, WRONG, RIGHT]})

    def local(model: str | None = None) -> AbstractAsyncContextManager[Endpoint]:
        return scripted(server)(Path(model or ""))

    monkeypatch.setattr("apps.local_server.local_model", local)
    words = [
        "train",
        "rft",
        "--model",
        str(tiny),
        "--families",
        "click-test",
        "--rounds",
        "1",
        "--tasks",
        "1",
    ]
    words += ["--samples", "2", "--steps", "1", "--batch", "2", "--validate", "1", "--workers", "1", "--json"]
    with server:
        assert main([*words, "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    (done,) = result["rounds"]
    assert (done["kept"], done["before"], done["after"], done["gain"]) == (1, 0.0, 1.0, 1.0)
    assert "a gain of +100.0% ± 0.0% on 1 tasks" in err
    assert result["version"] == alias(CHALLENGER) and (Path(result["model"]) / "config.json").exists()
    seeds = {
        json.loads(f.read_text())["extra"]["task"] for f in tmp_path.glob("round-1/after/*/episode.json")
    }
    assert seeds == {"miniwob/click-test/1090000"}
    assert main([*words, "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == result and "finished" in err


def test_the_tiny_model_by_itself(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real model served, with random weights: it never solves the task, which is said and ends the run
    well, with nothing registered."""
    words = [
        "train",
        "rft",
        "--model",
        str(tiny),
        "--families",
        "enter-text",
        "--rounds",
        "2",
        "--tasks",
        "1",
    ]
    assert main([*words, "--samples", "2", "--workers", "2", "--out", str(tmp_path), "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert "version" not in result and result["model"] == str(tiny) and len(result["rounds"]) == 1
    assert "nothing left to learn from; of 1 tasks 0 were always solved, 1 never" in result["ended"]
    assert result["ended"] in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--families", "click-tset"], "no task click-tset in helpdesk,miniwob; there are"),
        (["--suites", "http://127.0.0.1:8000/"], "no suite http"),
        (["--samples", "1"], "--samples 2 or more"),
        (["--validate", "0"], "episodes must be 1"),
        (["--batch", "0"], "--batch must be at least 1"),
        (["--data", "nowhere"], "no folder nowhere"),
    ],
)
def test_wrong_use(
    words: list[str], said: str, tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Exit 2, and one line with the mend."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", "rft", "--model", str(tiny), *words]) == 2
    assert said in capsys.readouterr().err
