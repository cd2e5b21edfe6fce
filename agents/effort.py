"""Test-time compute: how much an actor and its team spend on a decision, from one dial.

    low     the likeliest action, whatever came of it before; one more try by the team
    medium  another one where that was done on this very page already (same text, same picture) and led back
            to where one has been; `done` only where the reviewer sees it too, or nothing is left but to send
            once more what was sent
    high    besides, at each step the action that comes up most among several drawn; more tries by the team

Most pages answer the same action with the same page, so whoever does it again goes round in circles until the
steps run out; small models do. What closed the circle is to blame first: who presses Close, then Cancel where
it asks whether to, should press Close once more and then something else. Drawing several actions and taking
the most common one is self-consistency (Wang et al., https://arxiv.org/abs/2203.11171).

Not covered: telling the model that it goes in circles, and ending it (`job.py`).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.actor import ModelPolicy
from agents.policies import Decision
from agents.reviewer import Reviewer
from tools.actions import Action
from tools.observation import Observation

TEMPERATURE = 0.7
AGAIN = 2  # times an action that led on is done on one page


@dataclass(frozen=True)
class Effort:
    """`samples` actions are drawn where a decision is in doubt: `always`, or where it is a repetition.
    `done` is `seconded` by the reviewer or not taken. Work goes back to the coder `rounds` times at most."""

    samples: int
    always: bool = False
    seconded: bool = False
    rounds: int = 2


EFFORTS = {
    "low": Effort(0, rounds=1),
    "medium": Effort(8, seconded=True),
    "high": Effort(8, always=True, seconded=True, rounds=4),
}


class Deliberate:
    """`model` on one episode, with as much effort as is set; a new episode begins with a shorter history than
    the last decision had. Decisions count the tokens of all that was asked for them."""

    def __init__(self, model: ModelPolicy, effort: Effort, reviewer: Reviewer | None = None) -> None:
        self.name = model.name
        self._model, self._effort = model, effort
        self._reviewer = reviewer if effort.seconded else None
        self._tried: dict[bytes, Counter[str]] = defaultdict(Counter)  # by page
        self._back: set[tuple[bytes, str]] = set()  # on which page what led to one seen before
        self._page, self._steps = b"", 0

    async def decide(self, goal: str, observation: Observation, history: Sequence[Action]) -> Decision:
        """The next action. Raises ModelDown, and NoVerdict where the reviewer's model gives none."""
        page = digest(observation)
        if len(history) < self._steps:
            self._tried.clear()
            self._back.clear()
        elif len(history) == self._steps + 1:  # more were not decided here, nor done on the page seen last
            did = str(history[-1])
            self._tried[self._page][did] += 1
            if page in self._tried:
                self._back.add((self._page, did))
        self._page, self._steps = page, len(history)
        first = await self._model.decide(goal, observation, history)
        if not first.valid or not self._effort.samples:
            return first
        spent = [(first.prompt_tokens, first.completion_tokens)]
        candidates = [first.action]
        if self._effort.always or self._in_vain(first.action):
            found, reply = await self._model.sample(
                goal, observation, history, self._effort.samples, TEMPERATURE
            )
            spent.append((reply.prompt_tokens, reply.completion_tokens))
            drawn = Counter(map(str, [first.action, *found]))
            candidates = list({str(a): a for a in (first.action, *found)}.values())
            candidates.sort(key=lambda action: -drawn[str(action)])  # stable: the first stays so among equals
        chosen, refused = first, False
        for action in candidates:
            # Going in circles is no reason to be done: taken so, one in seven more ended wrongly "done".
            if self._in_vain(action) or (action.final and self._in_vain(first.action)):
                continue
            if self._reviewer and action.name == "send_msg_to_user":
                review = await self._reviewer.after(goal, observation, [*history, action])
                spent.append((review.prompt_tokens, review.completion_tokens))
                if review.verdict == "not yet":
                    refused = True
                    continue
            chosen = first if action == first.action else replace(first, action=action, confidence=None)
            break
        else:
            if refused:
                other = await self._model.decide(goal, observation, history, done=False)
                spent.append((other.prompt_tokens, other.completion_tokens))
                if not _again(other.action, history):
                    chosen = other
        asked, answered = map(sum, zip(*spent, strict=True))
        return replace(chosen, prompt_tokens=asked, completion_tokens=answered)

    def _in_vain(self, action: Action) -> bool:
        """Whether that was done here before and led back, or often enough; waiting is no repetition."""
        did = str(action)
        again = (self._page, did) in self._back or self._tried[self._page][did] >= AGAIN
        return action.name != "noop" and again


def _again(action: Action, history: Sequence[Action]) -> bool:
    """Whether the same value was filled in there before, or the same button pressed last: who can think of
    nothing but to send what was sent has nothing left to do, and a comment sent twice stands there twice."""
    if action.name == "click":
        return bool(history) and (action.name, action.label) == (history[-1].name, history[-1].label)
    return action.name == "fill" and (action.label, action.args[1:]) in {
        (a.label, a.args[1:]) for a in history
    }


def digest(observation: Observation) -> bytes:
    """Of what is seen, without what went wrong on the way there."""
    seen = hashlib.sha256(replace(observation, error=None).text().encode())
    seen.update(observation.screenshot or b"")
    return seen.digest()
