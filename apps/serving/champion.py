"""The model that answers, and the next one: a new champion takes over while requests are being answered.

The next one is loaded beside the present one, gets every request from then on, and the former is dropped when
it has answered those it had. Both are in memory meanwhile.

Not covered: which one is the champion (`training/registry.py`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from apps.engine import Engine
from apps.serving.limits import Limits
from apps.serving.line import Line
from apps.serving.metrics import Metrics
from training.registry import label

LOOK = 1.0  # seconds between two looks at the registry
AGAIN = 60.0  # seconds after which a model that could not be loaded is tried once more
log = logging.getLogger("shopfloor.server")


class Served:
    """One model with its line. `version` is the same for equal weights."""

    def __init__(self, folder: Path, limits: Limits, metrics: Metrics) -> None:
        self.folder, self.version = folder, label(folder)
        self.engine = Engine(folder)
        self.line = Line(self.engine, limits.batch, metrics)


class Champion:
    """`current` answers new requests. `follow` says where the champion lies; None: it never changes."""

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        metrics: Metrics,
        model_id: str,
        follow: Callable[[], Path] | None = None,
    ) -> None:
        self._limits, self._metrics, self._model_id, self._follow = limits, metrics, model_id, follow
        self._known = folder
        self._former: dict[asyncio.Task[None], Served] = {}  # still answering
        self.current = Served(folder, limits, metrics)
        metrics.serves(model_id, self.current.version)

    async def watch(self) -> None:
        """Take over new champions, for ever. One that can't be loaded is logged; the present one stays."""
        said = ""  # what went wrong last: it is told once
        failed, since = None, 0.0  # what could not be loaded, and when
        while self._follow is not None:
            await asyncio.sleep(LOOK)
            try:
                folder = await asyncio.to_thread(self._follow)
                if folder == self._known or (folder == failed and time.monotonic() - since < AGAIN):
                    continue
                failed, since = folder, time.monotonic()
                new = await asyncio.to_thread(Served, folder, self._limits, self._metrics)
            except Exception as error:  # a registry that is busy, files that are gone: none ends the serving
                if said != (said := repr(error)):
                    log.exception("the champion's model was not taken over; %s goes on", self.current.version)
                continue
            self._known, failed = folder, None
            former, self.current = self.current, new
            self._metrics.serves(self._model_id, new.version)
            self._metrics.changes.inc()
            log.warning("%s answers now, after %s", new.version, former.version)
            task = asyncio.create_task(asyncio.to_thread(former.line.close))
            self._former[task] = former
            task.add_done_callback(self._former.pop)

    def close(self) -> None:
        """End what is still being answered; by now everybody has had time."""
        for served in (self.current, *self._former.values()):
            served.line.close(drain=False)
