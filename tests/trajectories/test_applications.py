"""Exploring desktop applications: the parts on looks written out, the walk in a real calculator.

An editor is explored as a command: `tests/apps/test_explore.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tools.actions import Action, Named
from tools.desktop import Desktops
from tools.environment import Workplace
from tools.observation import Box, Element, Observation
from tools.x11.applications import APPLICATIONS
from tools.x11.session import missing
from trajectories.applications import effects, wording
from trajectories.applications.attempts import attempts
from trajectories.applications.oracle import ESCAPE, LOST, advice
from trajectories.applications.state import fingerprint, held, reached, way_to
from trajectories.applications.suite import ApplicationSuite
from trajectories.applications.task import ApplicationTask
from trajectories.applications.walk import Walk
from trajectories.explore.attempts import Attempt
from trajectories.explore.demonstration import Demonstration, Effect, Slot
from trajectories.explore.site import Access, Known, Link, Site
from trajectories.rollout import oracle_policy, roll_out
from trajectories.suites import open_suite, open_workplace

NEEDED = [*missing(), *([] if APPLICATIONS["galculator"].there else ["galculator"])]
real = pytest.mark.skipif(bool(NEEDED), reason=f"as root: apt-get install {' '.join(NEEDED)}")

TEXT = Element(1, "textbox", "Name", Box(0, 0, 9, 9), value="5", enters="")
URL = "app:galculator"


def look(*elements: Element, tabs: Sequence[str] = (), title: str = "Main") -> Observation:
    """An application's look; refs are given by order, but for those elements that have none."""
    refs = iter(range(1, 99))
    numbered = tuple(replace(e, ref=None if e.ref is None else next(refs)) for e in elements)
    return Observation(URL, title, (1024, 768), numbered, tabs=tuple(tabs))


def an(role: str, name: str, *states: str, value: str | None = None, ref: int | None = 1) -> Element:
    return Element(ref, role, name, Box(0, 0, 9, 9), value=value, states=states, enters="")


def tried(state: Observation, writes: bool = False) -> list[str]:
    return [a.steps[0] for a in attempts(reached((), [state]), writes, random.Random(0))]


def test_what_is_tried_and_what_is_not() -> None:
    """Nothing lasting unless it is allowed, nothing secret ever, nothing that can't be used; menus first."""
    names = ("Quit", "Print", "Save As", "Delete Line", "Close", "Send by mail", "Format", "Bold")
    state = look(
        *(an("button", name) for name in names),
        an("button", "Undo", "disabled"),
        an("button", ""),
        an("textbox", "Password"),
        an("radio", "Left", "checked"),
        an("textbox", "Shown", "readonly"),
        an("menuitem", "View"),
    )
    assert tried(state) == [f"click({k})" for k in ('menuitem("View")', 'button("Format")', 'button("Bold")')]
    allowed = tried(state, writes=True)
    assert 'click(button("Quit"))' in allowed and 'click(button("Undo"))' not in allowed
    assert not [step for step in allowed if "Password" in step]


def test_only_what_came_up_is_tried() -> None:
    """Of an open menu its items; of a dialog what lies in it, not in the window behind; twins not at all."""
    main = look(an("menuitem", "Edit"), an("button", "Go"))
    menu = look(*main.elements, an("menuitem", "Undo"), an("menuitem", "More"))
    way = [Link("a", "Edit", "b", role="menuitem")]
    opened = reached(way, [main, menu])
    assert [e.name for e in opened.fresh] == ["Undo", "More"] and opened.ground == main
    dialog = look(
        *(an("dialog", "Options", ref=None), an("button", "Go"), an("button", "OK"), an("checkbox", "Big")),
        *(an("window", "Main", ref=None), an("menuitem", "Edit"), an("button", "Go")),
        tabs=("Main", "Options"),
        title="Options",
    )
    shown = reached([*way, Link("b", "More", "c", role="menuitem")], [main, menu, dialog])
    assert [e.name for e in shown.fresh] == ["OK", "Big"] and shown.ground == dialog


def test_a_state_is_what_can_be_used_not_what_it_holds() -> None:
    """Values and ticks make no other state, another element and another window do."""
    one = look(TEXT, an("checkbox", "Big"))
    assert fingerprint(one) == fingerprint(look(replace(TEXT, value="9"), an("checkbox", "Big", "checked")))
    assert fingerprint(one) != fingerprint(look(TEXT))
    assert fingerprint(one) != fingerprint(replace(one, tabs=("Main", "Other")))
    assert held(one) == {'textbox("Name")': "5", 'checkbox("Big")': "off"}


