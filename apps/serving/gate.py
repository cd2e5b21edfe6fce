"""Who may ask, and how often: API keys, and a token bucket for each.

Keys are compared by their digests, in time that says nothing of them, and are never written anywhere.

Not covered: TLS (a proxy before the server) and what one request may cost (`limits.py`).
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import time
from collections.abc import Callable, Sequence

from apps.asked import Refused
from tools.settings import SettingsError

KEYS = "SHOPFLOOR_SERVE_KEYS"  # one or several, between commas or blanks
SHORTEST = 16  # characters of a key


def keys_from_environment() -> list[str]:
    """Raises SettingsError."""
    keys = os.environ.get(KEYS, "").replace(",", " ").split()
    if any(len(key) < SHORTEST or not key.isascii() for key in keys):
        raise SettingsError(
            f"a key in {KEYS} has less than {SHORTEST} characters, or others than ASCII's; "
            "make one with `openssl rand -hex 24`"
        )
    return keys


class Gate:
    """Lets a request pass, or raises Refused: 401 without a key that is known, 429 for one too often used.

    `rate` is requests a minute for each key, as many of them at once; None: as many as the server can.
    Without keys everybody passes and shares one bucket.
    """

    def __init__(
        self,
        keys: Sequence[str] = (),
        rate: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._known = [_digest(key) for key in keys]
        self._rate, self._clock = rate, clock
        self._left: dict[bytes, tuple[float, float]] = {}  # by key: requests left, and when that was so

    def admit(self, authorization: str | None) -> bytes:
        """The caller's digest, from the Authorization header's value."""
        if not self._known:
            return b""
        scheme, _, key = (authorization or "").partition(" ")
        digest = _digest(key.strip())
        matches = [hmac.compare_digest(digest, known) for known in self._known]
        if scheme.lower() != "bearer" or not any(matches):
            raise Refused(
                "this server wants a key; send it as `Authorization: Bearer …`",
                status=401,
                code="invalid_api_key",
            )
        return digest

    def spend(self, who: bytes) -> None:
        """Take one request from the caller's bucket."""
        if self._rate is None:
            return
        now = self._clock()
        left, at = self._left.get(who, (self._rate, now))
        left = min(self._rate, left + (now - at) * self._rate / 60)
        self._left[who] = (left, now) if left < 1 else (left - 1, now)
        if left < 1:
            raise Refused(
                f"more than {self._rate:g} requests a minute; come back when Retry-After says",
                status=429,
                code="rate_limit_exceeded",
                retry=math.ceil((1 - left) * 60 / self._rate),
            )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="replace")).digest()
