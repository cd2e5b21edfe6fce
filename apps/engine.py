"""A vision-language model from a folder: questions made ready for it, and answered under a grammar if asked.

Any `AutoModelForImageTextToText` with its processor. Questions are answered in one batch with others that are
there at the same time (`batch.py`); `generate` is one alone.

Not covered: who waits, and for how long (`serving/line.py`), and HTTP (`server.py`).
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from apps.answer import Answer, Completion
from apps.automaton import Automata, GrammarError
from apps.batch import Batch, Cancelled, Kept, OnToken, Question, Seen
from apps.tokens import Tokens
from training.processors import load_processor, shrunk

__all__ = ["Cancelled", "Completion", "Engine", "GrammarError", "RequestError"]
SMALL = 60_000_000  # parameters


class RequestError(ValueError):
    """A question that can't be answered as it stands: too long, or an impossible grammar. Says what to do."""


class Engine:
    """One loaded model. `prepare` and `generate` may be called from several threads; they take turns."""

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
        self._preparing, self._alone = threading.Lock(), threading.Lock()
        self.lead = lead(self.processor)
        self._automata = Automata(lead=self.lead)
        self.forward = forward(self.model)
        self.kept, self.seen = Kept(self.forward), Seen()
        self.tokens = Tokens(self.processor.tokenizer, self.model)
        config = self.model.config
        self.context: int = getattr(config.get_text_config(), "max_position_embeddings", None) or 1 << 20
        self._batch = Batch(self)

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
        """Answer one question alone, at once. As `prepare`; raises what it and `Batch` raise."""
        question = self.prepare(
            messages,
            images,
            regex=regex,
            choices=choices,
            max_tokens=max_tokens,
            temperature=temperature,
            n=n,
            stop=stop,
            seed=seed,
        )
        with self._alone:
            job = self._batch.add(question, on_token, cancelled)
            while not job.done:
                self._batch.step()
            return job.result()

    def prepare(
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
    ) -> Question:
        """A question as the model takes it.

        `messages` hold parts {"type": "image"} and {"type": "text"}; `images` are in their order. Raises
        RequestError and GrammarError.
        """
        pattern = _regex(regex, choices)
        with self._preparing:  # tokenizers and processors are not made for several threads
            images = [shrunk(image, self.processor) for image in images]
            inputs = self._inputs(messages, images)
        ids: list[int] = inputs["input_ids"][0].tolist()
        room = self.context - len(ids)
        if room < 1:
            raise RequestError(
                f"the prompt is {len(ids)} tokens and the model's context {self.context}; "
                "send less text or fewer images"
            )
        pictures = hashlib.sha256()
        for image in images:
            pictures.update(f"{image.size}".encode() + image.tobytes())
        return Question(
            ids=tuple(ids),
            inputs=inputs,
            pictures=pictures.digest() if images else b"",
            regex=pattern,
            limit=room if max_tokens is None else min(max_tokens, room),
            temperature=temperature,
            n=n,
            stop=tuple(stop),
            seed=seed,
        )

    def answers(self, question: Question, on_token: OnToken | None) -> list[Answer]:
        """The question's `n` answers, nothing of them written yet. Raises GrammarError."""
        automaton = None if question.regex is None else self._automata.get(question.regex)
        first = int.from_bytes(os.urandom(7), "big") if question.seed is None else question.seed
        return [
            Answer(
                self.tokens,
                automaton,
                lead=self.lead,
                limit=question.limit,
                stop=question.stop,
                emit=None if on_token is None else partial(on_token, index),
                temperature=question.temperature,
                seed=first + index,
            )
            for index in range(question.n)
        ]

    def _inputs(self, messages: Sequence[dict[str, Any]], images: Sequence[Image.Image]) -> Any:
        """The prompt as tensors."""
        from jinja2 import TemplateError

        clean = [self.tokens.neutral(message) for message in messages]
        size = sum(len(part.get("text", "")) for message in clean for part in message["content"])
        if size > self.context * self.tokens.longest:
            raise RequestError(
                f"the prompt has {size:,} characters, more than the model's {self.context} tokens can hold; "
                "send less text"
            )
        try:
            text = self.processor.apply_chat_template(clean, add_generation_prompt=True)
        except (TemplateError, TypeError):  # many templates refuse system messages or two of a role in a row
            text = self.processor.apply_chat_template(merged(clean), add_generation_prompt=True)
        return self.processor(text=text, images=images or None, return_tensors="pt").to(self.device)


def _regex(regex: str | None, choices: Sequence[str] | None) -> str | None:
    """One expression for either. Raises GrammarError."""
    if choices is None:
        return regex
    if regex is not None:
        raise GrammarError("give a regular expression or choices, not both")
    if not choices:
        raise GrammarError("there must be at least one choice")
    return "|".join(re.escape(choice) for choice in choices)


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
