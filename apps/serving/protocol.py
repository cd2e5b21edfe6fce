"""A connection whose request's head does not come in time is closed.

uvicorn waits for ever for a head that has begun, or never does: a few hundred such connections are all that a
process may have open.

Not covered: bodies that don't come (`server.py`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def patient_for(seconds: float) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, with that much patience."""

    class Protocol(HttpToolsProtocol):
        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._wait()

        def on_headers_complete(self) -> None:
            self._came()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._came()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._came()
            self._late = self.loop.call_later(seconds, self.transport.close)

        def _came(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

    return Protocol
