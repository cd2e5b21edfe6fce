"""Speaking to a model: any OpenAI-compatible chat endpoint, one for each role if set so.

    SHOPFLOOR_ACTOR_URL=http://127.0.0.1:8000/v1  SHOPFLOOR_ACTOR_MODEL=name  SHOPFLOOR_ACTOR_KEY=secret
    SHOPFLOOR_MODEL_URL=...                       SHOPFLOOR_MODEL_NAME=name   SHOPFLOOR_MODEL_KEY=secret

The first line is for one role (ACTOR, CODER or REVIEWER), the second for every role without its own.
`_BRIEF=1` says that this project trained the model (no instructions needed), `_GRAMMAR=1` that the server
takes vLLM's `structured_outputs`; `shopfloor serve` wants both.

Not covered: starting a local server (`apps/local_server.py`) and what is said (`prompts.py`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from agents.prompts import Message, Role
from agents.spans import span

ROLES: tuple[Role, ...] = ("actor", "coder", "reviewer")
TIMEOUT = 90.0  # seconds for one answer; a small model on a busy CPU needs a few
RETRIES = 2
PAUSE = 120.0  # seconds that the openai client waits at most before it asks again, where Retry-After says so
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class ModelDown(RuntimeError):
    """The model can't be asked, or what answers is no chat endpoint; the message says what to do."""


class EndpointUnset(ValueError):
    """No endpoint is set for a role, or half of one; the message says what to set."""


@dataclass(frozen=True)
class Endpoint:
    """Where a role's model is served.

    `brief`: trained by us, needs no instructions. `grammar`: the server takes vLLM's `structured_outputs`
    with `regex` or `choice`.
    """

    base_url: str
    model: str
    api_key: str = "none"
    brief: bool = False
    grammar: bool = False

    def __repr__(self) -> str:  # never the key
        return f"Endpoint({self.base_url!r}, {self.model!r}, brief={self.brief}, grammar={self.grammar})"


@dataclass(frozen=True)
class Reply:
    """What a model said. With `n` > 1 asked for, `texts` holds all answers and `text` the first, whose
    `confidence` is the server's word, where it tells one."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    texts: tuple[str, ...] = ()
    confidence: float | None = None


def endpoint_for(role: Role, default: Endpoint | None) -> Endpoint:
    """The role's endpoint from the environment, else the default. Raises EndpointUnset without either."""
    for prefix, model_key in ((f"SHOPFLOOR_{role.upper()}", "MODEL"), ("SHOPFLOOR_MODEL", "NAME")):
        url = os.environ.get(f"{prefix}_URL", "").strip()
        if not url:
            continue
        if urlsplit(url).scheme not in ("http", "https"):
            raise EndpointUnset(f"{prefix}_URL is {url!r}; write it as http://host:port/v1")
        model = os.environ.get(f"{prefix}_{model_key}", "").strip()
        if not model:
            raise EndpointUnset(f"{prefix}_URL is set but {prefix}_{model_key} is not; name the model there")
        key = os.environ.get(f"{prefix}_KEY", "").strip() or "none"
        return Endpoint(url, model, key, flag(f"{prefix}_BRIEF"), flag(f"{prefix}_GRAMMAR"))
    if default is None:
        raise EndpointUnset(
            f"no model for the {role}: set SHOPFLOOR_MODEL_URL and SHOPFLOOR_MODEL_NAME "
            f"(or SHOPFLOOR_{role.upper()}_URL and _MODEL)"
        )
    return default


def stated(role: Role) -> bool:
    """Whether the environment names an endpoint for the role, be it for all of them or half of one."""
    return any(os.environ.get(name) for name in (f"SHOPFLOOR_{role.upper()}_URL", "SHOPFLOOR_MODEL_URL"))


def by_proxy(url: str) -> bool:
    """Whether a proxy of the environment may be taken, which can't reach a server on this machine."""
    return urlsplit(url).hostname not in LOOPBACK


def flag(variable: str) -> bool:
    """Whether a switch of the environment is on."""
    return os.environ.get(variable, "").lower() in ("1", "true", "yes", "on")


