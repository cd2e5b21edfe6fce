"""Oracles of the tasks that are done by mouse on a drawing: marking points, drawing lines, seeking, playing.

Not covered: what they are made of (`oracle.py`), dragging things about (`dragging.py`). Tic-tac-toe is played
as well as can be, and still lost or drawn in 15 games of 100, since the page draws lots against us.
"""

from __future__ import annotations

import math
from cmath import phase
from functools import cache
from statistics import pstdev

from tools.actions import Action
from trajectories.miniwob.oracle import Family, Scene

# ---- points on a drawing: a page puts its blue mark where the mouse's page coordinates, less 50 down, are in
# the drawing's own, which is 2 px right and below the mouse.
DOTS = """[...document.querySelectorAll('svg circle')].map((c) =>
  [c.id || c.getAttribute('class'), c.cx.baseVal.value, c.cy.baseVal.value + 50])"""
SHEET = [complex(x, y) for x in range(6, 147) for y in range(56, 177)]  # pixels well within the drawing


def dots(scene: Scene, *kinds: str) -> list[complex]:
    """The centres of the circles whose id or class is one of these, as complex numbers."""
    return [complex(x, y) for kind, x, y in scene.facts if kind in kinds]


def mark(scene: Scene, wanted: complex) -> Action:
    """Mark this point, or submit where it is marked already."""
    made = dots(scene, "blue-circle")
    if made and abs(made[0] - wanted) < 1.5:
        return scene.click("button", "Submit")
    return scene.point(math.floor(wanted.real) + 0.5, math.floor(wanted.imag) + 0.5)  # the middle of a pixel


def circle_center(scene: Scene) -> Action:
    return mark(scene, dots(scene, "black-circle")[0])


def find_midpoint(scene: Scene) -> Action:
    return mark(scene, sum(dots(scene, "black-circle")) / 2)


def along(vertex: complex, *ways: complex) -> complex:
    """The pixel that is seen from the vertex most exactly in one of these directions, some 40 px away."""

    def off(point: complex) -> tuple[float, float]:
        arm = point - vertex
        return round(min(abs(phase(arm / way)) for way in ways), 2), abs(abs(arm) - 40)

    return min((p for p in SHEET if p != vertex), key=off)


def bisect_angle(scene: Scene) -> Action:
    (vertex,), (one, other) = dots(scene, "init-blue"), dots(scene, "init-black")
    arms = one - vertex, other - vertex
    return mark(scene, along(vertex, sum(arm / abs(arm) for arm in arms)))


def right_angle(scene: Scene) -> Action:
    (vertex,), (end,) = dots(scene, "init-blue"), dots(scene, "init-black")
    return mark(scene, along(vertex, (end - vertex) * 1j, (end - vertex) * -1j))


# ---- lines drawn with the mouse
DRAWN = """(() => {
  const m = document.querySelector('svg').getScreenCTM(), dot = document.getElementById('circ');
  return { dot: [dot.cx.baseVal.value + m.e, dot.cy.baseVal.value + m.f],
    drawn: document.querySelector('path') ? arrayPoints.map(([x, y]) => [x + m.e, y + m.f]) : [] } })()"""


def draw_circle(scene: Scene) -> Action:
    (x, y), drawn = scene.facts["dot"], scene.facts["drawn"]
    radii = [math.dist(point, (x, y)) for point in drawn]
    if len(radii) > 12 and pstdev(radii) < 2 and min(radii) > 10:
        return scene.click("button", "Submit")
    turns = [math.tau * i / 24 for i in range(25)]
    return scene.path([(x + 22 * math.cos(t), y + 22 * math.sin(t)) for t in turns])


