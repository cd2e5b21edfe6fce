"""OpenAI's shapes: completions, chunks of a stream, errors.

Not covered: requests (`asked.py`).
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

from starlette.requests import ClientDisconnect

from apps.asked import Refused
from apps.automaton import GrammarError
from apps.engine import Cancelled, Completion, RequestError
from apps.serving.line import Closed, Late

LEFT = 499  # the status that nginx has for a client that did not wait


def envelope(model_id: str, version: str, kind: str) -> dict[str, Any]:
    name = f"chatcmpl-{uuid.uuid4().hex}"
    return {
        "id": name,
        "object": kind,
        "created": int(time.time()),
        "model": model_id,
        "system_fingerprint": version,
        "choices": [],
    }


def whole(model_id: str, version: str, answers: Sequence[Completion]) -> dict[str, Any]:
    """A completion that is not streamed."""
    choices = [
        {"index": i, "message": {"role": "assistant", "content": a.text, "refusal": None}} | ended(a)
        for i, a in enumerate(answers)
    ]
    return envelope(model_id, version, "chat.completion") | {"choices": choices, "usage": usage(answers)}


def ended(answer: Completion) -> dict[str, Any]:
    figures = {"logprob": round(answer.logprob, 6), "confidence": round(answer.confidence, 6)}
    return {"finish_reason": answer.finish_reason, "logprobs": None, **figures}


def usage(answers: Sequence[Completion]) -> dict[str, int]:
    prompt = answers[0].prompt_tokens
    written = sum(a.completion_tokens for a in answers)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


def chunk(of: dict[str, Any], index: int, delta: dict[str, Any], ending: dict[str, Any]) -> str:
    choice = {"index": index, "delta": delta, "finish_reason": None, "logprobs": None} | ending
    return event({**of, "choices": [choice]})


def refusal(error: BaseException) -> Refused:
    """What went wrong, as something to answer with."""
    match error:
        case Refused():
            return error
        case GrammarError():
            return Refused(str(error), param="structured_outputs")
        case RequestError():
            return Refused(str(error), param="messages", code="context_length_exceeded")
        case Late():
            return Refused("the answer was not whole in time", status=503, code="timeout", retry=5)
        case ClientDisconnect():
            return Refused("the client has gone", status=LEFT)
        case Cancelled() | Closed() | asyncio.CancelledError():
            said = "the server is stopping, or the client has gone"
            return Refused(said, status=503, code="stopping", retry=1)
    return Refused("the model failed on this request; the server's log says how", status=500)


def error_body(error: Refused) -> dict[str, Any]:
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    return {"error": {"message": str(error), "type": kind, "param": error.param, "code": error.code}}
