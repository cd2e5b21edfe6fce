"""Roll-outs in a real browser on a real small page: every way an episode can end, perturbing, resuming."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agents.policies import Decision
from tools.actions import Action
from tools.browser import Browser, BrowserEnvironment
from tools.environment import Environment, EnvironmentDown, Start
from tools.observation import Observation
from trajectories.rollout import Job, episode_id, oracle_policy, roll_out, roll_out_all
from trajectories.store import Store
from trajectories.suites import open_suite
from trajectories.tasks import Outcome

PAGE = b"""<!doctype html><title>Lamps</title><button onclick="fetch('/on', {method: 'POST'})">Light</button>
<button>Nothing</button>"""


class Lamp:
    """A suite of one page with one lamp; the checker asks the server whether it was lit."""

    name = "lamp"
    families = ("light", "ends", "broken", "down")
    scripted = ()
    looks_only: frozenset[str] = frozenset()

    async def __aenter__(self) -> Lamp:
        suite = self
        self.lit = 0

        class Pages(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(PAGE)))
                self.end_headers()
                self.wfile.write(PAGE)

            def do_POST(self) -> None:
                suite.lit += 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def task(self, family: str, seed: int) -> LampTask:
        return LampTask(self, family, seed)


class LampTask:
    suite = "lamp"
    max_steps = 4
    script = ""
    files = None

    def __init__(self, lamp: Lamp, family: str, seed: int) -> None:
        self.lamp, self.family, self.seed = lamp, family, seed

    @property
    def id(self) -> str:
        return f"lamp/{self.family}/{self.seed}"

    async def setup(self, env: Environment) -> tuple[str, Observation]:
        if self.family == "down":
            raise EnvironmentDown("the lamp shop is closed")
        self.lamp.lit = 0
        port = self.lamp.server.server_address[1]
        return 'Press "Light".', await env.reset(Start(f"http://127.0.0.1:{port}/", viewport=(200, 100)))

    async def check(self, env: Environment, message: str | None) -> Outcome:
        lit = self.lamp.lit > 0
        return Outcome(lit, float(lit), over=lit and self.family == "ends")

    def oracle(self, observation: Observation, history: Sequence[Action]) -> Action:
        if self.family == "broken":
            raise KeyError("no idea")
        if self.lamp.lit:
            return Action("send_msg_to_user", ("done",))
        return Action("click", (next(e.ref for e in observation.actionable() if e.name == "Light"),))


class Saying:
    """A policy that always decides the same."""

    name = "saying"

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.goals: list[str] = []

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
        self.goals.append(goal)
        return self.decision


@pytest.fixture
async def lamp() -> AsyncIterator[Lamp]:
    async with Lamp() as suite:
        yield suite


@pytest.fixture
async def env() -> AsyncIterator[BrowserEnvironment]:
    async with Browser() as browser:
        yield browser.environment()


async def test_every_end(lamp: Lamp, env: BrowserEnvironment) -> None:
    """done, infeasible, over, budget and error, each told apart, none lost."""
    light = lamp.task("light", 1)
    done = await roll_out(light, oracle_policy(light), env)
    assert (done.ended, done.outcome.success, done.message) == ("done", True, "done")
    assert [str(a) for a in done.actions] == ['"Light" click(1)', 'send_msg_to_user("done")']
    assert done.final.screenshot is not None and done.task == "lamp/light/1"

    given_up = await roll_out(light, Saying(Decision(Action("report_infeasible", ("no",)))), env)
    assert (given_up.ended, given_up.outcome.success) == ("infeasible", False)

    ends = lamp.task("ends", 1)
    over = await roll_out(ends, oracle_policy(ends), env)
    assert (over.ended, over.outcome.success, len(over.steps)) == ("over", True, 1)

    invalid = Saying(Decision(Action("noop"), "I like lamps", valid=False))
    budget = await roll_out(light, invalid, env)
    assert (budget.ended, len(budget.steps)) == ("budget", light.max_steps)
    assert all(not step.decision.valid for step in budget.steps)

    broken = lamp.task("broken", 1)
    error = await roll_out(broken, oracle_policy(broken), env)
    assert error.ended == "error" and "no idea" in error.extra["error"]
    down = lamp.task("down", 1)
    closed = await roll_out(down, oracle_policy(down), env)
    assert closed.ended == "error" and "closed" in closed.extra["error"] and not closed.steps


async def test_who_does_not_answer_is_not_waited_for(
    lamp: Lamp, env: BrowserEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The episode ends, and says that it was that."""

    class Silent(Saying):
        async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
            if history:
                await asyncio.sleep(60)
            monkeypatch.setattr("trajectories.rollout.PATIENCE", 0.1)
            return self.decision

    episode = await roll_out(lamp.task("light", 1), Silent(Decision(Action("noop"))), env)
    assert (episode.ended, episode.extra["error"]) == ("error", "TimeoutError: no answer in 0.1 s")


async def test_perturbed_and_reworded(lamp: Lamp, env: BrowserEnvironment) -> None:
    """Random actions come first, marked, with what the oracle would do; the policy sees the new goal."""
    task = lamp.task("light", 7)
    episode = await roll_out(task, oracle_policy(task), env, perturb=2, reword=str.upper)
    assert [s.by for s in episode.steps[:3]] == ["random", "random", "oracle"]
    assert set(episode.extra["better"]) == {"0", "1"} and episode.extra["goal"] == 'Press "Light".'
    assert episode.goal == 'PRESS "LIGHT".' and episode.outcome.success
    again = await roll_out(task, oracle_policy(task), env, perturb=2)
    assert again.actions[:2] == episode.actions[:2]  # chance is seeded


async def test_many_at_once_and_again(tmp_path: Path) -> None:
    """Workers share a browser; a second run does only what is missing; an error is tried twice and kept."""
    store = Store(tmp_path)
    jobs = [Job("light", seed) for seed in range(5)] + [Job("broken", 0)]
    told: list[tuple[bool, str]] = []

    async def run(jobs: list[Job], stop_after: int = 99) -> dict[Job, str]:
        told.clear()
        return await roll_out_all(
            jobs,
            "lamp",
            oracle_policy,
            2,
            store,
            lambda episode, job: told.append((episode is None, job.family)),
            stop=lambda: len(told) >= stop_after,
            open_=lambda name: Lamp(),
        )

    await run(jobs[:4], stop_after=1)  # asked to stop: what is begun is finished, nothing more
    assert 1 <= len(store) <= 3
    done = await run(jobs)
    assert set(done) == set(jobs) and sorted(done.values()) == store.ids()
    assert done[jobs[0]] == episode_id("lamp/light/0", "oracle")
    assert [e.ended for e in store if e.family == "broken"] == ["error"]
    assert all(e.outcome.success for e in store if e.family == "light")
    await run(jobs)
    assert [again for again, _ in told] == [True] * 6 and len(store) == 6


def test_unknown_suite_is_said() -> None:
    """The error names the suites there are."""
    with pytest.raises(ValueError, match="no suite 'chess'; there are crossing, desktop, helpdesk, miniwob"):
        open_suite("chess")
