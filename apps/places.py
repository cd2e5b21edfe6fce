"""Where a session works: what it can be told on the command line, and the page it begins with.

Not covered: what is done there (`session.py`), and a desktop (`desktop.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from apps.undo import Trail
from tools import secrets, settings
from tools.environment import origin

if TYPE_CHECKING:
    from apps.session import Interrupt
    from tools.observation import Observation
    from tools.rules import Rules


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What every session in a browser can be told."""
    parser.add_argument("--url", help="the page to work on; without it the demo help desk is started")
    parser.add_argument("--headed", action="store_true", help="show the browser's window")
    parser.add_argument("--seed", type=int, default=0, help="the help desk's data and look")
    add_working(parser)


def add_working(parser: argparse.ArgumentParser) -> None:
    """What every session at a terminal can be told, wherever it works."""
    parser.add_argument(
        "--yes", action="store_true", help="approve what would be asked (never what is refused)"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object on stdout, and nothing else there"
    )
    parser.add_argument("--max-steps", type=int, default=30, metavar="N", help="actions a task may take")


def misused(args: argparse.Namespace) -> str | None:
    """What is wrong with those, and the mend."""
    url = getattr(args, "url", None)  # a desktop has none
    if url and not _address(url):
        return f"--url {url} is no address; write it as http://host/path"
    if args.max_steps < 1:
        return "--max-steps must be at least 1"
    return None


def _address(url: str) -> bool:
    try:
        return origin(url).startswith(("http://", "https://", "file://"))
    except ValueError:
        return False


@dataclass(frozen=True)
class Place:
    """Where a session works: the first address, the one later tasks begin at, and its short name."""

    enter: str
    home: str
    site: str
    files: str
    own: bool = False  # the person's own screen, where whatever changes something is asked


async def opened_page(
    args: argparse.Namespace, stack: AsyncExitStack, policy: Rules, _interrupt: Interrupt
) -> tuple[Trail, Observation, Place]:
    """A browser at `args.url`, or at a demo help desk started for it. Raises EnvironmentDown."""
    from tools.browser import Browser
    from tools.environment import Start

    browser = Browser(headless=settings.load().headless and not args.headed)
    _, place = await asyncio.gather(stack.enter_async_context(browser), _place(args, stack))
    page = browser.environment()
    trail = Trail(secrets.Discreet(page), lambda: page.writes)
    start = Start(place.enter, (origin(place.enter), *policy.opened), files=place.files)
    return trail, await trail.reset(start), place


async def _place(args: argparse.Namespace, stack: AsyncExitStack) -> Place:
    if args.url:
        # A folder for each site: what one gave is not there to be uploaded to another.
        files = settings.home() / "files" / _named(origin(args.url))
        files.mkdir(parents=True, exist_ok=True)
        site = _named(urlsplit(args.url).hostname or "file")
        return Place(args.url, args.url, site, str(files))
    from trajectories.helpdesk.server import HelpDeskServer

    desk = await stack.enter_async_context(HelpDeskServer(args.seed))
    return Place(desk.home_url, desk.url + "/", "helpdesk", str(desk.files))


def _named(site: str) -> str:
    """A site as a folder's name: letters, digits, dots and dashes."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", site).strip("-")
