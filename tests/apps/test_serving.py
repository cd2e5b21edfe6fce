"""Serving that holds: keys, rates, time, a champion that changes, an upstream, a server told to stop."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import math
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.responses import StreamingResponse
from PIL import Image
from safetensors.torch import load_file, save_file

from apps import server
from apps.asked import Refused, read
from apps.server import Desk
from apps.serving import champion
from apps.serving.gate import KEYS, Gate, keys_from_environment
from apps.serving.limits import Limits
from apps.serving.metrics import Metrics
from apps.serving.upstream import Upstream
from tools.settings import SettingsError

from .running import desk_of, running

LIMITS = Limits(batch=4, queue=60)
KEY, OTHER = "first-key-0123456789", "second-key-0123456789"


def asking(text: str = "act:", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 40, **more}


def test_a_bucket_for_each_key() -> None:
    """So many at once as a minute has, then as they come back; one key's haste does not cost another."""
    now = [0.0]
    gate = Gate([KEY, OTHER], rate=6, clock=lambda: now[0])
    first, other = (gate.admit(f"Bearer {key}") for key in (KEY, OTHER))
    for _ in range(6):
        gate.spend(first)
    with pytest.raises(Refused) as refused:
        gate.spend(first)
    assert refused.value.status == 429 and refused.value.retry == 10
    gate.spend(other)
    now[0] = 9.9
    with pytest.raises(Refused):
        gate.spend(first)
    now[0] = 10.1
    gate.spend(first)


def test_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known keys pass, however the scheme is written; nothing else does; short keys are no keys."""
    monkeypatch.setenv(KEYS, f"{KEY}, {OTHER}")
    gate = Gate(keys_from_environment())
    assert gate.admit(f"bearer {OTHER}") != gate.admit(f"Bearer {KEY}")
    for wrong in (None, "", KEY, f"Basic {KEY}", "Bearer", f"Bearer {KEY}x", "Bearer é\udcff"):
        with pytest.raises(Refused) as refused:
            gate.admit(wrong)
        assert refused.value.status == 401 and KEY not in str(refused.value)
    monkeypatch.setenv(KEYS, "short")
    with pytest.raises(SettingsError, match="openssl"):
        keys_from_environment()


def test_keys_and_rates_over_http(tiny_model: Path) -> None:
    """401 and 429 with their headers, counted; /health wants no key; the openai client understands them."""
    import openai

    with (
        running(desk_of(tiny_model, "tiny", LIMITS, Gate([KEY], rate=2))) as url,
        httpx.Client(trust_env=False, timeout=60) as http,
    ):
        root = url.removesuffix("/v1")
        assert http.get(f"{root}/health").status_code == 200
        for page in ("/metrics", "/v1/models"):
            assert http.get(root + page).status_code == 401
        refused = http.post(f"{url}/chat/completions", json=asking())
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
        client = openai.OpenAI(base_url=url, api_key=KEY, max_retries=0)
        for _ in range(2):
            client.chat.completions.create(model="tiny", **asking())
        with pytest.raises(openai.RateLimitError) as late:
            client.chat.completions.create(model="tiny", **asking())
        assert 0 < int(late.value.response.headers["retry-after"]) <= 30
        client.close()
        counted = http.get(f"{root}/metrics", headers={"Authorization": f"Bearer {KEY}"}).text
        assert 'refusals_total{reason="rate"} 1.0' in counted
        assert 'refusals_total{reason="key"} 3.0' in counted


def test_late(tiny_model: Path) -> None:
    """An answer that is not whole in time is a 503 with Retry-After, and its place is free at once."""
    with (
        running(desk_of(tiny_model, "tiny", Limits(batch=1, queue=4, seconds=0.4))) as url,
        httpx.Client(trust_env=False, timeout=60) as http,
    ):
        long = asking(guided_regex="[ab]{1800}", n=16) | {"max_tokens": 1900}
        late = http.post(f"{url}/chat/completions", json=long)
        assert late.status_code == 503 and late.headers["retry-after"], late.text
        assert late.json()["error"]["code"] == "timeout"
        short = http.post(f"{url}/chat/completions", json=asking(guided_choice=["yes", "no"]))
        assert short.status_code == 200, short.text  # the batch takes one at a time


def _other_model(folder: Path, at: Path) -> Path:
    shutil.copytree(folder, at)
    weights = load_file(at / "model.safetensors")
    save_file(
        {k: v.flip(0).contiguous() for k, v in weights.items()}, at / "model.safetensors", {"format": "pt"}
    )
    return at


async def test_a_new_champion_drops_no_request(tiny_model: Path, tmp_path: Path) -> None:
    """Under steady questions the champion changes: all are answered, and whoever asks one after another gets
    the old weights first, then the new ones for good."""
    from training.registry import CHAMPION, MODEL, _client, register, resolve

    first = register(tiny_model, {})
    second = register(_other_model(tiny_model, tmp_path / "other"), {})
    _client().set_registered_model_alias(MODEL, CHAMPION, first)
    desk = desk_of(resolve(None), "shopfloor-model", LIMITS, follow=lambda: resolve(None))
    seen: list[list[str]] = [[] for _ in range(4)]  # by each who asks

    async def ask(http: httpx.AsyncClient, url: str, name: int) -> None:
        own = seen[name]
        while len(set(own)) < 2 or own.count(own[-1]) < 3:
            said = await http.post(
                f"{url}/chat/completions", json=asking(f"{name} {len(own)}", guided_regex="[a-z]{9}")
            )
            assert said.status_code == 200, said.text
            own.append(said.json()["system_fingerprint"])

    with running(desk) as url:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http, asyncio.timeout(100):
            asking_all = asyncio.gather(*(ask(http, url, name) for name in range(4)))
            while min(map(len, seen)) < 2:
                await asyncio.sleep(0.05)
            await asyncio.to_thread(_client().set_registered_model_alias, MODEL, CHAMPION, second)
            await asking_all
            counted = (await http.get(url.removesuffix("/v1") + "/metrics")).text
    assert "shopfloor_model_changes_total 1.0" in counted and desk.champion
    new = desk.champion.current.version
    for own in seen:
        assert new not in own[:2] and own[-3:] == [new] * 3
        assert set(own[: own.index(new)]) == {own[0]} and set(own[own.index(new) :]) == {new}
    assert f'version="{new}"' in counted


async def test_a_champion_that_could_not_be_loaded_is_tried_again(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files come late, as from a slow disk: the former answers meanwhile, and the new one in the end."""
    monkeypatch.setattr(champion, "LOOK", 0.02)
    monkeypatch.setattr(champion, "AGAIN", 0.1)
    late = tmp_path / "late"
    looks: list[Path] = []

    def follow() -> Path:
        looks.append(late)
        return late

    serving = champion.Champion(tiny_model, LIMITS, Metrics(), "m", follow=follow)
    first = serving.current
    watching = asyncio.ensure_future(serving.watch())
    try:
        async with asyncio.timeout(60):
            while len(looks) < 3:  # by then it was tried and was not there
                await asyncio.sleep(0.01)
        assert serving.current is first
        _other_model(tiny_model, tmp_path / "making").rename(late)
        async with asyncio.timeout(60):
            while serving.current is first:
                await asyncio.sleep(0.05)
        assert serving.current.folder == late
    finally:
        watching.cancel()
        serving.close()


