"""`shopfloor explore`: what can be done in an app, found by trying, each as a verified demonstration.

    shopfloor explore http://127.0.0.1:8102/
    shopfloor explore http://127.0.0.1:8101/admin/ --sign-in admin.signin --allow-writes --reset 'cp
    start.db app.db'
    shopfloor explore app:galculator --pages 12

Of a web app it stays within the origin. Without `--allow-writes` nothing but GET and HEAD leaves the browser;
what can't be undone is done only with `--reset` as well, a shell command that puts the app back. A sign-in is
a program with `{{NAME}}` for each secret, whose value is taken from SHOPFLOOR_SECRET_NAME and kept nowhere.

A desktop application is explored on private desktops, which are thrown away. Its pages are its states (which
menus, windows and tabs are open); closing, printing, saving and deleting want `--allow-writes`.

The map is kept in the state folder after each page: killed and started again with the same words, it goes on,
and with more `--pages` it goes further. `shopfloor generate URL` and `eval URL` then use it. Exit codes: 0
done; 1 the work failed and says why; 2 wrong use; 130 interrupted.

Not covered: web apps whose pages have no addresses of their own; terminals.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.clients import ChatModel
    from trajectories.explore.exploring import Exploring
    from trajectories.explore.site import Access, Site

PAGES = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL|app:NAME", help="where the app begins")
    parser.add_argument(
        "--sign-in", metavar="FILE", help="a program that signs in, with {{NAME}} for secrets"
    )
    parser.add_argument(
        "--allow-writes", action="store_true", help="submit forms; close, save, print, delete"
    )
    parser.add_argument("--reset", metavar="CMD", help="a shell command that puts the app back as it was")
    parser.add_argument(
        "--pages", type=int, default=PAGES, metavar="N", help=f"pages walked in all ({PAGES})"
    )
    parser.add_argument("--minutes", type=float, metavar="M", help="stop after so long (never)")
    parser.add_argument("--again", action="store_true", help="forget what was found before")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    from trajectories.explore.site import SiteError

    if args.pages < 1 or (args.minutes is not None and args.minutes <= 0):
        print("shopfloor explore: --pages and --minutes are more than 0", file=sys.stderr)
        return 2
    try:
        site = open_site(args.url, access_of(args), args.again)
    except (SiteError, OSError) as error:
        print(f"shopfloor explore: {error}", file=sys.stderr)
        return 2
    code, wrong = 0, ""
    begun = time.monotonic()
    try:
        if not asyncio.run(explore(site, args.pages, args.minutes)):
            code, wrong = 130, "interrupted; the map is kept, start again to go on"
    except SiteError as error:
        code, wrong = 1, str(error)
    told = summary(site) | {"seconds": round(time.monotonic() - begun, 1)}
    if wrong:
        told["error"] = wrong
        print(f"shopfloor explore: {wrong}", file=sys.stderr)
    if args.json:
        print(json.dumps(told))
    else:
        _show(told)
    return code


def access_of(args: argparse.Namespace) -> Access | None:
    """How the site may be used, as the command line says; None where it says nothing. Raises SiteError."""
    from trajectories.explore.door import check_sign_in
    from trajectories.explore.site import Access, SiteError

    if args.reset and not args.allow_writes:
        raise SiteError("--reset is for what --allow-writes lets be written; give both")
    if args.url.startswith("app:") and (args.sign_in or args.reset):
        raise SiteError("an application takes no --sign-in and no --reset: each desktop is a new one")
    if not (args.sign_in or args.allow_writes):
        return None
    sign_in = Path(args.sign_in).read_text(encoding="utf-8") if args.sign_in else ""
    check_sign_in(sign_in)
    return Access(args.url, sign_in, args.allow_writes, args.reset or "")


def open_site(url: str, access: Access | None, again: bool = False) -> Site:
    """The map made before, to go on with, or an empty one. Raises SiteError where it was made with another
    access than the one given."""
    from trajectories.explore.site import Access, Site, SiteError, map_file

    if url.startswith("app:"):
        _check_application(url)
    elif not url.startswith(("http://", "https://")):
        raise SiteError(f"{url!r} is no address; write it as http://host:port/, or app:NAME")
    if again or not map_file(url).exists():
        return Site(access or Access(url))
    site = Site.load(url)
    if access is not None and access != site.access:
        raise SiteError(
            f"{url} was explored with another sign-in, --allow-writes or --reset; add --again to start over"
        )
    return site


def _check_application(url: str) -> None:
    """Raises SiteError for what is no application's address, or can't be explored here."""
    from tools.x11.applications import APPLICATIONS, HARMLESS
    from trajectories.explore.site import SiteError

    name = url.removeprefix("app:")
    if name not in HARMLESS:
        why = "runs commands and is not explored" if name in APPLICATIONS else "is not known"
        raise SiteError(f"{url} {why}; there are {', '.join(f'app:{n}' for n in HARMLESS)}")
    if not APPLICATIONS[name].there:
        raise SiteError(f"{name} is not installed; as root: apt-get install {APPLICATIONS[name].package}")


async def explore(site: Site, pages: int = PAGES, minutes: float | None = None) -> bool:
    """Walk the site, with progress on stderr; False where it was interrupted, which ends it after what is
    being tried. A second interrupt ends it at once. Raises SiteError, EnvironmentDown."""
    from rich.console import Console

    from agents.clients import ChatModel
    from trajectories.goals import teacher_endpoint

    console = Console(stderr=True, highlight=False)
    endpoint = teacher_endpoint()
    teacher = ChatModel(endpoint, timeout=60, retries=1) if endpoint else None
    deadline = time.monotonic() + minutes * 60 if minutes else float("inf")
    stopped = asyncio.Event()

    def stop(number: int) -> None:
        stopped.set()
        asyncio.get_running_loop().remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        async with _walk(
            site, teacher, lambda said: console.print(said, markup=False, soft_wrap=True)
        ) as walk:
            await walk.go(pages, lambda: stopped.is_set() or time.monotonic() > deadline)
    finally:
        if teacher is not None:
            await teacher.close()
    return not stopped.is_set()


@asynccontextmanager
async def _walk(
    site: Site, teacher: ChatModel | None, note: Callable[[str], None]
) -> AsyncIterator[Exploring[Any]]:
    """The walk of a site in a browser, or of an application on desktops, which are there meanwhile."""
    if site.access.url.startswith("app:"):
        from tools.desktop import Desktops
        from trajectories.applications.walk import Walk as ApplicationWalk

        async with Desktops() as desktops:
            yield ApplicationWalk(site, desktops.environment(), desktops.environment(), teacher, note)
        return
    from tools.browser import Browser
    from trajectories.explore.walk import Walk

    async with Browser() as browser:
        yield Walk(site, browser.environment(), teacher, note)


def summary(site: Site) -> dict[str, Any]:
    """What was found, by kind; `survived` is the share of what was replayed that showed the same effect."""
    kinds = {kind: dict(counts) for kind, counts in sorted(site.counts.items()) if counts["tried"]}
    tried = sum(counts["tried"] for counts in site.counts.values())
    kept = sum(counts["kept"] for counts in site.counts.values())
    return {
        "url": site.access.url,
        "pages": len(site.walked),
        "pages_left": len(site.queue),
        "links": len(site.links),
        "kinds": kinds,
        "pruned": sum(counts["pruned"] for counts in site.counts.values()),
        "relabelled": sum(counts["relabelled"] for counts in site.counts.values()),
        "tried": tried,
        "kept": kept,
        "survived": round(kept / tried, 4) if tried else 0.0,
    }


def _show(told: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True)
    table = Table("kind", "replayed", "kept")
    for kind, counts in told["kinds"].items():
        table.add_row(kind, str(counts["tried"]), str(counts.get("kept", 0)))
    console.print(table)
    console.print(
        f"{told['pages']} pages walked, {told['pages_left']} left; {told['kept']} of {told['tried']} "
        f"demonstrations survived replay ({told['survived']:.0%}); {told['pruned']} attempts did nothing "
        f"that can be seen again\nnext: shopfloor generate {told['url']} --episodes 500 --out data/site",
        highlight=False,
    )
