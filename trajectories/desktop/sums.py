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


def _pressed(screen: Screen, expression: str) -> Action:
    """The calculator's next button; after a wrong one it begins again."""
    wanted = [*expression, "="]
    done = screen.clicked
    while "AC" in done:
        done = done[done.index("AC") + 1 :]
    right = done == wanted[: len(done)] and len(done) < len(wanted)
    return screen.click("button", wanted[len(done)] if right else "AC")


@family("calculate", 16)
def calculate(make: Maker) -> Plan:
    expression, result = _sum(make)
    return Plan(
        make.say(
            "Compute {x} and leave the result showing.", "Let the calculator show what {x} is.", x=expression
        ),
        lambda world: world.shown == result,
        lambda screen: _pressed(screen, expression),
        open=("app:galculator",),
    )


@family("calculate-and-save", 24)
def calculate_and_save(make: Maker) -> Plan:
    expression, result = _sum(make)
    name = make.file()

    def expert(screen: Screen) -> Action:
        if screen.app == "mousepad":
            return written(screen, result, name)
        if any(
            e.role == "textbox" and e.value == result and "readonly" in e.states for e in screen.look.elements
        ):
            return Action("goto", ("app:mousepad",))
        return _pressed(screen, expression)

    return Plan(
        make.say(
            "Compute {x} and save the result as {name}.",
            "Work out {x} with the calculator and write the result into a new file {name}.",
            x=expression,
            name=name,
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


def entered(screen: Screen, cell: str, value: str) -> Action:
    """Go to a cell by its name, type, save."""
    place, _ = _place(screen)
    assert place.ref is not None
    done = screen.history
    if screen.did(typed(value)):
        return keys("Enter")
    if len(done) > 1 and done[-2:] == (typed(value), keys("Enter")):
        return keys("Control+s")
    if done and done[-1] == keys("Enter") and place.value == cell:
        return typed(value)
    if place.value == cell and done and done[-1].name == "fill":
        return keys("Enter")
    return screen.look.labelled(Action("fill", (place.ref, cell)))


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
        lambda screen: entered(screen, cell, value),
        open=(f"app:gnumeric?{name}",),
        files={name: workbook(rows)},
    )


@family("sum-column", 14)
def sum_column(make: Maker) -> Plan:
    rows, name = _table(make), f"{make.word()}.gnumeric"
    total = str(sum(int(b) for _, b in rows))
    cell, last = f"B{len(rows) + 1}", f"B{len(rows)}"
    after = [*([a, b] for a, b in rows), ["", total]]

    def done(world: World) -> bool:
        return world.files().keys() == {name} and world.cells(name) == after

    return Plan(
        make.random.choice(
            (
                f'Put the sum of "B1" to "{last}" into cell "{cell}" of "{name}" and save it.',
                f'In "{name}", add up column B below its last number, in "{cell}"; save.',
            )
        ),
        done,
        lambda screen: entered(screen, cell, f"=SUM(B1:{last})"),
        open=(f"app:gnumeric?{name}",),
        files={name: workbook(rows)},
    )
