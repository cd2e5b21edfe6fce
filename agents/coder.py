"""The coder: writes a program for the goal, or leaves it to the actor with `act(goal)`.

Not covered: what memory holds (`tools/memory.py`) and who asks (`team.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents import prompts
from agents.clients import ChatModel, Endpoint
from agents.program import WHOLE, Ask, Program, Script, parse_program, program_regex, script_regex
from tools.actions import ActionError
from tools.observation import Observation

BRIEF_TOKENS = 300  # of a straight line or a short script, which is all that a model trained here writes
TOKENS = 1500


@dataclass(frozen=True)
class Plan:
    """A program or a question, what was said in making it, and why it is not the coder's, if it is not."""

    program: Program | Script | Ask
    said: str = ""
    note: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Coder:
    """Plans by an endpoint. What can't be read twice in a row becomes `act(goal)`, with a note saying so."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._model = ChatModel(endpoint, "coder")

    async def plan(self, goal: str, observation: Observation, recalled: Sequence[str]) -> Plan:
        """A program from here. Raises ModelDown when the endpoint can't be asked."""
        text = prompts.coder_text(goal, observation, recalled, fenced=not self.endpoint.brief)
        messages = prompts.messages("coder", text, observation.screenshot, brief=self.endpoint.brief)
        regex = None
        if self.endpoint.grammar:
            shown = (text for e in observation.elements for text in (e.name, e.value or "", *e.options))
            regex = f"(?:{program_regex()}|{script_regex([goal, *shown])})"
        longest = BRIEF_TOKENS if self.endpoint.brief else TOKENS
        asked = answered = 0
        problem = ""
        for _ in range(2):
            reply = await self._model.ask(messages, regex=regex, max_tokens=longest)
            asked += reply.prompt_tokens
            answered += reply.completion_tokens
            try:
                program = parse_program(reply.text, observation)
                return Plan(program, reply.text, "", asked, answered)
            except ActionError as error:
                problem = str(error)
                messages = [
                    *messages,
                    {"role": "assistant", "content": reply.text[:2000] or "(nothing)"},
                    {
                        "role": "user",
                        "content": f"That is no program: {problem}. Write it again, only calls.",
                    },
                ]
        return Plan(
            WHOLE, reply.text, f"no program ({problem}); the actor goes step by step", asked, answered
        )

    async def close(self) -> None:
        await self._model.close()