Case = tuple[Attempt, Observation, dict[str, bool], str, Effect]
BEFORE = look(TEXT, an("checkbox", "Big"), an("menuitem", "Help"), an("button", "7"), an("button", "Bar"))


def clicked(target: str) -> Attempt:
    return Attempt((f"click({target})",))


@pytest.mark.parametrize(
    ("attempt", "after", "marks", "kind", "effect"),
    [
        (
            clicked('button("Bar")'),
            look(*BEFORE.elements, tabs=("Main", "About"), title="About"),
            {},
            "open",
            Effect(at="About"),
        ),
        (
            clicked('menuitem("Help")'),
            look(*BEFORE.elements, an("menuitem", "About")),
            {},
            "open",
            Effect(shows=('menuitem("About")',)),
        ),
        (
            clicked('checkbox("Big")'),
            look(TEXT, an("checkbox", "Big", "checked"), *BEFORE.elements[2:]),
            {},
            "tick",
            Effect(fields={'checkbox("Big")': "on"}),
        ),
        (
            clicked('menuitemradio("Paper")'),
            BEFORE,
            {'menuitemradio("Paper")': True},
            "choose",
            Effect(fields={'menuitemradio("Paper")': "on"}),
        ),
        (
            clicked('button("7")'),
            look(replace(TEXT, value="7"), *BEFORE.elements[1:]),
            {},
            "press",
            Effect(fields={'textbox("Name")': "7"}),
        ),
        (
            clicked('button("Bar")'),
            look(*BEFORE.elements[:-1], an("button", "New")),
            {},
            "press",
            Effect(at="Main", shows=('button("New")',), gone=('button("Bar")',)),
        ),
        (
            Attempt(('fill(textbox("Name"), "{{name}}")',), slots={"name": Slot("name")}),
            look(replace(TEXT, value="Ada"), *BEFORE.elements[1:]),
            {},
            "edit",
            Effect(fields={'textbox("Name")': "{{name}}"}),
        ),
    ],
)
def test_what_it_did(
    attempt: Attempt, after: Observation, marks: dict[str, bool], kind: str, effect: Effect
) -> None:
    """Each effect is read off the two looks; it holds after, and not before."""
    values = {"name": "Ada"} if attempt.slots else {}
    was = held(BEFORE) | dict.fromkeys(marks, "off")
    assert effects.of(BEFORE, after, attempt, values, was, marks) == (kind, effect)
    assert effects.holds(effect, after, marks, values)
    assert not effects.holds(effect, BEFORE, dict.fromkeys(marks, False), values)


def test_what_a_dialog_hides_is_not_gone() -> None:
    """A dialog that must be answered hides all behind it; that a button went is then not to be seen."""
    after = look(*BEFORE.elements[:-1])
    found = effects.of(BEFORE, after, clicked('button("Bar")'), {}, held(BEFORE), {})
    assert found is not None and found[1].gone == ('button("Bar")',)
    assert effects.holds(found[1], after, {}, {})
    dialog = look(an("dialog", "About", ref=None), an("button", "OK"), tabs=("Main", "About"), title="About")
    assert not effects.holds(found[1], dialog, {}, {})


@pytest.mark.parametrize("after", [BEFORE, replace(BEFORE, error="it is covered")])
def test_what_did_nothing(after: Observation) -> None:
    """The same look again, or an error, is no effect."""
    assert effects.of(BEFORE, after, clicked('button("Bar")'), {}, held(BEFORE), {}) is None


