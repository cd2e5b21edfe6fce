"""Oracles of the tasks that are done by dragging: boxes, shapes, lists, sliders, a cube, a day's calendar.

Not covered: what they are made of (`oracle.py`), drawing (`drawing.py`).
"""

from __future__ import annotations

import math
import re
from functools import partial

from tools.actions import Action
from tools.observation import Element
from trajectories.miniwob.oracle import Family, Scene


def drop(scene: Scene, source: Element, target: Element) -> Action:
    assert target.ref is not None
    return scene.on("drag_and_drop", source, target.ref)


def submit(scene: Scene) -> Action:
    return scene.click("button", "Submit")


def inside(inner: Element, outer: Element) -> bool:
    """Whether the inner one's upper left corner lies in the outer one."""
    a, b = inner.box, outer.box
    return 0 < a.x - b.x < b.width and 0 < a.y - b.y < b.height


# ---- into a box, or a way
def drag_box(scene: Scene) -> Action:
    small, large = scene.find("s"), scene.find("L")
    a, b = small.box, large.box
    if 0 < a.x - b.x < b.width - a.width and 0 < a.y - b.y < b.height - a.height:
        return submit(scene)
    return drop(scene, small, large)


MOVED = """(() => { const shape = document.querySelector('svg [class^=black]'), m = shape.getCTM();
  return [m.e, m.f] })()"""
WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


def drag_that_way(scene: Scene) -> Action:
    (dx, dy), (x, y) = WAYS[scene.said(r"(left|right|up|down) then")[0]], scene.facts
    if x * dx + y * dy > 5:
        return submit(scene)
    cx, cy = scene.find(None, "img").box.centre
    return scene.drag((cx, cy), (cx + 30 * dx - x, cy + 30 * dy - y))


KINDS = {"rectangles": " square", "circles": " circle", "triangles": " triangle"}
LOOKS = {"aqua": "cyan", "magenta": "purple"}  # the listing's words for these colours


def drag_shapes(scene: Scene) -> Action:
    """Every shape of the kind into the first box; the others into the second, or out if there is one box."""
    (asked,) = scene.said(r"all (\w+)")
    boxes = [e for e in scene.all("img") if e.name == "black rectangle"]
    for shape in scene.all("img"):
        if shape in boxes:
            continue
        wanted = asked in KINDS and shape.name.endswith(KINDS[asked])
        wanted = wanted or shape.name.startswith(LOOKS.get(asked, asked) + " ")
        home = boxes[0] if wanted else boxes[-1] if len(boxes) > 1 else None
        if home is not None and not inside(shape, home):
            return drop(scene, shape, home)
        if home is None and inside(shape, boxes[0]):
            return scene.drag(shape.box.centre, (150, 55))
    return submit(scene)


# ---- lists sorted by dragging
ROWS, COLUMNS = ("top", "center", "bottom"), ("left", "center", "right")


def drag_items(across: int, scene: Scene) -> Action:
    """An item to where another lies, in a list or a grid of three across."""
    name, where = scene.said(r"Drag (\S+) (.*)\.")
    items = scene.all("clickable")
    here = [item.name for item in items].index(name)
    steps = {"up by one": -across, "down by one": across, "left by one": -1, "right by one": 1}
    steps |= {"up by one position": -1, "down by one position": 1}
    place = where.removeprefix("to the ").split()
    if where in steps:
        there = here + steps[where]
    elif place[0][0].isdigit():
        there = int(place[0][0]) - 1
    elif across == 1:
        there = {"top": 0, "bottom": len(items) - 1}[place[0]]
    else:  # "center" alone is both
        there = across * ROWS.index(place[0]) + COLUMNS.index(place[-1])
    (x, y), (to_x, to_y) = items[here].box.centre, items[there].box.centre
    if to_x > x and to_y < y:  # on its way to the right an item comes after what it meets: so up last
        return scene.path([(x, y), (to_x + 4, y), (to_x + 4, to_y - 4)])
    return drop(scene, items[here], items[there])


def drag_sort_numbers(scene: Scene) -> Action:
    items = scene.all("clickable")
    for item, right in zip(items, sorted(items, key=lambda e: int(e.name)), strict=True):
        if item.name != right.name:
            return drop(scene, right, item)
    return submit(scene)


# ---- sliders
SLIDERS = """[...document.querySelectorAll('.ui-slider')].map((slider) => {
  const handle = slider.querySelector('.ui-slider-handle'), h = handle.getBoundingClientRect(), s = $(slider);
  return { at: [h.x + h.width / 2, h.y + h.height / 2], long: [slider.clientWidth, slider.clientHeight],
    value: s.slider('value'), span: s.slider('option', 'max') - s.slider('option', 'min'),
    upright: slider.clientHeight > slider.clientWidth, focused: document.activeElement === handle } })"""


def use_sliders(scene: Scene) -> Action:
    """Drag each near its number; the arrow keys do the rest, since the mouse may skip some."""
    for slider, wanted in zip(scene.facts, re.findall(r"-?\d+", scene.goal), strict=True):
        more = int(wanted) - slider["value"]
        if more == 0:
            continue
        if slider["focused"] and abs(more) <= 3:
            return Action("keyboard_press", ("ArrowRight" if more > 0 else "ArrowLeft",))
        (x, y), (across, down) = slider["at"], slider["long"]
        part = more / slider["span"]
        return scene.drag((x, y), (x, y - part * down) if slider["upright"] else (x + part * across, y))
    return submit(scene)