def draw_line(scene: Scene) -> Action:
    (x, y), drawn = scene.facts["dot"], scene.facts["drawn"]
    (kind,) = scene.said(r"Draw a (\w+) line")
    level = int(kind == "horizontal")  # which coordinate stays the same
    spread = [max(c) - min(c) for c in zip(*drawn, strict=True)]
    through = bool(drawn) and math.dist(drawn[len(drawn) // 2], (x, y)) < 5
    if through and spread[level] < 4 and spread[1 - level] > 30:
        return scene.click("button", "Submit")
    # The page measures from the upper left of the dot: the line runs a pixel that way from its middle.
    ends = [(x - 25, y - 1), (x + 25, y - 1)] if level else [(x - 1, y - 25), (x - 1, y + 25)]
    return scene.path([ends[0], (x - 1, y - 1), ends[1]])


# ---- a hidden spot, told by how hot it is under the mouse
FELT = """(() => {
  if (!window.felt) document.getElementById('touch-area').addEventListener('mousemove', (e) =>
    felt.push([e.pageX, e.pageY - 50, document.getElementById('signal').textContent]));
  if (window.feltSince !== core.ept0) { felt = []; feltSince = core.ept0 }  // a page serves many episodes
  return felt })()"""
RINGS = {"HOT": (0, 5), "WARM": (5, 10), "COLD": (10, 40), "ICE COLD": (40, 1000)}  # from, below: pixels


def hot_cold(scene: Scene) -> Action:
    """Feel where the answer says most; click where the spot must be, on the last step where it likely is."""
    import numpy as np

    spots = np.stack(np.meshgrid(np.arange(5, 155), np.arange(5, 120)), -1).reshape(-1, 2)
    for x, y, said in scene.facts:
        away = np.hypot(*(spots - (x, y)).T)
        spots = spots[(away >= RINGS[said][0]) & (away < RINGS[said][1])]
    probes = np.stack(np.meshgrid(np.arange(5, 155, 3), np.arange(5, 120, 3)), -1).reshape(-1, 1, 2)
    sample = spots[:: max(1, len(spots) // 800)]
    away = np.hypot(*np.moveaxis(probes - sample, -1, 0))
    shares = np.stack([((away >= near) & (away < far)).mean(1) for near, far in RINGS.values()])
    if shares[0].max() == 1 or len(scene.history) >= 9:
        at = probes[shares[0].argmax(), 0]
        return scene.point(at[0] + 0.5, at[1] + 50.5)
    says = -(shares * np.log(np.maximum(shares, 1e-9))).sum(0)
    at = probes[says.argmax(), 0]
    return Action("mouse_move", scene.at(at[0] + 0.5, at[1] + 50.5))


# ---- a game
Board = tuple[int, ...]  # nine squares: 1 ours, -1 theirs, 0 free
LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))


def free(board: Board) -> list[int]:
    return [i for i, mark in enumerate(board) if mark == 0]


def put(board: Board, square: int, who: int) -> Board:
    return (*board[:square], who, *board[square + 1 :])


def third(board: Board, who: int) -> list[int]:
    """The squares that would complete a line."""
    return [
        i for i in free(board) if any(i in line and sum(board[j] for j in line) == 2 * who for line in LINES)
    ]


@cache
def chance(board: Board) -> float:
    """The chance to win from here, we to move. The page plays well 45 times in 100, else anywhere."""
    return max((played(put(board, i, 1)) for i in free(board)), default=0.0)


@cache
def played(board: Board) -> float:
    """The chance to win once we have moved so."""
    if any(all(board[i] == 1 for i in line) for line in LINES):
        return 1.0
    squares = free(board)
    after = {i: 0.0 if i in third(board, -1) else chance(put(board, i, -1)) for i in squares}
    good = third(board, -1)[:1] or third(board, 1)[-1:] or squares
    weights = {i: 0.55 / len(squares) + 0.45 / len(good) * (i in good) for i in squares}
    return sum(weights[i] * after[i] for i in squares)


def tic_tac_toe(scene: Scene) -> Action:
    squares = scene.all("clickable")
    board = tuple({"mark x": 1, "mark o": -1}.get(square.name, 0) for square in squares)
    return scene.on("click", squares[max(free(board), key=lambda i: played(put(board, i, 1)))])


# ---- things to point at
def grid_coordinate(scene: Scene) -> Action:
    x, y = (int(n) for n in scene.said(r"\((-?\d),(-?\d)\)"))
    return scene.on("click", scene.all("img")[5 * (x + 2) + 2 - y])  # listed column by column, from the top


def use_colorwheel(scene: Scene) -> Action:
    from PIL import ImageColor

    (colour,) = scene.said(r"(?:Select|color) (#?\w+) with")
    hexes = "".join(f"{part:02X}" for part in ImageColor.getrgb(colour))
    field = scene.find("Color", "textbox")
    if field.value not in (colour, hexes):  # it writes #f96edd as F96EDD when it is left
        return scene.on("fill", field, colour if colour.startswith("#") else hexes)
    if scene.has("Submit", "button") is None:
        return scene.point(250, 150)  # the open wheel lies over it, and closes at a click elsewhere
    return scene.click("button", "Submit")


FAMILIES: dict[str, Family] = {
    "bisect-angle": Family(bisect_angle, DOTS),
    "circle-center": Family(circle_center, DOTS),
    "find-midpoint": Family(find_midpoint, DOTS),
    "right-angle": Family(right_angle, DOTS),
    "draw-circle": Family(draw_circle, DRAWN),
    "draw-line": Family(draw_line, DRAWN),
    "grid-coordinate": Family(grid_coordinate),
    "hot-cold": Family(hot_cold, FELT),
    "tic-tac-toe": Family(tic_tac_toe),
    "use-colorwheel": Family(use_colorwheel),
    "use-colorwheel-2": Family(use_colorwheel),
}
