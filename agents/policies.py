"""The one seam of deciding: anything that turns a goal, a look and a history into the next action.

Expert, model, human and replay are policies alike.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tools.actions import Action
from tools.observation import EDITABLE, Observation


@dataclass(frozen=True)
class Decision:
    """An action, and what was said in making it.

    `said` is the model's own text; `valid` is False when it was no action of the table (the action is then
    `noop()`); tokens are counted as the endpoint reports them. `better` is what an expert at hand would have
    done instead. `confidence`, 0 to 1, is the endpoint's own where it tells one (`shopfloor serve` does).
    """

    action: Action
    said: str = ""
    valid: bool = True
    prompt_tokens: int = 0
    completion_tokens: int = 0
    better: Action | None = None
    confidence: float | None = None


class Policy(Protocol):
    name: str  # for logs: "oracle", "random", a model's name

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision: ...


class RandomPolicy:
    """The floor: a random sensible action on a random element, words taken from the goal."""

    name = "random"

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
        elements = [e for e in observation.actionable() if "disabled" not in e.states]
        if not elements or self._random.random() < 0.05:
            return Decision(Action("send_msg_to_user", ("done",)))
        element = self._random.choice(elements)
        assert element.ref is not None
        if element.options:
            action = Action("select_option", (element.ref, self._random.choice(element.options)))
        elif element.role in EDITABLE:
            action = Action("fill", (element.ref, self._random.choice(goal.split() or [""]).strip('".,')))
        else:
            action = Action("click", (element.ref,))
        return Decision(observation.labelled(action))
