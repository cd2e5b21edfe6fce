"""The server as a BentoML service.

    bash deploy/bentoml/setup.sh serve     # http://127.0.0.1:3000/v1, model and keys by SHOPFLOOR_*

The application of `shopfloor serve`, under BentoML's own pages (`/healthz`, `/livez`, `/readyz`, `/metrics`).

Not covered: BentoML's store of models (ours is the registry), its batching (the engine has its own), and
`bentoml build`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import bentoml
from starlette.applications import Starlette

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from apps.serve import application
from apps.serving.limits import Limits


@asynccontextmanager
async def _model(outer: Starlette) -> AsyncIterator[None]:
    """Made in the worker, when it starts: the process that starts workers imports this file as well."""
    inner = await asyncio.to_thread(application)
    async with inner.router.lifespan_context(inner):
        outer.mount("", inner)
        yield


@bentoml.service(name="shopfloor", workers=1, traffic={"timeout": Limits().seconds + 10})
@bentoml.asgi_app(Starlette(lifespan=_model))
class Shopfloor:
    """Nothing beyond the application."""
