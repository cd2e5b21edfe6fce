"""An episode as an animated picture: every look with the action drawn on it that was decided there.

    save(episode, Path("run.webp"))      # or .gif, which has fewer colours and is larger

Above stands the goal, below the action. Not covered: what is drawn of an action (`marks.py`); letters that
DejaVu Sans lacks are drawn as boxes (the screenshots themselves have whatever was on the screen).
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from apps.viewer.marks import marks
from tools.actions import Action
from tools.observation import Observation, shorten
from trajectories.episode import Episode

KINDS = {".webp": "WEBP", ".gif": "GIF"}
WIDTH = 720  # pixels
SIZE = 15  # of the letters
LINE = 21  # pixels from one to the next
MARGIN = 8
GOAL_LINES = 2
SHOWN, LAST = 1600, 3200  # milliseconds
RED, INK, PAPER = "#d01818", "#202020", "#f4f4f0"


class NoPictures(ValueError):
    """An episode that can't be drawn; the message says why."""


def save(episode: Episode, path: Path, width: int = WIDTH) -> int:
    """Write the picture; how many frames it has. Raises NoPictures."""
    if path.suffix.lower() not in KINDS:
        raise NoPictures(f"{path.name} is no animated picture; call it .webp or .gif")
    first, *rest = drawn = list(frames(episode, width))
    times = [SHOWN] * len(rest) + [LAST]
    kind = KINDS[path.suffix.lower()]
    more = {"quality": 60, "method": 4} if kind == "WEBP" else {"optimize": True}
    first.save(path, kind, save_all=True, append_images=rest, duration=times, loop=0, **more)
    return len(drawn)


def frames(episode: Episode, width: int = WIDTH) -> Iterator[Image.Image]:
    """One for each step, and one for how it ended. Raises NoPictures."""
    total = len(episode.steps)
    for number, step in enumerate(episode.steps, 1):
        action = step.decision.action
        yield _frame(episode.goal, step.observation, f"{number}/{total}  {action}", action, width)
    ended = "done, as the checker says" if episode.outcome.success else f"ended: {episode.ended}"
    if "checked_by" in episode.extra and episode.outcome.success:
        ended = f"done, as the {episode.extra['checked_by']} says"
    yield _frame(episode.goal, episode.final, ended, None, width)


def _frame(goal: str, look: Observation, said: str, action: Action | None, width: int) -> Image.Image:
    if look.screenshot is None:
        raise NoPictures("the episode has steps without a screenshot")
    with Image.open(io.BytesIO(look.screenshot)) as opened:
        shot = opened.convert("RGB")
    scale = width / shot.width
    shot = shot.resize((width, round(shot.height * scale)), Image.Resampling.LANCZOS)
    if action is not None:
        _mark(shot, look, action)
    head = GOAL_LINES * LINE + 2 * MARGIN
    page = Image.new("RGB", (width, head + shot.height + LINE + 2 * MARGIN), PAPER)
    page.paste(shot, (0, head))
    draw, font = ImageDraw.Draw(page), _font()
    letters = int((width - 2 * MARGIN) / font.getlength("n"))
    lines = textwrap.wrap(goal, letters, max_lines=GOAL_LINES, placeholder=" …")
    draw.text((MARGIN, MARGIN), "\n".join(lines), INK, font, spacing=LINE - SIZE)
    draw.text((MARGIN, head + shot.height + MARGIN), shorten(said, letters), RED, font)
    return page


def _mark(shot: Image.Image, look: Observation, action: Action) -> None:
    """What the action does, in red."""
    drawn, draw = marks(look, action), ImageDraw.Draw(shot)
    scale = shot.width / look.viewport[0]
    for box in drawn.boxes:
        left, top = box.x * scale, box.y * scale
        corners = (left - 2, top - 2, left + box.width * scale + 2, top + box.height * scale + 2)
        draw.rectangle(corners, outline=RED, width=3)
    points = [(x * scale, y * scale) for x, y in drawn.line]
    if len(points) > 1:
        draw.line(points, RED, 3)
        _head(draw, points[-2], points[-1])
    elif points and not drawn.boxes:
        x, y = points[0]
        draw.ellipse((x - 9, y - 9, x + 9, y + 9), outline=RED, width=3)


def _head(draw: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float]) -> None:
    """The point of an arrow."""
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    ends = (angle + turn for turn in (2.6, -2.6))
    draw.polygon([end, *((end[0] + 12 * math.cos(a), end[1] + 12 * math.sin(a)) for a in ends)], RED)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.truetype("DejaVuSans.ttf", SIZE)
    except OSError:
        return ImageFont.load_default(SIZE)
