"""Nearly right: what an oracle does, but for one slip, and then the word that it is done.

A reviewer learns little from failures that anyone can see. These are the others: the form is filled in and
saved, with one value wrong; a box is left unticked; all is done but the last step. They run in the browser
like any episode, and the checker says which failed. (Counter-examples made by editing a right
history, which `examples.py` makes too, show the right page beside the wrong words; here the page is wrong.)

Not covered: demonstrations; nothing here is for imitating, and `examples.py` takes only the verdict.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from agents.policies import Decision
from tools.actions import Action, Value
from tools.observation import Observation
from trajectories.rollout import OraclePolicy
from trajectories.tasks import Task

NAME = "near-miss"
DONE = Action("send_msg_to_user", ("done",))
TICKED = frozenset({"checkbox", "radio", "switch", "option"})
SHORT = 0.25  # share that stops one step short instead of slipping


class NearMissPolicy:
    """Follows a task's oracle up to the step that decides it, slips there, and says done.

    What was typed, chosen or ticked last is put in wrongly just before the click that sends it off; where
    nothing is put in, another element of the same role is clicked.
    """

    name = NAME

    def __init__(self, task: Task) -> None:
        self._oracle = OraclePolicy(task)
        self._draw = random.Random(f"{task.id}/near-miss")
        self._short = self._draw.random() < SHORT
        self._plan: list[Action] = []  # what is left to do once the slip has begun
        self._slipped = False

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
        if self._slipped:
            return Decision(_still(self._plan.pop(0), observation) if self._plan else DONE)
        right = (await self._oracle.decide(goal, observation, history)).action
        before = history[-1] if history else None
        target = observation.find(right.targets[0]) if right.name == "click" else None
        if target is None or target.role in TICKED:
            return Decision(right)
        wrong = None if before is None else self._other(before, observation)
        if wrong is not None and self._short:
            self._slipped = True
            return Decision(DONE)
        if wrong is not None:
            self._slipped, self._plan = True, [right]
            return Decision(wrong)
        beside = self._beside(right, observation)
        if beside is None or (before is None and self._draw.random() < 0.5):
            return Decision(right)
        self._slipped = True
        return Decision(beside)

    def _other(self, action: Action, look: Observation) -> Action | None:
        """The same step with another value; None where it put nothing in."""
        target = look.find(action.targets[0]) if action.targets else None
        if target is None:
            return None
        if action.name == "click" and target.role in TICKED:
            return action if target.role == "checkbox" else self._beside(action, look)
        if action.name == "select_option":
            others = [o for o in target.options if o not in (target.value, action.args[1])]
            return _on(look, action, self._draw.choice(others)) if others else None
        if action.name == "fill" and isinstance(action.args[1], str) and action.args[1]:
            return _on(look, action, self._misspelt(action.args[1]))
        return None

    def _misspelt(self, text: str) -> str:
        """One character left out or doubled."""
        at = self._draw.randrange(len(text))
        made = self._draw.choice((text[:at] + text[at + 1 :], text[: at + 1] + text[at:]))
        return made or text * 2

    def _beside(self, action: Action, look: Observation) -> Action | None:
        """The same click on another element of the role; None where there is none."""
        target = look.find(action.targets[0])
        others = [e for e in look.actionable() if target and e.role == target.role and e != target]
        return look.labelled(Action("click", (self._draw.choice(others).ref or 0,))) if others else None


def _on(look: Observation, action: Action, value: Value) -> Action:
    return look.labelled(Action(action.name, (action.args[0], value)))


def _still(action: Action, look: Observation) -> Action:
    """The action on the element of its name: the refs may have moved since."""
    same = [e for e in look.actionable() if e.name == action.label]
    return look.labelled(Action(action.name, (same[0].ref or 0, *action.args[1:]))) if same else action