MAP = Site(
    Access(URL),
    walked=["main", "view", "more", "box", "tab"],
    known={
        "main": Known(heading="Calc"),
        "view": Known("View", "main", "Calc", menu=True),
        "more": Known("More", "view", "Calc", menu=True),
        "box": Known("Setup", "view", "Options"),
        "tab": Known("Keys", "box", "Options"),
        "bar": Known("Find", "view", "Calc"),
    },
    links=[
        Link("main", "View", "view", role="menuitem"),
        Link("view", "More", "more", role="menuitem"),
        Link("view", "Setup", "box", role="menuitem"),
        Link("box", "Keys", "tab", role="tab"),
        Link("view", "Find", "bar", role="menuitem"),
    ],
)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("main", ""),
        ("view", ' in the "View" menu'),
        ("more", ' in "More" of the "View" menu'),
        ("box", ' in "Options"'),
        ("bar", ""),
        ("tab", ' on the tab "Keys" of "Options"'),
    ],
)
def test_where_it_is_done(place: str, said: str) -> None:
    """By the menus that are open, the tab and the window; the first window goes without saying."""
    assert wording.within(place, MAP) == said
    goals = wording.goals("choose", Effect(), clicked('radio("Left")'), place, MAP)
    assert goals == (f'Choose "Left"{said}.', f'Select "Left"{said}.')


def test_the_way_from_anywhere() -> None:
    """By the map where the state is on it; else by what can be seen; else out of what has come up."""
    place = fingerprint(BEFORE)
    site = Site(
        Access(URL),
        walked=[place, "menu"],
        known={place: Known(), "menu": Known()},
        links=[Link(place, "Help", "menu", role="menuitem")],
    )
    wanted = Demonstration("open", "menu", ('click(menuitem("About"))',), Effect(at="About"))
    click = Action("click", (Named("menuitem", "Help"),))
    assert advice(site, wanted, {}, BEFORE, []) == click
    stray = look(an("menuitem", "Help"), an("menuitem", "About"), an("button", "Stray"))
    assert str(advice(site, wanted, {}, stray, [])) == 'click(menuitem("About"))'
    nothing = look(an("button", "OK"), title="Error")
    assert advice(site, wanted, {}, nothing, [click]) == ESCAPE
    assert advice(site, wanted, {}, nothing, [ESCAPE] * 3) == LOST
    gone = replace(nothing, url="app:desktop")
    assert str(advice(site, wanted, {}, gone, [])) == f'goto("{URL}")'


def at_least(site: Site, count: int) -> Callable[[], bool]:
    return lambda: len(site.demonstrations) >= count


async def explored(site: Site, pages: int, enough: int = 99) -> list[str]:
    """Walk an application; what was noted."""
    notes: list[str] = []
    async with Desktops() as desktops:
        walk = Walk(site, desktops.environment(), desktops.environment(), None, notes.append)
        await walk.go(pages, at_least(site, enough))
    return notes


async def done(workplace: Workplace, task: ApplicationTask) -> tuple[bool, str, str]:
    env = workplace.environment()
    try:
        episode = await roll_out(task, oracle_policy(task), env)
    finally:
        await env.close()
    told = [str(step.decision.action) for step in episode.steps]
    return episode.outcome.success, episode.ended, f"{episode.goal} {told} {episode.extra}"


@real
@pytest.mark.timeout(300)
async def test_a_calculators_menus_and_dialog() -> None:
    """Menus, a submenu, a radio item whose menu is closed again, and a dialog are found by trying; each has
    been replayed on a fresh desktop, and is done again from the map as it was kept, also begun midway."""
    site = Site(Access(URL))
    notes = await explored(site, 1, enough=5)  # the menus; its thirty buttons are left out here
    assert {d.kind for d in site.demonstrations} == {"open"}, notes
    names = {known.name for known in site.known.values()}
    assert {"", "File", "Edit", "View", "Calculator", "Help"} == names
    site.walked.append(site.queue.pop(0))
    site.queue.sort(key=lambda place: site.known[place].name not in ("View", "Help"))
    notes = await explored(site, 3)
    found = {d.steps[0]: d for d in site.demonstrations}
    assert found['click(menuitem("About"))'].effect == Effect(at="About galculator"), notes
    paper = found['click(menuitemradio("Paper Mode"))']
    assert paper.effect == Effect(fields={'menuitemradio("Paper Mode")': "on"})
    assert 'Choose "Paper Mode" in the "View" menu.' in paper.goals
    assert 'click(menuitem("Quit"))' not in found

    suite = open_suite(URL)
    assert isinstance(suite, ApplicationSuite) and set(suite.families) >= {"open", "choose"}
    kept = next(d for d in suite.site.demonstrations if d.steps == paper.steps)
    async with open_workplace(URL) as workplace:
        midway = way_to(kept.page, suite.site)[:1]
        task = ApplicationTask(suite.site, kept, 1_000_000, midway)
        success, ended, told = await done(workplace, task)
    assert success and ended == "done", told
