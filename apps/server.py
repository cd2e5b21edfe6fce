"""The model over HTTP, as OpenAI's chat completions: any OpenAI client can ask it.

    POST /v1/chat/completions   GET /v1/models   GET /health   GET /metrics   GET /openapi.json

Beyond OpenAI's: an answer is held to a grammar by vLLM's fields, `structured_outputs: {"regex": ...}` or
`{"choice": [...]}` (`guided_regex` and `guided_choice` mean the same), and each choice carries `logprob` and
`confidence`. `system_fingerprint` says which weights answered. Images come as `data:` URLs only: the server
fetches nothing.

Unknown and null fields are accepted. Accepted without effect: `top_p`, `tools`, `logprobs` and penalties.
Refused with a 400 that says so: JSON schemas (`response_format`), http image URLs, grammars of other kinds.
The only 5xx it means is 503, with Retry-After: too many in hand, an answer not whole in time, stopping, or
an upstream that is down.

Not covered: TLS (put a proxy before it), how it starts and stops (`serve.py`), who answers (`serving/`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from apps.asked import Asked, Body, Refused, read
from apps.engine import Completion
from apps.serving import wire
from apps.serving.answers import Answers, Ticket
from apps.serving.champion import Champion
from apps.serving.gate import Gate
from apps.serving.limits import Limits
from apps.serving.metrics import Metrics
from apps.serving.upstream import Upstream

REASONS: dict[int | str, str] = {  # of a refusal, by status or by code, for the metrics
    **dict.fromkeys((400, 404), "invalid"),
    **{401: "key", 408: "late", 413: "size", 429: "rate"},
    **{"busy": "full", "timeout": "late", "upstream": "upstream"},
}
OPENED = 4  # requests at once whose pictures are in memory at their full size, 75 MB each at most
log = logging.getLogger("shopfloor.server")


@dataclass(frozen=True)
class Desk:
    """What every request meets. Either `champion` or `upstream` answers."""

    model_id: str
    limits: Limits
    gate: Gate
    metrics: Metrics
    champion: Champion | None = None
    upstream: Upstream | None = None


def create_app(desk: Desk) -> FastAPI:
    """The server of one model."""
    model_id, limits, metrics, champion = desk.model_id, desk.limits, desk.metrics, desk.champion
    answers = Answers(champion, limits, metrics) if champion else None
    started = int(time.time())
    in_hand = 0
    opening = asyncio.Semaphore(OPENED)
    metrics.queue_limit.set(limits.in_hand)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watch = asyncio.create_task(champion.watch()) if champion else None
        yield
        if watch and champion:
            watch.cancel()
            await asyncio.to_thread(champion.close)
        if desk.upstream:
            await desk.upstream.close()

    app = FastAPI(title="Shopfloor", lifespan=lifespan, docs_url=None, redoc_url=None)

    async def with_key(request: Request) -> bytes:
        return desk.gate.admit(request.headers.get("authorization"))

    @app.exception_handler(Refused)
    async def refuse(_: Request, error: Refused) -> JSONResponse:
        reason = REASONS.get(error.code or "") or REASONS.get(error.status)
        if reason:
            metrics.refusals.labels(reason).inc()
        headers = {"Retry-After": str(error.retry)} if error.retry else {}
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(wire.error_body(error), error.status, headers)

    @app.get("/health")  # without a key, for whoever restarts a server that has died has none
    async def health() -> dict[str, str]:
        version = champion.current.version if champion else "upstream"
        return {"status": "ok", "model": model_id, "version": version}

    @app.get("/metrics", dependencies=[Depends(with_key)])
    async def show_metrics() -> Response:
        told = await asyncio.to_thread(generate_latest, metrics.registry)  # it reads the state folder
        return Response(told, media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/models", dependencies=[Depends(with_key)])
    async def models() -> dict[str, Any]:
        model = {"id": model_id, "object": "model", "created": started, "owned_by": "shopfloor"}
        if champion:
            model["version"] = champion.current.version  # the weights, as in /health
        return {"object": "list", "data": [model]}

    @app.post("/v1/chat/completions", openapi_extra=_documented(), responses=REFUSALS)
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
            if status == 200:
                metrics.duration.observe(time.perf_counter() - began)

        try:
            who = await with_key(request)
            if in_hand > limits.in_hand:
                raise Refused(
                    "too many requests are waiting; try again soon", status=503, code="busy", retry=1
                )
            desk.gate.spend(who)
            raw = await _body(request, limits)
            async with opening:
                asked = await asyncio.to_thread(read, raw, model_id, limits)
                ticket = await answers.start(asked) if answers else None
                asked.images.clear()  # the question has them as the model takes them
            if ticket is None:
                assert desk.upstream
                return await desk.upstream.ask(raw, asked.stream, leave)
            first = await _first(ticket, request)
            if asked.stream:
                metrics.first_token.observe(time.perf_counter() - began)
                events = _events(ticket, first, asked, desk, leave)
                return StreamingResponse(events, media_type="text/event-stream")
            said = await ticket.answer
        except BaseException as error:
            refused = wire.refusal(error)
            leave(refused.status)
            # Cancelled is this handler where the server stops and has waited enough: that is a 503 too.
            if not isinstance(error, Exception | asyncio.CancelledError):
                raise
            if refused.status == 500:
                log.exception("a request failed")
            return await refuse(request, refused)
        leave(200)
        _count(metrics, said)
        return JSONResponse(wire.whole(model_id, ticket.version, said))

    @app.exception_handler(HTTPException)
    async def no_such_page(_: Request, error: HTTPException) -> JSONResponse:
        refused = Refused(f"{error.detail}; see /v1/models", status=error.status_code)
        return JSONResponse(wire.error_body(refused), error.status_code, error.headers)

    return app


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": said}
    for status, said in {
        400: "Not to be answered as it stands; the message says what to mend",
        401: "No key, or none that is known",
        404: "No such model",
        408: "The body did not come in time",
        413: "Too large",
        429: "This key asks too often; see Retry-After",
        503: "Too many in hand, not whole in time, or stopping; see Retry-After",
    }.items()
}


def _documented() -> dict[str, Any]:
    """The request's body for the OpenAPI page; it is read by `asked.py`, which answers as OpenAI does."""
    schema = Body.model_json_schema()
    for name, part in schema.pop("$defs", {}).items():
        _inline(schema, f"#/$defs/{name}", part)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _inline(schema: Any, ref: str, part: Any) -> None:
    for key, value in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if isinstance(value, dict) and value.get("$ref") == ref:
            schema[key] = part
        elif isinstance(value, dict | list):
            _inline(value, ref, part)


