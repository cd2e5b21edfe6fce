"""Help desk task families that want both sides: a file to be read, or a table to be reckoned with, by the
coder's script, whose calls are done on the page.

Each plan has the script. Its lines are the same for a whole family; what changes is copied from the goal or
from the page at the start, so that a small model can learn to write it. By hand a file can't be read at all,
and what a table comes to is known to the expert here, not to be seen: nothing for an actor to imitate.

Not covered: running a script (`agents/script.py`); what else a coder might write.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from tools.actions import Action, quote
from trajectories.helpdesk import world
from trajectories.helpdesk.database import Change
from trajectories.helpdesk.expert import Field, Page
from trajectories.helpdesk.look import CHOICES, STANDING
from trajectories.helpdesk.tasks import Maker, Plan, family
from trajectories.helpdesk.world import Row

UNREADABLE = Action("report_infeasible", ("a file can't be read by hand",))


def _file(m: Maker, stems: tuple[str, ...], rows: Iterable[Iterable[str]]) -> tuple[str, str]:
    """Name and content of a file of comma-separated values."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    return f"{m.random.choice(stems)}-{world.token(m.random)}.csv", written.getvalue()


@family("enter-customers", 30, scripted=True)
def enter_customers(m: Maker) -> Plan:
    taken = {row["name"] for row in m.world.customers}
    names = world.distinct(m.random, world.person, m.random.randint(2, 4), taken)
    new = [{"name": n, "email": world.email(m.random, n), "phone": world.phone(m.random)} for n in names]
    keys = m.random.sample(["name", "email", "phone"], 3)
    head = [m.look.word(key) for key in keys]
    rows = [[row[k] for k in keys] for row in new]
    name, content = _file(m, ("new", "people", "fair", "list"), [head, *rows])
    goal = m.say(
        "Enter the {noun}s of the file {name!r}.",
        "The file {name!r} lists new {noun}s. Enter all of them.",
        "Create a {noun} for every row of {name!r}.",
        "Register everybody in {name!r} as a {noun}.",
        "There are new {noun}s in {name!r}. Enter each of them.",
        noun=m.customer_noun(),
        name=name,
    )
    script = f"""import csv
for row in csv.DictReader(open({quote(name)})):
    goto("/customers/new")
    for name in row:
        fill(textbox(name), row[name])
    press(textbox(name), "Enter")"""
    start = m.random.choice(("/", "/customers", "/customers/new"))
    expect = tuple(Change.of("customers", None, **row) for row in new)
    return Plan(goal, start, lambda p: UNREADABLE, expect, files=((name, content),), script=script)


@family("enter-tickets", 30, scripted=True)
def enter_tickets(m: Maker) -> Plan:
    taken = {row["title"] for row in m.world.tickets}
    new: list[Row] = []
    for title in world.distinct(m.random, world.title, m.random.randint(2, 3), taken):
        priority = m.random.choice(CHOICES["priority"][0])
        customer = m.random.choice(m.world.customers)
        new.append({"title": title, "customer": customer["id"], "priority": priority, "state": "open"})
    head = [m.look.word(key) for key in ("title", "customer", "priority")]
    people = {row["id"]: row["name"] for row in m.world.customers}
    rows = [[t["title"], people[t["customer"]], m.look.choice("priority", t["priority"])] for t in new]
    name, content = _file(m, ("inbox", "calls", "desk", "list"), [head, *rows])
    goal = m.say(
        "Create a {noun} for every row of {name!r}.",
        "Enter the {noun}s of the file {name!r}.",
        "The file {name!r} lists new {noun}s. Enter all of them.",
        "Open a {noun} for each row of the file {name!r}.",
        "There are new {noun}s in {name!r}. Enter each of them.",
        noun=m.ticket_noun(),
        name=name,
    )
    script = f"""import csv
rows = csv.reader(open({quote(name)}))
a, b, c = next(rows)
for title, customer, priority in rows:
    goto("/tickets/new")
    fill(textbox(a), title)
    fill(textbox(b), customer)
    click(option(customer))
    select_option(combobox(c), priority)
    press(textbox(a), "Enter")"""
    start = m.random.choice(("/", "/tickets", "/tickets/new"))
    expect = tuple(Change.of("tickets", None, assignee=m.world.me["id"], **row) for row in new)
    return Plan(goal, start, lambda p: UNREADABLE, expect, files=((name, content),), script=script)


