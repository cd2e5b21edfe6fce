"""Other goals for recorded pages: what they say can be done there, by a real browser."""

from __future__ import annotations

import random

import pytest

from tools.browser import Browser
from tools.observation import Observation
from trajectories.helpdesk.asides import _clear
from trajectories.helpdesk.look import SECTIONS
from trajectories.helpdesk.suite import HelpDesk
from trajectories.helpdesk.tasks import FAMILIES, Maker
from trajectories.rollout import oracle_policy, roll_out


@pytest.mark.parametrize("family", ["comment-from-home", "edit-email", "change-language"])
async def test_each_goal_can_be_begun_on_its_page(chromium_path: str, family: str) -> None:
    """Before anything was changed: the expert's next action for many goals works on the page itself."""
    async with Browser() as browser, HelpDesk() as suite:
        env = browser.environment()
        task = suite.task(family, 5)
        episode = await roll_out(task, oracle_policy(task), env)
        found = list(suite.asides(episode, 0, 12, random.Random(0)))
        assert len({goal for goal, _ in found}) == len(found) >= 10
        for goal, action in found:
            if not action.final:
                _, seen = await task.setup(env)
                assert seen.text() == episode.steps[0].observation.text()
                seen = await env.step(action)
                assert seen.error is None, (goal, action, seen.error)


@pytest.mark.parametrize("family", ["set-priority", "create-ticket", "change-language", "sign-in"])
async def test_a_form_half_filled_in_looks_as_imagined(chromium_path: str, family: str) -> None:
    """What `midway` writes into a page is what the browser shows once those fields are filled in."""
    async with Browser() as browser, HelpDesk() as suite:
        env = browser.environment()
        task = suite.task(family, 5)
        episode = await roll_out(task, oracle_policy(task), env)
        form = next(
            at
            for at, step in enumerate(episode.steps)
            if step.decision.action.name in ("fill", "select_option")
        )
        found = list(suite.midway(episode, form, 6, random.Random(1)))
        assert len(found) > 3
        for imagined, done, goal, action in found:
            _, seen = await task.setup(env)
            for step in episode.steps[:form]:
                seen = await env.step(step.decision.action)
            for filled in done:
                seen = await env.step(filled)
                assert seen.error is None
            assert seen.text() == imagined.text(), goal
            assert (await env.step(action)).error is None


@pytest.mark.parametrize("family", ["create-ticket", "edit-email"])
async def test_a_form_begun_is_left_by_no_other_goal(chromium_path: str, family: str) -> None:
    """Of many goals asked where something is typed none goes to another section; before that, some do."""
    async with Browser() as browser, HelpDesk() as suite:
        task = suite.task(family, 5)
        episode = await roll_out(task, oracle_policy(task), browser.environment())
        typed = 1 + next(at for at, step in enumerate(episode.steps) if step.decision.action.name == "fill")
        sections = {Maker(family, 5).look.word(section) for section in SECTIONS}

        def leaving(at: int, look: Observation | None = None) -> int:
            found = suite.asides(episode, at, 12, random.Random(0), look)
            return sum(action.name == "click" and action.label in sections for _, action in found)

        assert leaving(typed - 1)
        assert not leaving(typed) and not leaving(typed - 1, episode.steps[typed].observation)


async def test_after_a_change_only_near_misses_are_asked(chromium_path: str) -> None:
    """Where something was saved, the same kind of goal with another value is asked, and is not met."""
    async with Browser() as browser, HelpDesk() as suite:
        task = suite.task("set-priority", 5)
        episode = await roll_out(task, oracle_policy(task), browser.environment())
        assert episode.outcome.success
        found = list(suite.asides(episode, len(episode.steps), 5, random.Random(0)))
        assert found and all(action.name == "select_option" for _, action in found)
        assert all(action.args[1] not in episode.goal for _, action in found)


def test_this_ticket_is_the_one_in_sight() -> None:
    """A goal made for a page is about what that page shows."""
    for number in range(20):
        maker = Maker("set-priority", number, world_seed=7, here="/tickets/3")
        plan = FAMILIES["set-priority"].make(maker)
        assert plan.start == "/tickets/3"
        for path, clear in (("/tickets/3", True), ("/tickets/13", False), ("/tickets/31", False)):
            look = Observation(f"http://h{path}", "Tickets", (64, 64))
            named = maker.world.tickets[2]["title"] in plan.goal  # such a goal is clear anywhere
            assert _clear(plan, maker, look) == (clear or named)


async def test_over_a_dialog_no_other_goal_is_asked(chromium_path: str) -> None:
    """What was asked for is confirmed there, and any other goal would say to cancel it."""
    async with Browser() as browser, HelpDesk() as suite:
        task = suite.task("close-ticket-from-home", 3)
        episode = await roll_out(task, oracle_policy(task), browser.environment())
        roles = [{element.role for element in step.observation.elements} for step in episode.steps]
        (over,) = (at for at, there in enumerate(roles) if "dialog" in there)
        assert list(suite.asides(episode, 0, 12, random.Random(0)))
        assert not list(suite.asides(episode, over, 12, random.Random(0)))
