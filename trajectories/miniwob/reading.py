"""Oracles of the tasks whose answer is read or worked out from what the page shows, then typed.

Not covered: what they are made of (`oracle.py`); text that the goal gives (`writing.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from tools.actions import Action
from tools.observation import Element
from trajectories.miniwob.oracle import FIELDS, Family, OracleLost, Scene


def names(scene: Scene) -> list[str]:
    """The names of all that is listed, texts too, in the page's order."""
    return [e.name for e in scene.look.elements]


def read(scene: Scene, pattern: str) -> tuple[str, ...]:
    """The groups of a pattern in what is listed. Raises OracleLost."""
    match = re.search(pattern, "\n".join(names(scene)))
    if match is None:
        raise OracleLost(f"nothing of the form {pattern!r} among:\n{scene.look.text()}")
    return match.groups()


def answer(work_out: Callable[[Scene], str], scene: Scene) -> Action:
    """What is worked out goes into the last field, and is submitted."""
    fields = scene.all(*FIELDS)
    if not fields:
        raise OracleLost(f"no field among:\n{scene.look.text()}")
    return scene.fill(fields[-1], work_out(scene)) or scene.click("button", "Submit")


def date(scene: Scene) -> str:
    month, day, year = scene.said(r"(\d+)/(\d+)/(\d+)")
    return f"{year}-{month}-{day}"


def time(scene: Scene) -> str:
    hour, minute, half = scene.said(r"(\d+):(\d+)\s(AM|PM)")
    return f"{int(hour) % 12 + (12 if half == 'PM' else 0):02}:{minute}"


def in_case(scene: Scene) -> str:
    (text,) = scene.quoted()
    return text.upper() if "upper case" in scene.goal else text.lower()


def nth_word(scene: Scene) -> str:
    (nth,) = scene.said(r"the (\d+)\w\w word")
    words = " ".join(names(scene)).split()  # the paragraph is listed first, a short one as the field's name
    return re.sub(r"\W", "", words[int(nth) - 1])


def last_word(scene: Scene) -> str:
    return re.sub(r"\W", "", (scene.all("textbox")[0].value or "").split()[-1])


def cell(scene: Scene) -> str:
    return beside(scene, *scene.said("the value of (.*) into"))


def beside(scene: Scene, key: str) -> str:
    """What a table shows to the right of a key."""
    cells = names(scene)
    return cells[cells.index(key) + 1]


def solved_for_x(scene: Scene) -> str:
    left, sign, right, total = read(scene, r"(x|\d+) ([+-]) (x|\d+) = (\d+)")
    if sign == "+":
        return str(int(total) - int(right if left == "x" else left))
    return str(int(total) + int(right) if left == "x" else int(left) - int(total))


def sum_or_product(scene: Scene) -> str:
    left, sign, right = read(scene, r"(\d+) ([-+x]) (\d+) =")
    a, b = int(left), int(right)
    return str({"+": a + b, "-": a - b, "x": a * b}[sign])


def guess(scene: Scene) -> str:
    """The middle of what is left by all that the page has said so far."""
    low, high = 0, 9
    for side, bound in re.findall(r"(higher|lower) than (\d)", " ".join(scene.facts)):
        low, high = (max(low, int(bound) + 1), high) if side == "higher" else (low, min(high, int(bound) - 1))
    return str((low + high) // 2)


def read_table_2(scene: Scene) -> Action:
    for element in scene.all(*FIELDS):
        if action := scene.fill(element, beside(scene, element.name)):
            return action
    return scene.click("button", "Submit")


def scroll(scene: Scene, element: Element, down: int) -> Action:
    """Scroll what an element lies in, by CSS pixels."""
    assert element.ref is not None
    return scene.look.labelled(Action("scroll", (0, down, element.ref)))


def scroll_to(scene: Scene, side: str) -> Action | None:
    """A text area to its top or bottom, or None where it is there; `facts` are the pixels left either way."""
    above, below = scene.facts
    (area, *_) = scene.all("textbox")
    if side == "top":
        return scroll(scene, area, -1000) if above > 2 else None
    return scroll(scene, area, 1000) if below > 2 else None


def scroll_text(scene: Scene) -> Action:
    return scroll_to(scene, "bottom") or answer(last_word, scene)


def scroll_text_2(scene: Scene) -> Action:
    return scroll_to(scene, *scene.said("to the (bottom|top) of")) or scene.click("button", "Submit")


def find_greatest(scene: Scene) -> Action:
    """Cards lie face down and show their number when clicked, one at a time: each is looked at once, then the
    greatest is turned up. `facts` is the index of the one that is turned up, or -1, and all numbers."""
    cards = scene.all("clickable")
    turned, numbers = scene.facts
    looked_at = {action.args[0] for action in scene.history if action.name == "click"}
    for card in cards:
        if card.ref not in looked_at:
            return scene.on("click", card)
    if turned != numbers.index(max(numbers)):
        return scene.on("click", cards[numbers.index(max(numbers))])
    return scene.click("button", "Submit")


def generate_number(scene: Scene) -> Action:
    (shown,) = read(scene, r"^(-|\d+)\n")
    match scene.said(r"(less|greater|odd|even)(?: than (\d+))?"):
        case "less", bound:
            fits = shown != "-" and int(shown) < int(bound)
        case "greater", bound:
            fits = shown != "-" and int(shown) > int(bound)
        case parity, _:
            fits = shown != "-" and int(shown) % 2 == (parity == "odd")
    return scene.click("button", "Submit" if fits else "Generate")


LEFT_TO_SCROLL = """((area) => [area.scrollTop, area.scrollHeight - area.clientHeight - area.scrollTop])(
  document.querySelector('#text-area'))"""
CARDS = """((cards) => [cards.findIndex((c) => !c.classList.contains('hidden')),
  cards.map((c) => Number(c.textContent))])([...document.querySelectorAll('.card')])"""
# All that was shown, since what is shown now says the last of it only.
HEARD = """((now) => window.heard = now.startsWith('Waiting') ? [] : [...window.heard, now])(
  document.querySelector('#feedback').innerText.trim())"""

FAMILIES: dict[str, Family] = {
    "enter-date": Family(partial(answer, date)),
    "enter-text-2": Family(partial(answer, in_case)),
    "enter-time": Family(partial(answer, time)),
    "find-word": Family(partial(answer, nth_word)),
    "read-table": Family(partial(answer, cell)),
    "read-table-2": Family(read_table_2),
    "simple-algebra": Family(partial(answer, solved_for_x)),
    "simple-arithmetic": Family(partial(answer, sum_or_product)),
    "text-transform": Family(partial(answer, lambda scene: scene.all(*FIELDS)[0].name)),
    "use-spinner": Family(partial(answer, lambda scene: scene.said(r"Select (-?\d+)")[0])),
    "visual-addition": Family(
        partial(answer, lambda scene: str(scene.facts)), "document.querySelectorAll('.addition-block').length"
    ),
    "guess-number": Family(partial(answer, guess), HEARD),
    "generate-number": Family(generate_number, repeats=True),
    "find-greatest": Family(find_greatest, CARDS),
    "scroll-text": Family(scroll_text, LEFT_TO_SCROLL),
    "scroll-text-2": Family(scroll_text_2, LEFT_TO_SCROLL),
}
