"""What a text leaves open: names in double braces, `{{title}}`, filled in at the last moment.

Not covered: where the values come from (`secrets.py`, `trajectories/explore/values.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tools.actions import Action

SLOT = re.compile(r"\{\{([^{}]+)\}\}")


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """The text with each `{{name}}` replaced. Raises KeyError for a name that has no value."""
    return SLOT.sub(lambda match: values[match[1]], text)


def filled(action: Action, values: Mapping[str, str]) -> Action:
    """The action with the slots in its texts filled in."""
    args = tuple(fill_in(arg, values) if isinstance(arg, str) else arg for arg in action.args)
    return Action(action.name, args, action.label)
