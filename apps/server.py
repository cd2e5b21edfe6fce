"""The model over HTTP, as OpenAI's chat completions: any OpenAI client can ask it.

    POST /v1/chat/completions   GET /v1/models   GET /health   GET /metrics

Beyond OpenAI's: an answer is held to a grammar by vLLM's fields, `structured_outputs: {"regex": ...}` or
`{"choice": [...]}` (`guided_regex` and `guided_choice` mean the same), and each choice carries `logprob` and
`confidence`. Images come as `data:` URLs only: the server fetches nothing.

Unknown and null fields are accepted. Accepted without effect: `top_p`, `tools`, `logprobs` and penalties.
Refused with a 400 that says so: JSON schemas (`response_format`), http image URLs, grammars of other kinds.

Not covered: keys and TLS (put a proxy before it, or stay on loopback), and batching.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.exceptions import HTTPException

from apps.asked import Asked, Refused, read
from apps.automaton import GrammarError
from apps.engine import Cancelled, Completion, Engine, RequestError
from apps.watched import Watched

LARGEST_BODY = 32 * 1024 * 1024
WAITING = 32  # requests in hand at most; more are told to come back
log = logging.getLogger("shopfloor.server")


class Metrics:
    """Counted in a registry of this app's own, so that two apps in a process don't collide."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("shopfloor_requests", "Answers by status", ["status"], registry=self.registry)
        self.tokens = Counter("shopfloor_tokens", "Tokens by kind", ["kind"], registry=self.registry)
        self.seconds = Histogram("shopfloor_seconds", "Time to a whole answer", registry=self.registry)
        self.in_flight = Gauge("shopfloor_in_flight", "Requests in hand", registry=self.registry)
        self.registry.register(Watched())

    def count(self, answers: Sequence[Completion]) -> None:
        usage = _usage(answers)
        self.tokens.labels("prompt").inc(usage["prompt_tokens"])
        self.tokens.labels("completion").inc(usage["completion_tokens"])


class Ticket:
    """One question in hand: its words as they come (None at the end), its answer, whether nobody waits."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[tuple[int, str] | None] = asyncio.Queue()
        self.gone = threading.Event()
        self.answer: asyncio.Future[list[Completion]]

    def finish(self, answer: asyncio.Future[list[Completion]]) -> None:
        if not answer.cancelled():
            answer.exception()  # looked at here, for nobody else does once the client has gone
        self.words.put_nowait(None)


class Line:
    """The one thread that generates."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pool = ThreadPoolExecutor(1, "generate")
        self._closing = threading.Event()

    def start(self, asked: Asked) -> Ticket:
        ticket = Ticket()
        loop = asyncio.get_running_loop()

        def tell(index: int, text: str) -> None:
            loop.call_soon_threadsafe(ticket.words.put_nowait, (index, text))

        def work() -> list[Completion]:
            return self._engine.generate(
                asked.messages,
                asked.images,
                regex=asked.regex,
                choices=asked.choices,
                max_tokens=asked.max_tokens,
                temperature=asked.temperature,
                n=asked.n,
                stop=asked.stop,
                seed=asked.seed,
                on_token=tell if asked.stream else None,
                cancelled=lambda: ticket.gone.is_set() or self._closing.is_set(),
            )

        ticket.answer = loop.run_in_executor(self._pool, work)
        ticket.answer.add_done_callback(ticket.finish)
        return ticket

    def close(self) -> None:
        """End what is being generated, and wait for the thread."""
        self._closing.set()
        self._pool.shutdown(cancel_futures=True)


def create_app(engine: Engine, model_id: str) -> FastAPI:
    """The server of one loaded model."""
    metrics = Metrics()
    line = Line(engine)
    started = int(time.time())
    in_hand = 0

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(line.close)

    app = FastAPI(title="Shopfloor", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "model": model_id}

    @app.get("/metrics")
    async def show_metrics() -> Response:
        told = await asyncio.to_thread(generate_latest, metrics.registry)  # it reads the state folder
        return Response(told, media_type="text/plain; version=0.0.4")

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        model = {"id": model_id, "object": "model", "created": started, "owned_by": "shopfloor"}
        return {"object": "list", "data": [model]}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        nonlocal in_hand
        began = time.perf_counter()
        in_hand += 1
        metrics.in_flight.inc()

        def leave(status: int) -> None:
            nonlocal in_hand
            in_hand -= 1
            metrics.in_flight.dec()
            metrics.requests.labels(str(status)).inc()
            metrics.seconds.observe(time.perf_counter() - began)

        try:
            if in_hand > WAITING:
                raise Refused("too many requests are waiting; try again soon", status=429, code="busy")
            asked = await asyncio.to_thread(read, await _body(request), model_id)
            ticket = line.start(asked)
            first = await _first(ticket, asked.stream, request)
            if asked.stream:
                events = _events(ticket, first, asked, model_id, metrics, leave)
                return StreamingResponse(events, media_type="text/event-stream")
            answers = await ticket.answer
        except BaseException as error:
            status, content = _error(error)
            leave(status)
            if not isinstance(error, Exception):  # this handler itself is being cancelled
                raise
            if status == 500:
                log.exception("a request failed")
            headers = {"Retry-After": "1"} if status == 429 else None
            return JSONResponse(content, status, headers)
        leave(200)
        metrics.count(answers)
        choices = [
            {"index": i, "message": {"role": "assistant", "content": a.text, "refusal": None}} | _ended(a)
            for i, a in enumerate(answers)
        ]
        whole = _envelope(model_id, "chat.completion", choices)
        return JSONResponse({**whole, "usage": _usage(answers)})

    @app.exception_handler(HTTPException)
    async def no_such_page(_: Request, error: HTTPException) -> JSONResponse:
        status, content = _error(Refused(f"{error.detail}; see /v1/models", status=error.status_code))
        return JSONResponse(content, status, error.headers)

    return app


