"""Recorded pages as screens, kept in a file and drawn from it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from agents.policies import Decision, RandomPolicy
from tools.actions import Action, parse
from tools.browser import Browser
from tools.observation import Observation
from training import pages
from training.pretrain import Recipe, pretrain
from trajectories.dagger import DaggerPolicy
from trajectories.helpdesk.suite import HelpDesk
from trajectories.rollout import oracle_policy, roll_out
from trajectories.tasks import Task


async def test_pages_carry_own_and_other_questions(chromium_path: str, tmp_path: Path) -> None:
    """A real episode's pages: every question of the episode once, others beside them, all answerable here;
    and a tiny model trains on them."""
    async with Browser() as browser, HelpDesk() as suite:
        task = suite.task("comment-from-home", 3)
        episode = await roll_out(task, oracle_policy(task), browser.environment())
    file = tmp_path / "pages.parquet"
    pages.write(pages.pages([episode], lambda png: png), file)
    (found,) = pages.Album(file).families.values()
    recorded = {step.observation.text() + "\n": str(step.decision.action) for step in episode.steps}
    acted = [q.answer for p in found if p.text in recorded for q in p.own if q.text.endswith("act:")]
    assert set(acted) >= set(recorded.values())
    half = [page for page in found if page.text not in recorded and page.text != episode.final.text() + "\n"]
    assert half
    for page in found:
        if page not in half:
            assert len(page.others) >= 4
        screen = page.screen(6, random.Random(0))
        assert 2 <= len(screen.questions) <= 6 and screen.picture is not None
        for question in screen.questions:
            if question.text.endswith("act:") and not (action := parse(question.answer)).final:
                assert f'"{action.label}" [{action.args[0]}]' in page.text
    small = tmp_path / "small.parquet"
    pages.write(pages.pages([episode], _square), small)
    recipe = Recipe("tiny", steps=4, batch=2, questions=3, recorded=(1.0, 1.0))
    assert pretrain(recipe, tmp_path / "run", lambda step, metrics: None, pages.Album(small)).is_dir()


async def test_pages_know_where_the_model_was_wrong() -> None:
    """A page on which a model strayed from what its oracle would have done is marked, an oracle's not."""
    async with Browser() as browser, HelpDesk() as suite:
        task = suite.task("set-priority", 1)
        env = browser.environment()
        strayed = await roll_out(task, DaggerPolicy(task, RandomPolicy(1)), env)
        clean = await roll_out(task, oracle_policy(task), env)
    assert {page.missed for page in pages.pages([clean], lambda png: png)} == {None}
    marks = [page.missed for page in pages.pages([strayed], lambda png: png)]
    assert True in marks and None in marks


def test_what_the_model_gets_wrong_is_drawn_more_often(tmp_path: Path) -> None:
    """Families by how often the model was wrong in them, and in each the pages where it was; suites by the
    root of their pages."""
    own = (pages.Question("act:", '"OK" click(1)'), pages.Question("plan:", "act(goal)"))
    made = [
        pages.Page(family, f"{family}/{number}", None, own, (), number < wrong if number < 10 else None)
        for family, wrong in (("many/known", 0), ("many/hard", 5), ("one/only", 0))
        for number in range(100)
    ]
    file = tmp_path / "pages.parquet"
    pages.write(made, file)
    album, draw = pages.Album(file), random.Random(0)
    drawn = [album.page(draw) for _ in range(4000)]
    many = [page for page in drawn if page.family != "one/only"]
    hard = [page for page in many if page.family == "many/hard"]
    assert 0.55 < len(many) / len(drawn) < 0.63  # 200 pages against 100: 0.59
    assert 0.56 < len(hard) / len(many) < 0.74  # 1.1 against 0.6: 0.65
    assert 0.2 < sum(page.missed is True for page in hard) / len(hard) < 0.4  # 5 pages of 100


async def test_what_cannot_be_known_is_not_taught() -> None:
    """A model wrote over a field that its goal does not name: what stood there, which the oracle puts back,
    is no answer to learn; what the goal says for a field that was wrongly filled in is."""
    other, wrong = "Kind regards, Nobody", "wrong@nowhere.example"
    async with Browser() as browser, HelpDesk() as suite:
        env = browser.environment()
        kept = await roll_out(task := suite.task("toggle-setting", 1), Writes(task, other), env)
        asked = await roll_out(task := suite.task("edit-email", 1), Writes(task, wrong), env)
    assert kept.outcome and kept.outcome.success and asked.outcome and asked.outcome.success
    answers = {}
    for episode, written in ((kept, other), (asked, wrong)):
        found = list(pages.pages([episode], lambda png: png))
        answers[written] = [q.answer for p in found for q in p.own if f'"{written}")\n' in q.text and q.acts]
        put_back = next(str(a) for a in episode.actions[1:] if a.name == "fill")
        assert (put_back in answers[written]) == (written == wrong)
    assert answers[other]  # the save that follows is still taught


TEXT = ("textbox", "email")


class Writes:
    """Writes over an address, or over a sign-off, then does what the oracle says."""

    name = "oracle"

    def __init__(self, task: Task, text: str) -> None:
        self._oracle, self._text = oracle_policy(task), text

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
        if history:
            return await self._oracle.decide(goal, observation, history)
        mark = "@" if "@" in self._text else ","
        field = next(e for e in observation.actionable() if e.role in TEXT and mark in (e.value or ""))
        return Decision(observation.labelled(Action("fill", (field.ref or 0, self._text))))


def test_ends_good_and_bad_are_drawn_and_reviewed(tmp_path: Path) -> None:
    """Where an episode ended, its goal met or not, the reviewer's word is asked for; a place is rounded, a
    path in coordinates left out."""
    question, done = pages.Question, 'send_msg_to_user("done")'
    act, review = "goal: it\nact:", "goal: it\ncheck result:"
    met = pages.Page("a/a", "met", None, (question(act, done), question(review, "done")), ())
    missed = pages.Page("a/a", "missed", None, (question(review, pages.NOT_YET),), ())
    place = pages.Page("a/a", "place", None, (question(act, "mouse_click(449, 512)"),), ())
    path = pages.Page("a/a", "path", None, (question(act, "mouse_path([1, 2, 3, 4])"),), ())
    file = tmp_path / "pages.parquet"
    pages.write([met, missed, path, *[place] * 50], file)
    album, draw = pages.Album(file), random.Random(0)
    asked = [album.page(draw).screen(1, draw) for _ in range(1000)]
    answers = [q.answer for screen in asked for q in screen.questions]
    assert set(answers) == {done, "done", pages.NOT_YET, "mouse_click(440, 520)"}
    any_page = 0.77 / 52  # what is drawn of no kind, or of one that there is not, is any of the pages
    met_share, short_share = 0.15 + any_page, 0.08 + any_page
    for answer, share in ((done, 0.4 * met_share), ("done", 0.6 * met_share), (pages.NOT_YET, short_share)):
        assert 0.6 * share < answers.count(answer) / 1000 < 1.4 * share, answer


def _square(png: bytes) -> bytes:
    """What the tiny model's processor would make of a screenshot: 64 pixels a side."""
    from io import BytesIO

    from PIL import Image

    out = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").resize((64, 64)).save(out, "PNG")
    return out.getvalue()


def test_no_page(tmp_path: Path) -> None:
    """Episodes that all broke off, for instance, are said to teach nothing, and leave no file of nothing."""
    with pytest.raises(ValueError, match="nothing to learn from"):
        pages.write([], tmp_path / "pages.parquet")
    assert not list(tmp_path.iterdir())
