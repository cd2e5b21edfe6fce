"""Questions that a page answers: the value of a field, or of a cell of a table.

Not covered: answers that must be counted or compared.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from trajectories.explore import wording
from trajectories.explore.attempts import NEVER, label
from trajectories.explore.demonstration import Demonstration, Effect
from trajectories.explore.page import FIELDS, Page
from trajectories.explore.site import Site

MOST = 4  # of each kind on a page
LONGEST = 60  # characters of an answer
PASSING = re.compile(r"(?i)\b(ago|just now|today|yesterday|tomorrow)\b")  # not so for long


def on(page: Page, site: Site) -> Iterator[Demonstration]:
    """Questions about what stands on the page, each with the answer that is there now."""
    made = 0
    for field, of, answer in (*_fields(page, site), *_cells(page, site)):
        if made == 2 * MOST:
            return
        if (
            not answer.strip()
            or len(answer) > LONGEST
            or PASSING.search(answer)
            or NEVER.search(field)
            or field in ("", "id")
        ):
            continue
        goals = wording.reading(field, of)
        step = f"send_msg_to_user({answer!r})"
        made += 1
        yield Demonstration("read", page.place, (step,), Effect(where=page.place, answer=answer), goals)


def _fields(page: Page, site: Site) -> Iterator[tuple[str, str, str]]:
    of = wording.thing_at(page.place, site)
    if not of:
        return
    fields = [t.element for t in page.clear() if t.element.role in FIELDS and t.element.value]
    for element in fields[:MOST]:
        yield label(element.name), of, element.value or ""


def _cells(page: Page, site: Site) -> Iterator[tuple[str, str, str]]:
    """Cells of tables with a head, named by their column and by the row's first text that no other row
    has.
    """
    within, lines = wording.list_at(page.place, site), page.text.splitlines()
    of = wording.thing_at(page.place, site)
    for table in page.seen_tables():
        head, rows = table["head"], [r for r in table["rows"] if len(r) == len(table["head"])]
        if len(rows) == 1 and of and not any(t.element.value for t in page.things):  # the table is the record
            pairs = zip(head, rows[0], strict=True)
            yield from ((label(name), of, cell) for name, cell in pairs if name in lines and cell in lines)
        if len(rows) < 2:
            continue
        column = next((i for i in range(len(head)) if _names([r[i] for r in rows])), None)
        if column is None:
            continue
        for number, row in enumerate(rows[:MOST]):
            others = [i for i in range(len(head)) if i != column and head[i].strip() and row[i].strip()]
            if not others or row[column] not in page.text:
                continue
            at = others[number % len(others)]
            if row[at] in lines and head[at] in lines:
                among = f" in {within}" if within else ""
                yield label(head[at]), f'"{row[column]}"{among}', row[at]


def _names(cells: list[str]) -> bool:
    """Whether the cells tell the rows apart, in words."""
    return all(re.search(r"[A-Za-z]{3}", cell) for cell in cells) and max(Counter(cells).values()) == 1
