"""A page as exploring sees it: all of it, a screen at a time, with what the HTML says of each element.

An agent is shown one screen, and so is what is found here: nothing counts that could not be seen by
scrolling. The HTML is asked only where it saves a guess (where a link leads, which form a field is of);
demonstrations and checks use roles, names and values alone.

Not covered: what can be tried on the page (`attempts.py`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tools.actions import Action, Named
from tools.browser import BrowserEnvironment
from tools.observation import Element, Observation
from trajectories.explore.demonstration import place

SCREENS = 6  # looked at of one page
FIELDS = frozenset({"textbox", "searchbox", "spinbutton", "combobox", "listbox", "checkbox", "radio"})

FACTS = r"""(el) => {
  if (!el) return {};
  const form = el.form || el.closest('form');
  const box = el.getBoundingClientRect();
  let group = '', at = el;
  for (let i = 0; i < 5 && at && !group; i += 1, at = at.parentElement) {
    const first = at.previousElementSibling;
    if (first && first.matches('h1,h2,h3,h4,h5,summary,legend,strong,p,dt')) group = first.innerText.trim();
  }
  const own = el.hasAttribute('formmethod') ? el.formMethod : form ? form.method : '';
  return {
    href: typeof el.href === 'string' ? el.href : '', type: el.type || '', method: own,
    form: form ? [...document.forms].indexOf(form) : -1, group: group.slice(0, 40),
    header: !!el.closest('thead'), new_tab: el.target === '_blank' || !!el.getAttribute('download'),
    at: [Math.round(box.left + scrollX), Math.round(box.top + scrollY)],
  };
}"""

WHOLE = r"""() => ({
  status: performance.getEntriesByType('navigation')[0]?.responseStatus || 200,
  tables: [...document.querySelectorAll('table')].slice(0, 6).map((table) => {
    const text = (cell) => cell.textContent.trim().replace(/\s+/g, ' ');
    const rows = [...table.rows].map((row) => [...row.cells]).filter((row) => row.length > 1);
    const head = rows.findIndex((row) => row.every((cell) => cell.tagName === 'TH'));
    const body = rows.slice(head + 1, head + 13).map((row) => row.map(text));
    return { head: head < 0 ? [] : rows[head].map(text), rows: body };
  }),
})"""


@dataclass(frozen=True)
class Thing:
    """An element that can be acted on, how programs name it, and what the HTML says of it."""

    element: Element
    facts: dict[str, Any]

    @property
    def target(self) -> Named:
        return Named(self.element.role, self.element.name)


@dataclass(frozen=True)
class Page:
    """One page, read to its end. `unclear` are roles and names that mean more than one thing."""

    look: Observation  # its first screen
    place: str
    heading: str
    things: tuple[Thing, ...]
    text: str  # all that can be read, a line each
    tables: tuple[dict[str, Any], ...]
    status: int  # of the answer that brought it, as HTTP has it

    def clear(self) -> list[Thing]:
        """Things whose role and name say which one is meant; of links that lead to one page, the first."""
        same = Counter((t.target, t.facts.get("href", "")) for t in self.things)
        every = Counter(t.target for t in self.things)
        found: dict[Named, Thing] = {}
        for thing in self.things:
            link = thing.element.role == "link" and thing.facts.get("href")
            alike = same[thing.target, thing.facts.get("href", "")] if link else 1
            if thing.element.name.strip() and every[thing.target] == alike:
                found.setdefault(thing.target, thing)
        return list(found.values())

    def seen_tables(self) -> list[dict[str, Any]]:
        """Tables whose head can be read; others mostly lay out the page."""
        lines = set(self.text.splitlines())
        return [table for table in self.tables if any(head and head in lines for head in table["head"])]

    def others(self) -> list[tuple[Named, Thing]]:
        """Links of the first screen that share their name with another, counted as they stand there."""
        clear = {thing.target for thing in self.clear()}
        found = []
        for thing in self.things:
            element = thing.element
            if element.role == "link" and thing.target not in clear and element in self.look.elements:
                target = self.look.named(element.ref or 0)
                if target is not None and element.name.strip():
                    found.append((target, thing))
        return found


async def read_page(env: BrowserEnvironment, screens: int = SCREENS) -> Page:
    """Read the page in sight, scrolling through so many screens of it; ends scrolled to its top."""
    first = look = await env.observe()
    things: dict[tuple[Any, ...], Thing] = {}
    lines: dict[str, None] = {}
    for screen in range(screens):
        facts = await env.ask(FACTS)
        for element in look.elements:
            lines.setdefault(element.name)
            if element.ref is not None and (known := facts.get(element.ref)):
                things.setdefault((element.role, element.name, *known["at"]), Thing(element, known))
        if screen + 1 == screens or (screen == 0 and not look.hidden):
            break
        look = await env.step(Action("scroll", (0, 600)))
        if look.error:
            break
    if look is not first:
        await env.step(Action("scroll", (0, -9999)))
    whole = await env.page.evaluate(WHOLE)
    headings = [e.name for e in first.elements if e.role == "heading"]
    ordered = sorted(things.values(), key=lambda t: t.facts["at"][1])
    heading = headings[0] if headings else first.title
    text, tables = "\n".join(lines), tuple(whole["tables"])
    return Page(first, place(first.url), heading, tuple(ordered), text, tables, whole["status"])


def held(look: Observation) -> dict[str, str]:
    """What each field of a page holds, by role and name; fields that share both are left out."""
    fields = [e for e in look.actionable() if e.role in FIELDS and e.name.strip()]
    names = Counter((e.role, e.name) for e in fields)
    return {
        str(Named(e.role, e.name)): state(e)
        for e in fields
        if names[e.role, e.name] == 1 and not (e.value or "").startswith("•")
    }


def state(element: Element) -> str:
    """What a field holds: its value, or "on" or "off"."""
    if element.role in ("checkbox", "radio"):
        return "on" if "checked" in element.states else "off"
    return element.value or ""


def words(look: Observation) -> str:
    """All that can be read on a screen."""
    return "\n".join(f"{e.name} {e.value or ''}" for e in look.elements)
