"""A vision-language model from a folder, answering one question at a time, held to a grammar if asked.

Any `AutoModelForImageTextToText` with its processor. The decoding loop is our own because every step
chooses among the tokens that the grammar allows: greedily the likeliest, or by sampling among them.
What the grammar leaves no choice about is appended without asking the model token by token. An answer
under a grammar is whole even when its tokens run short, as long as the shortest one fits.

The cache of the last prompt is kept: questions about the same page and screenshot share its beginning.

Not covered: batching several requests into one forward pass, and HTTP (`server.py`).
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from apps.automaton import Automata, Automaton, GrammarError, Place
from apps.tokens import Tokens, Written
from training.processors import load_processor, shrunk

ASKED = 256  # likeliest tokens looked at where the grammar allows very many
FEW = 3000  # candidates up to which all are looked at
SMALL = 60_000_000  # parameters
OnToken = Callable[[int, str], None]  # index of the completion, new text


class RequestError(ValueError):
    """A question that can't be answered as it stands: too long, or an impossible grammar. Says what to do."""


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


class Cancelled(Exception):
    """Whoever asked has gone."""


class Engine:
    """One loaded model. Safe to call from several threads; they take turns."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForImageTextToText
        from transformers.utils import logging

        from apps.forward import forward

        logging.disable_progress_bar()
        self.folder = folder
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.processor: Any = load_processor(folder)
        auto: Any = AutoModelForImageTextToText
        self.model: Any = auto.from_pretrained(folder, dtype=torch.float32).to(self.device).eval()
        if "OMP_NUM_THREADS" not in os.environ and self.model.num_parameters() < SMALL:
            # A small model's steps are too short to share out: a second thread costs more than it does, and
            # where other work has the cores, waiting for it made a nano action ten times slower.
            torch.set_num_threads(1)
        self._torch = torch
        self._lock = threading.Lock()
        self._lead = lead(self.processor)
        self._automata = Automata(lead=self._lead)
        self._kept: _Kept | None = None
        self._forward = forward(self.model)
        self._tokens = Tokens(self.processor.tokenizer, self.model)
        config = self.model.config
        self.context: int = getattr(config.get_text_config(), "max_position_embeddings", None) or 1 << 20

    def generate(
        self,
        messages: Sequence[dict[str, Any]],
        images: Sequence[Image.Image] = (),
        *,
        regex: str | None = None,
        choices: Sequence[str] | None = None,
        max_tokens: int | None = None,
        temperature: float = 0.0,
        n: int = 1,
        stop: Sequence[str] = (),
        seed: int | None = None,
        on_token: OnToken | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[Completion]:
        """Answer. `messages` hold parts {"type": "image"} and {"type": "text"}; `images` are in their order.

        Raises RequestError, GrammarError, and Cancelled once `cancelled()` is true.
        """
        with self._lock, self._torch.inference_mode():
            automaton = self._automaton(regex, choices)
            if automaton:
                automaton.work = 0
            images = [shrunk(image, self.processor) for image in images]
            inputs = self._prepare(messages, images)
            ids: list[int] = inputs["input_ids"][0].tolist()
            room = self.context - len(ids)
            if room < 1:
                raise RequestError(
                    f"the prompt is {len(ids)} tokens and the model's context {self.context}; "
                    "send less text or fewer images"
                )
            limit = room if max_tokens is None else min(max_tokens, room)
            if cancelled():
                raise Cancelled
            logits, cache = self._prefill(inputs, ids, images)
            answers = []
            for index in range(n):
                generator = self._torch.Generator()
                generator.manual_seed(int.from_bytes(os.urandom(7), "big") if seed is None else seed + index)
                emit = None if on_token is None else (lambda text, i=index: on_token(i, text))
                answer = _Answer(self, automaton, self._forward.fork(cache), limit, stop, emit, cancelled)
                answers.append(answer.run(logits, temperature, generator, len(ids)))
            return answers

    def _automaton(self, regex: str | None, choices: Sequence[str] | None) -> Automaton | None:
        if choices is not None:
            if regex is not None:
                raise GrammarError("give a regular expression or choices, not both")
            if not choices:
                raise GrammarError("there must be at least one choice")
            regex = "|".join(re.escape(choice) for choice in choices)
        return None if regex is None else self._automata.get(regex)

    def _prepare(self, messages: Sequence[dict[str, Any]], images: Sequence[Image.Image]) -> Any:
        """The prompt as the model takes it."""
        from jinja2 import TemplateError

        clean = [self._tokens.neutral(message) for message in messages]
        size = sum(len(part.get("text", "")) for message in clean for part in message["content"])
        if size > self.context * self._tokens.longest:
            raise RequestError(
                f"the prompt has {size:,} characters, more than the model's {self.context} tokens can hold; "
                "send less text"
            )
        try:
            text = self.processor.apply_chat_template(clean, add_generation_prompt=True)
        except (TemplateError, TypeError):  # many templates refuse system messages or two of a role in a row
            text = self.processor.apply_chat_template(merged(clean), add_generation_prompt=True)
        return self.processor(text=text, images=images or None, return_tensors="pt").to(self.device)

    def _prefill(self, inputs: Any, ids: list[int], images: Sequence[Image.Image]) -> tuple[Any, Any]:
        """Logits after the prompt and the cache of it; reuses what the last prompt has in common."""
        pictures = hashlib.sha256()
        for image in images:
            pictures.update(f"{image.size}".encode() + image.tobytes())
        digest = pictures.digest()
        kept, self._kept = self._kept, None
        if kept and kept.digest == digest and (shared := self._shared(kept.ids, ids)):
            logits, cache = self._forward.go_on(ids[shared:], self._forward.cut(kept.cache, shared))
        else:
            logits, cache = self._forward.begin(inputs)
        if (whole := self._forward.cut(cache, len(ids))) is not None:
            self._kept = _Kept(ids, digest, whole)
        return logits, cache

    def _shared(self, before: list[int], ids: list[int]) -> int:
        """How many tokens both begin with; 0 unless that covers every image and leaves one to ask about."""
        shared = 0
        for a, b in zip(before, ids[:-1], strict=False):
            if a != b:
                break
            shared += 1
        image = self._tokens.image
        return 0 if image is not None and image in ids[shared:] else shared


@dataclass(frozen=True)
class _Kept:
    """A prompt and its cache."""

    ids: list[int]
    digest: bytes
    cache: Any


class _Answer:
    """One answer in the making."""

    def __init__(
        self,
        engine: Engine,
        automaton: Automaton | None,
        cache: Any,
        limit: int,
        stop: Sequence[str],
        emit: Callable[[str], None] | None,
        cancelled: Callable[[], bool],
    ) -> None:
        self._engine, self._tokens, self._torch = engine, engine._tokens, engine._torch
        self._automaton, self._cache, self._limit = automaton, cache, limit
        self._place = automaton.start if automaton else None
        self._cancelled = cancelled
        self._ids: list[int] = []
        self._skip = len(engine._lead.encode()) if automaton else 0  # bytes that are not of the answer
        self._text = Written(stop, emit, strip=automaton is None)
        self._logprob = 0.0

    def run(self, logits: Any, temperature: float, generator: Any, prompt_tokens: int) -> Completion:
        finish = "stop"
        unseen: list[int] = []  # taken in, but not shown to the model before it has to choose again
        while not (self._place and self._place.ended):
            if len(self._ids) >= self._limit:
                finish = "stop" if self._place and self._place.accepts else "length"
                break
            if self._cancelled():
                raise Cancelled
            new = self._forced()
            if not new:
                if unseen:
                    logits, self._cache = self._engine._forward.go_on(unseen, self._cache)
                    unseen = []
                chosen, logprob = self._choose(logits, temperature, generator)
                self._logprob += logprob
                if chosen in self._tokens.ends:
                    break
                new = [chosen]
            unseen += new
            if self._append(new):
                break
        text = self._text.close()
        mean = self._logprob / max(1, len(self._ids))
        return Completion(text, finish, prompt_tokens, len(self._ids), self._logprob, math.exp(mean))

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

    def _choose(self, logits: Any, temperature: float, generator: Any) -> tuple[int, float]:
        """A token and its log-probability among those allowed."""
        if self._automaton and self._place:
            allowed = self._allowed(logits, self._automaton, self._place)
            scores = logits[allowed]
        else:
            allowed = None
            scores = logits + self._tokens.mask(len(logits))
        logprobs = scores.log_softmax(-1)
        if temperature > 0:
            # Kept in range: a temperature of nearly nothing is greedy, not an overflow.
            weights = (logprobs / max(temperature, 1e-4)).softmax(-1)
            pick = int(self._torch.multinomial(weights, 1, generator=generator))
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


def lead(processor: Any) -> str:
    """The white space that this chat format has before every answer, as in SmolVLM's `Assistant: done`.

    The model has learnt it as part of the first word, so an answer under a grammar begins with it too.
    """
    asked, said = (
        {"role": role, "content": [{"type": "text", "text": "x"}]} for role in ("user", "assistant")
    )
    prompt = processor.apply_chat_template([asked], add_generation_prompt=True)
    whole = processor.apply_chat_template([asked, said])
    after = whole[len(prompt) :] if whole.startswith(prompt) else ""
    return str(after[: len(after) - len(after.lstrip())])


def merged(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same conversation with system text in the user's turn, and never two turns of a role in a row."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message["role"] == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += [{"type": "text", "text": "\n"}, *message["content"]]
        else:
            turns.append({"role": role, "content": list(message["content"])})
    return turns
