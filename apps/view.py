"""`shopfloor view`: look through episodes in a browser, step by step, or a good and a bad one side by side.

    shopfloor view data/helpdesk
    shopfloor view data/helpdesk runs/eval-nano      # demonstrations and a model's attempts in one list
    shopfloor view --animate run.webp .shopfloor/episodes/chat-…     # one episode as an animated picture

A folder is what `shopfloor generate` or `shopfloor eval` was given as `--out`, or a store of episodes itself;
the chat's are in `episodes` in the state folder. It serves on loopback only and changes no episode; new ones
appear as they are made. Ctrl-C stops it. Exit codes: 0 stopped; 1 there is nothing to look at; 2 wrong use.

`--animate` serves nothing: it writes an animated picture of the one episode whose folder is given.

Not covered: what the page shows (`viewer/`), and showing it to other machines (use an SSH tunnel).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trajectories.catalogue import Catalogue
    from trajectories.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", nargs="+", metavar="DIR", type=Path, help="folders with episodes")
    parser.add_argument("--port", type=int, default=0, metavar="P", help="port on loopback (a free one)")
    parser.add_argument("--no-open", action="store_true", help="don't open a browser")
    parser.add_argument(
        "--animate", metavar="FILE", type=Path, help="write an episode as FILE, .webp or .gif, instead"
    )
    parser.add_argument(
        "--json", action="store_true", help="print url and episodes as one JSON object; no browser"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    from trajectories.store import Store, StoreError, store_path

    if args.animate is not None:
        return _animate(args)
    try:
        paths = [store_path(folder) for folder in args.folders]
        if empty := [str(path) for path in paths if not any(path.glob("*/episode.json"))]:
            print(f"shopfloor view: no episodes in {', '.join(empty)}; generate some first", file=sys.stderr)
            return 1
        stores = [Store(path) for path in paths]
        listener = socket.create_server(("127.0.0.1", args.port))
    except (FileNotFoundError, NotADirectoryError, StoreError) as error:
        print(f"shopfloor view: {error}", file=sys.stderr)
        return 2
    except (OSError, OverflowError) as error:
        wrong = getattr(error, "strerror", None) or error
        print(
            f"shopfloor view: can't listen on port {args.port} ({wrong}); leave --port out", file=sys.stderr
        )
        return 2
    with listener:
        _serve(stores, listener, args)
    return 0


def _animate(args: argparse.Namespace) -> int:
    """Write one episode as an animated picture."""
    from apps.viewer.animation import NoPictures, save
    from trajectories.store import Store, StoreError

    folder = args.folders[0].absolute()
    if len(args.folders) > 1 or not (folder / "episode.json").is_file():
        print(
            "shopfloor view: --animate takes one episode's folder, in which episode.json lies",
            file=sys.stderr,
        )
        return 2
    try:
        frames = save(Store(folder.parent).load(folder.name), args.animate)
    except (NoPictures, OSError) as error:
        print(f"shopfloor view: {error}", file=sys.stderr)
        return 2
    except StoreError as error:
        print(f"shopfloor view: {error}", file=sys.stderr)
        return 1
    made = {"animation": str(args.animate), "frames": frames, "bytes": args.animate.stat().st_size}
    said = (
        json.dumps(made) if args.json else f"{frames} frames, {made['bytes'] / 1024:.0f} KiB: {args.animate}"
    )
    print(said, file=sys.stdout if args.json else sys.stderr)
    return 0


def _serve(stores: list[Store], listener: socket.socket, args: argparse.Namespace) -> None:
    import uvicorn

    from apps.viewer.app import Viewer

    catalogues = _read(stores)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    episodes = sum(len(catalogue.rows()) for catalogue in catalogues)
    if args.json:  # the port has been listening for a while, so who reads this may ask at once
        print(json.dumps({"url": url, "episodes": episodes}), flush=True)
    else:
        print(f"{episodes} episodes at {url}; Ctrl-C stops it", file=sys.stderr)
        if not args.no_open and _has_display():
            webbrowser.open(url)
    app: Any = Viewer(stores, catalogues).app()
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again after a clean stop
        uvicorn.Server(config).run(sockets=[listener])


def _read(stores: list[Store]) -> list[Catalogue]:
    """The stores' catalogues, read with a progress line for people who have to wait."""
    from rich.console import Console
    from rich.progress import Progress

    from trajectories.catalogue import Catalogue

    catalogues = [Catalogue(store) for store in stores]
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for store, catalogue in zip(stores, catalogues, strict=True):
            bar = progress.add_task(f"reading {store.path}")

            def show(done: int, total: int, bar: Any = bar) -> None:
                progress.update(bar, completed=done, total=total)

            catalogue.rows(show)
    return catalogues


def _has_display() -> bool:
    """Whether a browser's window could be seen here; without one, `webbrowser` may take over the terminal."""
    return sys.platform in ("darwin", "win32") or any(
        os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY")
    )
