"""Whatever is thrown at the server: no 5xx but the stated 503, nothing left behind, no secret in a log.

The longer run, some minutes:  python -m pytest -m slow tests/apps/test_serving_fuzz.py
"""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
import logging
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from PIL import Image
from schemathesis.generation import GenerationMode

from apps.serving.gate import Gate
from apps.serving.limits import Limits

from .running import desk_of, running

LIMITS = Limits(batch=4, queue=12, body=1 << 20, pixels=1_000_000, tokens=64, seconds=20, reading=1.0)
KEY = "a-key-that-nobody-may-read-1234"
HEADERS = {"Authorization": f"Bearer {KEY}"}
QUICK = settings(
    max_examples=12,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def url(tiny_model: Path) -> Iterator[str]:
    with running(desk_of(tiny_model, "tiny", LIMITS, Gate([KEY]))) as url:
        yield url


def fuzz(url: str, how: settings, modes: list[GenerationMode]) -> int:
    """Ask what can be made of the server's OpenAPI page, right and wrong; returns how much was asked."""
    schema = schemathesis.openapi.from_url(url.removesuffix("/v1") + "/openapi.json")
    asked = 0
    for operation in (result.ok() for result in schema.get_all_operations()):
        for mode in modes if operation.method == "post" else modes[:1]:  # a GET here has nothing to spoil

            @given(case=operation.as_strategy(generation_mode=mode))
            @how
            def check(case: Any) -> None:
                nonlocal asked
                asked += 1
                answer = case.call(headers=HEADERS)
                stated = answer.status_code == 503 and "retry-after" in answer.headers
                assert answer.status_code < 500 or stated, answer.text
                if answer.status_code in (400, 404, 408, 413, 422, 429, 503):
                    assert answer.json()["error"]["message"]

            check()
    return asked


def test_its_own_schema(url: str) -> None:
    """Requests made from the server's OpenAPI page, right ones and wrong ones."""
    assert fuzz(url, QUICK, [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]) >= 12


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_its_own_schema_for_long(url: str) -> None:
    how = settings(QUICK, max_examples=1000)
    assert fuzz(url, how, [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]) >= 1000


def picture() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((40, 30), 50).convert("RGB").save(file, "PNG")
    return file.getvalue()


def spoilt(seed: int) -> Any:
    """A body with one thing wrong, or several."""
    draw = random.Random(seed)
    image = bytearray(picture())
    for _ in range(draw.choice((0, 1, 5, 50))):
        image[draw.randrange(len(image))] = draw.randrange(256)
    data = base64.b64encode(image[: draw.choice((None, 10, 60, len(image) // 2))]).decode()
    url = draw.choice((f"data:image/png;base64,{data}", "data:,x", "http://127.0.0.1:1/", "", None, 7, {}))
    odd: list[Any] = [None, -1, 0, 1e308, "x", "\ud83d", [], {}, [[[]]], True, "a" * 100_000, 2**70]
    body: dict[str, Any] = {
        "messages": [
            {
                "role": draw.choice(("user", "system", "assistant", "tool", "")),
                "content": [
                    {"type": "image_url", "image_url": draw.choice(({"url": url}, url))},
                    {
                        "type": "text",
                        "text": draw.choice(("act:", "<image>" * 50, "x " * 40_000, "\0\ud800")),
                    },
                ],
            }
        ],
        "max_tokens": 8,
        "guided_regex": draw.choice((None, "[a-z]{3}", "(a|b", "(?:a?){0,900}b", r"\d+(?=x)", "")),
    }
    for _ in range(draw.choice((0, 1, 1, 2))):
        name = draw.choice(
            (
                "messages",
                "n",
                "stop",
                "temperature",
                "max_tokens",
                "seed",
                "stream",
                "model",
                "structured_outputs",
                "guided_choice",
                "response_format",
                "stream_options",
            )
        )
        body[name] = draw.choice(odd)
    return body


async def throw(url: str, count: int, first: int) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=60, headers=HEADERS) as http:
        for seed in range(first, first + count, 8):
            content = [json.dumps(spoilt(at)) for at in range(seed, seed + 8)]
            answers = await asyncio.gather(
                *(http.post(f"{url}/chat/completions", content=body) for body in content)
            )
            for body, answer in zip(content, answers, strict=True):
                assert answer.status_code < 500 or answer.headers.get("retry-after"), (body, answer.text)
                assert answer.status_code in (200, 400, 404, 503), (body, answer.text)


@pytest.fixture
async def rude(url: str) -> AsyncIterator[Any]:
    """Opens a connection and says something that is not all of a request."""
    parts = urlsplit(url)
    opened = []

    async def say(said: bytes, *, half: bool = False) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        opened.append(writer)
        writer.write(said)
        await writer.drain()
        if half:
            writer.write_eof()
        return reader

    yield say
    for writer in opened:
        writer.close()


async def test_spoilt_requests(url: str) -> None:
    """Broken images, huge prompts, wrong types, odd grammars, eight at a time."""
    await throw(url, 64, 0)


async def test_rude_clients(url: str, rude: Any) -> None:
    """A head or a body that never ends, half-closed and dropped connections: each is ended in its time, and
    the next request is answered."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
    key = b"Authorization: Bearer " + KEY.encode() + b"\r\n"
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}).encode()
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    begun = time.monotonic()
    silent = [
        await rude(said) for said in (b"", head, head + key, b"\0\xff\r\n\r\n", b"GET / HTTP/9\r\n\r\n")
    ]
    slow = await rude(head + key + length + body[:5])
    half = await rude(head + key + length + body, half=True)
    cut = await rude(head + key + length + body[:5], half=True)
    lies = await rude(head + key + b"Content-Length: 99999999999\r\n\r\n" + body)
    async with asyncio.timeout(30):
        for reader in silent:
            assert b" 500 " not in await reader.read()
        assert b" 408 " in await slow.read(400)
        await half.read(400)  # uvicorn takes a half-closed connection for gone
        await cut.read(400)
        assert b" 408 " in await lies.read(400)
    assert time.monotonic() - begun < 25
    async with httpx.AsyncClient(trust_env=False, timeout=60, headers=HEADERS) as http:
        assert (await http.post(f"{url}/chat/completions", content=body)).status_code == 200
        answered = (await http.get(f"{url.removesuffix('/v1')}/metrics")).text
    assert "shopfloor_requests_in_flight 0.0" in answered and "shopfloor_queue_length 0.0" in answered


async def test_too_much(url: str) -> None:
    """Bodies, pixels and images beyond the limits are refused with what to send; tokens are capped."""
    async with httpx.AsyncClient(trust_env=False, timeout=60, headers=HEADERS) as http:
        address = f"{url}/chat/completions"
        assert (await http.post(address, content=b"x" * (LIMITS.body + 1))).status_code == 413
        image = {"type": "image_url", "image_url": "data:;base64," + base64.b64encode(picture()).decode()}
        many = {"messages": [{"role": "user", "content": [image] * (LIMITS.images + 1)}]}
        refused = await http.post(address, json=many)
        assert refused.status_code == 400 and "send fewer" in refused.text
        long = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 10**6, "guided_regex": "a{900}"}
        answer = (await http.post(address, json=long)).json()
        assert answer["usage"]["completion_tokens"] <= LIMITS.tokens


async def test_no_secret_in_a_log(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Keys, right and wrong, prompts and pictures: not in a log line, an answer or a metric."""
    caplog.set_level(logging.DEBUG)
    said = "the-prompt-is-a-secret-too"
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        answers = [
            await http.post(
                f"{url}/chat/completions",
                json={"messages": [{"role": "user", "content": said}], "max_tokens": 2, **more},
                headers={"Authorization": f"Bearer {key}"},
            )
            for key in (KEY, "wrong-" + KEY)
            for more in ({}, {"n": said}, {"guided_regex": "("})
        ]
        metrics = (await http.get(f"{url.removesuffix('/v1')}/metrics", headers=HEADERS)).text
    assert [a.status_code for a in answers] == [200, 400, 400, 401, 401, 401]
    ours = [r for r in caplog.records if not r.name.startswith(("httpx", "httpcore", "openai"))]
    written = "\n".join([r.getMessage() for r in ours] + [a.text for a in answers] + [metrics])
    assert KEY not in written and said not in "\n".join([r.getMessage() for r in ours] + [metrics])


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_no_growth(url: str, rude: Any) -> None:
    """Thousands of spoilt requests and dropped connections later the process is as large as after the first
    thousand, with no more files and threads open."""
    process = psutil.Process(os.getpid())

    def now() -> tuple[int, int, int]:
        gc.collect()
        return process.memory_info().rss, process.num_fds(), process.num_threads()

    await throw(url, 1000, 0)
    before = now()
    for turn in range(1, 4):
        await throw(url, 1000, 1000 * turn)
        for _ in range(200):
            await rude(b"POST /v1/chat/completions HTTP/1.1\r\n", half=True)
        await asyncio.sleep(2 * LIMITS.reading)
    after = now()
    assert after[0] < before[0] + (48 << 20), (before, after)
    assert after[1] < before[1] + 650 and after[2] <= before[2] + 8, (before, after)  # our own 600 ends