async def _body(request: Request, limits: Limits) -> bytes:
    """The request's body. Raises Refused as soon as it is known to be too large, or too late."""
    received = bytearray()
    try:
        async with asyncio.timeout(limits.reading):
            async for piece in request.stream():
                received += piece
                if len(received) > limits.body:
                    raise Refused(
                        f"the request is larger than {limits.body >> 20} MiB; send smaller images", status=413
                    )
    except TimeoutError as error:
        raise Refused(f"the body did not come within {limits.reading:g} s", status=408) from error
    return bytes(received)


async def _first(ticket: Ticket, request: Request) -> tuple[int, str] | None:
    """Wait for the first words of a stream, or for the whole answer; raises what went wrong in it.

    So an error is still a proper HTTP status, and a client that goes away ends the work.
    """
    words: asyncio.Future[Any] = asyncio.ensure_future(ticket.words.get())
    left = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({words, left}, return_when=asyncio.FIRST_COMPLETED)
        if not words.done():
            raise ClientDisconnect
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
    desk: Desk,
    leave: Callable[[int], None],
) -> AsyncIterator[str]:
    """Server-sent events: each role, its words, its end; usage if asked; [DONE]."""
    envelope = wire.envelope(desk.model_id, ticket.version, "chat.completion.chunk")
    status = wire.LEFT  # unless we come to the end
    try:
        for index in range(asked.n):
            yield wire.chunk(envelope, index, {"role": "assistant", "content": ""}, {})
        word = first
        while word is not None:
            yield wire.chunk(envelope, word[0], {"content": word[1]}, {})
            word = await ticket.words.get()
        try:
            answers = await ticket.answer
        except Exception as error:  # the status line is long gone, so the error travels as an event
            refused = wire.refusal(error)
            status = refused.status
            if status == 500:
                log.exception("a request failed")
            yield wire.event(wire.error_body(refused))
            return
        for index, answer in enumerate(answers):
            yield wire.chunk(envelope, index, {}, wire.ended(answer))
        if asked.usage:
            yield wire.event({**envelope, "usage": wire.usage(answers)})
        _count(desk.metrics, answers)
        status = 200
        yield "data: [DONE]\n\n"
    finally:
        ticket.gone.set()
        leave(status)


def _count(metrics: Metrics, answers: list[Completion]) -> None:
    usage = wire.usage(answers)
    metrics.tokens.labels("prompt").inc(usage["prompt_tokens"])
    metrics.tokens.labels("completion").inc(usage["completion_tokens"])
