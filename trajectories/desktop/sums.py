"""Families about a calculator (galculator) and a spreadsheet (Gnumeric)."""

from __future__ import annotations

from tools.actions import Action
from tools.observation import Element
from trajectories.desktop.editor import written
from trajectories.desktop.tasks import Lost, Maker, Plan, Screen, World, family, keys, typed

WORKBOOK = """<?xml version="1.0" encoding="UTF-8"?>
<gnm:Workbook xmlns:gnm="http://www.gnumeric.org/v10.dtd"><gnm:SheetNameIndex>
<gnm:SheetName gnm:Cols="256" gnm:Rows="65536">Sheet1</gnm:SheetName></gnm:SheetNameIndex>
<gnm:Sheets><gnm:Sheet>
<gnm:Name>Sheet1</gnm:Name><gnm:MaxCol>{cols}</gnm:MaxCol><gnm:MaxRow>{rows}</gnm:MaxRow>
<gnm:Cells>{cells}</gnm:Cells></gnm:Sheet></gnm:Sheets></gnm:Workbook>
"""
CELL = '<gnm:Cell Row="{row}" Col="{col}" ValueType="{kind}">{value}</gnm:Cell>'
TEXT, NUMBER = 60, 40
SIGNS = {"+": "+", "-": "-", "*": "*"}


def _sum(make: Maker) -> tuple[str, str]:
    """An expression and what it comes to."""
    sign = make.random.choice(list(SIGNS))
    one, other = make.random.randint(11, 99), make.random.randint(2, 99)
    result = {"+": one + other, "-": one - other, "*": one * other}[sign]
    return f"{one}{sign}{other}", str(result)


def _computed(screen: Screen, expression: str) -> Action:
    """Typed, as on any calculator; after a slip it begins again."""
    if screen.did(typed(expression)):
        return keys("Enter")
    return typed(expression) if _shown(screen) in ("", "0") else screen.click("button", "AC")


def _shown(screen: Screen) -> str:
    """What stands on the display."""
    return next((e.value or "" for e in screen.look.elements if "readonly" in e.states), "")


@family("calculate", 12)
def calculate(make: Maker) -> Plan:
    expression, result = _sum(make)
    said = make.bare(expression)
    return Plan(
        make.random.choice(
            (
                f"Compute {said} and leave the result showing.",
                f"Let the calculator show what {said} is.",
                f"What is {said}? Show it on the calculator.",
            )
        ),
        lambda world: world.shown == result,
        lambda screen: _computed(screen, expression),
        open=("app:galculator",),
        shows="galculator",
    )


@family("calculate-and-save", 18)
def calculate_and_save(make: Maker) -> Plan:
    expression, result = _sum(make)
    name = make.file()
    said, called = make.bare(expression), make.bare(name)

    def expert(screen: Screen) -> Action:
        if screen.app == "mousepad":  # which as a rule covers the calculator's display
            pasted = screen.has("textbox", "Name") or screen.element("textbox", "").value
            return written(screen, result, name) if pasted else keys("Control+v")
        if _shown(screen) != result:
            return _computed(screen, expression)
        copied = keys("Control+c")
        return Action("goto", ("app:mousepad",)) if screen.did(copied) else copied

    return Plan(
        make.random.choice(
            (
                f"Compute {said} and save the result as {called}.",
                f"Work out {said} with the calculator and write the result into a new file {called}.",
                f"Calculate {said}; save what it comes to in {called}.",
            )
        ),
        lambda world: world.holds({name: result}),
        expert,
        open=("app:galculator",),
    )


def workbook(rows: list[tuple[str, str]]) -> str:
    """A spreadsheet of two columns, in Gnumeric's own format."""
    cells = (
        CELL.format(row=row, col=col, kind=NUMBER if value.isdecimal() else TEXT, value=value)
        for row, pair in enumerate(rows)
        for col, value in enumerate(pair)
    )
    return WORKBOOK.format(cols=1, rows=len(rows) - 1, cells="".join(cells))


def _place(screen: Screen) -> tuple[Element, Element]:
    """The field with the present cell's name, and the one with what it holds: they stand on one line."""
    fields = [e for e in screen.look.actionable() if e.role == "textbox"]
    if len(fields) < 2:
        raise Lost("no formula bar")
    return fields[0], fields[1]


def entered(screen: Screen, cell: str, *enter: Action) -> Action:
    """Go to a cell by its name, put something into it, save."""
    place, _ = _place(screen)
    assert place.ref is not None
    go = screen.look.labelled(Action("fill", (place.ref, cell)))
    steps = (go, keys("Enter"), *enter, keys("Enter"), keys("Control+s"))
    at = next((n for n in range(len(steps) - 1, 0, -1) if screen.history[-n:] == steps[:n]), 0)
    return go if at in (1, 2) and place.value != cell else steps[at]


def _table(make: Maker) -> list[tuple[str, str]]:
    return [(word, str(make.random.randint(1, 200))) for word in make.words(make.random.randint(3, 7))]


@family("set-cell", 14)
def set_cell(make: Maker) -> Plan:
    rows, name = _table(make), f"{make.word()}.gnumeric"
    at = make.random.randrange(len(rows))
    value = str(make.random.randint(201, 999))
    after = [[a, value if i == at else b] for i, (a, b) in enumerate(rows)]
    cell = f"B{at + 1}"
    return Plan(
        make.random.choice(
            (
                f'Put "{value}" into cell "{cell}" of "{name}" and save it.',
                f'Change "{cell}" to "{value}" in "{name}"; save.',
            )
        ),
        lambda world: world.files().keys() == {name} and world.cells(name) == after,
        lambda screen: entered(screen, cell, typed(value)),
        open=(f"app:gnumeric?{name}",),
        files={name: workbook(rows)},
    )


@family("sum-column", 14)
def sum_column(make: Maker) -> Plan:
    rows, name = _table(make), f"{make.word()}.gnumeric"
    total = str(sum(int(b) for _, b in rows))
    cell, numbers = f"B{len(rows) + 1}", f"B1:B{len(rows)}"
    after = [*([a, b] for a, b in rows), ["", total]]

    def done(world: World) -> bool:
        return world.files().keys() == {name} and world.cells(name) == after

    return Plan(
        make.random.choice(
            (
                f'Put the sum of {numbers} into cell {cell} of "{name}" and save it.',
                f'In "{name}", add up {numbers} in {cell}; save.',
            )
        ),
        done,
        lambda screen: entered(screen, cell, screen.click("button", "Sum"), typed(numbers)),
        open=(f"app:gnumeric?{name}",),
        files={name: workbook(rows)},
    )
