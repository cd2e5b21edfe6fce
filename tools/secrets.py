"""Secrets by name: `{{password}}` in a goal stands for SHOPFLOOR_SECRET_PASSWORD, and only the page gets it.

Models, prompts, memory, episodes and logs see the name alone. `Discreet` stands between them and the place to
work: it puts the value in when something is typed, and takes it out of all that is seen afterwards; what
shows it on the screenshot is painted over.

Not covered: whether it may be typed there (`guard.py`), and what a page makes of a secret that it was given:
spelt backwards, cut in pieces or drawn as a picture it is not known again.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from tools.actions import Action
from tools.environment import Environment, EnvironmentDown, Hiding, Start, origin
from tools.observation import Box, Element, Observation, Table
from tools.settings import SITE_SECRET, SettingsError
from tools.slots import SLOT

TYPED = frozenset({"fill", "keyboard_type"})  # the only actions that a secret is put into
SHORTEST = 4  # characters, spaces drawn together; what is shorter would be found everywhere
CUT = 300  # characters, after which the reader cuts a name


def variable(name: str) -> str:
    """The environment variable that holds a secret."""
    return SITE_SECRET + re.sub(r"\W+", "_", name.strip()).upper()


def named_in(text: str) -> dict[str, str]:
    """The secrets that a text names, by name. Raises SettingsError for one that is not set, or too short."""
    values = {name: os.environ.get(variable(name), "") for name in SLOT.findall(text)}
    unset = sorted({variable(name) for name, value in values.items() if not value})
    if unset:
        raise SettingsError(f"a secret is named and not set; set {', '.join(unset)}")
    plain = {name: " ".join(value.split()) for name, value in values.items()}
    short = sorted(variable(name) for name, value in plain.items() if len(value) < SHORTEST)
    if short:
        raise SettingsError(f"{', '.join(short)}: too short to be kept out of sight; use {SHORTEST} or more")
    return values


class Discreet:
    """An environment whose observations have names where secrets would stand. Implements `Environment`."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self._given: dict[str, str] = {}  # what may be typed now
        self._known: set[str] = set()
        self._patterns: dict[str, re.Pattern[str]] = {}
        self._seen: Observation | None = None  # as it was, unmasked
        self._shot: tuple[bytes | None, bytes | None] = (None, None)  # a screenshot, and what became of it

    def give(self, values: dict[str, str]) -> None:
        """Fill in these from now on, and no others; what was known before is still kept out of sight."""
        self._given = dict(values)
        self._known |= {*values.values()}
        patterns = self._patterns | {name: _pattern(value) for name, value in values.items()}
        self._patterns = dict(sorted(patterns.items(), key=lambda item: -len(item[1].pattern)))
        if self._patterns and isinstance(self.env, Hiding):
            self.env.hides = self._spans

    async def reset(self, start: Start) -> Observation:
        return await self._looked(self.env.reset(start))

    async def observe(self) -> Observation:
        return await self._looked(self.env.observe())

    async def step(self, action: Action) -> Observation:
        typed = str(action.args[-1]) if action.name in TYPED and action.args else ""
        if not {*SLOT.findall(typed)} & {*self._given}:
            return await self._looked(self.env.step(action))
        decided, masked = self._seen, await self._looked(self.env.observe())
        now = self._seen
        if decided is None or now is None or _goes_to(action, decided) != _goes_to(action, now):
            return replace(masked, error="the page changed before the secret was typed; look again")
        text = SLOT.sub(lambda slot: self._given.get(slot[1], slot[0]), typed)
        return await self._looked(self.env.step(Action(action.name, (*action.args[:-1], text), action.label)))

    async def tables(self) -> list[Table]:
        def rows(row: Sequence[str]) -> tuple[str, ...]:
            return tuple(map(self.masked, row))

        found = await self.env.tables()
        return [Table(self.masked(t.caption), rows(t.head), tuple(map(rows, t.rows))) for t in found]

    async def close(self) -> None:
        await self.env.close()

    def masked(self, text: str) -> str:
        """The text with names in place of secrets."""
        for name, pattern in self._patterns.items():
            text = pattern.sub(f"{{{{{name}}}}}", text)
        return text

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where in a text secrets stand."""
        return (match.span() for pattern in self._patterns.values() for match in pattern.finditer(text))

    async def _looked(self, looking: Coroutine[Any, Any, Observation]) -> Observation:
        """What is seen, without secrets; nor has it any what the place to work says of its own end, such as
        an address."""
        try:
            return self._hidden(await looking)
        except EnvironmentDown as error:
            raise EnvironmentDown(self.masked(str(error))) from None

    def _hidden(self, seen: Observation) -> Observation:
        self._seen = seen
        if not self._patterns:
            return seen
        elements = list(self._elements(seen.elements))
        unlisted = tuple(self._elements(seen.unlisted))
        shown = [old.box for old, new in zip(seen.elements, elements, strict=True) if old != new]
        if seen.screenshot != self._shot[0] or shown:
            self._shot = seen.screenshot, painted_over(seen.screenshot, shown, seen.viewport)
        return replace(
            seen,
            url=self.masked(seen.url),
            title=self.masked(seen.title),
            elements=tuple(elements),
            unlisted=unlisted,
            screenshot=self._shot[1],
            error=self.masked(seen.error) if seen.error else seen.error,
            tabs=tuple(map(self.masked, seen.tabs)),
        )

    def _elements(self, elements: Sequence[Element]) -> Iterator[Element]:
        for index, element in enumerate(elements):
            name = self.masked(element.name)
            if name == element.name and self._broken(index, elements):
                name = ""
            yield replace(
                element,
                name=name,
                value=self.masked(element.value) if element.value else element.value,
                options=tuple(map(self.masked, element.options)),
                enters=self.masked(element.enters) if element.enters else element.enters,
            )

    def _broken(self, index: int, elements: Sequence[Element]) -> bool:
        """Whether a secret stands partly in this text: at the end of a line that goes on in the next, or of a
        name that was cut."""
        name = elements[index].name
        around = [e.name if e.ref is None else "" for e in elements[max(0, index - 1) : index + 2]]
        pairs = (glue.join(around[i : i + 2]) for i in range(len(around) - 1) for glue in ("", " "))
        if any(self.masked(pair) != pair for pair in pairs):
            return not any(self.masked(n) != n for n in around)
        tail = name[-40:].lower() if len(name) >= CUT else ""
        return any(tail.endswith(v[:n].lower()) for v in self._known for n in range(SHORTEST, len(v)))


def _pattern(value: str) -> re.Pattern[str]:
    """A secret as it may stand on a page: spaces drawn together, and in an address or an error, escaped."""
    written = {c: "|".join(map(re.escape, dict.fromkeys((c, quote(c, safe=""), f"\\{c}")))) for c in value}
    parts = (r"(?:\s+|%20|\+)" if c == " " else f"(?:{written[c]})" for c in " ".join(value.split()))
    return re.compile("".join(parts), re.IGNORECASE)


def _goes_to(action: Action, seen: Observation) -> tuple[str, str, str]:
    """Where what is typed would go: origin, role and name."""
    element = seen.find(action.targets[0]) if action.targets else next(iter(seen.reached()), None)
    where = (element.origin if element else "") or origin(seen.url)
    return where, element.role if element else "", element.name if element else ""


def painted_over(png: bytes | None, boxes: Sequence[Box], viewport: tuple[int, int]) -> bytes | None:
    """A screenshot with black boxes (in CSS pixels of the viewport), as PNG."""
    if png is None or not boxes:
        return png
    from PIL import Image, ImageDraw

    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGB")
    scale = image.width / viewport[0]
    for box in boxes:
        left, top = box.x * scale, box.y * scale
        right, bottom = (box.x + box.width) * scale, (box.y + box.height) * scale
        ImageDraw.Draw(image).rectangle((left - 1, top - 1, right + 1, bottom + 1), fill="black")
    made = io.BytesIO()
    image.save(made, "PNG")
    return made.getvalue()