def _bills(m: Maker, name: str) -> list[Row]:
    return [row for row in m.world.bills if row["list"] == name]


def _entered(m: Maker, start: str, goal: str, script: str, key: str, value: str) -> Plan:
    """The plan of writing one value into a field of the month's report, whose others stay empty."""
    expect = Change.of("summaries", None, **{"total": "", "tally": "", "remark": "", key: value})

    def expert(page: Page) -> Action:
        if page.path not in ("/invoices", "/payments", "/archive"):
            return Action("goto", (start,))
        others = tuple(Field(k, "") for k in ("total", "tally", "remark") if k != key)
        return page.form((Field(key, value),), others, "report")

    return Plan(goal, start, expert, (expect,), script=script)


def _enter(m: Maker, key: str, value: str) -> str:
    """The lines that write a value (an expression) into that field and hand the form in."""
    field = quote(m.look.word(key))
    return f'fill(textbox({field}), {value})\npress(textbox({field}), "Enter")'


@family("sum-column", 10, scripted=True)
def sum_column(m: Maker) -> Plan:
    name = m.random.choice(("invoices", "payments"))
    cents = sum(round(100 * float(row["amount"])) for row in _bills(m, name))
    amount, total = m.look.word("amount"), m.look.word("total")
    goal = m.say(
        "Sum up the column {amount!r} and enter the result under {total!r}.",
        "Enter the sum of {amount!r} under {total!r}.",
        "What do all values of {amount!r} come to? Enter it under {total!r}.",
        "The field {total!r} needs the sum of the column {amount!r}.",
        "Write the sum of all rows of {amount!r} into {total!r}.",
        amount=amount,
        total=total,
    )
    script = f"total = sum(float(row[{quote(amount)}]) for row in read_table())\n"
    script += _enter(m, "total", "round(total, 2)")
    return _entered(m, f"/{name}", goal, script, "total", f"{cents / 100:.2f}")


@family("count-rows", 10, scripted=True)
def count_rows(m: Maker) -> Plan:
    name = m.random.choice(("invoices", "payments"))
    standing = m.random.choice(STANDING[0])
    column, shown = m.look.word("standing"), m.look.choice("standing", standing)
    goal = m.say(
        "How many rows have {shown!r} under {column!r}? Enter the number under {tally!r}.",
        "Count the rows whose {column!r} is {shown!r} and enter the number under {tally!r}.",
        "Enter under {tally!r} how many rows say {shown!r} in the column {column!r}.",
        "{tally!r} should be the number of rows with {column!r} {shown!r}.",
        "Write into {tally!r} how often {shown!r} stands in {column!r}.",
        shown=shown,
        column=column,
        tally=m.look.word("tally"),
    )
    script = f"found = [row for row in read_table() if row[{quote(column)}] == {quote(shown)}]\n"
    script += _enter(m, "tally", "len(found)")
    value = sum(row["standing"] == standing for row in _bills(m, name))
    return _entered(m, f"/{name}", goal, script, "tally", str(value))


@family("most-of-all-pages", 12, scripted=True)
def most_of_all_pages(m: Maker) -> Plan:
    most = m.random.random() < 0.5
    amount, number = m.look.word("amount"), m.look.word("number")
    goal = m.say(
        "Find the row with the {most} {amount!r} on all pages and enter its {number!r} under {remark!r}.",
        "Which {number!r} has the {most} {amount!r}? Look at every page and enter it under {remark!r}.",
        "Go through all pages. The {number!r} of the {most} {amount!r} belongs under {remark!r}.",
        "Enter under {remark!r} the {number!r} with the {most} {amount!r} of all pages.",
        "There are several pages. Write the {number!r} that has the {most} {amount!r} into {remark!r}.",
        most=m.random.choice(("largest", "highest") if most else ("smallest", "lowest")),
        amount=amount,
        number=number,
        remark=m.look.word("remark"),
    )
    script = f"""rows = read_table()
try:
    while True:
        click(link({quote(m.look.word("next"))}))
        rows += read_table()
except ActionError:
    row = {"max" if most else "min"}(rows, key=lambda row: float(row[{quote(amount)}]))
"""
    script += _enter(m, "remark", f"row[{quote(number)}]")
    rows = sorted(_bills(m, "archive"), key=lambda row: float(row["amount"]))
    return _entered(m, "/archive", goal, script, "remark", rows[-1 if most else 0]["number"])


