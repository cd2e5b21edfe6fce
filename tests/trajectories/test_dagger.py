"""DAgger: the policy strays, the oracle's answers are what is learnt, and the oracle finds back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agents.policies import Decision, RandomPolicy
from tools.actions import Action, parse
from tools.browser import Browser
from tools.observation import Observation
from training.pages import pages
from trajectories.dagger import STRAYS, DaggerPolicy, answered
from trajectories.examples import examples
from trajectories.preferences import preferences
from trajectories.rollout import roll_out
from trajectories.suites import open_suite

DONE = Action("send_msg_to_user", ("done",))


async def test_what_strayed_is_never_taught() -> None:
    """Each strayed step keeps the oracle's answer, which is the example there, whatever came of the episode;
    a step that differs from it makes a preference pair. On the help desk, where anything can be put right
    again, most episodes end well."""
    ends = []
    async with Browser() as browser, open_suite("helpdesk") as suite:
        env = browser.environment()
        for seed in range(3):
            task = suite.task("set-priority", seed)
            episode = await roll_out(task, DaggerPolicy(task, RandomPolicy(seed)), env)
            ends.append(episode.outcome.success)
            better = episode.extra["better"]
            assert 1 <= len(better) <= STRAYS and list(better) == [str(i) for i in range(len(better))]
            answers = [e.answer for e in examples(episode) if e.role == "actor"]
            assert answers[: len(better)] == list(better.values())
            own = [str(s.decision.action) for s in episode.steps[len(better) :]]
            assert answers[len(better) :] == (own if episode.outcome.success else [])
            strayed = [i for i in better if parse(better[i]) != answered(episode.steps[int(i)].decision)]
            assert [str(pair["step"]) for pair in preferences(iter([episode]))][: len(strayed)] == strayed
    assert sum(ends) >= 2


class Hasty:
    """Says done at once, or what is no action."""

    name = "hasty"

    def __init__(self, said: str) -> None:
        self.said = said

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
        done = self.said == str(DONE)
        return Decision(DONE if done else Action("noop"), self.said, valid=done)


@pytest.mark.parametrize("said", [str(DONE), "I am done"])
async def test_a_word_that_is_not_taken_was_wrong(said: str) -> None:
    """Done said where it is not, or babble, is kept beside what was right: a page on which the model was
    wrong, and for done a pair."""
    async with Browser() as browser, open_suite("helpdesk") as suite:
        task = suite.task("set-priority", 1)
        episode = await roll_out(task, DaggerPolicy(task, Hasty(said)), browser.environment())
    assert episode.outcome.success and list(episode.extra["better"]) == ["0"]
    assert [page.missed for page in pages([episode], lambda png: png)].count(True) == 1
    found = [(pair["step"], pair["rejected"]) for pair in preferences([episode])]
    assert found == ([(0, said)] if said == str(DONE) else [])


async def test_a_page_that_ends_by_itself() -> None:
    """Where the wrong click ends the task there is still what should have been clicked, and no more."""
    failed = []
    async with Browser() as browser, open_suite("miniwob") as suite:
        env = browser.environment()
        for seed in range(6):
            task = suite.task("click-button", seed)
            episode = await roll_out(task, DaggerPolicy(task, RandomPolicy(seed)), env)
            failed += [] if episode.outcome.success else [episode]
    assert failed
    for episode in failed:
        actors = [e.answer for e in examples(episode) if e.role == "actor"]
        assert actors == list(episode.extra["better"].values())
