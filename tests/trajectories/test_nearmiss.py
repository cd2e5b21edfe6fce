"""Near misses: the checker says no, the word is done, and only the reviewer learns from them."""

from __future__ import annotations

import pytest

from tools.browser import Browser
from trajectories.examples import NOT_YET, examples
from trajectories.nearmiss import NearMissPolicy
from trajectories.rollout import roll_out
from trajectories.suites import open_suite

CASES = {
    "miniwob": ("enter-text", "choose-list", "login-user", "click-button"),
    "helpdesk": ("edit-email", "set-priority"),
}


@pytest.mark.parametrize("name", list(CASES))
async def test_a_near_miss_fails_and_teaches_a_verdict_only(name: str) -> None:
    """Most fail, by the page's own state; such an episode teaches a "not yet" and is no demonstration."""
    failed = []
    async with Browser() as browser, open_suite(name) as suite:
        env = browser.environment()
        for family in CASES[name]:
            for seed in (0, 1):
                task = suite.task(family, seed)
                episode = await roll_out(task, NearMissPolicy(task), env)
                assert episode.ended in ("done", "over"), episode.extra
                if not episode.outcome.success:
                    failed.append(episode)
    assert len(failed) >= len(CASES[name])
    for episode in failed:
        made = list(examples(episode))
        assert [(e.role, e.answer) for e in made] == [("reviewer", NOT_YET)]


async def test_the_slip_is_in_what_is_sent_off() -> None:
    """A wrong value is put where the right one was, and then saved: nothing but the value is wrong."""
    async with Browser() as browser, open_suite("helpdesk") as suite:
        task = suite.task("edit-email", 0)
        episode = await roll_out(task, NearMissPolicy(task), browser.environment())
    right, wrong, send, word = episode.actions
    assert (right.name, wrong.name, send.name, word.name) == ("fill", "fill", "click", "send_msg_to_user")
    assert right.args[0] == wrong.args[0] and right.args[1] != wrong.args[1]
    assert str(wrong.args[1]) in episode.final.text() and not episode.outcome.success