async def _body(request: Request) -> bytes:
    """The request's body. Raises Refused as soon as it is known to be too large."""
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > LARGEST_BODY:
            raise Refused(
                f"the request is larger than {LARGEST_BODY >> 20} MiB; send smaller images", status=413
            )
    return bytes(received)


async def _first(ticket: Ticket, streaming: bool, request: Request) -> tuple[int, str] | None:
    """Wait for the first words of a stream, or for the whole answer; raises what went wrong in it.

    So an error is still a proper HTTP status, and a client that goes away ends the work.
    """
    words: asyncio.Future[Any] = asyncio.ensure_future(ticket.words.get())
    left = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({words, left}, return_when=asyncio.FIRST_COMPLETED)
        if not words.done():
            raise Cancelled
        first: tuple[int, str] | None = words.result()
        if first is None:
            await ticket.answer
        return first
    except BaseException:
        ticket.gone.set()
        raise
    finally:
        words.cancel()
        left.cancel()


async def _left(request: Request) -> None:
    """Returns when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _events(
    ticket: Ticket,
    first: tuple[int, str] | None,
    asked: Asked,
    model_id: str,
    metrics: Metrics,
    leave: Callable[[int], None],
) -> AsyncIterator[str]:
    """Server-sent events: each role, its words, its end; usage if asked; [DONE]."""
    envelope = _envelope(model_id, "chat.completion.chunk", [])

    def chunk(index: int, delta: dict[str, Any], ended: dict[str, Any]) -> str:
        choice = {"index": index, "delta": delta, "finish_reason": None, "logprobs": None} | ended
        return _event({**envelope, "choices": [choice]})

    status = 499  # the client went away, unless we come to the end
    try:
        for index in range(asked.n):
            yield chunk(index, {"role": "assistant", "content": ""}, {})
        word = first
        while word is not None:
            yield chunk(word[0], {"content": word[1]}, {})
            word = await ticket.words.get()
        try:
            answers = await ticket.answer
        except Exception as error:  # the status line is long gone, so the error travels as an event
            status, content = _error(error)
            if status == 500:
                log.exception("a request failed")
            yield _event(content)
            return
        for index, answer in enumerate(answers):
            yield chunk(index, {}, _ended(answer))
        if asked.usage:
            yield _event({**envelope, "usage": _usage(answers)})
        metrics.count(answers)
        status = 200
        yield "data: [DONE]\n\n"
    finally:
        ticket.gone.set()
        leave(status)


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


def _envelope(model_id: str, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    name = f"chatcmpl-{uuid.uuid4().hex}"
    return {"id": name, "object": kind, "created": int(time.time()), "model": model_id, "choices": choices}


def _ended(answer: Completion) -> dict[str, Any]:
    figures = {"logprob": round(answer.logprob, 6), "confidence": round(answer.confidence, 6)}
    return {"finish_reason": answer.finish_reason, "logprobs": None, **figures}


def _usage(answers: Sequence[Completion]) -> dict[str, int]:
    prompt = answers[0].prompt_tokens
    written = sum(a.completion_tokens for a in answers)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _error(error: BaseException) -> tuple[int, dict[str, Any]]:
    """Status and body, as OpenAI writes errors."""
    param = code = None
    match error:
        case Refused():
            status, message, param, code = error.status, str(error), error.param, error.code
        case GrammarError():
            status, message, param = 400, str(error), "structured_outputs"
        case RequestError():
            status, message, param, code = 400, str(error), "messages", "context_length_exceeded"
        case Cancelled() | asyncio.CancelledError():
            status, message = 503, "the server is stopping, or the client has gone"
        case _:
            status, message = 500, "the model failed on this request; the server's log says how"
    kind = "invalid_request_error" if status < 500 else "server_error"
    return status, {"error": {"message": message, "type": kind, "param": param, "code": code}}
