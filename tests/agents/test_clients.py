"""Endpoints from the environment, and clear ends where a model can't be asked."""

import asyncio
import time

import pytest

from agents.actor import ModelPolicy
from agents.clients import ChatModel, Endpoint, EndpointUnset, ModelDown, endpoint_for
from agents.scripted import ScriptedServer
from tools.observation import Observation

HELLO = [{"role": "user", "content": "page\nact:"}]


def test_a_role_has_its_own_endpoint_then_the_common_then_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The order of the three sources, and that a key is never printed."""
    default = Endpoint("http://local/v1", "nano", brief=True)
    assert endpoint_for("coder", default) == default
    monkeypatch.setenv("SHOPFLOOR_MODEL_URL", "http://all/v1")
    monkeypatch.setenv("SHOPFLOOR_MODEL_NAME", "big")
    monkeypatch.setenv("SHOPFLOOR_MODEL_KEY", "s3cret")
    monkeypatch.setenv("SHOPFLOOR_MODEL_GRAMMAR", "1")
    monkeypatch.setenv("SHOPFLOOR_CODER_URL", "http://coder/v1")
    monkeypatch.setenv("SHOPFLOOR_CODER_MODEL", "code")
    assert endpoint_for("coder", default) == Endpoint("http://coder/v1", "code")
    actor = endpoint_for("actor", None)
    assert actor == Endpoint("http://all/v1", "big", "s3cret", grammar=True)
    assert "s3cret" not in repr(actor)


def test_half_an_endpoint_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL without a model name, or no endpoint at all, names the variable to set."""
    with pytest.raises(EndpointUnset, match="SHOPFLOOR_MODEL_URL"):
        endpoint_for("actor", None)
    monkeypatch.setenv("SHOPFLOOR_ACTOR_URL", "http://a/v1")
    with pytest.raises(EndpointUnset, match="SHOPFLOOR_ACTOR_MODEL"):
        endpoint_for("actor", None)


async def test_grammar_travels_only_where_the_endpoint_takes_it() -> None:
    """`structured_outputs` is sent to grammar endpoints and to no other; tokens are the server's count."""
    with ScriptedServer() as server:
        for grammar in (True, False):
            model = ChatModel(Endpoint(server.url, "m", grammar=grammar))
            reply = await model.ask(HELLO, regex="a|b")
            await model.close()
            assert reply.text == 'send_msg_to_user("done")' and reply.prompt_tokens == 2
        assert server.asked[0]["structured_outputs"] == {"regex": "a|b"}
        assert "structured_outputs" not in server.asked[1]


@pytest.mark.parametrize(
    ("status", "raw", "says"),
    [
        (200, b"<html>not a model</html>", "does not answer as a chat endpoint"),
        (200, b'{"hello": "world"}', "does not answer as a chat endpoint"),
        (200, b'{"choices": "abc"}', "does not answer"),
        (200, b"[" * 100_000, "does not answer as a chat endpoint"),
        (
            200,
            b'{"choices": [{"message": {"content": ""}}], "usage": {"prompt_tokens": 1e999}}',
            "does not answer",
        ),
        (200, b"[]", "does not answer as a chat endpoint"),
        (200, b'{"choices": [{"nonsense": 1}]}', "does not answer"),
        (401, b'{"error": {"message": "bad key"}}', "mend the role's _KEY"),
        (404, b"{}", "ends in /v1"),
        (500, b"boom", "answered 500"),
    ],
)
async def test_what_is_no_model_is_said_plainly(status: int, raw: bytes, says: str) -> None:
    """Garbage, wrong addresses, refused keys and crashes are ModelDown with the mend, never a traceback."""
    with ScriptedServer(status=status, raw=raw) as server:
        model = ChatModel(Endpoint(server.url, "m"), retries=0)
        with pytest.raises(ModelDown, match=says):
            await model.ask(HELLO)
        await model.close()


@pytest.mark.parametrize(
    ("told", "kept"), [(b', "confidence": 0.75', 0.75), (b', "confidence": "no"', None), (b"", None)]
)
async def test_confidence_where_the_server_tells_it(told: bytes, kept: float | None) -> None:
    """It reaches the decision that is recorded; other servers say nothing of it."""
    answer = b'{"message": {"role": "assistant", "content": "noop()"}, "finish_reason": "stop"%s}' % told
    with ScriptedServer(raw=b'{"choices": [%s]}' % answer) as server:
        policy = ModelPolicy(Endpoint(server.url, "m"))
        decision = await policy.decide("Wait", Observation("http://a/", "A", (10, 10)), [])
        await policy.close()
    assert decision.valid and decision.confidence == kept


async def test_an_answer_that_is_no_text_is_babble() -> None:
    """Some servers send content in parts; whatever it is, it is read as text, in a sample too."""
    with ScriptedServer(raw=b'{"choices": [{"message": {"content": ["noop()"]}}]}') as server:
        policy = ModelPolicy(Endpoint(server.url, "m"))
        found, _ = await policy.sample("Wait", Observation("http://a/", "A", (10, 10)), [], 2, 0.7)
        await policy.close()
    assert found == []


async def test_nobody_listening_is_said_plainly() -> None:
    """A dead endpoint names itself and what to mend."""
    with ScriptedServer() as server:
        url = server.url
    model = ChatModel(Endpoint(url, "m"), retries=0)
    with pytest.raises(ModelDown, match="can't be reached; start it"):
        await model.ask(HELLO)
    await model.close()


async def test_an_answer_that_drips_ends_too() -> None:
    """A byte now and then keeps every single read in time; the whole answer has a time of its own."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.1)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    model = ChatModel(Endpoint(f"http://127.0.0.1:{port}/v1", "m"), timeout=1.0, retries=0)
    began = time.monotonic()
    with pytest.raises(ModelDown, match="did not answer in time"):
        await model.ask(HELLO)
    assert time.monotonic() - began < 20
    await model.close()
    server.close()
