"""Oracles of the tasks that are done by typing, copying, selecting and reading text.

Not covered: what they are made of (`oracle.py`).
"""

from __future__ import annotations

from functools import partial

from tools.actions import Action
from trajectories.miniwob.oracle import FIELDS, Family, OracleLost, Scene


def focus_text(scene: Scene) -> Action:
    return scene.click("textbox")


def enter(button: str, scene: Scene) -> Action:
    """Each quoted text of the goal into the field it is for, in order; a single text into all of them."""
    texts, fields = scene.quoted(), scene.all(*FIELDS)
    if not fields:
        raise OracleLost(f"no field among:\n{scene.look.text()}")
    for element, text in zip(fields, texts * (len(fields) if len(texts) == 1 else 1), strict=False):
        if (action := scene.fill(element, text)) is not None:
            return action
    return scene.click("button", button)


FAMILIES: dict[str, Family] = {
    "focus-text": Family(focus_text),
    "enter-text": Family(partial(enter, "Submit")),
    "enter-password": Family(partial(enter, "Submit")),
    "login-user": Family(partial(enter, "Login")),
}
