"""Families that need a page and an application: a value goes into a spreadsheet, a text into an editor.

    async with CrossingSuite() as suite:
        goal, observation = await suite.task("page-to-cell", 7).setup(env)      # env is of `tools.both`

The checker reads the application's file, as the other desktop tasks' do. The oracle types the value; the text
goes by the clipboard.

Not covered: from an application onto a page.
"""

from __future__ import annotations

import html

from tools.actions import Action
from tools.both import Both
from tools.environment import Environment, EnvironmentDown, Start
from tools.observation import Observation
from tools.x11.applications import DESKTOP, HARMLESS
from trajectories.desktop.dialogs import TITLES
from trajectories.desktop.suite import DesktopSuite
from trajectories.desktop.sums import entered, workbook
from trajectories.desktop.tasks import VIEWPORT, DesktopTask, Family, Maker, Plan, Screen, keys, typed
from trajectories.tasks import Outcome

PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px sans-serif; margin: 40px }}
td, th {{ padding: 6px 24px; border: 1px solid #999 }}
</style>
<h1>{title}</h1><table><tr><th>Item</th><th>{head}</th></tr>{rows}</table>"""
ROW = "<tr><td>{}</td><td>{}</td></tr>"
NOTE = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 16px sans-serif; margin: 40px }} textarea {{ display: block; margin: 8px 0 }}</style>
<h1>{title}</h1>{fields}"""
FIELD = '<label>{}<textarea rows="3" cols="60">{}</textarea></label>'
FIELDS = ("Note", "Address", "Remark", "Summary", "Reply")
LISTS = (("Price list", "Price"), ("Stock", "Amount"), ("Orders", "Number"))


def page_to_cell(make: Maker) -> Plan:
    names, name = make.words(make.random.randint(4, 7)), f"{make.word()}.gnumeric"
    title, head = make.random.choice(LISTS)
    values = {item: str(make.random.randint(201, 9999)) for item in names}
    at = make.random.randrange(len(names))
    item, cell = names[at], f"B{at + 1}"
    rows = [(word, str(make.random.randint(1, 200))) for word in names]
    after = [[a, values[item] if i == at else b] for i, (a, b) in enumerate(rows)]
    listed = make.random.sample(names, len(names))
    page = PAGE.format(
        title=title, head=head, rows="".join(ROW.format(html.escape(i), values[i]) for i in listed)
    )

    def expert(screen: Screen) -> Action:
        if not screen.look.url.startswith("app:"):
            return screen.front(name)
        return entered(screen, cell, typed(values[item]))

    return Plan(
        make.random.choice(
            (
                f'Put the {head.lower()} of "{item}" on the page into cell "{cell}" of "{name}" and save it.',
                f'The page says the {head.lower()} of "{item}"; enter it in "{cell}" of "{name}" and save.',
            )
        ),
        lambda world: world.files().keys() == {name} and world.cells(name) == after,
        expert,
        open=(f"app:gnumeric?{name}",),
        files={name: workbook(rows)},
        program=page,
    )


def page_to_note(make: Maker) -> Plan:
    name, title = make.file(), make.random.choice(TITLES)
    texts = {field: make.sentence() for field in make.random.sample(FIELDS, make.random.randint(2, 4))}
    field = make.random.choice([*texts])
    fields = "".join(FIELD.format(label, html.escape(text)) for label, text in texts.items())

    def expert(screen: Screen) -> Action:
        copied = [a for a in screen.history if a.name == "press" and a.args[-1] == "Control+c"]
        if not screen.look.url.startswith("app:"):
            if copied:
                return screen.front(name)
            mark = screen.act("press", "textbox", field, "Control+a")
            return screen.act("press", "textbox", field, "Control+c") if screen.did(mark) else mark
        if not copied:
            return Action("tab_focus", (0,))
        if screen.element("textbox", "").value == texts[field]:
            return keys("Control+s")
        return keys("Control+v") if screen.did(keys("Control+a")) else keys("Control+a")

    return Plan(
        make.random.choice(
            (
                f'Copy what stands in the field "{field}" on the page into "{name}" and save it.',
                f'The page has a field "{field}": copy its text into the empty file "{name}", and save.',
            )
        ),
        lambda world: world.holds({name: texts[field]}),
        expert,
        open=(f"app:mousepad?{name}",),
        files={name: ""},
        program=NOTE.format(title=title, fields=fields),
    )


CROSSING = {"page-to-cell": Family(page_to_cell, 16), "page-to-note": Family(page_to_note, 14)}


class CrossingTask(DesktopTask):
    """One task; see `trajectories.tasks.Task`."""

    suite = "crossing"
    families = CROSSING

    async def setup(self, env: Environment) -> tuple[str, Observation]:
        both = _both(env)
        goal, _ = await super().setup(both.desktop)
        page = both.desktop.aside / "page.html"
        page.write_text(self.plan.program, encoding="utf-8")
        origins = ("file://", DESKTOP, *(f"app:{name}" for name in HARMLESS))
        return goal, await both.show(Start(page.as_uri(), origins, viewport=VIEWPORT))

    async def check(self, env: Environment, message: str | None) -> Outcome:
        return await super().check(env.desktop if isinstance(env, Both) else env, message)


class CrossingSuite(DesktopSuite):
    """The suite; every task starts a desktop of its own, beside a page."""

    name = "crossing"
    families = tuple(CROSSING)
    looks_only: frozenset[str] = frozenset()

    def task(self, family: str, seed: int) -> CrossingTask:
        """A task of a family. Raises KeyError for a family that is not there."""
        return CrossingTask(family, seed)


def _both(env: Environment) -> Both:
    if not isinstance(env, Both):
        raise EnvironmentDown("these tasks need a page and a desktop (tools.both)")
    return env
