"""One answer in the making: which token comes next, and what of it is text.

The decoding loop is our own because every step chooses among the tokens that the grammar allows: greedily the
likeliest, or by sampling among them. What the grammar leaves no choice about is appended without asking the
model token by token. An answer under a grammar is whole even when its tokens run short, as long as the
shortest one fits.

Not covered: the model's forward pass (`forward.py`), several answers at once (`batch.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from apps.automaton import Automaton, GrammarError, Place
from apps.tokens import Tokens, Written

ASKED = 256  # likeliest tokens looked at where the grammar allows very many
FEW = 3000  # candidates up to which all are looked at


@dataclass(frozen=True)
class Completion:
    """One answer. `logprob` sums the chosen tokens' log-probabilities among those allowed; `confidence` is
    the probability of the average token, 1.0 where the grammar left no choice."""

    text: str
    finish_reason: str  # "stop" or "length"
    prompt_tokens: int
    completion_tokens: int
    logprob: float
    confidence: float


class Answer:
    """One answer in the making. `lead` is white space before it that is not of it, under a grammar."""

    def __init__(
        self,
        tokens: Tokens,
        automaton: Automaton | None,
        *,
        lead: str,
        limit: int,
        stop: Sequence[str],
        emit: Callable[[str], None] | None,
        temperature: float,
        seed: int,
    ) -> None:
        import torch

        self._tokens, self._automaton, self._limit = tokens, automaton, limit
        self._place = automaton.start if automaton else None
        self._temperature = temperature
        self._torch = torch
        self._generator = torch.Generator().manual_seed(seed) if temperature > 0 else None
        self._ids: list[int] = []
        self._skip = len(lead.encode()) if automaton else 0  # bytes that are not of the answer
        self._text = Written(stop, emit, strip=automaton is None)
        self._logprob = 0.0
        self._finish = "stop"

    def go_on(self, logits: Any) -> list[int]:
        """Write on from the logits after all that is written; returns what the model is to be shown next.

        Nothing where the answer has ended. Raises GrammarError.
        """
        unseen: list[int] = []  # taken in, but not shown to the model before it has to choose again
        while not (self._place and self._place.ended):
            if len(self._ids) >= self._limit:
                self._finish = "stop" if self._place and self._place.accepts else "length"
                return []
            new = self._forced()
            if not new:
                if unseen:
                    return unseen
                chosen, logprob = self._choose(logits)
                self._logprob += logprob
                if chosen in self._tokens.ends:
                    return []
                new = [chosen]
            unseen += new
            if self._append(new):
                return []
        return []

    def close(self, prompt_tokens: int) -> Completion:
        """The answer, once it has ended."""
        text = self._text.close()
        mean = self._logprob / max(1, len(self._ids))
        return Completion(text, self._finish, prompt_tokens, len(self._ids), self._logprob, math.exp(mean))

    def _append(self, new: list[int]) -> bool:
        """Take tokens in; True when a stop string has been written."""
        self._ids += new
        data = b"".join(self._tokens.bytes[token] for token in new)
        if self._place and self._automaton:
            self._place = self._automaton.advance(self._place, data)
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        return self._text.add(data[skipped:])

    def _forced(self) -> list[int]:
        """Tokens of the text that must come next, as the tokenizer itself would write them.

        The last one is left to the model unless the text ends there: it might join with what follows.
        """
        if not self._automaton or not self._place:
            return []
        ahead = self._automaton.forced(self._place)
        if len(ahead) < 2:
            return []
        written = b"".join(self._tokens.bytes[t] for t in self._ids).decode()
        whole = self._tokens.encode(written + ahead)
        if whole[: len(self._ids)] != self._ids:
            return []
        after = self._automaton.advance(self._place, ahead.encode())
        end = len(whole) if after and after.ended else len(whole) - 1
        new = whole[len(self._ids) : min(end, self._limit)]
        return new if all(t in self._tokens.bytes for t in new) else []

    def _choose(self, logits: Any) -> tuple[int, float]:
        """A token and its log-probability among those allowed."""
        if self._automaton and self._place:
            allowed = self._allowed(logits, self._automaton, self._place)
            scores = logits[allowed]
        else:
            allowed = None
            scores = logits + self._tokens.mask(len(logits))
        logprobs = scores.log_softmax(-1)
        if self._temperature > 0:
            # Kept in range: a temperature of nearly nothing is greedy, not an overflow.
            weights = (logprobs / max(self._temperature, 1e-4)).softmax(-1)
            pick = int(self._torch.multinomial(weights, 1, generator=self._generator))
        else:
            pick = int(scores.argmax())
        return (pick if allowed is None else allowed[pick]), float(logprobs[pick])

    def _allowed(self, logits: Any, automaton: Automaton, place: Place) -> list[int]:
        """Tokens after which the text can still become a match, and within the tokens that are left."""
        left = self._limit - len(self._ids) - 1
        hurry = place.least <= left + 1  # if it can be finished at all, keep it so
        leads = range(0x80, 0xC0) if place.pending else sorted(place.state.leads)
        words = [self._tokens.by_lead[lead] for lead in leads if lead in self._tokens.by_lead]
        ends = list(self._tokens.ends) if place.accepts else []
        if sum(map(len, words)) > FEW:

            def fits(token: int) -> bool:
                after = automaton.advance(place, self._tokens.bytes[token])
                return after is not None and not (hurry and after.least > left)

            likely = logits.topk(min(ASKED, len(logits))).indices.tolist()
            found = [t for t in likely if t in ends or (t in self._tokens.bytes and fits(t))]
            if found:
                return found
        ways = [way for some in words for way in automaton.follow(place, some)]
        found = ends + [token for token, least in ways if not hurry or least <= left]
        # A vocabulary without single bytes may not have the shortest way; then any is taken.
        found = found or [token for token, _ in ways]
        if not found:
            raise GrammarError("no token of this model can go on with the regular expression here")
        return found
