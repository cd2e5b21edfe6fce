"""The model strays, the oracle says at each step what was right, and in the end finds back (DAgger).

A model trained on an oracle's steps alone never sees where its own mistakes lead. Here it acts first, for
some steps or until it says that it is done, and each of its decisions is kept with what the oracle would have
done there, that word too, though it is not taken; the oracle finishes. Those answers are what a model is
taught, the mistaken steps are only history. After Ross, Gordon, Bagnell, "A Reduction of Imitation Learning
and Structured Prediction to No-Regret Online Learning" (2011), one round of it.

Not covered: training on them (`training/pretrain.py` asks more about pages where the model was wrong).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from agents.policies import Decision, Policy
from tools.actions import Action, ActionError, parse
from tools.observation import Observation
from trajectories.rollout import OraclePolicy
from trajectories.tasks import Task

NAME = "dagger"
STRAYS = 8  # steps that the model has at most


class DaggerPolicy:
    """`model` for one to `STRAYS` steps, then the task's oracle. What the model does is marked with what the
    oracle would have done; its word that all is done, or an answer that is no action, is not taken."""

    name = NAME

    def __init__(self, task: Task, model: Policy) -> None:
        self._oracle, self._model = OraclePolicy(task), model
        self._left = random.Random(f"{task.id}/dagger").randint(1, STRAYS)

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
        right = await self._oracle.decide(goal, observation, history)
        if self._left and not right.action.final:
            self._left -= 1
            strayed = await self._model.decide(goal, observation, history)
            if strayed.valid and not strayed.action.final:
                return replace(strayed, better=right.action)
            self._left = 0
            return replace(right, better=right.action, said=strayed.said or str(strayed.action))
        self._left = 0
        return right


def answered(decision: Decision) -> Action | None:
    """What was decided, or would have been, had the word been taken; None where it was no action."""
    try:
        return parse(decision.said) if decision.said else decision.action
    except ActionError:
        return None
