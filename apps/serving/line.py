"""Who waits for a model, and the one thread that answers them, together.

Not covered: how they share a forward pass (`batch.py`), how many may wait (`server.py`, by `limits.py`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from apps.batch import Batch, Cancelled, Job, OnToken, Question
from apps.engine import Completion, Engine
from apps.serving.metrics import Metrics


class Late(Exception):
    """The answer was not whole in time."""


class Closed(Exception):
    """This line takes no more questions: another model has followed, or the server stops."""


@dataclass(eq=False)
class _Waiting:
    question: Question
    on_token: OnToken | None
    gone: Callable[[], bool]
    deadline: float
    answer: Future[list[Completion]]
    since: float = field(default_factory=time.monotonic)
    job: Job | None = None

    def over(self) -> bool:
        return self.gone() or time.monotonic() > self.deadline

    def finish(self) -> None:
        """Hand over what the job came to; of one that never was, that it is over."""
        error: Exception | None = self.job.error if self.job else Cancelled()
        if isinstance(error, Cancelled) and not self.gone():
            error = Late()
        if error:
            self.answer.set_exception(error)
        elif self.job:
            self.answer.set_result(self.job.result())


class Line:
    """One model's line. `largest` answers are under way at once."""

    def __init__(self, engine: Engine, largest: int, metrics: Metrics) -> None:
        self._engine, self._metrics, self._largest = engine, metrics, largest
        self._batch = Batch(engine, largest)
        self._waiting: deque[_Waiting] = deque()
        self._running: list[_Waiting] = []
        self._changed = threading.Condition()
        self._closed = self._stopped = False
        self._counted = (0, 0, 0, 0)
        self._thread = threading.Thread(target=self._work, name="generate", daemon=True)
        self._thread.start()

    def ask(
        self, question: Question, on_token: OnToken | None, gone: Callable[[], bool], deadline: float
    ) -> Future[list[Completion]]:
        """The answers, when they are there. Raises Closed; the future Cancelled, Late, GrammarError."""

        def left() -> bool:
            return self._stopped or gone()

        waiting = _Waiting(question, on_token, left, deadline, Future())
        with self._changed:
            if self._closed:
                raise Closed
            self._waiting.append(waiting)
            self._metrics.queue.inc()
            self._changed.notify()
        return waiting.answer

    def close(self, *, drain: bool = True) -> None:
        """Answer what is in the line, or end it, and wait for that."""
        with self._changed:
            self._closed = True
            self._stopped = self._stopped or not drain
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._running or self._closed):
                    self._changed.wait()
                if not (self._waiting or self._running):
                    return
                self._admit()
            if size := self._batch.step():
                self._metrics.batch.observe(size)
            self._count()
            for waiting in [w for w in self._running if w.job and w.job.done]:
                self._running.remove(waiting)
                waiting.finish()

    def _admit(self) -> None:
        """In the order of their coming; one that fits in no room is let in alone."""
        for waiting in [w for w in self._waiting if w.over()]:
            self._waiting.remove(waiting)
            self._metrics.queue.dec()
            waiting.finish()
        while self._waiting:
            next_one = self._waiting[0]
            if next_one.question.n > self._batch.room and not self._batch.empty:
                return
            self._waiting.popleft()
            self._metrics.queue.dec()
            self._metrics.queue_wait.observe(time.monotonic() - next_one.since)
            next_one.job = self._batch.add(next_one.question, next_one.on_token, next_one.over)
            self._running.append(next_one)

    def _count(self) -> None:
        kept, seen = self._engine.kept, self._engine.seen
        now = (kept.hits, kept.misses, seen.hits, seen.misses)
        new = [a - b for a, b in zip(now, self._counted, strict=True)]
        self._counted = now
        self._metrics.cached("prefix", new[0], new[1])
        self._metrics.cached("image", new[2], new[3])
