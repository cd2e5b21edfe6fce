"""The reviewer's model: a verdict on a plan before it runs, and on the page after.

Not covered: the policy in plain code, which goes first and can't be overruled (`tools/guard.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents import prompts
from agents.clients import ChatModel, Endpoint
from agents.prompts import Message
from tools.actions import Action
from tools.observation import Observation

BEFORE = ("approve", "revise", "refuse")
AFTER = ("done", "not yet", "give up")
WHY = r': [^\n"\\]{1,160}'


class NoVerdict(RuntimeError):
    """The reviewer's model answers what is no verdict, twice."""


@dataclass(frozen=True)
class Review:
    """One of `BEFORE` or of `AFTER`, and why."""

    verdict: str
    why: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __str__(self) -> str:
        return f"{self.verdict}: {self.why}" if self.why else self.verdict


class Reviewer:
    """Reviews by an endpoint. Raises ModelDown or NoVerdict; it never takes silence for consent."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._model = ChatModel(endpoint, "reviewer")

    async def before(self, goal: str, observation: Observation, program: str) -> Review:
        """Whether the program may run: `approve`, `revise` or `refuse`."""
        fenced = not self.endpoint.brief
        text = prompts.plan_review_text(goal, observation, program, fenced=fenced)
        return await self._ask(text, observation, BEFORE)

    async def after(self, goal: str, observation: Observation, history: Sequence[Action]) -> Review:
        """Whether the page shows what was asked: `done`, `not yet` or `give up`."""
        fenced = not self.endpoint.brief
        text = prompts.result_review_text(goal, observation, history, fenced=fenced)
        return await self._ask(text, observation, AFTER)

    async def _ask(self, text: str, observation: Observation, verdicts: tuple[str, str, str]) -> Review:
        brief = self.endpoint.brief
        messages = prompts.messages("reviewer", text, observation.screenshot, brief=brief)
        regex = f"(?:{verdicts[0]}|(?:{verdicts[1]}|{verdicts[2]}){WHY})"
        asked = answered = 0
        for _ in range(2):
            reply = await self._model.ask(messages, regex=regex, max_tokens=120)
            asked += reply.prompt_tokens
            answered += reply.completion_tokens
            found = read(reply.text, verdicts)
            if found is not None:
                return Review(*found, asked, answered)
            messages = [*messages, *_again(reply.text, verdicts)]
        said = " ".join(reply.text.split())[:80]
        raise NoVerdict(
            f'the reviewer ({self.endpoint.model}) gives no verdict but "{said}"; '
            "is it a chat model that follows instructions?"
        )

    async def close(self) -> None:
        await self._model.close()


def read(text: str, verdicts: Sequence[str]) -> tuple[str, str] | None:
    """Verdict and reason from the first line that begins with one of them."""
    for line in text.splitlines():
        bare = line.strip().strip("`*\"'. ")
        for verdict in verdicts:
            rest = bare[len(verdict) :]
            if bare.lower().startswith(verdict) and not rest[:1].isalnum():
                return verdict, rest.strip(" :.-*—,")
    return None


def _again(text: str, verdicts: tuple[str, str, str]) -> list[Message]:
    ask = f"Answer one line: {verdicts[0]}, or {verdicts[1]}: why, or {verdicts[2]}: why."
    return [{"role": "assistant", "content": text[:1000] or "(nothing)"}, {"role": "user", "content": ask}]
