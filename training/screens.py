"""Drawn screens with questions over them: pretraining learns to read, point, copy and look from these.

No browser: a screen is a made-up `Observation` (the same text a browser gives) and, where there is
something to see, a small picture. Several questions share a screen. Everything comes from a seed.
The words are made up apart from the suites' own: no task, page or goal of an evaluation is used here.

Not covered: real pages (`trajectories/examples.py`) and the training loop (`pretrain.py`).
"""

from __future__ import annotations

import random
import string
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageDraw

from agents import prompts
from tools.actions import Action, quote
from tools.observation import Box, Element, Observation

WORDS = (Path(__file__).parent / "words.txt").read_text().split()
TYPED = ("textbox", "textbox", "textbox", "searchbox", "spinbutton")
CLICKED = ("button", "button", "link", "link", "tab", "menuitem", "option", "radio")
COLOURS = {
    "red": (215, 40, 40), "green": (40, 160, 70), "blue": (45, 85, 215), "yellow": (240, 210, 40),
    "black": (20, 20, 20), "white": (250, 250, 250), "orange": (240, 140, 30), "purple": (130, 60, 180),
}  # fmt: skip
SUBMITS = (
    *("Save", "Submit", "OK", "Send", "Update", "Save changes", "Apply", "Confirm", "Store", "Done"),
    *("Apply changes", "Create", "Add", "Post", "Login", "Search", "Go", "Sign in", "Continue"),
)
SHAPES = ("circle", "square", "triangle")
FRAMES = ("{}", "{}.", "Please {}.", "{} now.", "You should {}.", "I want you to {}.")


@dataclass(frozen=True)
class Question:
    """What follows the page in a prompt (goal to cue), and the answer."""

    text: str
    answer: str

    @property
    def acts(self) -> bool:
        """Whether it is the actor's."""
        return self.text.endswith("\nact:")


@dataclass(frozen=True)
class Screen:
    """A page's text, perhaps its picture, and questions over it."""

    page: str
    questions: tuple[Question, ...]
    picture: Image.Image | None = None


