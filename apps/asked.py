"""What a chat completion request asks, read from its body: checked, images opened, grammar fields settled.

Not covered: HTTP itself (`server.py`) and whether the grammar can be held to (`automaton.py`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from dataclasses import dataclass, field
from typing import Annotated, Any

from PIL import Image
from pydantic import BaseModel, Field, ValidationError, model_validator

from apps.serving.limits import Limits

FORMATS = ["PNG", "JPEG", "WEBP", "GIF"]
DEFAULT_TOKENS = 512
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"} | {
    "tool": "user",
    "function": "user",
}
PARTS = 2048  # messages, and parts of one, at most
OTHER_GRAMMARS = ("json", "json_object", "grammar", "structural_tag")


class Refused(Exception):
    """A request that is not answered; `str` of it says what to mend, `retry` in how many seconds to retry."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        retry: int | None = None,
    ):
        super().__init__(message)
        self.status, self.param, self.code, self.retry = status, param, code, retry


@dataclass(frozen=True)
class Asked:
    """One request, ready for the engine."""

    messages: list[dict[str, Any]]
    images: list[Image.Image] = field(repr=False)
    pictures: bytes  # a digest of the images' files
    regex: str | None
    choices: list[str] | None
    max_tokens: int
    temperature: float
    n: int
    stop: list[str]
    seed: int | None
    stream: bool
    usage: bool  # a usage chunk at the end of the stream


class _Lenient(BaseModel, extra="ignore"):
    """Fields we don't know are accepted, and null means left out."""

    @model_validator(mode="before")
    @classmethod
    def _no_nulls(cls, data: Any) -> Any:
        return {k: v for k, v in data.items() if v is not None} if isinstance(data, dict) else data


class _Message(_Lenient):
    role: str
    content: str | Annotated[list[dict[str, Any]], Field(max_length=PARTS)] = ""


class _Structured(_Lenient, extra="allow"):
    regex: str | None = None
    choice: list[str] | None = None


class _StreamOptions(_Lenient):
    include_usage: bool = False


class Body(_Lenient, extra="allow"):
    """A chat completion request."""

    model: str | None = None
    messages: list[_Message] = Field(min_length=1, max_length=PARTS)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(0.0, ge=0, le=2)
    n: int = Field(1, ge=1, le=16)
    stop: str | Annotated[list[str], Field(max_length=16)] = []
    seed: int | None = Field(None, ge=-(2**62), le=2**62)
    stream: bool = False
    stream_options: _StreamOptions = _StreamOptions()
    structured_outputs: _Structured = _Structured()
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    response_format: dict[str, Any] = {"type": "text"}


def read(raw: bytes, model_id: str, limits: Limits = Limits()) -> Asked:  # noqa: B008 (it is frozen)
    """The request in a body. Raises Refused."""
    try:
        body = Body.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"{where or 'the body'}: {first['msg']}", param=where or None) from error
    if body.model not in (None, model_id):
        raise Refused(
            f"no model {body.model!r} here; ask for {model_id!r}",
            status=404,
            param="model",
            code="model_not_found",
        )
    regex, choices = _grammar(body)
    images = _Images(limits)
    messages = [_message(message, images) for message in body.messages]
    return Asked(
        messages=messages,
        images=images.opened,
        pictures=images.digest.digest(),
        regex=regex,
        choices=choices,
        max_tokens=min(limits.tokens, body.max_completion_tokens or body.max_tokens or DEFAULT_TOKENS),
        temperature=body.temperature,
        n=body.n,
        stop=[body.stop] if isinstance(body.stop, str) else body.stop,
        seed=body.seed,
        stream=body.stream,
        usage=body.stream_options.include_usage,
    )


def _grammar(body: Body) -> tuple[str | None, list[str] | None]:
    extra = body.model_extra or {}
    asked_otherwise = [
        f"structured_outputs.{k}"
        for k in OTHER_GRAMMARS
        if body.structured_outputs.model_extra and k in body.structured_outputs.model_extra
    ]
    asked_otherwise += [f"guided_{k}" for k in OTHER_GRAMMARS if f"guided_{k}" in extra]
    if body.response_format.get("type") != "text":
        asked_otherwise.append("response_format")
    if asked_otherwise:
        raise Refused(
            f"{asked_otherwise[0]} is not supported; hold the answer with "
            'structured_outputs: {"regex": "..."} or {"choice": ["..."]}',
            param=asked_otherwise[0],
        )
    given = body.structured_outputs
    kinds: list[str | list[str] | None] = [given.regex, given.choice, body.guided_regex, body.guided_choice]
    if sum(kind is not None for kind in kinds) > 1:
        raise Refused("give one grammar: a regex or choices", param="structured_outputs")
    return given.regex or body.guided_regex, given.choice if given.choice is not None else body.guided_choice


def _message(message: _Message, images: _Images) -> dict[str, Any]:
    if message.role not in ROLES:
        raise Refused(f"no role {message.role!r}; there are {', '.join(ROLES)}", param="messages")
    if isinstance(message.content, str):
        return {"role": ROLES[message.role], "content": message.content}
    parts: list[dict[str, Any]] = []
    for part in message.content:
        match part.get("type"):
            case "text" if isinstance(part.get("text"), str):
                parts.append({"type": "text", "text": part["text"]})
            case "image_url":
                given = part.get("image_url")
                url = given.get("url") if isinstance(given, dict) else given
                images.open(url)
                parts.append({"type": "image"})
            case kind:
                raise Refused(f"no content part {kind!r}; there are text and image_url", param="messages")
    return {"role": ROLES[message.role], "content": parts}


class _Images:
    """The pictures of a request, opened one by one while they are within the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._left = limits, limits.pixels
        self.opened: list[Image.Image] = []
        self.digest = hashlib.sha256()

    def open(self, url: object) -> None:
        """The picture in a `data:` URL. What it is, its bytes say; the URL's media type is not believed."""
        if len(self.opened) == self._limits.images:
            raise Refused(f"more than {self._limits.images} images; send fewer", param="messages")
        data = _data(url)
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            self._left -= image.width * image.height
            if self._left < 0:
                raise Refused(
                    f"the images have more than {self._limits.pixels // 1_000_000} million pixels; "
                    "send smaller ones",
                    param="messages",
                )
            image.load()
            self.opened.append(image if image.mode == "RGB" else image.convert("RGB"))
        except Image.DecompressionBombError as error:
            raise Refused(f"the image is too large: {error}", param="messages") from error
        except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises on broken files
            raise _unreadable(error) from error
        self.digest.update(hashlib.sha256(data).digest())


def _data(url: object) -> bytes:
    if not isinstance(url, str) or not url.startswith("data:"):
        raise Refused(
            "images are taken as data: URLs only, this server fetches nothing; "
            "send data:image/png;base64,...",
            param="messages",
        )
    head, _, data = url.partition(",")
    if not head.endswith(";base64"):
        raise Refused("the image's data: URL must be base64: data:image/png;base64,...", param="messages")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> Refused:
    said = f"the image can't be read ({error}); send a whole {', '.join(FORMATS)}"
    return Refused(said, param="messages")
