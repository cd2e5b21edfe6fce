"""A site nobody wrote tasks for: walked without harm, demonstrated, checked in the app, put back each
time.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tools.actions import Action, Named, parse
from tools.browser import Browser
from tools.environment import Start
from trajectories.explore.demonstration import Demonstration, Effect
from trajectories.explore.site import Access, Site, SiteError, map_file
from trajectories.explore.suite import SiteSuite
from trajectories.explore.task import SiteTask
from trajectories.explore.walk import Walk
from trajectories.rollout import oracle_policy, roll_out
from trajectories.store import Store

BOOKS = {
    "1": {"title": "The Quiet Harbour", "year": "1961", "kind": "Novel", "read": False},
    "2": {"title": "Winter Letters", "year": "1984", "kind": "Poetry", "read": True},
}
SECRET = "correct-horse-7"
SIGN_IN = 'fill(textbox("Password"), "{{SHELF}}")\nclick(button("Sign in"))'


@dataclass(frozen=True)
class Shelf:
    url: str
    books: Path
    log: Path

    @property
    def reset(self) -> str:
        return f"cp {self.books}.start {self.books}"

    def asked(self) -> list[str]:
        return self.log.read_text().splitlines()

    def now(self) -> dict[str, dict[str, object]]:
        return dict(json.loads(self.books.read_text()))


def serve(folder: Path, *password: str) -> Iterator[Shelf]:
    """The app as a process of its own, until the test ends."""
    books, log = folder / "books.json", folder / "log"
    books.write_text(json.dumps(BOOKS))
    shutil.copyfile(books, f"{books}.start")
    app = Path(__file__).parent / "pages" / "shelf.py"
    command = [sys.executable, str(app), str(books), str(log), *password]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Shelf(process.stdout.readline().strip(), books, log)
        process.kill()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    yield from serve(tmp_path)


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setenv("SHOPFLOOR_SECRET_SHELF", SECRET)
    yield from serve(tmp_path, SECRET)


async def walked(access: Access, pages: int) -> Site:
    site = Site(access)
    async with Browser() as browser:
        await Walk(site, browser.environment()).go(pages)
    return site


async def test_reading_finds_what_a_reader_does_and_sends_nothing_else(
    chromium_path: str, shelf: Shelf
) -> None:
    """Links, search, filter, sort and questions are found; nothing is posted, ended, or asked of
    elsewhere.
    """
    site = await walked(Access(shelf.url), 2)
    found = {d.kind for d in site.demonstrations}
    assert {"open", "search", "filter", "sort", "read"} == found
    goals = [goal for d in site.demonstrations for goal in d.goals]
    assert 'Sort by "Title".' in goals
    assert 'Show only those with kind "Novel only".' in goals
    assert 'Report the year of "The Quiet Harbour".' in goals
    assert 'Open the book "Winter Letters".' in goals
    assert not [line for line in shelf.asked() if not line.startswith("GET") or "logout" in line]
    assert shelf.now() == BOOKS


async def test_what_does_not_show_again_is_not_kept(chromium_path: str, shelf: Shelf) -> None:
    """A link that never leads to one place twice is dropped; one that settled on another is relabelled."""
    site = await walked(Access(shelf.url), 1)
    assert not [d for d in site.demonstrations if "spot" in d.effect.at]
    assert [d.effect.at for d in site.demonstrations if d.steps == ('click(link("Turn"))',)] == ["/right"]
    counts = site.counts["open"]
    assert counts["relabelled"] >= 1
    assert counts["kept"] < counts["tried"]


async def test_only_get_leaves_the_browser(chromium_path: str, shelf: Shelf) -> None:
    """With writes off a form's post, a script's and a beacon are begun and stopped in the network."""
    post = "fetch('/burn', {method: 'POST'}).then(() => 'sent', () => 'refused')"
    async with Browser() as browser:
        env = browser.environment()
        await env.reset(Start(shelf.url, writes=False))
        await env.step(Action("click", (Named("button", "Delete all books"),)))
        assert await env.page.evaluate(post) == "refused"
        await env.page.evaluate("navigator.sendBeacon('/burn', 'x')")
        look = await env.step(Action("noop", (100,)))
        assert (look.url, env.writes) == (shelf.url, 3)
    assert not [line for line in shelf.asked() if line.startswith("POST")]
    assert shelf.now() == BOOKS


async def test_forms_that_write_are_demonstrated_and_put_back(chromium_path: str, shelf: Shelf) -> None:
    """With writes and a reset each kind of change is found, and solved with new values on other seeds."""
    site = await walked(Access(shelf.url, writes=True, reset=shelf.reset), 4)
    site.save()
    kinds = {d.kind for d in site.demonstrations}
    assert {"add", "edit", "choose", "tick", "delete"} <= kinds
    assert not [d for d in site.demonstrations if "wish" in str(d.steps)], "the app only says it saved that"
    assert shelf.now() == BOOKS
    goals: dict[str, set[str]] = {}
    async with Browser() as browser, SiteSuite(shelf.url) as suite:
        env = browser.environment()
        for family in ("add", "edit", "delete"):
            for seed in (0, 1, 1_000_000):
                task = suite.task(family, seed)
                episode = await roll_out(task, oracle_policy(task), env)
                assert episode.outcome.success, (episode.goal, episode.actions)
                assert shelf.now() != BOOKS  # still so at the end; put back before the next begins
                goals.setdefault(family, set()).add(episode.goal)
    assert shelf.now() == BOOKS
    assert len(goals["add"]) == 3


async def test_the_check_asks_the_app(chromium_path: str, shelf: Shelf) -> None:
    """Saying done is not doing; another value, or a change beside the asked one, is not what was asked."""
    effect = Effect(
        where="/book/1",
        fields={
            'textbox("Title:")': "{{title}}",
            'spinbutton("Year:")': "1961",
            'combobox("Kind:")': "Novel",
            'checkbox("Read")': "off",
        },
    )
    steps = ('fill(textbox("Title:"), "{{title}}")', 'click(button("Save"))')
    wanted = Demonstration("edit", "/book/1", steps, effect, ("Change it.",))
    site = Site(Access(shelf.url, writes=True, reset=shelf.reset))
    from trajectories.explore.demonstration import Slot
    from trajectories.explore.door import Door

    task = SiteTask(site, Door(site.access), replace(wanted, slots={"title": Slot("title")}), 3)
    title = task.values["title"]
    save = parse('click(button("Save"))')

    async def after(*actions: Action) -> bool:
        await task.setup(env)
        for action in actions:
            await env.step(action)
            await task.check(env, None)
        return (await task.check(env, "done")).success

    def fill(text: str) -> Action:
        return Action("fill", (Named("textbox", "Title:"), text))

    async with Browser() as browser:
        env = browser.environment()
        assert not await after()
        assert not await after(fill(title))  # typed, not saved
        assert not await after(fill(title + "!"), save)
        assert not await after(fill(title), Action("click", (Named("checkbox", "Read"),)), save)
        assert await after(fill(title), save)
        await task.door.leave()
    assert shelf.now() == BOOKS


async def test_a_secret_is_in_no_file(
    chromium_path: str, locked: Shelf, tmp_path: Path, _own_home: Path
) -> None:
    """A sign-in is kept by the names of its secrets; map, episodes and log hold no value of one."""
    site = await walked(Access(locked.url, SIGN_IN), 2)
    site.save()
    assert "search" in {d.kind for d in site.demonstrations}
    async with Browser() as browser, SiteSuite(locked.url) as suite:
        task = suite.task("open", 0)
        episode = await roll_out(task, oracle_policy(task), browser.environment())
    assert episode.outcome.success
    Store(tmp_path / "episodes").add(episode)
    assert "{{SHELF}}" in map_file(locked.url).read_text()
    files = [path for folder in (tmp_path, _own_home) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 4
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


async def test_a_sign_in_that_fails_says_where_and_no_secret(
    chromium_path: str, locked: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has the step as it was written, or says that it was not let in."""
    wrong = SIGN_IN.replace("Password", "Passphrase")
    with pytest.raises(SiteError, match="sign-in failed at fill") as caught:
        await walked(Access(locked.url, wrong), 1)
    assert SECRET not in str(caught.value)
    monkeypatch.setenv("SHOPFLOOR_SECRET_SHELF", "guess-1")
    with pytest.raises(SiteError, match="still asks for a password") as caught:
        await walked(Access(locked.url, SIGN_IN), 1)
    assert "guess-1" not in str(caught.value)


async def test_a_walk_goes_on(chromium_path: str, shelf: Shelf) -> None:
    """A map read back goes on where it was: no page twice, no demonstration lost or made twice."""
    site = await walked(Access(shelf.url), 1)
    again = Site.load(shelf.url)
    assert (again.walked, again.demonstrations, again.counts) == (
        site.walked,
        site.demonstrations,
        site.counts,
    )
    before = len(shelf.asked())
    async with Browser() as browser:
        await Walk(again, browser.environment()).go(1)
        assert len(shelf.asked()) == before
        await Walk(again, browser.environment()).go(2)
    assert len(again.walked) == len(set(again.walked)) == 2
    made = [(d.page, d.steps, d.effect.at, d.effect.answer) for d in again.demonstrations]
    assert len(made) == len(set(made)) >= len(site.demonstrations)


async def test_a_site_that_leads_nowhere(chromium_path: str, shelf: Shelf) -> None:
    """Says so."""
    with pytest.raises(SiteError, match="nothing on it leads anywhere"):
        await walked(Access(shelf.url + "left"), 3)