class ChatModel:
    """One endpoint, asked. Retries are the openai client's own, bounded, and it honours Retry-After.

    `role` is whose model it is, for the record of each call (`spans.py`).
    """

    def __init__(
        self, endpoint: Endpoint, role: str = "model", *, timeout: float = TIMEOUT, retries: int = RETRIES
    ) -> None:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

        self.endpoint = endpoint
        # The client's time-outs are for each piece of an answer: one that drips would never end by them.
        self._longest = timeout + retries * (timeout + PAUSE)
        self.role = role
        self._client = AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            max_retries=retries,
            timeout=Timeout(timeout, connect=5.0),
            http_client=None if by_proxy(endpoint.base_url) else DefaultAsyncHttpxClient(trust_env=False),
        )

    async def ask(
        self,
        messages: Sequence[Message],
        *,
        regex: str | None = None,
        choices: Sequence[str] | None = None,
        temperature: float = 0.0,
        max_tokens: int = 200,
        n: int = 1,
    ) -> Reply:
        """One question. `regex` or `choices` hold the answer, where the endpoint takes a grammar."""
        body: dict[str, Any] = {}
        if self.endpoint.grammar and (regex is not None or choices is not None):
            body["structured_outputs"] = {"regex": regex} if choices is None else {"choice": list(choices)}
        how: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens, "n": n}
        with span("model", self.role, model=self.endpoint.model, messages=_texts(messages), **how) as this:
            reply = await self._asked(messages, body, **how)
            this.came |= {"texts": [*reply.texts], "prompt_tokens": reply.prompt_tokens}
            this.came["completion_tokens"] = reply.completion_tokens
        return reply

    async def _asked(self, messages: Sequence[Message], body: dict[str, Any], **how: Any) -> Reply:
        import openai

        said: Any = list(messages)  # ours are plain dicts, theirs a union of TypedDicts
        where = f"{self.endpoint.model} at {self.endpoint.base_url}"
        try:
            async with asyncio.timeout(self._longest):
                answer: Any = await self._client.chat.completions.create(
                    model=self.endpoint.model,
                    messages=said,
                    extra_body=body or None,
                    **how,
                )
        except (openai.APITimeoutError, TimeoutError) as error:
            raise ModelDown(
                f"{where} did not answer in time; is it overloaded, or the model too big?"
            ) from error
        except openai.APIConnectionError as error:
            raise ModelDown(f"{where} can't be reached; start it, or mend SHOPFLOOR_MODEL_URL") from error
        except openai.APIStatusError as error:
            raise ModelDown(f"{where} answered {error.status_code}: {_mend(error)}") from error
        except (openai.OpenAIError, ValueError, RecursionError) as error:  # a body that is no completion
            raise ModelDown(f"{where} does not answer as a chat endpoint does: {str(error)[:200]}") from error
        try:  # the client does not validate: a body may be any JSON
            texts = tuple(str(choice.message.content or "") for choice in answer.choices)
            usage = answer.usage
            asked = int(usage.prompt_tokens or 0) if usage else 0
            answered = int(usage.completion_tokens or 0) if usage else 0
            sure = getattr(answer.choices[0], "confidence", None)  # beyond OpenAI's: the server is ours
            confidence = float(sure) if isinstance(sure, int | float) else None
            return Reply(texts[0], asked, answered, texts, confidence)
        except (AttributeError, TypeError, ValueError, OverflowError, IndexError) as error:
            raise ModelDown(
                f"{where} does not answer as a chat endpoint does; its URL usually ends in /v1"
            ) from error

    async def close(self) -> None:
        await self._client.close()


def _texts(messages: Sequence[Message]) -> list[dict[str, str]]:
    """What is said in messages; of a picture only that there is one."""
    shown = []
    for message in messages:
        parts: Any = message["content"]
        if not isinstance(parts, str):
            parts = "\n".join(part.get("text", "(a picture)") for part in parts)
        shown.append({"role": str(message["role"]), "content": parts})
    return shown


def _mend(error: Any) -> str:
    said = " ".join(str(error.message).split())[:200]
    match error.status_code:
        case 401 | 403:
            return f"{said}; mend the role's _KEY"
        case 404:
            return f"{said}; its URL usually ends in /v1, or the model has another name there"
        case 400 | 422:
            return f"{said}; does it take images and this long a prompt?"
    return said
