"""What one request may cost, and how many there may be.

Not covered: who may ask, and how often (`gate.py`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Beyond `batch` and `queue` a request is told to come back; beyond the others it is refused."""

    batch: int = 16  # answers under way at once
    queue: int = 64  # requests that wait or are being read, beside those
    body: int = 32 * 1024 * 1024  # bytes
    pixels: int = 25_000_000  # in all images of a request together; a 4K screenshot has 8.3 million
    images: int = 16
    tokens: int = 4096  # of an answer; one that asks for more gets as many
    seconds: float = 120.0  # from a request read to its answer's end
    reading: float = 20.0  # seconds for its head, and again for its body

    @property
    def in_hand(self) -> int:
        return self.batch + self.queue
