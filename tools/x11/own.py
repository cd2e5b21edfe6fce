"""The person's own X11 display, as far as it is one: cookie, bus, and applications started as theirs.

    session = OwnSession.start(":0", Path("files"))

What is opened here stays open afterwards, for it is the person's screen: applications are started with the
person's own environment (less what is secret), and are in no box.

Not covered: who touches it (`watch.py`). Wayland, macOS and Windows (`unsuited` says what is missing there);
each would be another environment beside `tools/own_desktop.py`, as `tools/environment.py` says.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path

from dbus_fast import Message, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import AuthError, InvalidAddressError
from Xlib.display import Display
from Xlib.error import ConnectionClosedError, DisplayError
from Xlib.ext import shape, xinput, xtest

from tools.environment import EnvironmentDown
from tools.x11.session import SEAM, foreign

ANSWER_SECONDS = 5.0
INSTEAD = "without --display a private desktop is used"
WAYLAND = (
    "on Wayland input and screenshots (the desktop's RemoteDesktop and ScreenCast portals, libei) are missing"
    f"; log in to an X11 session; {SEAM}"
)


def unsuited(display: str) -> str:
    """Why this display can't be worked on, and the mend; empty where nothing is known against it."""
    if why := foreign():
        return why
    if display.startswith("wayland"):
        return f"{WAYLAND}; {INSTEAD}"
    said: list[str] = []
    # Xlib waits for ever for a server that says nothing.
    asking = threading.Thread(target=lambda: said.append(_asked(display)), daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    return said[0] if said else f"display {display} does not answer; {INSTEAD}"


def _asked(display: str) -> str:
    try:
        found = connected(display)
    except EnvironmentDown as error:
        return str(error)
    try:
        why = _lacks(found, display)
    finally:
        found.close()
    return f"{why}; {INSTEAD}" if why else ""


def _lacks(display: Display, name: str) -> str:
    # Started from a text console, as sway is, a Wayland session's type stays "tty".
    wayland = os.environ.get("XDG_SESSION_TYPE") == "wayland" or bool(os.environ.get("WAYLAND_DISPLAY"))
    if (wayland and name == os.environ.get("DISPLAY")) or "XWAYLAND" in display.list_extensions():
        return WAYLAND
    needs = {xtest.extname: "input", xinput.extname: "the immediate stop", shape.extname: "the mark"}
    for extension, what in needs.items():
        if not display.has_extension(extension):
            return f"the X server lacks {extension}, which {what} needs"
    depth = display.screen().root_depth
    return "" if depth == 24 else f"the screen has {depth} bits of colour, not 24"


def connected(display: str) -> Display:
    """A connection with the person's cookie (XAUTHORITY, else ~/.Xauthority). Raises EnvironmentDown."""
    try:
        return Display(display)
    except (DisplayError, ConnectionClosedError, OSError) as error:
        _let_go(error)
        where = os.environ.get("XAUTHORITY") or "~/.Xauthority"
        raise EnvironmentDown(
            f"display {display} can't be opened ({_plain(error)}); run it as who is logged in there, "
            f"with XAUTHORITY set to that session's cookie file (now {where})"
        ) from error


def _let_go(error: Exception) -> None:
    """Close the socket of a display that let nobody in: Xlib leaves it open, and its error leads there."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        # A half-made display answers no getattr.
        left = getattr(frame.f_locals.get("self"), "__dict__", {}).get("socket")
        if isinstance(left, socket.socket):
            left.close()


def _plain(error: Exception) -> str:
    return " ".join(str(error).replace("b'", "").replace("\\n'", "").split())


class OwnSession:
    """The display and what was started there. Made by `start`."""

    def __init__(self, display: str, bus: str, home: Path) -> None:
        self.display = display
        self.bus = bus
        self.home = self.inside = home
        self.folder = Path(tempfile.mkdtemp(prefix="shopfloor-own-"))
        self._begun: dict[int, subprocess.Popen[bytes]] = {}
        self._reads: bool | None = None  # whether applications were to be readable before we came

    @classmethod
    async def start(cls, display: str, home: Path) -> OwnSession:
        """Raises EnvironmentDown with what is missing, and the mend."""
        if why := unsuited(display):
            raise EnvironmentDown(why)
        session = cls(display, _bus(), home)
        try:
            session._reads = await _readable(session.bus, True)
        except (OSError, EOFError, AuthError, InvalidAddressError) as error:
            await session.stop()
            raise EnvironmentDown(
                f"the session bus of {display} does not let us in ({error}); run it as who is logged in there"
            ) from error
        return session

    @property
    def exited(self) -> Mapping[int, int]:
        codes = {pid: process.poll() for pid, process in self._begun.items()}
        return {pid: code for pid, code in codes.items() if code is not None}

    @property
    def alive(self) -> bool:
        return True  # as long as the display answers, which is asked for itself

    @property
    def roots(self) -> tuple[int, ...]:
        return tuple(self._begun)

    async def run(self, argv: list[str], out: Path | None = None) -> int:
        """Start an application in the folder of files; its process. Raises EnvironmentDown."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("SHOPFLOOR_")}
        env |= {"DISPLAY": self.display, "DBUS_SESSION_BUS_ADDRESS": self.bus}
        try:
            with open(out or os.devnull, "wb") as written:
                process = subprocess.Popen(
                    argv, cwd=self.home, env=env, stdin=subprocess.DEVNULL, stdout=written,
                    stderr=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            raise EnvironmentDown(f"{argv[0]} does not start: {error.strerror}") from error
        self._begun[process.pid] = process
        return process.pid

    async def end(self, pid: int) -> None:
        """Kill what `run` began; nothing else of the person's."""
        if pid in self._begun:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Leave the display as it was; what was opened stays."""
        for process in self._begun.values():
            if process.poll() is None:
                process.returncode = 0  # it is the person's now, and not ours to wait for
        if self._reads is False:
            with contextlib.suppress(OSError, EOFError, AuthError):
                await _readable(self.bus, False)
        shutil.rmtree(self.folder, ignore_errors=True)


def _bus() -> str:
    """The address of the person's session bus. Raises EnvironmentDown."""
    usual = f"/run/user/{os.getuid()}/bus"
    found = os.environ.get("DBUS_SESSION_BUS_ADDRESS") or (
        f"unix:path={usual}" if os.path.exists(usual) else ""
    )
    if not found:
        raise EnvironmentDown(
            "DBUS_SESSION_BUS_ADDRESS is not set, and applications are read over that bus; "
            "run it in a terminal of that very session"
        )
    return found


async def _readable(address: str, wanted: bool) -> bool:
    """Say on the session bus whether applications are to be readable; what was said before."""
    bus = await MessageBus(bus_address=address).connect()

    async def call(member: str, signature: str, *body: object) -> list[object]:
        reply = await bus.call(
            Message(
                "org.a11y.Bus", "/org/a11y/bus", "org.freedesktop.DBus.Properties", member,
                signature=signature, body=["org.a11y.Status", "IsEnabled", *body],
            )
        )  # fmt: skip
        return list(reply.body) if reply is not None else []

    try:
        said = await call("Get", "ss")
        before = bool(isinstance(said[0], Variant) and said[0].value) if said else False
        if before != wanted:
            await call("Set", "ssv", Variant("b", wanted))
        return before
    finally:
        bus.disconnect()
