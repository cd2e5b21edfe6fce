"""The desktop's tasks: plans from seeds, and every family's oracle over the real application."""

from __future__ import annotations

import re
import sys

import pytest

from agents.policies import RandomPolicy
from tools.desktop import DesktopEnvironment
from tools.environment import EnvironmentDown, Workplace
from tools.x11.applications import DESKTOP
from trajectories.desktop import suite
from trajectories.desktop.suite import DesktopSuite, lacking
from trajectories.desktop.tasks import FAMILIES, Maker
from trajectories.episode import Episode
from trajectories.rollout import oracle_policy, roll_out
from trajectories.suites import open_suite, open_workplace

NEEDED = lacking()
real = pytest.mark.skipif(bool(NEEDED), reason=f"as root: apt-get install {' '.join(NEEDED)}")


@pytest.mark.parametrize("family", DesktopSuite.families)
def test_plans_come_from_the_seed(family: str) -> None:
    """A seed always gives the same goal, other seeds others; what must be copied stands in quotes, or is a
    sum."""
    goals = [FAMILIES[family].make(Maker(family, seed)).goal for seed in range(40)]
    assert goals == [FAMILIES[family].make(Maker(family, seed)).goal for seed in range(40)]
    assert len(set(goals)) > 5
    assert all(
        "  " not in goal and re.search(r'"[^"]+"|\d[-+*]\d', goal) and goal[-1] == "." for goal in goals
    )


def test_there_is_enough_of_it() -> None:
    """At least twelve families over at least five applications, one of which can only be looked at."""
    plans = [FAMILIES[name].make(Maker(name, 0)) for name in DesktopSuite.families]
    used = {url.split("?")[0] for plan in plans for url in plan.open} | {
        plan.run[0] for plan in plans if plan.run
    }
    assert len(plans) >= 12 and len(used) >= 5, used
    assert DesktopSuite.looks_only == {"press-lamp"}


async def attempt(workplace: Workplace, family: str, seed: int) -> Episode:
    env = workplace.environment()
    async with open_suite("desktop") as opened:
        task = opened.task(family, seed)
        try:
            return await roll_out(task, oracle_policy(task), env)
        finally:
            await env.close()


@real
@pytest.mark.timeout(300)
@pytest.mark.parametrize("family", DesktopSuite.families)
async def test_the_oracle_does_it(family: str) -> None:
    """On a seed of evaluation's, in the real application, as the checker says."""
    async with open_workplace("desktop") as workplace:
        episode = await attempt(workplace, family, 1_000_000)
    told = [(str(step.decision.action), step.observation.error) for step in episode.steps]
    assert episode.outcome.success, (episode.goal, told, episode.final.text(), episode.extra)
    assert episode.ended == "done" and episode.final.screenshot is not None
    assert (episode.looks[0].url == DESKTOP) == family.endswith("-from-desktop")


@real
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("family", "app"), [("page-to-cell", "app:gnumeric"), ("page-to-note", "app:mousepad")]
)
async def test_from_a_page_into_an_application(family: str, app: str) -> None:
    """Page and application in one episode, as tabs, by typing and by the clipboard; the file says that it
    went right, and only after."""
    async with open_workplace("crossing") as workplace, open_suite("crossing") as opened:
        env = workplace.environment()
        task = opened.task(family, 1_000_000)
        try:
            episode = await roll_out(task, oracle_policy(task), env)
        finally:
            await env.close()
    told = [(str(step.decision.action), step.observation.error) for step in episode.steps]
    assert episode.outcome.success, (episode.goal, told, episode.final.text(), episode.extra)
    first = episode.looks[0]
    assert first.url.startswith("file:") and first.tab == 0 and len(first.tabs) == 2
    assert "tab_focus" in [step.decision.action.name for step in episode.steps]
    assert episode.final.url == app and episode.final.tab == 1


@real
async def test_random_clicks_do_not_pass() -> None:
    """A task is not solved by its set-up, nor by a policy that does anything."""
    async with open_workplace("desktop") as workplace, open_suite("desktop") as opened:
        env = workplace.environment()
        task = opened.task("fill-form", 3)
        await task.setup(env)
        assert not (await task.check(env, "done")).success
        episode = await roll_out(task, RandomPolicy(1), env)
        assert not episode.outcome.success and episode.ended != "error", episode.extra


@real
@pytest.mark.timeout(300)
async def test_only_the_viewer_shows_a_picture() -> None:
    """A window that calls itself like the picture is none; the viewer's own is, while no file was changed."""
    async with open_workplace("desktop") as workplace, open_suite("desktop") as opened:
        env = workplace.environment()
        assert isinstance(env, DesktopEnvironment)
        task = opened.task("show-picture", 1_000_000)
        goal, _ = await task.setup(env)
        wanted = goal.split('"')[1]
        await env.run("zenity", ["zenity", "--info", f"--title={wanted}", "--text=shown"])
        assert wanted in env.titles() and not (await task.check(env, "done")).success
        await env.launch(f"app:gpicview?{wanted}")
        assert (await task.check(env, "done")).success
        (env.home / wanted).write_bytes((env.home / wanted).read_bytes() + b" ")
        assert not (await task.check(env, "done")).success


async def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opened where an application is missing, the suite says what to install."""
    monkeypatch.setattr(suite, "PROGRAMS", {"no-such-program": "some-package"})
    with pytest.raises(Exception, match=r"apt-get install .*some-package"):
        async with open_suite("desktop"):
            pass


async def test_on_another_system_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """No package would help there, so none is named."""
    monkeypatch.setattr(suite, "PROGRAMS", {"no-such-program": "some-package"})
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(EnvironmentDown, match="^on Windows .* are missing"):
        async with open_suite("desktop"):
            pass
