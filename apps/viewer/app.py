"""What the viewer's page asks for: a page of the list, one episode to draw, others like it, its images.

    GET /api/episodes?suite=&family=&result=&by=&q=&start=&around=   a page of rows, counts for each filter
    GET /api/episodes/STORE/ID                                       one episode, each step with its marks
    GET /api/episodes/STORE/ID/fellows                               others of its family
    GET /api/episodes/STORE/ID/images/NAME                           one screenshot

STORE counts the folders that `shopfloor view` was given, from 0. Requests that call this machine by another
name than its own are refused, so that no page elsewhere can read episodes through somebody's browser.

Not covered: the page's own script (`static/`), and which stores there are (`apps/view.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from itertools import zip_longest
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from apps.viewer.marks import marks
from tools.observation import MAX_ELEMENTS, Observation
from trajectories.catalogue import Catalogue, Row
from trajectories.episode import Episode, Step, image_name
from trajectories.store import Store, StoreError
from trajectories.tasks import is_held_out

STATIC = Path(__file__).resolve().parent / "static"
PAGE = 50  # rows a page of the list
FELLOWS = 60  # others of a family offered for a comparison, of each result
FILTERS = ("suite", "family", "result", "by")
IMAGE = re.compile(r"[0-9a-f]{8,64}\.[a-z]{3,4}")
ONLY_OURS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:",
    "Cache-Control": "no-store",
}


class Viewer:
    """The pages over some stores; `catalogues` are theirs, in the same order."""

    def __init__(self, stores: Sequence[Store], catalogues: Sequence[Catalogue]) -> None:
        self._stores = stores
        self._catalogues = catalogues

    def app(self) -> Starlette:
        """The ASGI application. Its handlers are plain functions, which Starlette runs in threads."""
        one = "/api/episodes/{store:int}/{id}"
        routes = [
            Route("/", lambda _: FileResponse(STATIC / "index.html", headers=ONLY_OURS)),
            Route("/api/episodes", self.page),
            Route(one, self.episode),
            Route(one + "/fellows", self.fellows),
            Route(one + "/images/{name}", self.image),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
        ours = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
        return Starlette(routes=routes, middleware=[ours])

    def page(self, request: Request) -> Response:
        """A page of the rows that pass the filters; `around` names an episode whose page is wanted."""
        asked = {name: request.query_params.get(name, "") for name in (*FILTERS, "q")}
        found, counts = select(self._rows(), asked)
        start = _count(request.query_params.get("start", "0")) // PAGE * PAGE
        around = request.query_params.get("around")
        if around:
            at = next((i for i, (store, row) in enumerate(found) if f"{store}/{row.id}" == around), 0)
            start = at // PAGE * PAGE
        rows = [_listed(store, row) for store, row in found[start : start + PAGE]]
        return JSONResponse(
            {"total": len(found), "start": start, "page": PAGE, "rows": rows, "counts": counts}
        )

    def episode(self, request: Request) -> Response:
        """One episode; one that is broken comes as its row with `broken`, which says why."""
        number, store, id = self._asked(request)
        try:
            episode = store.load(id)
        except StoreError as error:
            return JSONResponse({"store": number, "id": id, "broken": str(error)})
        return JSONResponse({"store": number, "folder": str(store.path), **shown(episode)})

    def fellows(self, request: Request) -> Response:
        """Others of the same family: first those that ended the other way, nearest seeds first."""
        number, _, id = self._asked(request)
        rows = self._rows()
        this = next((row for store, row in rows if (store, row.id) == (number, id)), None)
        if this is None or this.result == "broken":
            return JSONResponse({"opposite": [], "same": []})
        near = sorted(
            (pair for pair in rows if (pair[1].suite, pair[1].family) == (this.suite, this.family)),
            key=lambda pair: (abs(pair[1].seed - this.seed), pair[0], pair[1].id),
        )
        others = [pair for pair in near if pair != (number, this) and pair[1].result != "broken"]
        good = this.result == "success"
        opposite = [_listed(*p) for p in others if (p[1].result == "success") != good]
        same = [_listed(*p) for p in others if (p[1].result == "success") == good]
        return JSONResponse({"opposite": opposite[:FELLOWS], "same": same[:FELLOWS]})

    def image(self, request: Request) -> Response:
        """One screenshot; named by its content, so a browser may keep it for good."""
        _, store, id = self._asked(request)
        name = request.path_params["name"]
        path = store.path / id / "images" / name
        if not IMAGE.fullmatch(name) or not path.is_file():
            raise HTTPException(404, "no such image")
        return FileResponse(path, headers={"Cache-Control": "private, max-age=31536000, immutable"})

    def _rows(self) -> list[tuple[int, Row]]:
        """All rows, each with its store's number; attempts at the same task stand together."""
        rows = [(number, row) for number, c in enumerate(self._catalogues) for row in c.rows()]
        return rows if len(self._catalogues) == 1 else sorted(rows, key=lambda pair: pair[1].place)

    def _asked(self, request: Request) -> tuple[int, Store, str]:
        number, id = request.path_params["store"], request.path_params["id"]
        if number >= len(self._stores) or id not in self._stores[number]:
            raise HTTPException(404, "no such episode")
        return number, self._stores[number], id


