"""A question's way to its answers: from the cache, or through the line of the model that answers now.

Equal greedy questions have equal answers, so they are kept: by the model's version, what is said, the
pictures' files, and what holds the answer.

Not covered: HTTP (`server.py`).
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Sequence
from functools import partial

from cachetools import LRUCache

from apps.asked import Asked
from apps.batch import Question
from apps.engine import Completion, Engine
from apps.serving.champion import Champion
from apps.serving.limits import Limits
from apps.serving.line import Closed
from apps.serving.metrics import Metrics

KEPT = 16 << 20  # characters of answers


class Ticket:
    """One question in hand: its words as they come (None at the end), its answer, whether nobody waits."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.words: asyncio.Queue[tuple[int, str] | None] = asyncio.Queue()
        self.gone = threading.Event()
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[list[Completion]] = self._loop.create_future()

    def tell(self, index: int, text: str) -> None:
        """Called by the thread that generates."""
        self._loop.call_soon_threadsafe(self.words.put_nowait, (index, text))

    def finish(self, answer: asyncio.Future[list[Completion]]) -> None:
        if not answer.cancelled():
            answer.exception()  # looked at here, for nobody else does once the client has gone
        self.words.put_nowait(None)


class Answers:
    """The cache and the models behind it."""

    def __init__(self, champion: Champion, limits: Limits, metrics: Metrics) -> None:
        self._champion, self._limits, self._metrics = champion, limits, metrics
        self._kept: LRUCache[bytes, list[Completion]] = LRUCache(KEPT, _characters)

    async def start(self, asked: Asked) -> Ticket:
        """Raises what `Engine.prepare` does. A model that is replaced meanwhile loses no question."""
        while True:
            served = self._champion.current
            key = _key(served.version, asked)
            if key is not None:
                known = self._kept.get(key)
                self._metrics.cached("answer", known is not None, known is None)
                if known is not None:
                    return _known(served.version, known)
            question = await asyncio.to_thread(prepared, served.engine, asked)
            ticket = Ticket(served.version)
            tell = ticket.tell if asked.stream else None
            deadline = time.monotonic() + self._limits.seconds
            try:
                answer = served.line.ask(question, tell, ticket.gone.is_set, deadline)
            except Closed:
                if served is self._champion.current:  # the server stops
                    raise
                continue
            ticket.answer = asyncio.wrap_future(answer)
            ticket.answer.add_done_callback(ticket.finish)
            if key is not None:
                ticket.answer.add_done_callback(partial(self._keep, key))
            return ticket

    def _keep(self, key: bytes, done: asyncio.Future[list[Completion]]) -> None:
        if not done.cancelled() and done.exception() is None and _characters(done.result()) <= KEPT:
            self._kept[key] = done.result()


def prepared(engine: Engine, asked: Asked) -> Question:
    """A request as a question to the engine. Raises what `Engine.prepare` does."""
    return engine.prepare(
        asked.messages,
        asked.images,
        regex=asked.regex,
        choices=asked.choices,
        max_tokens=asked.max_tokens,
        temperature=asked.temperature,
        n=asked.n,
        stop=asked.stop,
        seed=asked.seed,
    )


def _known(version: str, answers: list[Completion]) -> Ticket:
    ticket = Ticket(version)
    for index, answer in enumerate(answers):
        if answer.text:
            ticket.words.put_nowait((index, answer.text))
    ticket.answer.set_result(answers)
    ticket.finish(ticket.answer)
    return ticket


def _key(version: str, asked: Asked) -> bytes | None:
    """None where an equal question may be answered otherwise."""
    if asked.temperature > 0:
        return None
    held = (asked.regex, asked.choices, asked.max_tokens, asked.n, asked.stop)
    return hashlib.sha256(repr((version, asked.messages, asked.pictures, *held)).encode()).digest()


def _characters(answers: Sequence[Completion]) -> int:
    return sum(1024 + len(answer.text) for answer in answers)  # about what an empty one takes too