# ---- a cube turned by throwing it: after a drag it rolls on, about 2.5 degrees for each pixel
CUBE = """(() => { const v = cube.viewport;
  return { around: v.positionX, over: v.positionY, mouse: [v.mouseX, v.mouseY],
    rolling: Math.abs(v.torqueX) > 1 || Math.abs(v.torqueY) > 1,
    front: document.querySelector('.cube .active').textContent } })()"""
SIDES = {"5": 86, "4": 177, "3": 269, "2": 358}  # where `around` brings each to the front; degrees
POLES = {"6": 88, "1": 264}  # where `over` does


def turn(start: float, end: float) -> float:
    """The shorter way round, in degrees."""
    return (end - start + 180) % 360 - 180


def drag_cube(scene: Scene) -> Action:
    (asked,), cube = scene.said(r'"(\d)"'), scene.facts
    button, (x, y) = scene.find("Submit"), cube["mouse"]
    if cube["rolling"]:
        return Action("noop", (800,))
    if cube["front"] == asked:  # a hurried click is a drag too, so the mouse goes there first
        near = math.dist((x, y), button.box.centre) < 5
        return scene.on("click" if near else "hover", button)
    if asked in POLES:
        dx, dy = 0.0, -turn(cube["over"], POLES[asked])
    elif 90 < cube["over"] < 270:  # upside down, where left and right change places
        dx, dy = -turn(cube["around"], SIDES[asked] + 180), -turn(cube["over"], 175)
    else:
        dx, dy = turn(cube["around"], SIDES[asked]), -turn(cube["over"], 0)
    if max(abs(dx), abs(dy)) < 15:  # it is there, and the page has not noticed: away once, and back
        dx = 90
    most = max(abs(dx), abs(dy))
    dx, dy = (part * (most + 12) / most / 2.55 for part in (dx, dy))
    if 5 < x < 320 and 55 < y < 175 and 5 < x + dx < 320 and 55 < y + dy < 175:
        return scene.drag((x, y), (x + dx, y + dy))
    # From where the mouse is, else the way there counts as well.
    return Action("mouse_move", scene.at(80 - dx / 2, 112 - dy / 2))


# ---- a day's calendar: 34 px in, between the hours and the events, is the only place free to draw at
DAY = """(() => { const area = document.getElementById('area'), box = (e) => e.getBoundingClientRect();
  const event = document.getElementById('newEvent');
  return { top: box(area).top - area.scrollTop,
    halves: [...document.querySelectorAll('.half-hour')].map((h) => [box(area).left + 34, box(h).top + 10]),
    events: [...document.querySelectorAll('.event:not(#newEvent)')].map((e) => [box(e).top, box(e).bottom]),
    made: event && { at: [box(event).left + 50, box(event).top + 10],
      from: +event.dataset.start, to: +event.dataset.end } } })()"""
HALF = 20.42  # pixels a half hour
HOURS = {"0.5": 1, "1": 2, "1.5": 3, "30": 1, "60": 2, "90": 3}  # half hours


def daily_calendar(scene: Scene) -> Action:
    """Scroll to the first free time, draw the event there, name and create it; cancel another."""
    long, name, start, end = scene.said(r'a (\S+) \w+ event named "(.*)", between (\w+) and (\w+)')
    day, count = scene.facts, HOURS[long]
    taken = [[(y - day["top"] - 4) / HALF for y in event] for event in day["events"]]
    first, last = ((int(t[:-2]) % 12 + 12 * t.endswith("PM")) * 2 for t in (start, end))
    free = next(
        i for i in range(first, last - count + 1) if all(i + count < a + 0.1 or b - 0.1 < i for a, b in taken)
    )
    if (made := day["made"]) is not None:
        if not 50 < made["at"][1] < 190:
            return Action("scroll", (0, round(made["at"][1] - 65)))
        if (field := scene.has("Event name", "textbox")) is None:
            return scene.point(*made["at"])  # the mouse was let go beside it
        right = first <= made["from"] and made["to"] <= last and made["to"] - made["from"] == count
        if not right:
            return scene.click("button", "Cancel")
        return scene.fill(field, name) or scene.click("button", "Create")
    y = day["top"] + 4 + HALF * free  # where the event will be drawn
    if not 50 < y < 110:
        assert (half := scene.find("half hour").ref) is not None
        return Action("scroll", (0, round(y - 65), half))
    (x, from_y), (_, to_y) = day["halves"][free], day["halves"][free + count - 1]
    # The page takes the event once the mouse is let go on it, and it may draw it above the lines drawn over.
    return scene.path([(x, from_y), (x, to_y + 4), (x + 60, y + 8)])


FAMILIES: dict[str, Family] = {
    "daily-calendar": Family(daily_calendar, DAY),
    "drag-box": Family(drag_box),
    "drag-circle": Family(drag_that_way, MOVED),
    "drag-single-shape": Family(drag_that_way, MOVED),
    "drag-shapes": Family(drag_shapes),
    "drag-shapes-2": Family(drag_shapes),
    "drag-items": Family(partial(drag_items, 1)),
    "drag-items-grid": Family(partial(drag_items, 3)),
    "drag-cube": Family(drag_cube, CUBE),
    "drag-sort-numbers": Family(drag_sort_numbers),
    "use-slider": Family(use_sliders, SLIDERS),
    "use-slider-2": Family(use_sliders, SLIDERS),
}
