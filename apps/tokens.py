"""Tokens as bytes, and bytes as text: what a decoder needs to know of any tokenizer.

Byte-level BPE and SentencePiece with byte fallback; the tokenizer's own decoder says which it is.

Not covered: choosing tokens (`engine.py`).
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any


class Written:
    """Bytes in, text out: characters only when whole, and nothing that may be the start of a stop string."""

    def __init__(self, stop: Sequence[str], emit: Callable[[str], None] | None, *, strip: bool) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = [s for s in stop if s]
        self._emit = emit
        self._strip = strip  # leading white space, which some chat formats have before every answer
        self._text = ""
        self._sent = 0
        self._stopped = False

    def add(self, data: bytes) -> bool:
        self._text += self._decoder.decode(data)
        if self._strip:
            self._text = self._text.lstrip()
            self._strip = not self._text
        found = [at for s in self._stop if (at := self._text.find(s, max(0, self._sent - len(s)))) >= 0]
        if found:
            self._text, self._stopped = self._text[: min(found)], True
        self._send(len(self._text) if self._stopped else len(self._text) - self._held())
        return self._stopped

    def close(self) -> str:
        if not self._stopped:
            self._text += self._decoder.decode(b"", True)
        self._send(len(self._text))
        return self._text

    def _held(self) -> int:
        """How many characters at the end may begin a stop string."""
        longest = max((len(s) for s in self._stop), default=1) - 1
        for size in range(min(longest, len(self._text)), 0, -1):
            if any(s.startswith(self._text[-size:]) for s in self._stop):
                return size
        return 0

    def _send(self, end: int) -> None:
        if self._emit and end > self._sent:
            self._emit(self._text[self._sent : end])
        self._sent = max(self._sent, end)


class Tokens:
    """What each token writes, as bytes; special tokens write nothing and are never chosen, the ends aside."""

    def __init__(self, tokenizer: Any, model: Any) -> None:
        self._tokenizer = tokenizer
        special = set(tokenizer.all_special_ids)
        special |= {i for i, t in tokenizer.added_tokens_decoder.items() if t.special}
        ends = model.generation_config.eos_token_id
        self.ends = frozenset([ends] if isinstance(ends, int) else ends or []) | (
            {tokenizer.eos_token_id} - {None}
        )
        self.image: int | None = getattr(model.config, "image_token_id", None)
        read = _byte_level if '"ByteLevel"' in _decoder(tokenizer) else _sentence_piece
        vocabulary = tokenizer.get_vocab()
        plain = {t.content for t in tokenizer.added_tokens_decoder.values() if not t.special}
        self.bytes: dict[int, bytes] = {}
        for token, number in vocabulary.items():
            if number not in special:
                data = token.encode() if token in plain else read(token)
                if data:
                    self.bytes[number] = data
        self.by_lead: dict[int, list[tuple[bytes, int]]] = {}  # by the first byte, in the order of all bytes
        for data, number in sorted((data, number) for number, data in self.bytes.items()):
            self.by_lead.setdefault(data[0], []).append((data, number))
        self.longest = max(map(len, vocabulary))
        self._names = sorted((t for t, i in vocabulary.items() if i in special), key=len, reverse=True)
        self._mask: Any = None

    def encode(self, text: str) -> list[int]:
        found: list[int] = self._tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return found

    def mask(self, size: int) -> Any:
        """What to add to the logits so that only text and ends can be chosen."""
        import torch

        if self._mask is None or len(self._mask) != size:
            self._mask = torch.full((size,), -math.inf)
            self._mask[[i for i in (*self.bytes, *self.ends) if i < size]] = 0.0
        return self._mask

    def neutral(self, message: dict[str, Any]) -> dict[str, Any]:
        """The message with content as parts, and nothing in its text that the tokenizer takes for a mark.

        Texts beside each other become one, as templates join them: halves of a mark would be one there.
        """
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        clean: list[dict[str, str]] = []
        for kind, own in groupby(parts, key=lambda part: part["type"]):
            if kind == "image":
                clean += own
            else:
                clean.append({"type": "text", "text": self._plain("".join(part["text"] for part in own))})
        return {"role": message["role"], "content": clean}

    def _plain(self, text: str) -> str:
        for name in self._names:
            if name in text:
                text = text.replace(name, f"{name[0]} {name[1:]}")
        return text


def _decoder(tokenizer: Any) -> str:
    return json.dumps(json.loads(tokenizer.backend_tokenizer.to_str()).get("decoder"))


def _byte_level(token: str) -> bytes | None:
    """The bytes that a byte-level BPE token stands for."""
    try:
        return bytes(_BYTES[character] for character in token)
    except KeyError:
        return None


def _sentence_piece(token: str) -> bytes | None:
    if match := re.fullmatch(r"<0x([0-9A-F]{2})>", token):
        return bytes([int(match[1], 16)])
    return token.replace("\N{LOWER ONE EIGHTH BLOCK}", " ").encode()


def _byte_alphabet() -> Iterator[tuple[str, int]]:
    """GPT-2's alphabet: printable bytes are themselves, the others follow from U+0100 on."""
    extra = 0x100
    for byte in range(256):
        if 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or byte >= 0xAE:
            yield chr(byte), byte
        else:
            yield chr(extra), byte
            extra += 1


_BYTES = dict(_byte_alphabet())
