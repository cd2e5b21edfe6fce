"""Oracles of the tasks that are done by looking: which colour, which shape, how many.

Not covered: what they are made of (`oracle.py`).
"""

from __future__ import annotations

import cmath
from functools import partial

from tools.actions import Action
from trajectories.miniwob.oracle import Family, Scene, placed

# What the drawings of MiniWoB++'s `shapes.js` are, in its words: size, colour, sort, which one.
SHAPES = placed(
    "#area_svg > *",
    """is: [
    parseFloat(e.getAttribute('font-size') || r.width) > 15 ? 'large' : 'small', e.getAttribute('fill'),
    e.tagName !== 'text' ? 'shape' : /[0-9]/.test(e.textContent) ? 'digit' : 'letter',
    { rect: 'rectangle', polygon: 'triangle', circle: 'circle' }[e.tagName] || e.textContent, 'item'],""",
)
# How far from the middle the outline on the canvas reaches, all around.
OUTLINE = """(() => {
  const c = document.querySelector('canvas'), [x, y] = [c.width / 2, c.height / 2];
  const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
  const ink = (x, y) => data[4 * (Math.round(y) * c.width + Math.round(x)) + 3] > 128;
  return [...Array(360).keys()].map((degree) => {
    let r = y - 1;
    const turn = degree * Math.PI / 180;
    while (r > 0 && !ink(x + r * Math.cos(turn), y + r * Math.sin(turn))) r -= 0.5;
    return r;
  });
})()"""
ODD_OR_EVEN = placed(
    ".odd, .even",
    """number: +e.closest('.row').querySelector('.display-number').textContent,
    odd: e.classList.contains('odd'), on: e.classList.contains('selected')""",
)


def point_out(pattern: str, scene: Scene) -> Action:
    """Click the first of the facts that is all that is asked for."""
    asked = set(scene.said(pattern)[0].split())
    return scene.on("click", scene.under(next(spot for spot in scene.facts if asked <= set(spot["is"]))))


def pick_shades(scene: Scene) -> Action:
    (asked,) = scene.said("shades of (.*) and")
    for spot in scene.facts:
        if (spot["is"] == asked) != spot["on"]:
            return scene.on("click", scene.under(spot))
    return scene.click("button", "Submit")


def count_shapes(scene: Scene) -> Action:
    asked = set(scene.said("How many (.*)s are there")[0].split())
    return scene.click("button", str(sum(asked <= set(spot["is"]) for spot in scene.facts)))


def name_shape(scene: Scene) -> Action:
    _, _, sort, which, _ = scene.facts[0]["is"]
    return scene.click("button", {"letter": "Letter", "digit": "Number"}.get(sort, which.title()))


def count_sides(scene: Scene) -> Action:
    """The outline of a shape of n sides comes nearer and goes farther n times in a turn."""
    turn = 2j * cmath.pi / len(scene.facts)

    def swings(times: int) -> float:
        return abs(sum(r * cmath.exp(turn * times * i) for i, r in enumerate(scene.facts)))

    return scene.click("button", str(max(range(3, 8), key=swings)))


def tell_odd(scene: Scene) -> Action:
    for spot in scene.facts:
        if (spot["number"] % 2 == spot["odd"]) and not spot["on"]:
            return scene.on("click", scene.under(spot))
    return scene.click("button", "Submit")


def in_order(scene: Scene) -> Action:
    """The numbers, hidden after the first click, are drawn in ascending order."""
    return scene.on("click", scene.all("img")[0])


FAMILIES: dict[str, Family] = {
    "click-color": Family(
        partial(point_out, "the (.*) colored box"), placed(".color", "is: [e.dataset.color]")
    ),
    "click-widget": Family(
        partial(point_out, 'a "(.*)" widget'), placed("[data-type]", "is: [e.dataset.type]")
    ),
    "click-shape": Family(partial(point_out, "Click on a (.*)"), SHAPES),
    "click-shades": Family(
        pick_shades, placed("#area span", "is: e.dataset.color, on: e.classList.contains('selected')")
    ),
    "count-shape": Family(count_shapes, SHAPES),
    "identify-shape": Family(name_shape, SHAPES),
    "count-sides": Family(count_sides, OUTLINE),
    "odd-or-even": Family(tell_odd, ODD_OR_EVEN),
    "ascending-numbers": Family(in_order),
}
