"""The help desk's families that want a script: plans without a browser, then scripts and checkers in one."""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path

import pytest

from agents.program import Script, parse_program, script_regex
from tools.actions import Action
from tools.browser import BrowserEnvironment
from trajectories.examples import _mistaken, examples
from trajectories.helpdesk.suite import HelpDesk
from trajectories.helpdesk.tasks import FAMILIES, Maker
from trajectories.rollout import oracle_policy, roll_out
from trajectories.store import Store

SEED = 11
FROM_FILE = ("enter-customers", "enter-tickets")


def test_the_actors_families_are_what_they_were() -> None:
    """Goals, worlds and looks of the 23 families, as they were before any family with a script was there:
    what is drawn for those is drawn apart."""
    seen = hashlib.sha256()
    for family in HelpDesk.families:
        for seed in (0, 7, 1_000_003):
            maker = Maker(family, seed)
            plan = FAMILIES[family].make(maker)
            world, look = vars(maker.world), maker.look
            told = [plan.goal, plan.start, repr(plan.expect), look.nav, look.hue, look.rows, look.quick]
            told += [
                (table, world[table]) for table in ("customers", "tickets", "orders", "settings", "lamp")
            ]
            seen.update(repr(told).encode())
    assert seen.hexdigest()[:16] == "5e416250e7042fe6"


@pytest.mark.parametrize("family", HelpDesk.scripted)
def test_scripts_are_copied_from_what_is_shown(family: str) -> None:
    """A seed always gives the same goal and script. What a script names stands in its goal, but for the link
    to the next page; it is short, reads as a script, and the decoder's grammar lets it be written."""
    plans = [FAMILIES[family].make(Maker(family, seed)) for seed in range(40)]
    goals = [plan.goal for plan in plans]
    assert goals == [FAMILIES[family].make(Maker(family, seed)).goal for seed in range(40)]
    assert len(set(goals)) >= 20
    assert all("  " not in goal and goal.count('"') % 2 == 0 and goal[-1] in ".?" for goal in goals)
    shapes = set()
    for seed, plan in enumerate(plans):
        after = Maker(family, seed).look.word("next")
        named = [t for t in re.findall(r'"([^"]*)"', plan.script) if t != "Enter" and t[0] != "/"]
        assert all(f'"{text}"' in plan.goal or text == after for text in named), (plan.goal, plan.script)
        assert parse_program(plan.script) == Script(plan.script) and len(plan.script) < 330
        assert re.fullmatch(script_regex([plan.goal, after]), plan.script)
        shapes.add(re.sub(r'"[^"]*"', '""', plan.script))
    assert len(shapes) <= 2  # the largest, or the smallest


@pytest.mark.parametrize("family", HelpDesk.scripted)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_script_solves_its_task(
    suite: HelpDesk, env: BrowserEnvironment, family: str, tmp_path: Path
) -> None:
    """The oracle is the script, run in the sandbox: the checker says no before and yes after. Kept and read
    again, the episode teaches the coder the script, and the actor nothing."""
    task = suite.task(family, SEED)
    _, look = await task.setup(env)
    assert not (await task.check(env, "done")).success and look.hidden == 0
    assert len(list(look.actionable())) <= 26
    episode = await roll_out(task, oracle_policy(task), env)
    assert episode.outcome.success and episode.ended == "done", episode.extra
    assert {step.by for step in episode.steps} == {"script"} and len(episode.steps) < task.max_steps
    store = Store(tmp_path)
    store.add(episode)
    taught = list(examples(store.load(episode.id)))
    assert [e.answer for e in taught if e.role == "coder"] == [task.script]
    verdicts = [e.answer.split(":")[0] for e in taught if e.role == "reviewer"]
    assert {"approve", "revise", "done", "not yet"} == set(verdicts)
    assert not [e for e in taught if e.role == "actor"]


def test_mistakes_in_scripts_are_mistakes() -> None:
    """What the reviewer learns to refuse is another script than the right one, and still reads as one: the
    least for the most, texts in each other's place, a text cut short."""
    script = 'row = max(read_table("Net"), key=lambda r: r["Net"])\nfill(textbox("Result"), row["Bill"])'
    found = {_mistaken(script, random.Random(seed)) for seed in range(60)}
    assert script not in found and None not in found
    assert all(isinstance(parse_program(str(wrong)), Script) for wrong in found)
    assert script.replace("max(", "min(") in found
    assert script.replace("Result", "-").replace("Bill", "Result").replace("-", "Bill") in found
    assert script.replace('"Result"', '"Res"') in found
    assert _mistaken("rows = read_table()", random.Random(0)) is None


@pytest.mark.parametrize("family", [f for f in HelpDesk.scripted if f not in FROM_FILE])
@pytest.mark.asyncio(loop_scope="module")
async def test_by_hand_too(suite: HelpDesk, env: BrowserEnvironment, family: str) -> None:
    """What needs no file can be done step by step; a wrong value entered first is no success."""
    task = suite.task(family, SEED + 1)
    _, look = await task.setup(env)
    history: list[Action] = []
    while not (history and history[-1].final):
        history.append(task.oracle(look, history))
        look = await env.step(history[-1])
        assert len(history) < task.max_steps and look.error is None
    assert history[-1].name == "send_msg_to_user" and task.reached()
    suite.server.database.run("update summaries set total = '1.00'")
    suite.server.database.run("update bills set reminders = reminders + 1 where id = 1")
    assert not task.reached()


@pytest.mark.parametrize("family", FROM_FILE)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_file_cannot_be_read_by_hand(suite: HelpDesk, env: BrowserEnvironment, family: str) -> None:
    """An actor alone can't know what stands in a file, and its oracle says so."""
    task = suite.task(family, SEED)
    _, look = await task.setup(env)
    assert task.oracle(look, []).name == "report_infeasible"
    assert [path.name in task.plan.goal for path in task.files.iterdir()] == [True]
