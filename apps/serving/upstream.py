"""Somebody else's engine in the place of ours: vLLM, or any endpoint that speaks OpenAI's chat completions.

A request that has passed the gate and the limits is sent on as it came, but for the model's name, and the
answer comes back as it is, streamed or not. Its refusals (4xx) are the client's to mend and are passed on;
that it can't be reached, or fails, is a 503 with Retry-After. What we have beyond OpenAI's (`confidence`, a
grammar) is there as far as the upstream has it; vLLM takes `structured_outputs`.

Not covered: several upstreams, their caches, and ending their work on an answer whose client has gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
from fastapi.responses import Response, StreamingResponse

from apps.asked import Refused
from apps.serving import wire
from apps.serving.limits import Limits

KEY = "SHOPFLOOR_UPSTREAM_KEY"


class Upstream:
    """One endpoint, by its URL that ends in /v1, and its name for the model."""

    def __init__(self, url: str, model: str, limits: Limits) -> None:
        self.url, self.model, self._seconds = url.rstrip("/"), model, limits.seconds
        key = os.environ.get(KEY, "").strip()
        local = httpx.URL(url).host in ("127.0.0.1", "localhost", "::1")  # no proxy can reach those
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else None,
            timeout=httpx.Timeout(limits.seconds, connect=5.0),
            limits=httpx.Limits(max_connections=limits.in_hand),
            trust_env=not local,
        )

    async def ask(self, raw: bytes, stream: bool, leave: Callable[[int], None]) -> Response:
        """The upstream's answer; `leave` is called with the status when it is over. Raises Refused."""
        body = json.dumps({**json.loads(raw), "model": self.model})  # httpx's own JSON fails on NaN
        headers = {"Content-Type": "application/json"}
        request = self._client.build_request(
            "POST", f"{self.url}/chat/completions", content=body, headers=headers
        )
        try:
            answer = await self._client.send(request, stream=True)
            if answer.status_code != 200 or not stream:
                try:
                    async with asyncio.timeout(self._seconds):
                        content = await answer.aread()
                finally:
                    await answer.aclose()
                return _whole(answer, content, leave)
        except (httpx.HTTPError, TimeoutError) as error:  # its message names the URL, never the key
            raise _down(f"the upstream can't be asked ({type(error).__name__})") from error
        return StreamingResponse(_passed(answer, self._seconds, leave), media_type="text/event-stream")

    async def close(self) -> None:
        await self._client.aclose()


def _whole(answer: httpx.Response, content: bytes, leave: Callable[[int], None]) -> Response:
    status = answer.status_code
    if status in (401, 403):
        raise _down(f"the upstream refuses this server's key; mend {KEY}")
    if status >= 500 or status in (301, 302, 303, 307, 308):
        raise _down(f"the upstream answered {status}")
    try:
        said: Any = json.loads(content)
    except ValueError as error:
        raise _down("the upstream is no chat endpoint; its URL usually ends in /v1") from error
    if status == 404:
        raise _down(f"no such page or model upstream; mend --upstream or --upstream-model ({said!s:.200})")
    leave(status)
    retry = answer.headers.get("retry-after") or ("1" if status == 429 else None)
    headers = {"Retry-After": retry} if retry else None
    return Response(json.dumps(said), status, headers, media_type="application/json")


async def _passed(
    answer: httpx.Response, seconds: float, leave: Callable[[int], None]
) -> AsyncIterator[bytes]:
    """The stream's pieces, for so long as an answer may take."""
    status = 499  # the client went away, unless we come to the end
    end = time.monotonic() + seconds
    try:
        async for piece in answer.aiter_bytes():
            yield piece
            if time.monotonic() > end:  # one that trickles never runs into the time-out of a single piece
                raise httpx.ReadTimeout("late")
        status = 200
    except httpx.HTTPError:  # the status line is long gone, so the error travels as an event
        status = 503
        yield wire.event(wire.error_body(_down("the upstream broke off, or took too long"))).encode()
    finally:
        await answer.aclose()
        leave(status)


def _down(message: str) -> Refused:
    return Refused(message, status=503, code="upstream", retry=5)