@family("compare-pages", 12, scripted=True)
def compare_pages(m: Maker) -> Plan:
    here, there = m.random.sample(("invoices", "payments"), 2)
    amount, number = m.look.word("amount"), m.look.word("number")
    goal = m.say(
        "Compare this page with {there!r}. Enter the {number!r} whose {amount!r} differs under {remark!r}.",
        "One {amount!r} on {there!r} is not the same as here. Enter its {number!r} under {remark!r}.",
        "Which {number!r} has another {amount!r} on the page {there!r}? Enter it under {remark!r}.",
        "Hold each {amount!r} against {there!r}. The {number!r} that differs belongs under {remark!r}.",
        "Write into {remark!r} the {number!r} that has another {amount!r} on {there!r} than here.",
        there=m.look.word(there),
        amount=amount,
        number=number,
        remark=m.look.word("remark"),
    )
    row = f"row[{quote(number)}]"
    script = f"""here = {{{row}: row[{quote(amount)}] for row in read_table()}}
click(link({quote(m.look.word(there))}))
row = next(row for row in read_table() if row[{quote(amount)}] != here[{row}])
"""
    script += _enter(m, "remark", row)
    other = {bill["number"]: bill["amount"] for bill in _bills(m, there)}
    wrong = next(b["number"] for b in _bills(m, here) if b["amount"] != other[b["number"]])
    return _entered(m, f"/{here}", goal, script, "remark", wrong)


@family("remind-rows", 24, scripted=True)
def remind_rows(m: Maker) -> Plan:
    standing = m.random.choice(STANDING[0])
    column, shown = m.look.word("standing"), m.look.choice("standing", standing)
    number, remind = m.look.word("number"), m.look.word("remind")
    goal = m.say(
        "Press {remind!r} on the page of every {number!r} whose {column!r} is {shown!r}.",
        "Every {number!r} with {column!r} {shown!r} needs {remind!r} on its page.",
        "Open each {number!r} with {shown!r} under {column!r} and press {remind!r} there.",
        "For every {number!r} that has {column!r} {shown!r}, press {remind!r} on its page.",
        "Use {remind!r} on each {number!r} with {shown!r} under {column!r}.",
        remind=remind,
        number=number,
        column=column,
        shown=shown,
    )
    script = f"""for row in read_table():
    if row[{quote(column)}] == {quote(shown)}:
        goto("/invoices")
        click(link(row[{quote(number)}]))
        click(button({quote(remind)}))"""
    wanted = [row for row in _bills(m, "invoices") if row["standing"] == standing]

    def expert(page: Page) -> Action:
        if any(page.path == f"/invoices/{row['id']}" for row in wanted) and _reminded(page) == 0:
            return page.press("remind")
        if page.path != "/invoices":
            return Action("goto", ("/invoices",))
        left = next((row for row in wanted if _reminded(page, row["number"]) == 0), None)
        return page.link(left["number"]) if left else Action("report_infeasible", ("reminded twice",))

    expect = tuple(Change.of("bills", row["id"], reminders=1) for row in wanted)
    return Plan(goal, "/invoices", expert, expect, script=script)


def _reminded(page: Page, number: str | None = None) -> int | None:
    """How often the invoice of this page, or of that row, was reminded, if the page says so."""
    texts = [e for e in page.observation.elements if e.role == "text"]
    if number is not None:
        link = page.element(("link",), number)
        row = [e for e in texts if link and abs(e.box.centre[1] - link.box.centre[1]) < link.box.height]
        texts = sorted(row, key=lambda e: e.box.x)[-1:]
    else:
        texts = [e for e in texts if e.name.startswith(page.look.word("reminders"))]
    last = texts[0].name.split()[-1] if texts else ""
    return int(last) if last.isdigit() else None
