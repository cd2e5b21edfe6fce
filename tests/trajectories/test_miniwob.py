"""The MiniWoB++ suite on its real pages in a real browser."""

from __future__ import annotations

import hashlib
import io

import pytest
from PIL import Image

from tools.actions import Action
from tools.browser import Browser
from trajectories.miniwob import apps, choosing, dragging, drawing, mail, reading, shapes, writing
from trajectories.miniwob.protocol import families, page_seed, seeds
from trajectories.miniwob.suite import ORACLES, MiniWob
from trajectories.rollout import oracle_policy, roll_out
from trajectories.tasks import HELD_OUT_FROM, is_held_out

KINDS = {
    module.__name__.rsplit(".", 1)[1]: tuple(module.FAMILIES)
    for module in (apps, choosing, dragging, drawing, mail, reading, shapes, writing)
}


@pytest.mark.parametrize("kind", list(KINDS))
async def test_the_oracles_solve_their_families(kind: str) -> None:
    """Every family of a kind, a held-out seed: solved within its steps, and ended by the page itself.

    Tic-tac-toe can be lost to the page's own luck; it must be played to an end.
    """
    failed = []
    async with MiniWob() as suite, Browser() as browser:
        env = browser.environment()
        for family in KINDS[kind]:
            task = suite.task(family, HELD_OUT_FROM + 7)
            episode = await roll_out(task, oracle_policy(task), env)
            solved = episode.outcome.success or family == "tic-tac-toe"
            if not solved or episode.ended != "over":
                failed.append(f"{task.id}: {episode.goal} {episode.actions} {episode.ended} {episode.extra}")
    assert not failed, failed


def test_the_benchmark_is_browsergyms() -> None:
    """125 tasks; the five page seeds of each are those that BrowserGym 0.14.3's own code gave (a digest)."""
    assert len(families()) == 125 and len(families("train")) == 62 and len(families("test")) == 63
    assert len(families("webgum")) == 56 and len(set(families()) - set(ORACLES)) <= 5
    told = "\n".join(f"{family} {page_seed(s)}" for family, own in seeds().items() for s in own)
    digest = hashlib.sha256(told.encode()).hexdigest()
    assert digest == "88d4c5617b8d8fa618f57ba005f1cf146a31006bfb2609d952b57a79a7a9c2b7"


def test_training_never_sees_a_page_of_an_evaluation() -> None:
    """Training, held-out and protocol seeds give pages different numbers, whatever the seed."""
    training = {page_seed(seed) for seed in (0, 1, 985_772, HELD_OUT_FROM - 1)}
    assert max(training) < 0
    assert page_seed(HELD_OUT_FROM) == HELD_OUT_FROM
    protocol = {page_seed(seed) for own in seeds().values() for seed in own}
    assert min(protocol) >= 0 and max(protocol) < HELD_OUT_FROM
    assert all(is_held_out(seed) for own in seeds().values() for seed in own)


async def test_a_page_that_begins_anew_is_like_one_loaded_anew() -> None:
    """After an episode on it, a page with the same seed reads as freshly loaded, and has no history."""
    async with MiniWob() as suite, Browser() as browser:
        for family in ("click-dialog", "choose-list", "email-inbox", "focus-text-2", "use-slider"):
            fresh = await suite.task(family, 5).setup(browser.environment())
            env = browser.environment()
            other = suite.task(family, 6)
            await roll_out(other, oracle_policy(other), env)
            goal, look = await suite.task(family, 5).setup(env)
            assert (goal, look.text(), look.focused) == (fresh[0], fresh[1].text(), fresh[1].focused), family
            back = await env.step(Action("go_back"))
            assert back.error and "no page to go back to" in back.error


async def test_goal_and_score_are_not_on_the_page() -> None:
    """Neither words nor pixels of goal and score panel are seen; the page says nothing of this machine."""
    async with MiniWob() as suite, Browser() as browser:
        env = browser.environment()
        for family in ("click-test", "click-tab", "enter-text", "choose-list", "click-dialog", "login-user"):
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
        MiniWob().task("click-tset", 0)
    with pytest.raises(RuntimeError, match="context manager"):
        MiniWob().task("click-test", 0)
