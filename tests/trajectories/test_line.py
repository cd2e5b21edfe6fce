"""The line's parts that need no browser: goals said otherwise, the plan, preference pairs."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from agents.policies import Decision
from tools.actions import Action
from tools.observation import Box, Element, Observation
from trajectories.episode import Episode, Step
from trajectories.goals import QUOTED, faithful, reword
from trajectories.preferences import preferences
from trajectories.shards import Folder, Plan, PlanError
from trajectories.tasks import HELD_OUT_FROM, Outcome

GOALS = [
    'Click on the "ok" button.',
    'Set the priority of ticket "Press Enter and select it, then cry" to "high".',
    'Create a customer named "Ada" with email "a@b.c" in "Berlin", and then open "Tickets".',
    "Select oBx7 and click Submit.",
    'Enter the username "click" and the password "the. and" into the text fields and press login.',
    'In the settings, change the "Theme" to "dark".',
    'How many tickets has "Ada"? Answer with the number.',
]


@pytest.mark.parametrize("goal", GOALS)
def test_reworded_goals_are_faithful_and_various(goal: str) -> None:
    """Two hundred ways: every quoted value stays as it is, each way is the same every time, many differ."""
    said = [reword(goal, number) for number in range(200)]
    assert said[0] == goal and said == [reword(goal, number) for number in range(200)]
    for text in said:
        assert Counter(QUOTED.findall(text)) == Counter(QUOTED.findall(goal)) and faithful(goal, text)
    assert len(set(said)) >= (10 if "?" in goal else 40)


def test_unfaithful_paraphrases_are_told() -> None:
    """A lost or changed value, an essay, several lines, nothing at all, other words for unquoted values."""
    goal = 'Set the priority of ticket "Printer" to "high".'
    assert faithful(goal, 'Ticket "Printer" needs priority "high", please see to it')
    for babble in (
        "",
        'Set ticket "Printer" to "low".',
        'Make "Printer" high.',
        'I cannot do that. "Printer" "high"\nAs a language model',
        goal + " blah" * 100,
        'Change "printer" to "high"',
        'Set "Printer" to "high" and "low"',
    ):
        assert not faithful(goal, babble)
    assert not faithful("Select oBx7 and click Submit.", "Choose the box and submit.")
    assert not faithful("Click the button.", "bananas") and faithful("Click the button.", "Push that button")
    assert not faithful("Call 555-1234 for me.", "Call 555-1235 for me.")


def test_plan_is_balanced_and_repeatable() -> None:
    """Every family in turn, each (family, seed) once, the same on every run, a share of it perturbed."""
    plan = Plan("miniwob", ("a", "b", "c"), 300, seed=10, perturb=0.5, shard=70)
    jobs = [job for start, count in plan.shards() for job in plan.jobs(start, count)]
    assert len(jobs) == 300 == len({(j.family, j.seed) for j in jobs})
    assert set(Counter(j.family for j in jobs).values()) == {100}
    assert jobs == plan.jobs(0, 300) and jobs[:3] == Plan(
        "miniwob", ("a", "b", "c"), 3, 10, perturb=0.5
    ).jobs(0, 3)
    assert 100 < sum(j.perturb > 0 for j in jobs) < 200 and 0 < sum(j.reword == 0 for j in jobs) < 150


@pytest.mark.parametrize("seed", [-1, HELD_OUT_FROM, HELD_OUT_FROM - 5])
def test_held_out_seeds_are_refused(seed: int) -> None:
    """No plan may touch an evaluation seed, not even with its last episode."""
    with pytest.raises(PlanError, match="held out"):
        Plan("miniwob", ("a",), 10, seed=seed)


def test_a_folder_keeps_its_plan(tmp_path: Path) -> None:
    """More episodes may be asked for; anything else is another folder."""
    folder = Folder(tmp_path / "out")
    folder.claim(Plan("miniwob", ("a",), 10))
    folder.claim(Plan("miniwob", ("a",), 20, workers=4))
    with pytest.raises(PlanError, match="perturb 0.0"):
        folder.claim(Plan("miniwob", ("a",), 20, perturb=0.5))


def an_episode(actions: list[tuple[str, str]], success: bool, **extra: object) -> Episode:
    """An episode on one page of two buttons; actions are (button, by)."""
    box = Box(0, 0, 1, 1)
    look = Observation(
        "http://x/", "x", (9, 9), (Element(1, "button", "A", box), Element(2, "button", "B", box))
    )
    refs = {"A": 1, "B": 2}
    steps = tuple(Step(look, Decision(Action("click", (refs[a],), a)), by, 0.0) for a, by in actions)
    id = f"e{random.getrandbits(32)}"
    policy = "oracle" if "better" in extra else "m"
    goal = 'Click "A".'
    return Episode(
        id,
        "s/f/1",
        goal,
        steps,
        look,
        Outcome(success),
        "done",
        policy,
        "",
        "2026-01-01T00:00:00",
        dict(extra),
    )


def test_preferences_come_from_what_went_wrong() -> None:
    """Chance's action against the oracle's on the same page, and a failed action against a successful one's;
    never a pair of equals."""
    strayed = an_episode(
        [("B", "random"), ("A", "random"), ("A", "oracle")],
        True,
        better={"0": '"A" click(1)', "1": '"A" click(1)'},
    )
    pairs = list(preferences(iter([strayed])))
    assert [(p["chosen"], p["rejected"], p["step"]) for p in pairs] == [('"A" click(1)', '"B" click(2)', 0)]
    good, bad = an_episode([("A", "m")], True), an_episode([("B", "m"), ("B", "m")], False)
    pairs = list(preferences(iter([bad, good])))
    assert [(p["chosen"], p["rejected"], p["source"]) for p in pairs] == [
        ('"A" click(1)', '"B" click(2)', "success")
    ]
    assert pairs[0]["text"].endswith("act:") and list(preferences(iter([good, good]))) == []
    corrected = an_episode(
        [("B", "m"), ("A", "person")], True
    )  # what the person came to correct is not right
    assert list(preferences(iter([corrected, an_episode([("A", "m")], False)]))) == []
