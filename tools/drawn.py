"""Where words stand on a page as it is drawn, listed or not: from Chromium's own snapshot of the layout.

The browser is asked, not the page: no script there learns what is looked for. What stands behind something
else, or is scrolled out of its box, is found as well.

Not covered: words in pictures, placeholders and the options of a list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from playwright.async_api import Error

from tools.environment import origin
from tools.observation import Box

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Page

Spans = Callable[[str], Iterable[tuple[int, int]]]  # where in a text it stands: from, to
ASKED = {"computedStyles": ["padding-left", "padding-top"], "includeDOMRects": True}


async def places(page: Page, session: CDPSession, spans: Spans) -> list[Box]:
    """Boxes, in CSS pixels of the viewport, of the lines and fields that show it; of a frame that Chromium
    draws apart (another site's) the whole. Raises Playwright's Error when the page goes away."""
    found = [*_boxes(await session.send("DOMSnapshot.captureSnapshot", ASKED), spans)]
    for frame in page.frames[1:]:
        if origin(frame.url) == origin(page.url):
            continue
        try:
            apart = await page.context.new_cdp_session(frame)
        except Error:
            continue  # it is drawn with the page, and was in its snapshot
        if any(_boxes(await apart.send("DOMSnapshot.captureSnapshot", ASKED), spans)):
            around = await (await frame.frame_element()).bounding_box()
            found += [Box(**around)] if around else []
        await apart.detach()
    return found


def _boxes(got: dict[str, Any], spans: Spans) -> Iterator[Box]:
    strings, corners = got["strings"], {0: (0.0, 0.0)}  # where each document's window begins
    for number, document in enumerate(got["documents"]):
        if number not in corners:  # of a frame that is not drawn
            continue
        nodes, layout, lines = document["nodes"], document["layout"], document["textBoxes"]
        x, y = corners[number]
        dx, dy = x - document["scrollOffsetX"], y - document["scrollOffsetY"]
        drawn = {node: at for at, node in enumerate(layout["nodeIndex"])}
        frames = nodes["contentDocumentIndex"]
        for node, inner in zip(frames["index"], frames["value"], strict=True):
            if node in drawn:
                (left, top, *_), at = layout["bounds"][drawn[node]], drawn[node]
                padding = [float(strings[s].removesuffix("px")) for s in layout["styles"][at]]
                border = layout["clientRects"][at][:2]
                corners[inner] = dx + left + border[0] + padding[0], dy + top + border[1] + padding[1]
        fields = (layout["bounds"][at] for at in _fields(nodes, drawn, strings, spans))
        for left, top, width, height in (*_texts(layout, lines, strings, spans), *fields):
            yield Box(dx + left, dy + top, width, height)


def _texts(layout: Any, lines: Any, strings: list[str], spans: Spans) -> Iterator[list[float]]:
    """The lines that show it, as if all texts were one: it may begin in one element and end in another."""
    text, starts = "", {}
    for at, string in enumerate(layout["text"]):
        if string >= 0:
            starts[at] = _units(text)
            text += strings[string]
    for begin, end in spans(text):
        first, last = _units(text[:begin]), _units(text[:end])
        for at, start, length, box in zip(
            lines["layoutIndex"], lines["start"], lines["length"], lines["bounds"], strict=True
        ):
            if at in starts and starts[at] + start < last and first < starts[at] + start + length:
                yield box


def _fields(nodes: Any, drawn: dict[int, int], strings: list[str], spans: Spans) -> Iterator[int]:
    """Fields that hold it readably, as places in the layout."""
    for held in (nodes["inputValue"], nodes["textValue"]):
        for node, value in zip(held["index"], held["value"], strict=True):
            said = [strings[s].lower() for s in nodes["attributes"][node]]
            dots = ("type", "password") in zip(said[::2], said[1::2], strict=True)
            if node in drawn and not dots and any(True for _ in spans(strings[value])):
                yield drawn[node]


def _units(text: str) -> int:
    """How long JavaScript says a text is."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