class Artist:
    """Draws screens. `hardness` from 0 to 1 sets how many elements and parts a screen and a goal have."""

    def __init__(self, seed: int | str, hardness: float = 1.0, pixels: int = 128) -> None:
        self.random = random.Random(seed)
        self.hardness = hardness
        self.pixels = pixels

    def screen(self, questions: int = 8, picture: bool = False) -> Screen:
        """A screen with that many questions; with `picture`, some of them can only be answered by looking."""
        page, seen = self._page(), None
        asked: list[Question] = []
        if picture:
            page, seen, asked = self._look(page)
        kinds: list[Callable[[Observation], Question | None]] = [
            self._read,
            self._click,
            self._click,
            self._fill,
        ]
        if self.hardness > 0.1:
            kinds += [self._click, self._fill, self._choose, self._sequence, self._sequence]
        if self.hardness > 0.3:
            kinds += [self._sequence, self._sequence, self._sequence, self._review, self._review, self._plan]
        for _ in range(questions * 3):
            if len(asked) >= questions:
                break
            question = self.random.choice(kinds)(page)
            if question:
                asked.append(question)
        self.random.shuffle(asked)
        return Screen(page.text() + "\n", tuple(asked), seen)

    def asides(self, page: Observation, count: int) -> tuple[Question, ...]:
        """Up to `count` questions of one action on a page that was seen, not drawn."""
        kinds = (self._click, self._fill, self._choose)
        asked = (self.random.choice(kinds)(page) for _ in range(2 * count))
        return tuple(question for question in asked if question)[:count]

    # words

    def _word(self) -> str:
        r = self.random
        if r.random() < 0.75:
            return r.choice(WORDS)
        letters = "".join(r.choice(string.ascii_lowercase) for _ in range(r.randint(2, 8)))
        return letters if r.random() < 0.8 else str(r.randint(0, 9999))

    def _name(self) -> str:
        r = self.random
        words = [self._word() for _ in range(r.choice((1, 1, 2, 2, 3) if self.hardness > 0.05 else (1,)))]
        style = r.random()
        if style < 0.5:
            return " ".join(words).capitalize()
        return " ".join(w.capitalize() for w in words) if style < 0.85 else " ".join(words)

    def _value(self) -> str:
        r = self.random
        if self.hardness < 0.1:
            return self._word()
        match r.randrange(8):
            case 0:
                domain = r.choice(("org", "com", "net", "example"))
                return f"{self._word()}.{self._word()}@{self._word()}.{domain}"
            case 1:
                return "-".join(str(r.randint(100, 9999)) for _ in range(r.randint(2, 3)))
            case 2:
                return f"20{r.randint(10, 39)}-{r.randint(1, 12):02}-{r.randint(1, 28):02}"
            case 3:
                return str(r.randint(1, 10 ** r.randint(1, 4)))
            case 4:
                alphabet = string.ascii_letters + string.digits
                return "".join(r.choice(alphabet) for _ in range(r.randint(2, 7)))
            case 5:
                return " ".join(self._word() for _ in range(r.randint(3, 7))).capitalize() + r.choice(
                    ("", ".")
                )
            case _:
                return f"{self._word().capitalize()} {self._word().capitalize()}"

    # pages

    def _page(self) -> Observation:
        r = self.random
        top = 3 + round(self.hardness * 22)
        count = r.randint(min(3, top), top)
        ref = (
            r.choice((0, 0, 0, r.randint(0, 60))) if self.hardness > 0.3 else r.choice((0, r.randint(0, 100)))
        )
        used: set[str] = set()
        elements: list[Element] = []
        for index in range(count):
            name = self._name()
            if name.lower() in used:
                continue
            used.add(name.lower())
            y = 30 * index
            if r.random() < 0.2:
                role = r.choice(("text", "text", "heading", "cell", "status"))
                text = self._value() if r.random() < 0.3 else name
                elements.append(Element(None, role, text, Box(0, y, 90, 20)))
                continue
            ref += 1
            element = Element(ref, r.choice(CLICKED), name, Box(0, y, 90, 20))
            kind = r.random()
            if kind < 0.35:
                value = self._value() if r.random() < 0.4 else None
                element = replace(element, role=r.choice(TYPED), value=value)
            elif kind < 0.5:
                options = tuple({self._word().capitalize() if r.random() < 0.5 else self._word(): 0
                                 for _ in range(r.randint(2, 6))})  # fmt: skip
                element = replace(element, role="combobox", options=options, value=r.choice(options))
            elif kind < 0.6:
                element = replace(element, role="checkbox", states=r.choice(((), ("checked",))))
            elements.append(element)
        if r.random() < 0.5 and not used & {name.lower() for name in SUBMITS}:
            elements.append(Element(ref + 1, "button", r.choice(SUBMITS), Box(0, 760, 90, 20)))
        if not any(e.ref for e in elements):
            elements.append(Element(ref + 1, "button", self._name(), Box(0, 0, 90, 20)))
        title = self._name()
        return Observation(
            f"http://127.0.0.1/{self._word()}", title, (1024, 768), tuple(elements),
        )  # fmt: skip

    def _one(self, page: Observation, *roles: str) -> Element | None:
        names = Counter(e.name for e in page.elements if e.ref)
        fitting = [e for e in page.actionable() if e.role in roles and e.name and names[e.name] == 1]
        return self.random.choice(fitting) if fitting else None

    def _said(self, text: str, quoted: float = 0.6) -> str:
        return quote(text) if self.random.random() < quoted else text

    def _ask(
        self, page: Observation, goal: str, action: Action, history: tuple[Action, ...] = ()
    ) -> Question:
        goal = goal[:1].upper() + goal[1:] if self.random.random() < 0.8 else goal
        text = prompts.actor_text(goal, page, history)[len(page.text()) + 1 :]
        return Question(text, str(page.labelled(action)))

    def _frame(self, goal: str) -> str:
        frame = self.random.choice(FRAMES)
        return frame.format(goal)

    # questions of one action

    def _read(self, page: Observation) -> Question | None:
        """Some lines of the page again: plain copying, from which pointing grows."""
        lines = page.text().splitlines()[1:]
        if not lines:
            return None
        start = self.random.randrange(len(lines))
        chosen = lines[start : start + 3]
        return Question(f"read from {chosen[0][:40]}:" if start else "read:", "\n".join(chosen))

    def _click(self, page: Observation) -> Question | None:
        r = self.random
        element = self._one(page, "button", "link", "tab", "menuitem", "option", "radio", "checkbox")
        if element is None:
            return None
        name = self._said(element.name)
        role = {"menuitem": "menu item"}.get(element.role, element.role)
        goal = r.choice((
            f"click {name}", f"click on the {name} {role}", f"press {name}", f"open {name}", f"go to {name}",
            f"click the {role} {name}", f"select {name}", f"choose {name}", f"use the {role} {name}",
            f"show {name}", f"pick {name}", f"find {name} and click it",
            f"click on the {role} labelled {name}",
        ))  # fmt: skip
        return self._ask(page, self._frame(goal), Action("click", (element.ref or 0,)))

    def _fill(self, page: Observation) -> Question | None:
        element = self._one(page, *TYPED)
        if element is None:
            return None
        value = self._value()
        goal = self._frame(self._fill_clause(element, value))
        return self._ask(page, goal, Action("fill", (element.ref or 0, value)))

    def _choose(self, page: Observation) -> Question | None:
        element = self._one(page, "combobox")
        if element is None or not element.options:  # a desktop's shows them only when it is open
            return None
        value = self.random.choice(element.options)
        goal = self._frame(self._choose_clause(element, value))
        return self._ask(page, goal, Action("select_option", (element.ref or 0, value)))

    def _fill_clause(self, element: Element, value: str) -> str:
        name, value = (
            self._said(element.name.lower() if self.random.random() < 0.3 else element.name, 0.3),
            quote(value),
        )
        return self.random.choice((
            f"enter {value} into {name}", f"type {value} in the {name} field", f"set {name} to {value}",
            f"fill {name} with {value}", f"put {value} in {name}", f"change the {name} to {value}",
            f"{name}: {value}", f"{name} {value}",
        ))  # fmt: skip

    def _choose_clause(self, element: Element, value: str) -> str:
        name, value = self._said(element.name, 0.3), self._said(value, 0.8)
        return self.random.choice((
            f"set {name} to {value}", f"select {value} from {name}", f"choose {value} as {name}",
            f"{name}: {value}", f"select {value} from the list", f"switch {name} to {value}",
            f"{name} {value}",
        ))  # fmt: skip

    # questions of several parts: what was done is in the history and, mostly, on the page

    def _parts(self, page: Observation) -> tuple[str, list[Action], int]:
        """A goal of several parts, the actions that meet it, and how many of them are done already."""
        r = self.random
        fields = [e for e in page.elements if e.ref and e.role in (*TYPED, "combobox", "checkbox")]
        r.shuffle(fields)
        fields = fields[: r.randint(1, 2 + round(3 * self.hardness))]
        done = [
            e
            for e in fields
            if (e.value and e.role != "combobox" or "checked" in e.states) and r.random() < 0.8
        ]
        if r.random() < 0.4:  # all typed: the last button, or the end, is what is left
            fields = done
        todo = [e for e in fields if e not in done]
        clauses, actions = [], []
        for element in done + todo:
            target = element.ref or 0
            if element.role == "combobox":
                value = r.choice(element.options)
                clauses.append(self._choose_clause(element, value))
                actions.append(Action("select_option", (target, value)))
            elif element.role == "checkbox":
                clauses.append(
                    f"{r.choice(('check', 'tick', 'select', 'turn on'))} {self._said(element.name)}"
                )
                actions.append(Action("click", (target,)))
            else:
                value = (element.value if element in done else None) or self._value()
                clauses.append(self._fill_clause(element, value))
                actions.append(Action("fill", (target, value)))
        button = self._one(page, "button", "link")
        submit = next((e for e in page.elements if e.name in SUBMITS and e.role == "button"), None)
        if submit and actions and r.random() < 0.6:  # a form is sent off, said or not
            actions.append(Action("click", (submit.ref or 0,)))
        elif button and (r.random() < 0.85 or not actions):
            name = self._said(button.name)
            clauses.append(
                r.choice((f"click {name}", f"press {name}", f"press the {name} button", f"then {name}"))
            )
            actions.append(Action("click", (button.ref or 0,)))
        finished = len(done)
        if actions and finished == len(actions) - 1 and r.random() < 0.4 or r.random() < 0.15:
            finished = len(actions)
        join = r.choice((", ", " and ", ", then ", "; "))
        last = r.choice((" and ", ", then ", ", "))
        goal = last.join(filter(None, (join.join(clauses[:-1]), *clauses[-1:])))
        if r.random() < 0.3:
            goal = f"{r.choice(('create', 'add', 'make', 'edit', 'update'))} a {self._word()} with {goal}"
        return self._frame(goal), [page.labelled(a) for a in actions], finished

    def _before(self) -> tuple[Action, ...]:
        """Steps on earlier pages, whose elements are gone."""
        r = self.random
        if r.random() < 0.6:
            return ()
        return tuple(Action("click", (r.randint(1, 30),), label=self._name()) for _ in range(r.randint(1, 3)))

    def _sequence(self, page: Observation) -> Question | None:
        goal, actions, finished = self._parts(page)
        if not actions:
            return None
        history = (*self._before(), *actions[:finished])
        action = actions[finished] if finished < len(actions) else Action("send_msg_to_user", ("done",))
        return self._ask(page, goal, action, history)

    def _review(self, page: Observation) -> Question | None:
        goal, actions, finished = self._parts(page)
        if not actions:
            return None
        history = list(actions[:finished])
        whole = finished == len(actions)
        if whole and self.random.random() < 0.4:  # nearly right is not right
            spot = self.random.randrange(len(history))
            bad = history[spot]
            if bad.name == "fill":
                history[spot] = Action(bad.name, (bad.args[0], self._value()), bad.label)
            else:
                del history[spot]
            whole = False
        text = prompts.result_review_text(goal, page, [*self._before(), *history])[len(page.text()) + 1 :]
        return Question(text, "done" if whole else "not yet: more to do")

    def _plan(self, page: Observation) -> Question | None:
        """The coder's and the first reviewer's questions: adapt a program, hand over, judge a program."""
        r = self.random
        goal, actions, _ = self._parts(page)
        lines = [self._call(page, a) for a in actions]
        cut = len(page.text()) + 1
        match r.randrange(4):
            case 0:
                return Question(prompts.coder_text(goal, page, [])[cut:], "act(goal)")
            case 1 if lines:
                other = [
                    self._call(page, replace(a, args=(a.args[0], self._value())) if a.name == "fill" else a)
                    for a in actions
                ]
                return Question(prompts.coder_text(goal, page, ["\n".join(other)])[cut:], "\n".join(lines))
            case 2 if lines:
                wrong, _, _ = self._parts(page)
                if wrong != goal:
                    text = prompts.plan_review_text(wrong, page, "\n".join(lines))[cut:]
                    return Question(text, "revise: does not fit the goal")
        program = "\n".join(lines) if lines and r.random() < 0.6 else "act(goal)"
        return Question(prompts.plan_review_text(goal, page, program)[cut:], "approve")

    @staticmethod
    def _call(page: Observation, action: Action) -> str:
        first = action.args[0]
        named = page.named(first) if isinstance(first, int) else None
        return str(Action(action.name, (named or first, *action.args[1:])))

    # looking

    def _look(self, page: Observation) -> tuple[Observation, Image.Image, list[Question]]:
        """A picture of a shape, an `img` element that does not name it, and questions on it."""
        r = self.random
        side = self.pixels
        picture = Image.new("RGB", (side, side), tuple(r.randint(150, 250) for _ in range(3)))
        pen = ImageDraw.Draw(picture)
        for _ in range(r.randint(0, 12)):  # what pages are full of: lines of text, boxes
            x, y = r.randint(0, side), r.randint(0, side)
            shade = r.randint(60, 255)
            pen.rectangle(
                (x, y, x + r.randint(4, side // 2), y + r.randint(1, 5)), fill=(shade, shade, shade)
            )
        colour, shape = r.choice(list(COLOURS)), r.choice(SHAPES)
        size = r.randint(side // 5, side * 3 // 5)
        x, y = r.randint(0, side - size), r.randint(0, side - size)
        mat = r.randint(0, side // 8)
        if r.random() < 0.6:
            shade = r.randint(120, 240)
            pen.rectangle((x - mat, y - mat, x + size + mat, y + size + mat), fill=(shade, shade, shade))
        draw_shape(pen, shape, (x, y, x + size, y + size), jitter(r, COLOURS[colour]))
        names = r.sample(list(COLOURS), 4)
        if colour not in names:
            names[r.randrange(4)] = colour
        ref = max((e.ref or 0) for e in page.elements)
        said = [n.capitalize() if r.random() < 0.5 else n for n in names]
        role = r.choice(("button", "button", "radio", "link"))
        buttons = [Element(ref + 2 + i, role, n, Box(0, 0, 9, 9)) for i, n in enumerate(said)]
        thing = r.choice(("lamp", "picture", "light", "sign", "figure", "image", "shape"))
        image = Element(ref + 1 if r.random() < 0.5 else None, "img", thing, Box(0, 0, 9, 9))
        elements = [e for e in page.elements if e.name.lower() not in COLOURS][: r.randint(1, 12)]
        page = replace(page, elements=(*elements, image, *buttons))
        right = buttons[names.index(colour)]
        goal = r.choice((
            f"click the colour of the {thing}", f"report the colour of the {thing}",
            f"which colour is the {thing}",
            f"say what colour the {thing} has", f"choose the colour that the {thing} shows",
            f"pick the colour of the {thing}",
        ))  # fmt: skip
        where = ("left", "middle", "right")[min(2, (x + size // 2) * 3 // side)]
        how_high = ("top", "middle", "bottom")[min(2, (y + size // 2) * 3 // side)]
        return page, picture, [
            Question("look:", f"{colour} {shape} {how_high} {where}"),
            self._ask(page, self._frame(goal), Action("click", (right.ref or 0,))),
        ]  # fmt: skip


def jitter(r: random.Random, colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """A colour near the given one."""
    red, green, blue = (max(0, min(255, c + r.randint(-25, 25))) for c in colour)
    return red, green, blue


def draw_shape(
    pen: ImageDraw.ImageDraw, shape: str, box: tuple[int, int, int, int], fill: tuple[int, int, int]
) -> None:
    """A filled circle, square or triangle inside `box` (left, top, right, bottom)."""
    left, top, right, bottom = box
    if shape == "circle":
        pen.ellipse(box, fill=fill)
    elif shape == "square":
        pen.rectangle(box, fill=fill)
    else:
        pen.polygon([(left, bottom), (right, bottom), ((left + right) // 2, top)], fill=fill)
