"""A server over a real socket, in this process, with uvicorn as `shopfloor serve` has it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from apps.server import Desk, create_app
from apps.serving.champion import Champion
from apps.serving.gate import Gate
from apps.serving.limits import Limits
from apps.serving.metrics import Metrics
from apps.serving.protocol import patient_for


def desk_of(folder: Path, model: str, limits: Limits, gate: Gate | None = None, follow: Any = None) -> Desk:
    metrics = Metrics()
    champion = Champion(folder, limits, metrics, model, follow)
    return Desk(model, limits, gate or Gate(), metrics, champion)


@contextmanager
def running(desk: Desk, drain: int = 30) -> Iterator[str]:
    """The server's /v1 while the block runs; at its end everybody is answered first, for `drain` seconds."""
    ready = threading.Event()

    class Told(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            ready.set()

    config = uvicorn.Config(
        create_app(desk),
        port=0,
        http=patient_for(desk.limits.reading),
        ws="none",
        log_level="warning",
        timeout_graceful_shutdown=drain,
    )
    server = Told(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert ready.wait(60)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        thread.join()
