"""The server over a real socket, with a real model of random weights and the clients people use."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from apps.serving.limits import Limits

from .running import desk_of, running

LIMITS = Limits(batch=4, queue=28)
MODEL = "shopfloor-tiny"
REGEX = r'"(?:Save|Send)" click\([1-9]\d{0,2}\)'


def data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def png(width: int = 64, height: int = 48) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "blue").save(file, "PNG")
    return file.getvalue()


def asking(url: str | None = None, text: str = "act:") -> list[Any]:
    image = [{"type": "image_url", "image_url": {"url": url, "detail": "auto"}}] if url else []
    return [{"role": "user", "content": [*image, {"type": "text", "text": text}]}]


@pytest.fixture(scope="module")
def base_url(tiny_model: Path) -> Iterator[str]:
    """A running server's /v1."""
    with running(desk_of(tiny_model, MODEL, LIMITS)) as url:
        yield url


@pytest.fixture
def client(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def http(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url.removesuffix("/v1"), trust_env=False, timeout=60) as client:
        yield client


def test_openai_client(client: openai.OpenAI) -> None:
    """An answer about an image, held to a regular expression, with usage and confidence."""
    assert [m.id for m in client.models.list()] == [MODEL]
    answer = client.chat.completions.create(
        model=MODEL,
        messages=asking(data_url(png())),
        n=2,
        temperature=1.0,
        seed=1,
        max_completion_tokens=40,
        extra_body={"structured_outputs": {"regex": REGEX}},
    )
    assert len(answer.choices) == 2
    for choice in answer.choices:
        assert re.fullmatch(REGEX, choice.message.content or "")
        assert choice.finish_reason == "stop"
        assert 0 < choice.confidence <= 1  # type: ignore[attr-defined]
    assert answer.usage and answer.usage.prompt_tokens > 4 and answer.usage.completion_tokens > 4


def test_openai_streaming(client: openai.OpenAI) -> None:
    """Role first, the words, the finish reason last, then usage; the same answer as unstreamed."""
    body = {"structured_outputs": {"regex": REGEX}}
    asked: dict[str, Any] = {"model": MODEL, "messages": asking(data_url(png())), "extra_body": body}
    chunks = list(
        client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert not chunks[-1].choices and chunks[-1].usage and chunks[-1].usage.total_tokens > 4
    words = [c.choices[0].delta.content or "" for c in chunks[:-1]]
    assert len([w for w in words if w]) > 1
    assert "".join(words) == client.chat.completions.create(**asked).choices[0].message.content


def test_stream_on_the_wire(http: httpx.Client) -> None:
    """Events as OpenAI sends them, [DONE] at the end, and no usage unless asked for."""
    asked = {"messages": asking(), "stream": True, "max_tokens": 5, "n": 2}
    with http.stream("POST", "/v1/chat/completions", json=asked) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    assert events[-1] == "[DONE]" and not any("usage" in e for e in events)
    assert {json.loads(e)["choices"][0]["index"] for e in events[:-1]} == {0, 1}


async def test_langchain(base_url: str) -> None:
    """LangChain's ChatOpenAI: images, streaming, and vLLM's grammar by extra_body."""
    from langchain_core.messages import HumanMessage, SystemMessage
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(
        base_url=base_url,
        api_key="none",  # type: ignore[arg-type]
        model=MODEL,
        temperature=0,
        extra_body={"structured_outputs": {"choice": ["approve", "refuse"]}},
    )
    question = [SystemMessage("Be brief."), HumanMessage(asking(data_url(png()))[0]["content"])]
    answer = await model.ainvoke(question)
    assert answer.content in ("approve", "refuse")
    assert answer.usage_metadata and answer.usage_metadata["input_tokens"] > 4
    streamed = "".join([str(chunk.content) async for chunk in model.astream(question)])
    assert streamed == answer.content


def test_other_ways_to_say_it(http: httpx.Client) -> None:
    """guided_regex and guided_choice, null and unknown fields, names, several turns."""
    messages = [
        {"role": "developer", "content": "Be brief.", "name": "boss"},
        {"role": "user", "content": "hi", "audio": None},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "42", "tool_call_id": "x"},
        {"role": "user", "content": "hi", "name": "ada"},
    ]
    rest = {"n": None, "stop": None, "seed": None, "top_p": 0.5, "surprise": {"a": 1}, "stream_options": None}
    rest |= {"response_format": {"type": "text"}, "structured_outputs": None, "guided_json": None}
    for grammar, allowed in (
        ({"guided_regex": "yes|no"}, "yes|no"),
        ({"guided_choice": ["a.", "b"]}, r"a\.|b"),
    ):
        answer = http.post("/v1/chat/completions", json={"messages": messages, **rest, **grammar})
        assert answer.status_code == 200, answer.text
        assert re.fullmatch(allowed, answer.json()["choices"][0]["message"]["content"])


def _bomb() -> bytes:
    """A PNG of a few bytes that says it is 60,000 pixels a side."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    ("http image", {"messages": asking("http://127.0.0.1:1/x.png")}, 400, "data: URLs only"),
    ("file image", {"messages": asking("file:///etc/passwd")}, 400, "data: URLs only"),
    ("broken image", {"messages": asking(data_url(png()[:60]))}, 400, "can't be read"),
    ("no image", {"messages": asking(data_url(b"<svg/>"))}, 400, "can't be read"),
    ("bad base64", {"messages": asking("data:image/png;base64,@@@")}, 400, "can't be read"),
    ("huge image", {"messages": asking(data_url(_bomb()))}, 400, "pixels|too large"),
    ("many pixels", {"messages": asking(data_url(png(5100, 5000)))}, 400, "25 million pixels"),
    ("huge prompt", {"messages": asking(text="Ada Lovelace 1 " * 20_000)}, 400, "2048"),
    ("bad regex", {"messages": asking(), "guided_regex": "("}, 400, "not a regular expression"),
    ("unheld regex", {"messages": asking(), "structured_outputs": {"regex": r"(a)\1"}}, 400, "held to"),
    ("no choice", {"messages": asking(), "guided_choice": []}, 400, "at least one"),
    ("two", {"messages": asking(), "guided_choice": ["a"], "guided_regex": "a"}, 400, "one grammar"),
    ("schema", {"messages": asking(), "response_format": {"type": "json_schema"}}, 400, "structured_outputs"),
    ("json", {"messages": asking(), "guided_json": {}}, 400, "structured_outputs"),
    ("grammar", {"messages": asking(), "structured_outputs": {"grammar": "x"}}, 400, "structured_outputs"),
    ("other model", {"messages": asking(), "model": "gpt-9"}, 404, MODEL),
    ("no messages", {"messages": []}, 400, "messages"),
    ("role", {"messages": [{"role": "king", "content": "x"}]}, 400, "no role"),
    ("part", {"messages": [{"role": "user", "content": [{"type": "video"}]}]}, 400, "no content part"),
    ("temperature", {"messages": asking(), "temperature": 9}, 400, "temperature"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name, body, status, says", WRONG, ids=[w[0] for w in WRONG])
def test_refused(
    http: httpx.Client, name: str, body: dict[str, Any], status: int, says: str, stream: bool
) -> None:
    """What can't be answered gets a status and OpenAI's error shape, streamed or not, with what to mend."""
    answer = http.post("/v1/chat/completions", json={**body, "stream": stream})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert re.search(says, error["message"]) and error["type"] == "invalid_request_error"


def test_bodies(http: httpx.Client) -> None:
    """No JSON, too large, a page that isn't there: errors of the same shape."""
    for body in (b"{", b"[]", b"\xff\xfe", b"null"):
        assert (
            http.post("/v1/chat/completions", content=body).json()["error"]["type"] == "invalid_request_error"
        )
    assert http.post("/v1/chat/completions", content=b" " * (LIMITS.body + 1)).status_code == 413
    assert http.get("/nowhere").json()["error"]["message"].startswith("Not Found")
    assert http.get("/v1/chat/completions").status_code == 405


def test_health_and_metrics(http: httpx.Client) -> None:
    """Health answers, and the counters count."""
    health = http.get("/health").json()
    assert health["status"] == "ok" and health["model"] == MODEL and "@" in health["version"]
    before = _metric(http, 'shopfloor_tokens_total{kind="completion"}')
    http.post(
        "/v1/chat/completions", json={"messages": asking(), "max_tokens": 7, "guided_regex": "[ab]{90}"}
    )
    assert _metric(http, 'shopfloor_tokens_total{kind="completion"}') == before + 7
    assert _metric(http, "shopfloor_requests_in_flight") == 0


def _metric(http: httpx.Client, name: str) -> float:
    found = re.search(f"^{re.escape(name)} (.*)$", http.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_backtracking_regex_does_not_hang(base_url: str) -> None:
    """Expressions that would take for ever elsewhere; meanwhile /health answers."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        for regex in ("(a+)+b", "(?:(?:(?:a?){0,900}){0,900}){0,900}b"):
            body = {"messages": asking(), "guided_regex": regex, "max_tokens": 20}
            asked = asyncio.create_task(http.post(f"{base_url}/chat/completions", json=body))
            assert (await http.get(base_url.replace("/v1", "/health"))).status_code == 200
            assert (await asked).status_code in (200, 400)


async def test_clients_that_leave(base_url: str) -> None:
    """A client that goes away, streaming or waiting, ends its generation: the next need not wait for it."""
    url = f"{base_url}/chat/completions"
    long = {"messages": asking(), "guided_regex": "[ab]{1800}", "max_tokens": 1900}
    short = {"messages": asking(), "guided_choice": ["ok"], "temperature": 1}  # never from the cache
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        begun = time.monotonic()
        assert (await http.post(url, json=long)).status_code == 200
        one = time.monotonic() - begun
        for leave in ("streaming", "waiting"):
            if leave == "streaming":
                async with http.stream("POST", url, json={**long, "n": 8, "stream": True}) as answer:
                    async for _ in answer.aiter_lines():
                        break
            else:
                with pytest.raises(httpx.ReadTimeout):
                    await http.post(url, json={**long, "n": 8}, timeout=one / 2)
            begun = time.monotonic()
            assert (await http.post(url, json=short)).status_code == 200
            assert time.monotonic() - begun < 4 * one, f"{leave}: the eight answers were all made"


async def test_busy(base_url: str) -> None:
    """Beyond the bound, 503 with Retry-After; the others are all answered."""
    body = {"messages": asking(), "guided_choice": ["ok"]}
    slow = {"messages": asking(), "guided_regex": "[ab]{100}", "max_tokens": 100, "temperature": 1}
    limits = httpx.Limits(max_connections=LIMITS.in_hand + 13)
    async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as http:
        url = f"{base_url}/chat/completions"
        asked = [http.post(url, json=slow) for _ in range(4)]
        asked += [http.post(url, json={**body, "seed": at}) for at in range(LIMITS.in_hand + 8)]
        answers = await asyncio.gather(*asked)
    assert {a.status_code for a in answers} == {200, 503}
    assert all(a.headers["retry-after"] for a in answers if a.status_code == 503)


async def test_together_and_from_the_cache(base_url: str, http: httpx.Client) -> None:
    """Requests that are there at once share forward passes and get what each gets alone; equal greedy ones
    are answered from the cache, streamed or not; sampled ones never are."""
    asked = [
        {"messages": asking(data_url(png(40 + at, 30)), f"page {at}"), "guided_regex": "[a-z]{30}"}
        for at in range(6)
    ]
    async with httpx.AsyncClient(trust_env=False, timeout=60) as many:
        url = f"{base_url}/chat/completions"
        together = await asyncio.gather(*(many.post(url, json=body) for body in asked))
    assert _metric(http, "shopfloor_batch_size_sum") > _metric(http, "shopfloor_batch_size_count")
    before = _metric(http, 'shopfloor_cache_hits_total{cache="answer"}')
    alone = [http.post("/v1/chat/completions", json={**body, "seed": 3}) for body in asked]
    texts = [a.json()["choices"][0]["message"]["content"] for a in together]
    assert texts == [a.json()["choices"][0]["message"]["content"] for a in alone] and len(set(texts)) > 1
    assert _metric(http, 'shopfloor_cache_hits_total{cache="answer"}') == before + 6
    streamed = http.post("/v1/chat/completions", json={**asked[0], "stream": True}).text
    events = [json.loads(e) for e in re.findall(r"data: ({.*})", streamed)]
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in events) == texts[0]
    assert _metric(http, 'shopfloor_cache_hits_total{cache="answer"}') == before + 7
    sampled = {http.post("/v1/chat/completions", json={**asked[0], "temperature": 2}).text for _ in range(3)}
    assert len({json.loads(s)["choices"][0]["message"]["content"] for s in sampled}) == 3