def select(
    rows: Sequence[tuple[int, Row]], asked: Mapping[str, str]
) -> tuple[list[tuple[int, Row]], dict[str, dict[str, int]]]:
    """The rows that pass every filter in `asked` (empty: all), and for each filter how many rows each of its
    values would leave while the others stand. `q` is looked for in goal and id, whatever the case."""
    wanted = asked["q"].casefold()
    found = []
    counts: dict[str, Counter[str]] = {name: Counter() for name in FILTERS}
    for store, row in rows:
        if wanted and wanted not in f"{row.goal}\n{row.id}".casefold():
            continue
        failing = [name for name in FILTERS if asked[name] and getattr(row, name) != asked[name]]
        if not failing:
            found.append((store, row))
        if len(failing) < 2:
            for name in failing or FILTERS:
                counts[name][getattr(row, name)] += 1
    return found, {name: dict(sorted(of.items())) for name, of in counts.items()}


def shown(episode: Episode) -> dict[str, Any]:
    """An episode as plain JSON values: a frame for each look, with the step taken on it, if any."""
    result = "error" if episode.ended == "error" else "success" if episode.outcome.success else "failure"
    better = episode.extra.get("better", {})
    frames = [
        {**_look(look), "step": step and _step(step, after, better.get(str(number)))}
        for number, (look, step, after) in enumerate(
            zip_longest(episode.looks, episode.steps, episode.looks[1:])
        )
    ]
    return {
        "id": episode.id,
        "task": episode.task,
        "family": episode.family,
        "goal": episode.goal,
        "result": result,
        "reward": episode.outcome.reward,
        "ended": episode.ended,
        "message": episode.message,
        "policy": episode.policy,
        "model": episode.model,
        "started": episode.started,
        "heldOut": is_held_out(episode.seed),
        "extra": {k: v for k, v in episode.extra.items() if k != "better"},
        "frames": frames,
    }


def _look(look: Observation) -> dict[str, Any]:
    """An observation; its text as the lines before the elements, the elements, and the lines after them."""
    lines = look.text().split("\n")
    first = 2 if len(look.tabs) > 1 else 1
    listed = min(len(look.elements), MAX_ELEMENTS)
    return {
        "url": look.url,
        "viewport": look.viewport,
        "image": None if look.screenshot is None else image_name(look.screenshot),
        "before": lines[:first],
        "elements": [
            {"ref": e.ref, "role": e.role, "line": e.line(), "box": astuple(e.box), "listed": number < listed}
            for number, e in enumerate(look.elements)
        ],
        "after": lines[first + listed :],
    }


def _step(step: Step, after: Observation, better: str | None) -> dict[str, Any]:
    """A step; `better` is what the oracle would have done where a random action was taken."""
    action = step.decision.action
    drawn = marks(step.observation, action)
    return {
        "by": step.by,
        "seconds": step.seconds,
        "name": action.name,
        "action": str(action),
        "said": step.decision.said,
        "valid": step.decision.valid,
        "tokens": [step.decision.prompt_tokens, step.decision.completion_tokens],
        "error": None if action.final else after.error,
        "better": better,
        "boxes": [astuple(box) for box in drawn.boxes],
        "line": drawn.line,
        "words": drawn.words,
    }


def _listed(store: int, row: Row) -> dict[str, Any]:
    return {"store": store, "family": row.family, "seed": row.seed, **asdict(row)}


def _count(text: str) -> int:
    return int(text) if text.isdecimal() else 0
