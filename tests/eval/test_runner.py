"""The runner: real pages, real browser, policies of a few lines."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from agents.policies import Decision, RandomPolicy
from eval import runner
from eval.runner import evaluate, grey_like, seeds
from tools.actions import Action
from tools.environment import Environment
from tools.observation import Observation
from trajectories.episode import Episode
from trajectories.miniwob import protocol
from trajectories.rollout import oracle_policy, roll_out
from trajectories.store import Store
from trajectories.tasks import Outcome, Task, is_held_out


class Boaster:
    """Says it is done at once, after an answer that is no action; keeps what it was shown."""

    name = "boaster"

    def __init__(self) -> None:
        self.shown: list[bytes] = []

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
        assert observation.screenshot is not None
        self.shown.append(observation.screenshot)
        if history:
            return Decision(Action("send_msg_to_user", ("done",)))
        return Decision(Action("noop"), "well, ...", valid=False)


class Remembers:
    """Scrolls twice, then says it is done; keeps how much it was told of what it had done."""

    name = "remembers"

    def __init__(self) -> None:
        self.told: list[int] = []

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
        self.told.append(len(history))
        done = Action("send_msg_to_user", ("done",))
        return Decision(done if len(self.told) == 3 else Action("scroll", (0, 10)))


class Broken:
    name = "broken"

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
        raise ConnectionError("the model has gone")


def test_seeds_are_held_out_and_apart() -> None:
    """Evaluations of different seeds share no task, and neither training nor benchmark seeds are theirs."""
    first, second = seeds(0, 10_000), seeds(1, 20)
    assert all(map(is_held_out, (first[0], second[0])))
    assert not set(first) & set(second)
    assert not set(seeds(899, 10_000)) & {seed for own in protocol.seeds().values() for seed in own}
    for wrong in ((0, 0), (0, 10_001), (-1, 5), (99_900, 1)):
        with pytest.raises(ValueError, match="episodes must be"):
            seeds(*wrong)


async def test_report_of_the_oracle_and_of_chance() -> None:
    """The oracle solves all, chance does not; each figure is what the episodes say."""
    families = ("click-option", "enter-password")
    oracle = await evaluate("miniwob", families, 2, 0, oracle_policy, 2, policy="oracle")
    assert (oracle.success, oracle.stderr, oracle.false_done, oracle.errors) == (1.0, 0.0, 0.0, 0)
    assert oracle.by_task["enter-password"] == {"success": 1.0, "stderr": 0.0, "whole": 1.0, "n": 2}
    assert oracle.steps == 2.5  # option and Submit; two fields and Submit
    assert list(oracle.results) == [f"miniwob/{f}/{s}" for f in families for s in seeds(0, 2)]
    assert oracle.whole == 1 and oracle.interval[1] == 1 and 0.4 < oracle.interval[0] < 1
    chance = await evaluate(
        "miniwob", ("enter-password",), 3, 0, lambda task: RandomPolicy(task.seed), 2, policy="random"
    )
    assert chance.success < 1
    assert oracle.json()["commit"] == chance.commit != ""


async def test_boasting_babbling_and_breaking_are_counted() -> None:
    """False done, no action and broken episodes are reported; a decision without the image sees grey."""
    boaster = Boaster()
    report = await evaluate(
        "miniwob", ("click-test",), 2, 0, lambda task: boaster, 1, policy="boaster", without="image"
    )
    assert (report.success, report.false_done, report.invalid_actions, report.steps) == (0, 1.0, 2, 2)
    assert report.without == "image" and len(boaster.shown) == 4
    for png in boaster.shown:
        with Image.open(io.BytesIO(png)) as image:
            assert image.size == (332, 214)
            assert image.getcolors() == [(332 * 214, (128, 128, 128))]
    broken = await evaluate("miniwob", ("click-test",), 1, 0, lambda task: Broken(), 1, policy="broken")
    assert (broken.success, broken.errors, broken.steps) == (0, 1, 0)
    assert broken.error == "ConnectionError: the model has gone"


async def test_without_history_nothing_that_was_done_is_told() -> None:
    told = {}
    for without in ("", "history"):
        policy = Remembers()
        await evaluate(
            "miniwob",
            ("click-test",),
            1,
            0,
            lambda task, it=policy: it,
            1,
            policy="remembers",
            without=without,
        )
        told[without] = policy.told
    assert told == {"": [0, 1, 2], "history": [0, 0, 0]}


async def test_kept_episodes_are_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a store, the same evaluation takes up what it has; other weights or changed code start afresh."""
    monkeypatch.setattr(runner, "commit", lambda: "c0ffee")

    async def run(policy: object, model: str) -> runner.Report:
        return await evaluate(
            "miniwob", ("click-test",), 2, 0, policy, 1, policy="p", model=model, store=Store(tmp_path)
        )

    first = await run(oracle_policy, "m1")
    assert first.success == 1 and len(Store(tmp_path)) == 2
    assert (await run(lambda task: Broken(), "m1")) == first
    assert (await run(lambda task: Broken(), "m2")).errors == 2
    monkeypatch.setattr(runner, "commit", lambda: "c0ffee+changes")
    assert (await run(lambda task: Broken(), "m1")).errors == 2


async def test_what_never_began_is_tried_again() -> None:
    """An episode whose task could not be set up runs once more in a fresh environment."""
    begun = 0

    async def attempt(task: Task, env: Environment) -> Episode:
        nonlocal begun
        begun += 1
        episode = await roll_out(task, oracle_policy(task), env)
        return replace(episode, ended="error", goal="", outcome=Outcome(False)) if begun == 1 else episode

    report = await evaluate("miniwob", ("click-test",), 1, 0, None, 1, policy="p", attempt=attempt)
    assert (report.success, report.errors, begun) == (1.0, 0, 2)


async def test_unknown_family_is_refused() -> None:
    """Before any browser starts."""
    with pytest.raises(ValueError, match="miniwob has no click-tset; it has ascending-numbers"):
        await evaluate("miniwob", ("click-tset",), 1, 0, oracle_policy, 1, policy="oracle")


def test_grey_has_the_size_of_what_it_replaces() -> None:
    """Any size of picture."""
    made = io.BytesIO()
    Image.new("RGB", (7, 5), "red").save(made, "PNG")
    with Image.open(io.BytesIO(grey_like(made.getvalue()))) as image:
        assert image.size == (7, 5)
