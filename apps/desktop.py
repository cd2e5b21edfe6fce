"""`shopfloor desktop`: give the team a task on a Linux desktop, as `shopfloor chat` does in a browser.

    shopfloor desktop "Compute 12*7 and save the result as result.txt"
    shopfloor desktop --app mousepad "Write \"Dear Ada\" and save it as letter.txt"
    shopfloor desktop --files ~/reports < tasks.txt
    shopfloor desktop --display :0 "Compute 12*7"       # on your own screen

The desktop is a private one, started for this command and gone after it; the person's own screen is touched
only with `--display`. Applications find one folder as their home, `--files`, and what they save there stays.
What can't be undone is asked first, and so is every command line in a terminal. Opened by name are the
applications of `tools/x11/applications.py` but terminals, and those that `policy.toml` approves, as
`["app:xterm"]`.

On the person's own screen a frame is shown while the team acts, any key and any touch of the mouse hands over
at once, and whatever changes something is asked first unless `--yes` is given, or `policy.toml` approves it.
What was opened there stays open, and applications are the person's: not boxed in, with the person's own home.

Not covered: Wayland, macOS and Windows (`tools/x11/own.py`); what the team does (`agents/team.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from apps import chat
from apps.places import Place, add_working
from apps.session import Interrupt
from tools import settings

if TYPE_CHECKING:
    from apps.undo import Trail
    from tools.observation import Observation
    from tools.rules import Rules
    from tools.x11.watch import Watch

WRITING_SECONDS = 1.0  # for applications to write what they were told to save last


def add_arguments(parser: argparse.ArgumentParser) -> None:
    chat.add_talking(parser)
    add_desktop(parser)
    parser.add_argument(
        "--display",
        metavar="NAME",
        help="work on this X11 display, your own screen, such as :0 (a private one)",
    )
    add_working(parser)


def add_desktop(parser: argparse.ArgumentParser) -> None:
    """What is there at the start."""
    parser.add_argument("--app", metavar="NAME", help="the application open at the start (none)")
    parser.add_argument(
        "--files",
        metavar="DIR",
        type=Path,
        help="the folder that applications find as their home (the state folder's files/desktop)",
    )


def misused(args: argparse.Namespace) -> str | None:
    """What is wrong with that, and the mend."""
    from tools.x11.applications import APPLICATIONS

    if args.app and args.app not in APPLICATIONS:
        return f"no application {args.app!r}; there are {', '.join(APPLICATIONS)}"
    if args.files is not None and not args.files.is_dir():
        return f"--files {args.files} is no folder; make it first"
    return None


def run(args: argparse.Namespace) -> int:
    from tools.x11.session import foreign

    if problem := misused(args):
        print(f"shopfloor desktop: {problem}", file=sys.stderr)
        return 2
    why = foreign()
    if args.display is not None and not why:
        from tools.x11.own import unsuited

        why = unsuited(args.display)
    if why:
        print(f"shopfloor desktop: {why}", file=sys.stderr)
        return 1
    return chat.converse(args, opened_desktop, "desktop and model")


async def opened_desktop(
    args: argparse.Namespace, stack: AsyncExitStack, policy: Rules, interrupt: Interrupt
) -> tuple[Trail, Observation, Place]:
    """A desktop with `args.app` on it: a private one, or the person's. Raises EnvironmentDown."""
    from apps.undo import Trail
    from tools import secrets
    from tools.desktop import Desktops
    from tools.environment import Start
    from tools.own_desktop import OwnDesktop, OwnDesktops
    from tools.x11.applications import DESKTOP, HARMLESS

    files = args.files or settings.home() / "files" / "desktop"
    files.mkdir(parents=True, exist_ok=True)
    enter = f"app:{args.app}" if args.app else DESKTOP
    apps = (*(f"app:{name}" for name in HARMLESS), *policy.opened, enter)
    allowed = tuple(app for app in dict.fromkeys(apps) if policy.ruling(app, "read") != "refuse")
    own = args.display is not None
    desktops = await stack.enter_async_context(OwnDesktops(args.display) if own else Desktops())
    env = desktops.environment()
    trail = Trail(secrets.Discreet(env), lambda: _saved(files))
    look = await trail.reset(Start(enter, allowed, files=str(files)))
    if isinstance(env, OwnDesktop):
        _watched(env.watch, interrupt)
    else:  # before its applications are closed
        stack.push_async_callback(asyncio.sleep, WRITING_SECONDS)
    return trail, look, Place(enter, DESKTOP, "desktop", str(files), own)


def _watched(watch: Watch, interrupt: Interrupt) -> None:
    """The person's touch hands over, while the team works."""
    loop = asyncio.get_running_loop()

    def acts(acting: bool) -> None:
        if acting:
            watch.begin()
        else:
            watch.rest()

    def touched(how: str) -> None:  # from the watch's thread
        with suppress(RuntimeError):  # it is all over
            loop.call_soon_threadsafe(interrupt.touched, how)

    interrupt.acts, watch.touched = acts, touched


def _saved(files: Path) -> int:
    """When something was last written there: a step after which that is later can't be undone."""
    latest = 0
    with suppress(OSError):  # the folder itself has gone
        for path in (files, *files.iterdir()):
            with suppress(OSError):  # an application's own, gone meanwhile; a link in a circle
                latest = max(latest, path.stat().st_mtime_ns)
    return latest
