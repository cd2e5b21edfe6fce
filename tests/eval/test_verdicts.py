"""The reviewer's verdict, measured: real pages in a real browser, and a reviewer of a few lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from agents.prompts import result_review_text
from agents.scripted import ScriptedServer
from apps.main import main
from eval.verdicts import Pair, judge, make, measure, shares, summarise
from tools.actions import Action
from tools.browser import Browser
from tools.observation import Observation
from training.tracking import connect
from trajectories.examples import NOT_YET, examples
from trajectories.suites import open_suite
from trajectories.tasks import is_held_out

NANO = Path(__file__).parent.parent.parent / "models" / "nano"
TYPED = ("enter-text", "enter-password")  # their goals hold one quoted text, typed last before a click
FIRST = 1_000_000


async def reader(goal: str, look: Observation, history: Sequence[Action]) -> str:
    """Says done if the goal's text was put in last, and then sent off."""
    acts = [action for action in history if not action.final]
    right = acts[-1].name == "click" and acts[-2].args[1] == goal.split('"')[1]
    return "done" if right else "not yet"


async def flatterer(goal: str, look: Observation, history: Sequence[Action]) -> str:
    return "done"


async def test_a_pair_is_one_task_right_and_wrong() -> None:
    """Both halves are the same held-out task, the checker says yes and no, and what is asked is what training
    asks of these episodes, to the letter and with the screenshot."""
    asked: list[tuple[str, bytes | None]] = []

    async def keep(goal: str, look: Observation, history: Sequence[Action]) -> str:
        asked.append((result_review_text(goal, look, history), look.screenshot))
        return "done"

    async with Browser() as browser, open_suite("helpdesk") as suite:
        env = browser.environment()
        for family in ("edit-email", "set-priority"):
            made = await make(suite, env, family, FIRST)
            assert not isinstance(made, str), made
            good, near = made
            assert good.task == near.task and good.goal == near.goal and is_held_out(good.seed)
            assert good.outcome.success and not near.outcome.success
            pair = await judge(good, near, keep)
            assert pair == Pair(good.task, "done", "done") and pair.family == family
            taught = {(e.prompt, e.screenshot): e.answer for e in examples(good) if e.role == "reviewer"}
            (refused,) = examples(near)
            assert taught[asked[-2]] == "done"
            assert asked[-1] == (refused.prompt, refused.screenshot) and refused.answer == NOT_YET
            assert None not in (asked[-1][1], asked[-2][1])


async def test_a_reviewer_that_reads_and_one_that_flatters() -> None:
    """Who sees every slip gets all, who always says done a half, in each family; a family whose near misses
    the checker accepts is named and left out."""
    told: list[Pair] = []
    families = (*TYPED, "click-test")
    report = await measure("miniwob", families, 2, 0, reader, 2, model="m", progress=told.append)
    assert (report.balanced_accuracy, report.stderr, report.good, report.near_miss) == (1, 0, 1, 1)
    assert report.left_out == {"click-test": "the checker accepts its near misses"}
    assert {family: row["n"] for family, row in report.by_task.items()} == dict.fromkeys(TYPED, 2)
    assert len(told) == report.n == 4 and set(told) == set(report.pairs)
    assert report.said == {"good": {"done": 4}, "near_miss": {"not yet": 4}}
    flattered = await measure("miniwob", TYPED, 1, 0, flatterer, 1)
    assert (flattered.balanced_accuracy, flattered.good, flattered.near_miss) == (0.5, 1, 0)
    assert all(row["balanced_accuracy"] == 0.5 for row in flattered.by_task.values())
    with pytest.raises(ValueError, match="episodes must be"):
        await measure("miniwob", TYPED, 0, 0, reader, 1)


def test_shares() -> None:
    """Balanced accuracy is the mean of the two shares; its error counts pairs; giving up is neither."""
    pairs = [
        Pair("s/f/1", "done", "not yet"),
        Pair("s/f/2", "done", "done"),
        Pair("s/g/1", "give up", "give up"),
    ]
    row = shares(pairs)
    assert (row["good"], row["near_miss"], row["n"]) == (2 / 3, 1 / 3, 3)
    assert row["balanced_accuracy"] == 0.5
    assert row["stderr"] == pytest.approx((0.5 / 3) ** 0.5 / 3**0.5)  # of 1, a half and 0
    report = summarise(pairs, suite="s", model="m", seed=0, episodes=2, left_out={"h": "why"})
    assert report.by_task["f"]["balanced_accuracy"] == 0.75 and report.by_task["g"]["balanced_accuracy"] == 0
    assert report.said["near_miss"] == {"not yet": 1, "done": 1, "give up": 1}
    assert json.loads(json.dumps(report.json()))["pairs"][0]["task"] == "s/f/1"
    assert summarise([], suite="s", model="", seed=0, episodes=1, left_out={}).n == 0


COMMAND = ["eval", "miniwob", "--role", "reviewer", "--episodes", "1", "--json", "--tasks"]


def test_the_command_asks_the_reviewers_own_endpoint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One JSON object on stdout, the table and who is left out on stderr, the figures in MLflow; babble is no
    verdict, and without a pair there is no figure but exit 1."""
    with ScriptedServer({"check result:": ["done", "Well, hm", "Well, hm"]}) as server:
        monkeypatch.setenv("SHOPFLOOR_REVIEWER_URL", server.url)
        monkeypatch.setenv("SHOPFLOOR_REVIEWER_MODEL", "scripted")
        assert main([*COMMAND, "enter-text,click-test"]) == 0
        out, err = capsys.readouterr()
        assert main([*COMMAND, "click-test"]) == 1
    report = json.loads(out)
    assert (report["balanced_accuracy"], report["model"], report["n"]) == (0.5, "scripted", 1)
    assert report["said"] == {"good": {"done": 1}, "near_miss": {"no verdict": 1}}
    assert "left out: click-test" in err and "enter-text" in err
    assert "no family gave a pair" in capsys.readouterr().err
    (run,) = connect().search_runs(
        search_all_experiments=True, filter_string="params.role = 'reviewer'", output_format="list"
    )
    assert run.data.metrics["balanced_accuracy.enter-text"] == 0.5 and run.data.params["model"] == "scripted"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policy", "oracle"], "takes no --policy"),
        (["--protocol", "a"], "takes no --policy, --protocol"),
        (["--without", "image"], "takes no --policy, --protocol, --without"),
        (["--out", "kept"], "or --out"),
        (["--episodes", "0"], "episodes must be"),
        (["--tasks", "click-tset"], "there are ascending-numbers"),
        (["--role", "coder"], "are for eval hostile"),
        (["--model", "nowhere"], "give a model's folder"),
    ],
)
def test_wrong_use(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, the mend on stderr, nothing on stdout."""
    assert main(["eval", "miniwob", "--role", "reviewer", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err


def test_an_endpoint_that_is_gone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody answers there is no figure: exit 1, and what to do."""
    monkeypatch.setenv("SHOPFLOOR_MODEL_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("SHOPFLOOR_MODEL_NAME", "gone")
    assert main([*COMMAND, "enter-text"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and "can't be reached" in err


@pytest.mark.timeout(300)
def test_the_released_model(capsys: pytest.CaptureFixture[str]) -> None:
    """The local server takes the question, and each answer is one of the reviewer's verdicts."""
    assert main([*COMMAND, "enter-text", "--model", str(NANO)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n"] == 1 and report["model"]
    assert {word for side in report["said"].values() for word in side} <= {"done", "not yet", "give up"}