async def test_an_upstream_that_trickles_is_ended() -> None:
    """Each piece comes in time, the whole never does: the answer ends when an answer's time is over."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b": still here\n\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()

    theirs = await asyncio.start_server(trickle, "127.0.0.1", 0)
    port = theirs.sockets[0].getsockname()[1]
    upstream = Upstream(f"http://127.0.0.1:{port}/v1", "m", replace(LIMITS, seconds=0.5))
    left: list[int] = []
    answer = await upstream.ask(b'{"messages": []}', True, left.append)
    assert isinstance(answer, StreamingResponse)
    async with asyncio.timeout(20):
        said = [piece async for piece in answer.body_iterator]
    assert b"took too long" in bytes(said[-1]) and left == [503]  # type: ignore[arg-type]
    await upstream.close()
    theirs.close()


async def test_an_upstream_in_its_place(tiny_model: Path) -> None:
    """Another server answers, streamed or not; its refusals are passed on; down, it is a 503."""
    with running(desk_of(tiny_model, "theirs", LIMITS, Gate([KEY]))) as theirs:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SHOPFLOOR_UPSTREAM_KEY", KEY)
            upstream = Upstream(theirs, "theirs", LIMITS)
        ours = Desk("ours", LIMITS, Gate(), Metrics(), upstream=upstream)
        with running(ours) as url:
            async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
                address = f"{url}/chat/completions"
                held = asking(guided_choice=["yes", "no"])
                answer = (await http.post(address, json={**held, "model": "ours"})).json()
                assert answer["choices"][0]["message"]["content"] in ("yes", "no")
                streamed = (await http.post(address, json={**held, "stream": True})).text
                assert streamed.endswith("data: [DONE]\n\n") and ("yes" in streamed or "no" in streamed)
                wrong = await http.post(address, json=asking(guided_regex="(?=a)"))
                assert wrong.status_code == 400 and "held to" in wrong.text
                odd = json.dumps(
                    asking(top_p=math.inf, max_tokens=2)
                )  # read by us as by many; theirs to judge
                assert (await http.post(address, content=odd)).status_code == 200
            for name, status in (("theirs", 503), ("nobody", 503)):
                with pytest.MonkeyPatch.context() as patch:
                    patch.setenv("SHOPFLOOR_UPSTREAM_KEY", KEY if name == "nobody" else "no-key-of-theirs")
                    broken = Upstream(theirs, name, LIMITS)
                with running(Desk("ours", LIMITS, Gate(), Metrics(), upstream=broken)) as other:
                    down = httpx.post(f"{other}/chat/completions", json=asking(), trust_env=False)
                    assert down.status_code == status and down.headers["retry-after"], down.text
                    assert KEY not in down.text
    gone = Upstream(theirs, "theirs", LIMITS)
    with running(Desk("ours", LIMITS, Gate(), Metrics(), upstream=gone)) as url:
        down = httpx.post(f"{url}/chat/completions", json=asking(), trust_env=False)
        assert down.status_code == 503 and "can't be asked" in down.text


def test_told_to_stop_it_answers_first(tiny_model: Path) -> None:
    """An answer under way when the server is told to stop comes whole; after it nobody is there."""
    answers: list[httpx.Response] = []
    long = asking(guided_regex="[ab]{600}", temperature=1) | {"max_tokens": 700}
    with running(desk_of(tiny_model, "tiny", LIMITS)) as url:

        def ask() -> None:
            answers.append(httpx.post(f"{url}/chat/completions", json=long, trust_env=False, timeout=90))

        thread = threading.Thread(target=ask)
        thread.start()
        while thread.is_alive() and "in_flight 1.0" not in httpx.get(url.replace("v1", "metrics")).text:
            time.sleep(0.01)
    thread.join()
    assert answers[0].status_code == 200
    assert len(answers[0].json()["choices"][0]["message"]["content"]) == 600
    with pytest.raises(httpx.ConnectError):
        httpx.get(url.replace("v1", "health"), trust_env=False)


def test_told_to_stop_and_not_in_time(tiny_model: Path) -> None:
    """Who can't be answered before the drain's end gets the 503 that asks to come back, and no 500."""
    answers: list[httpx.Response] = []
    long = asking(guided_regex="[ab]{1800}", n=16, temperature=1) | {"max_tokens": 1900}
    with running(desk_of(tiny_model, "tiny", LIMITS), drain=1) as url:

        def ask() -> None:
            answers.append(httpx.post(f"{url}/chat/completions", json=long, trust_env=False, timeout=90))

        thread = threading.Thread(target=ask)
        thread.start()
        while "in_flight 1.0" not in httpx.get(url.replace("v1", "metrics"), trust_env=False).text:
            time.sleep(0.05)
    thread.join()
    assert answers[0].status_code == 503 and answers[0].headers["retry-after"]


def test_few_pictures_are_open_at_once(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many requests with large pictures only a few have theirs in memory, and none when it is answered."""
    opened: list[int] = []
    hands: list[list[Any]] = []

    def watched(*args: Any) -> Any:
        asked = read(*args)
        hands.append(asked.images)
        opened.append(sum(map(len, hands)))
        return asked

    monkeypatch.setattr(server, "read", watched)
    picture = io.BytesIO()
    Image.new("RGB", (2000, 1000), "teal").save(picture, "PNG")
    url = "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "act:"}]
    body = asking(guided_choice=["yes", "no"]) | {"messages": [{"role": "user", "content": content}]}
    with running(desk_of(tiny_model, "m", LIMITS)) as where, ThreadPoolExecutor(16) as pool:
        asked = [body | {"max_tokens": 20 + i} for i in range(24)]
        said = list(pool.map(lambda b: httpx.post(f"{where}/chat/completions", json=b, timeout=60), asked))
    assert {answer.status_code for answer in said} == {200}
    assert 0 < max(opened) <= server.OPENED and not any(hands)


def test_others_need_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listening where others can reach it without keys is refused with the mend, before a model is loaded."""
    import argparse

    from apps import serve

    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    with pytest.raises(SettingsError, match=KEYS):
        serve.run(parser.parse_args(["--host", "0.0.0.0", "--port", "0"]))
    with pytest.raises(SettingsError, match="--upstream-model"):
        serve.run(parser.parse_args(["--upstream", "http://127.0.0.1:1/v1"]))
    for wrong in ("gpu:8000", "http://[gpu", "http://gpu:800000/v1", "ftp://gpu/v1"):
        with pytest.raises(SettingsError, match="write an address"):
            serve.run(parser.parse_args(["--upstream", wrong, "--upstream-model", "m"]))
    with pytest.raises(SystemExit):
        parser.parse_args(["--port", "70000"])
