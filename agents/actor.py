"""The actor: a model that looks at the page and decides the next action.

An answer that is no action of the table, or points at nothing on the page, is asked again once with the error
in words; after that the decision is a `noop` marked invalid, so a roll-out counts it and goes on.

Not covered: the team around it (`team.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache

from agents import grounding, prompts
from agents.clients import ChatModel, Endpoint, Reply
from agents.policies import Decision
from tools.actions import Action, ActionError, Named, parse
from tools.grammar import action_regex
from tools.observation import Observation

FENCE = re.compile(r"```(?:\w+\n)?(.*?)```", re.DOTALL)


class ModelPolicy:
    """A policy played by an endpoint. `copy_values` holds typed text to words of the goal and the page."""

    def __init__(self, endpoint: Endpoint, copy_values: bool = True, temperature: float = 0.0) -> None:
        self.name = endpoint.model
        self.endpoint = endpoint
        self.copy_values = copy_values
        self.temperature = temperature
        self._model = ChatModel(endpoint, "actor")

    async def decide(
        self, goal: str, observation: Observation, history: Sequence[Action], *, done: bool = True
    ) -> Decision:
        """The next action; without `done` one that goes on, as far as a grammar holds the endpoint to it.
        Raises ModelDown when the endpoint can't be asked."""
        messages, regex = self._question(goal, observation, history, done)
        asked = answered = 0
        for last in (False, True):
            reply = await self._model.ask(messages, regex=regex, temperature=self.temperature)
            asked += reply.prompt_tokens
            answered += reply.completion_tokens
            try:
                action = read(reply.text, observation)
                return Decision(action, reply.text, True, asked, answered, confidence=reply.confidence)
            except ActionError as error:
                if last:
                    break
                messages = [
                    *messages,
                    {"role": "assistant", "content": reply.text[:1000] or "(nothing)"},
                    {"role": "user", "content": f"That can't be done: {error}. Answer with one action."},
                ]
        return Decision(Action("noop"), reply.text, False, asked, answered)

    async def sample(
        self,
        goal: str,
        observation: Observation,
        history: Sequence[Action],
        count: int,
        temperature: float,
    ) -> tuple[list[Action], Reply]:
        """Up to `count` next actions drawn at `temperature`, those that are one; and what was said for it."""
        messages, regex = self._question(goal, observation, history)
        reply = await self._model.ask(messages, regex=regex, temperature=temperature, n=count)
        found = []
        for text in reply.texts:
            with suppress(ActionError):
                found.append(read(text, observation))
        return found, reply

    def _question(
        self, goal: str, observation: Observation, history: Sequence[Action], done: bool = True
    ) -> tuple[list[prompts.Message], str | None]:
        """What is asked, and the grammar of its answer where the endpoint takes one."""
        goal = grounding.quoted(goal) if self.endpoint.brief else goal
        text = prompts.actor_text(goal, observation, history, fenced=not self.endpoint.brief)
        messages = prompts.messages("actor", text, observation.screenshot, brief=self.endpoint.brief)
        if not self.endpoint.grammar:
            return messages, None
        if not self.copy_values:
            return messages, action_regex(observation)
        done = done and not grounding.outstanding(goal, observation, history)
        early = grounding.premature(goal, observation, history)
        return messages, action_regex(observation, [goal], history, done, early)

    async def close(self) -> None:
        await self._model.close()


@cache
def model_policy(endpoint: Endpoint, temperature: float) -> ModelPolicy:
    """One for each endpoint and process: where a policy is wanted on another machine, it is made there."""
    return ModelPolicy(endpoint, temperature=temperature)


def read(text: str, observation: Observation) -> Action:
    """The action a model wrote, its targets as refs of this page, labelled. Raises ActionError.

    Models not trained here like to fence or explain, so the first line that reads as an action counts.
    """
    fenced = FENCE.search(text)
    lines = [line.strip() for line in (fenced.group(1) if fenced else text).splitlines() if line.strip()]
    problem = ActionError("nothing was answered")
    for line in lines[:20]:
        try:
            action = parse(line.strip("`"))
        except ActionError as error:
            problem = error
            continue
        return on_page(action, observation)
    raise problem


def on_page(action: Action, observation: Observation) -> Action:
    """The action with its targets as refs of this page. Raises ActionError if one is not there."""
    for target in action.targets:
        if observation.find(target) is None:
            what = str(target) if isinstance(target, Named) else f"[{target}]"
            raise ActionError(f"there is no element {what} on this page")
    return observation.labelled(action)
