"""Several questions in one forward pass: each comes in when there is room, and goes when it is answered.

Nothing waits for a batch to fill or to end: at every step the prompts that have come go through the model
together with the next token of the answers under way. The prompts that were asked last are kept with their
caches, for questions about the same page and screenshot share their beginning; what the vision tower made of
a picture is kept too.

Not covered: threads and time (`serving/line.py`), the arithmetic (`forward.py`), choosing (`answer.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from apps.answer import Answer, Completion
from apps.forward import Forward, Part

if TYPE_CHECKING:
    from apps.engine import Engine

LARGEST = 16  # answers under way at once
PROMPT = 2048  # tokens of new prompts in one pass, the first one aside: answers under way wait for them
KEPT = 128 << 20  # bytes of prompts' caches
SEEN = 64 << 20  # bytes of what the vision tower made of pictures
OnToken = Callable[[int, str], None]  # index of the completion, new text


class Cancelled(Exception):
    """Whoever asked has gone."""


@dataclass(frozen=True, eq=False)
class Question:
    """A question as the model takes it. `pictures` is a digest of them, empty without any."""

    ids: tuple[int, ...]
    inputs: Any
    pictures: bytes
    regex: str | None
    limit: int  # tokens of an answer
    temperature: float
    n: int
    stop: tuple[str, ...]
    seed: int | None


class Job:
    """A question in the batch; `done` once it has its answers, or failed."""

    def __init__(self, question: Question, on_token: OnToken | None, cancelled: Callable[[], bool]) -> None:
        self.question, self.on_token, self.cancelled = question, on_token, cancelled
        self.written: dict[int, Completion] = {}
        self.error: Exception | None = None
        self.done = False

    def result(self) -> list[Completion]:
        if self.error:
            raise self.error
        return [self.written[index] for index in range(self.question.n)]

    def fail(self, error: Exception) -> None:
        self.error, self.done = error, True


@dataclass
class _Row:
    """An answer under way: what the model is to be shown of it next, after `cache`."""

    job: Job
    index: int
    answer: Answer
    unseen: list[int]
    cache: Any


class Batch:
    """The questions that one engine is answering. One thread at a time."""

    def __init__(self, engine: Engine, largest: int = LARGEST) -> None:
        self._engine, self._largest = engine, largest
        self._new: deque[Job] = deque()
        self._rows: list[_Row] = []

    @property
    def room(self) -> int:
        """How many more answers fit in."""
        return self._largest - len(self._rows) - sum(job.question.n for job in self._new)

    @property
    def empty(self) -> bool:
        return not self._rows and not self._new

    def add(self, question: Question, on_token: OnToken | None, cancelled: Callable[[], bool]) -> Job:
        job = Job(question, on_token, cancelled)
        self._new.append(job)
        return job

    def step(self) -> int:
        """One forward pass for all; returns how many sequences were in it.

        What goes wrong with a question is its own error. What goes wrong in the pass is everybody's.
        """
        import torch

        with torch.inference_mode():
            begun: list[tuple[Job, list[Answer]]] = []
            try:
                begun = self._begin()
                parts = self._prompts([job.question for job, _ in begun])
                going = [row for row in self._rows if not self._gone(row.job)]
                parts += [Part(row.unseen, row.cache) for row in going]
                done = self._engine.forward.run(parts) if parts else []
            except Exception as error:
                for job in {row.job for row in self._rows} | {job for job, _ in begun}:
                    job.fail(error)
                self._rows = []
                return 0
            self._rows = []
            for (job, answers), (logits, cache) in zip(begun, done, strict=False):
                self._start(job, answers, logits, cache)
            for row, (logits, cache) in zip(going, done[len(begun) :], strict=True):
                row.cache = cache
                self._go_on(row, logits)
            return len(parts)

    def _begin(self) -> list[tuple[Job, list[Answer]]]:
        """The new questions that go into this pass."""
        begun: list[tuple[Job, list[Answer]]] = []
        tokens = 0
        while self._new and (not begun or tokens + len(self._new[0].question.ids) <= PROMPT):
            job = self._new.popleft()
            if self._gone(job):
                continue
            try:
                begun.append((job, self._engine.answers(job.question, job.on_token)))
            except Exception as error:
                job.fail(error)
                continue
            tokens += len(job.question.ids)
        return begun

    def _prompts(self, questions: Sequence[Question]) -> list[Part]:
        """Each prompt, or what is not known of it yet."""
        known = [self._engine.kept.beginning(question, self._engine.tokens.image) for question in questions]
        unknown = [q for q, (shared, _) in zip(questions, known, strict=True) if not shared and q.pictures]
        seen = self._engine.seen.look(unknown, self._engine.forward)
        return [
            Part(question.ids[shared:], cache, question.inputs, seen.get(question.pictures))
            for question, (shared, cache) in zip(questions, known, strict=True)
        ]

    def _gone(self, job: Job) -> bool:
        if not job.done and job.cancelled():
            job.fail(Cancelled())
        return job.done

    def _start(self, job: Job, answers: list[Answer], logits: Any, cache: Any) -> None:
        forward, length = self._engine.forward, len(job.question.ids)
        try:
            kept = forward.keep(cache)
            caches = [cache]
            for _ in answers[1:]:
                caches.append(forward.fork(kept if kept is not None else cache, length))
            if kept is not None:
                self._engine.kept.add(job.question, kept)
        except Exception as error:  # no memory for so many copies, for instance
            job.fail(error)
            return
        for index, (answer, own) in enumerate(zip(answers, caches, strict=True)):
            self._go_on(_Row(job, index, answer, [], own), logits)

    def _go_on(self, row: _Row, logits: Any) -> None:
        """Choose, and stay in the batch unless that ended the answer."""
        job = row.job
        if job.done:
            return
        try:
            row.unseen = row.answer.go_on(logits)
            if row.unseen:
                self._rows.append(row)
                return
            job.written[row.index] = row.answer.close(len(job.question.ids))
        except Exception as error:
            job.fail(error)
            return
        job.done = len(job.written) == job.question.n


class Kept:
    """The last prompts with their caches, so much of them as `KEPT` holds."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._kept: LRUCache[tuple[bytes, tuple[int, ...]], Any] = LRUCache(KEPT, forward.size)
        self.hits = self.misses = 0

    def beginning(self, question: Question, image: int | None) -> tuple[int, Any]:
        """How many tokens of the prompt are known, and a cache of them to go on from; 0 and None if none.

        One token is always left to ask about, and what is known covers every picture.
        """
        best, found = 0, None
        for key in self._kept:
            if key[0] == question.pictures and (shared := _shared(key[1], question.ids, image)) > best:
                best, found = shared, key
        self.hits, self.misses = self.hits + (best > 0), self.misses + (best == 0)
        return (best, self._forward.fork(self._kept[found], best)) if found else (0, None)

    def add(self, question: Question, kept: Any) -> None:
        if self._forward.size(kept) <= KEPT:
            self._kept[question.pictures, question.ids] = kept


def _shared(before: Sequence[int], ids: Sequence[int], image: int | None) -> int:
    """How many tokens both begin with; 0 unless that covers every picture and leaves one to ask about."""
    shared = 0
    for a, b in zip(before, ids[:-1], strict=False):
        if a != b:
            break
        shared += 1
    return 0 if image is not None and image in ids[shared:] else shared


class Seen:
    """What the vision tower made of the last pictures, by their digest."""

    def __init__(self) -> None:
        self._seen: LRUCache[bytes, Any] = LRUCache(SEEN, lambda seen: seen.nbytes)
        self.hits = self.misses = 0

    def look(self, questions: Sequence[Question], forward: Forward) -> dict[bytes, Any]:
        """For each digest what is to be shown for it; the unknown ones are looked at together."""
        found = {q.pictures: self._seen[q.pictures] for q in questions if q.pictures in self._seen}
        new = {q.pictures: q.inputs for q in questions if q.pictures not in found}
        self.hits, self.misses = self.hits + len(questions) - len(new), self.misses + len(new)
        for digest, seen in zip(new, forward.look(list(new.values())), strict=True):
            found[digest] = seen
            if seen is not None and seen.nbytes <= SEEN:
                self._seen[digest] = seen
        return found
