"""The seam between an agent and what it works on: a browser, a desktop, a test's fake of neither.

Not covered: what a task is (`trajectories/tasks.py`) and how a browser does it (`browser.py`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, runtime_checkable
from urllib.parse import unquote, urlsplit

from tools.actions import Action
from tools.observation import Observation, Table


@dataclass(frozen=True)
class Start:
    """Where an episode begins.

    `origins` are the origins that may be visited (`http://127.0.0.1:8080`, `file://`); empty means the
    start's own origin only. Of files only those in the start's folder and below are visited. `viewport` is
    width and height in CSS pixels. `files` is the folder that uploads are read from and downloads are written
    to; None means an empty temporary one. With `writes` off nothing but GET and HEAD leaves the browser.
    `session` is who is signed in: cookies and storage as `BrowserEnvironment.session` gives them; it holds
    secrets and belongs in no file.

    On a desktop `url` is an application, `app:mousepad`, with files of the folder after it if any
    (`app:mousepad?notes.txt`); `app:desktop` is an empty one. `origins` are the applications that may be
    opened, `viewport` is the screen, and `files` the home folder that applications find.
    """

    url: str
    origins: tuple[str, ...] = ()
    viewport: tuple[int, int] = (1024, 768)
    files: str | None = None
    writes: bool = True
    session: Mapping[str, Any] | None = field(default=None, repr=False)

    def pixels(self, x: float, y: float) -> tuple[float, float]:
        """The pixel that a point in thousandths of the viewport means."""
        width, height = self.viewport
        # 1000 is the far edge, whose pixel is the last one.
        return min(x * width / 1000, width - 1), min(y * height / 1000, height - 1)


class Environment(Protocol):
    """What every place to work offers. A failed action is no exception: the observation has `error` set."""

    async def reset(self, start: Start) -> Observation:
        """Begin afresh (new cookies, one tab) and look. Raises EnvironmentDown if the start won't open."""
        ...

    async def step(self, action: Action) -> Observation:
        """Do one action, wait until the page has settled, and look."""
        ...

    async def observe(self) -> Observation:
        """Look again without doing anything."""
        ...

    async def tables(self) -> list[Table]:
        """The tables of the page, whole, as scrolling through it would show them; none where it can't say."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Hiding(Protocol):
    """An environment that keeps some words off its pictures and its clipboard itself; `hides` says where in a
    text they stand: from, to."""

    hides: Callable[[str], Iterable[tuple[int, int]]] | None


class Workplace(Protocol):
    """Where environments are had side by side: one browser, or as many desktops. An async context manager."""

    def environment(self) -> Environment: ...

    async def __aenter__(self) -> Workplace: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def beside(url: str, page: str) -> bool:
    """Whether a file's address lies in the folder of another's, or below that."""
    there, here = (posixpath.normpath(unquote(urlsplit(u).path)) for u in (url, page))
    return there.startswith(posixpath.dirname(here).rstrip("/") + "/")


class EnvironmentDown(RuntimeError):
    """The place to work can't be used at all; the message says what to do."""


class ActionFailed(Exception):
    """Why an action could not be done, in words for whoever chose it."""


PORTS = {"http": 80, "https": 443}


def origin(url: str) -> str:
    """Scheme, host and port: `http://127.0.0.1:8000`; `file://` for files; `app:mousepad` on a desktop.

    As browsers write it: small letters, no name or password, no port that goes without saying, other scripts
    in Punycode. Raises ValueError for what is no address.
    """
    split = urlsplit(url)
    if split.scheme == "app":
        return f"app:{split.path}"
    host, port = split.hostname or "", split.port
    if not host.isascii():
        import idna  # its tables are large, and seldom wanted

        host = idna.encode(host, uts46=True).decode()
    host = f"[{host}]" if ":" in host else host
    return f"{split.scheme}://{host}" + ("" if port in (None, PORTS.get(split.scheme)) else f":{port}")
