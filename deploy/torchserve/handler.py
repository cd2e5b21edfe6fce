"""The engine as a TorchServe handler: a request is a chat completion's body, the answer its JSON.

Requests that TorchServe hands over together (`batchSize`) share the engine's forward passes. Refusals have
the status and the body that `shopfloor serve` has for them.

Not covered: streams, keys (TorchServe has tokens of its own), kept answers, a champion that changes.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from apps.asked import Refused, read
from apps.serving import wire
from apps.serving.answers import prepared
from apps.serving.limits import Limits
from apps.serving.line import Line
from apps.serving.metrics import Metrics


class Handler:
    """TorchServe makes one for each worker, calls `initialize` once, then `handle` for each batch."""

    def initialize(self, context: Any) -> None:
        from apps.engine import Engine
        from training.registry import label

        archive = Path(context.system_properties["model_dir"])
        (folder,) = (found.parent for found in archive.glob("*/config.json"))
        self.model_id, self.version, self.limits = f"shopfloor-{folder.name}", label(folder), Limits()
        self.engine = Engine(folder)
        self.line = Line(self.engine, self.limits.batch, Metrics())

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[Any]:
        asked = [self._start(row.get("body")) for row in data]
        said = []
        for index, started in enumerate(asked):
            try:
                if isinstance(started, Exception):
                    raise started
                said.append(wire.whole(self.model_id, self.version, started.result()))
            except Exception as error:  # of one request; the batch's others are answered
                refused = wire.refusal(error)
                context.set_response_status(refused.status, idx=index)
                said.append(wire.error_body(refused))
        return said

    def _start(self, body: Any) -> Any:
        """The future answers, or what is wrong with the question. TorchServe has read JSON already."""
        try:
            raw = bytes(body) if isinstance(body, bytes | bytearray) else json.dumps(body).encode()
            if len(raw) > self.limits.body:
                raise Refused("the request is too large; send smaller images", status=413)
            asked = read(raw, self.model_id, self.limits)
            if asked.stream:
                raise Refused("TorchServe has no streams here; leave `stream` out", param="stream")
            return self.line.ask(
                prepared(self.engine, asked), None, lambda: False, time.monotonic() + self.limits.seconds
            )
        except Exception as error:
            return error
