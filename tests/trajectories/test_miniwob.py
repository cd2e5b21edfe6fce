"""The MiniWoB++ suite on its real pages in a real browser."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from tools.actions import Action
from tools.browser import Browser
from trajectories.miniwob.suite import ORACLES, MiniWob
from trajectories.rollout import oracle_policy, roll_out
from trajectories.tasks import HELD_OUT_FROM


async def test_the_oracle_solves_every_family() -> None:
    """Every family, two held-out seeds: solved, ended by the page, every action says its element first."""
    async with MiniWob() as suite, Browser() as browser:
        env = browser.environment()
        for family in suite.families:
            for seed in (HELD_OUT_FROM, HELD_OUT_FROM + 1):
                task = suite.task(family, seed)
                episode = await roll_out(task, oracle_policy(task), env)
                told = f"{task.id}: {episode.goal} {episode.actions} {episode.extra}"
                assert episode.outcome.success and episode.outcome.reward > 0.5, told
                assert episode.ended == "over", told
                assert all(isinstance(a.args[0], int) and a.label is not None for a in episode.actions), told
        await env.close()


async def test_goal_and_score_are_not_on_the_page() -> None:
    """Neither words nor pixels of goal and score panel are seen; the page says nothing of this machine."""
    async with MiniWob() as suite, Browser() as browser:
        env = browser.environment()
        for family in ORACLES:
            goal, look = await suite.task(family, 7).setup(env)
            text = look.text()
            assert goal and goal not in text
            for word in ("reward", "Time left", "Episodes", "START"):
                assert word not in text, text
            assert f"(/miniwob/{family}.html)" in text
            assert look.screenshot is not None
            with Image.open(io.BytesIO(look.screenshot)) as image:
                assert image.size == (332, 214)
                for box in ((0, 0, 160, 50), (165, 0, 332, 210)):  # where goal and score would stand
                    assert len(image.convert("RGB").crop(box).getcolors() or []) == 1, (family, box)
        await env.close()


async def test_seeds_decide_the_task() -> None:
    """A seed gives the same goal and elements each time, in another browser too; seeds differ."""

    async def tasks() -> list[tuple[str, str]]:
        async with MiniWob() as suite, Browser() as browser:
            env = browser.environment()
            seen = [await suite.task("click-checkboxes", seed).setup(env) for seed in (1, 2, 3, 1)]
            await env.close()
            return [(goal, look.text()) for goal, look in seen]

    first, second = await tasks(), await tasks()
    assert first == second
    assert first[0] == first[3]
    assert len(set(first)) == 3


async def test_what_is_wrong_fails() -> None:
    """The wrong choice ends the episode as failed; so does loading the page again, which would restart it."""
    async with MiniWob() as suite, Browser() as browser:
        env = browser.environment()
        task = suite.task("enter-text", 1)
        _, look = await task.setup(env)
        start = await task.check(env, "done")
        assert (start.success, start.over) == (False, False)
        submit = next(e for e in look.actionable() if e.name == "Submit")
        await env.step(Action("click", (submit.ref or 0,)))
        wrong = await task.check(env, None)
        assert (wrong.success, wrong.reward, wrong.over) == (False, -1.0, True)

        await task.setup(env)
        await env.page.reload()
        again = await task.check(env, None)
        assert (again.success, again.over) == (False, True)
        await env.close()


def test_wrong_use_says_what_to_do() -> None:
    """An unknown family and a suite that was not opened are refused with the mend."""
    with pytest.raises(KeyError, match="click-test"):
        MiniWob().task("book-flight", 0)
    with pytest.raises(RuntimeError, match="context manager"):
        MiniWob().task("click-test", 0)
