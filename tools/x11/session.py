"""A private desktop: display, session bus, accessibility, window manager, applications, one folder.

    session = await Session.start((1024, 768), home)
    pid = await session.run(["mousepad", "notes.txt"])
    await session.stop()

Any number may run side by side; each has its display number from its own X server and a home of its own. All
processes are a supervisor's (`supervisor.py`), so none is left when this process dies, however it dies.
Nothing of the person's environment is inherited: what an application finds is the same everywhere.

Where bubblewrap works, applications are boxed in: they find the home folder at one place (`/home/me`), may
write there, and in folders of their own of the session's, and nowhere else; they see neither other processes
nor other displays, nor the folders in `HIDDEN`, where people keep their files, and have no network. What lies
elsewhere, such as in `/opt` or `/data`, they can read as far as this user can.

Not covered: what is on the desktop (`accessibility.py`, `windows.py`), which applications may be launched
(`applications.py`), keeping other local users off the display (X's own rule: local users may connect).
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from tools.environment import EnvironmentDown
from tools.x11.supervisor import LAUNCHERS

SUPERVISOR = Path(__file__).with_name("supervisor.py")
PARTS = {"Xvfb": "xvfb", "openbox": "openbox", "dbus-daemon": "dbus-daemon"}  # program: Debian package
LOOKS = {  # file: Debian package
    "/usr/share/icons/Adwaita/index.theme": "adwaita-icon-theme",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf": "fonts-dejavu-core",
}
SEAM = "the seam for it is an Environment (tools/environment.py) beside tools/own_desktop.py"
LACKING = {
    "darwin": "on macOS reading (the AX API) and input (CGEvent) are missing",
    "win32": "on Windows reading (UI Automation) and input (SendInput) are missing",
}
INSIDE = "/home/me"  # where boxed applications find their home
# Empty in the box, where they exist, as is whatever folder is the person's home.
HIDDEN = ("/tmp", "/home", "/root", "/run", "/var/tmp", "/mnt", "/media", "/srv")
OWN = ("run", "config", "cache", "data", "state", "tmp")  # applications' own, in the session's folder
SOCKETS = "/tmp/.X11-unix"
START_SECONDS = 30.0
STOP_SECONDS = 10.0
# Repeatable pixels: no blinking caret, no animation, one font, one theme.
GTK = """[Settings]
gtk-cursor-blink=0
gtk-enable-animations=0
gtk-theme-name=Adwaita
gtk-icon-theme-name=Adwaita
gtk-font-name=DejaVu Sans 10
gtk-recent-files-enabled=0
"""
# What would show in pictures and titles and is of this machine, or of the hour.
SETTINGS = """[org/xfce/mousepad/preferences/window]
path-in-title=false
always-show-tabs=false

[org/gtk/settings/file-chooser]
startup-mode='cwd'
sort-directories-first=true
"""


def foreign() -> str:
    """What is missing to work on a desktop of this system, and where that would go; empty on Linux."""
    if sys.platform == "linux":
        return ""
    return f"{LACKING.get(sys.platform, f'{sys.platform} is not Linux with X11')}; {SEAM}"


def missing() -> list[str]:
    """The Debian packages that a private desktop lacks here, of its own parts."""
    lacking = [package for program, package in PARTS.items() if shutil.which(program) is None]
    if not any(os.path.exists(path) for path in LAUNCHERS):
        lacking.append("at-spi2-core")
    return lacking + [package for path, package in LOOKS.items() if not os.path.exists(path)]


def box(folder: Path, home: Path, display: str) -> list[str]:
    """The beginning of a command line that boxes in what follows; bubblewrap must be there.

    Of X's sockets it has that of `display`, if any: another is a person's screen, or a desktop beside this
    one, where X lets in whoever this user is, and whoever is let in types into its windows.
    """
    argv = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--unshare-pid", "--proc", "/proc"]
    for hidden in dict.fromkeys((*HIDDEN, os.path.realpath(os.path.expanduser("~")))):
        argv += ["--tmpfs", hidden] if os.path.isdir(hidden) and hidden != "/" else []
    argv += ["--ro-bind", str(folder), str(folder)]
    if display:
        own = f"{SOCKETS}/X{display.removeprefix(':')}"
        argv += ["--ro-bind-try", own, own]
    for name in OWN:
        argv += ["--bind-try", str(folder / name), str(folder / name)]
    argv += ["--bind", str(home), INSIDE, "--setenv", "HOME", INSIDE, "--chdir", INSIDE]
    return [*argv, "--unshare-net", "--die-with-parent", "--new-session"]


@cache
def boxes() -> bool:
    """Whether applications can be boxed in here: bubblewrap is there, and the kernel lets it."""
    if shutil.which("bwrap") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        tried = [*box(Path(folder), Path(folder), ""), "true"]
        return subprocess.run(tried, capture_output=True, timeout=30).returncode == 0


class Session:
    """What runs, and where. Made by `start`."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home
        self.inside = Path(INSIDE) if boxes() else home  # the home folder as applications see it
        self.display = ""
        self.bus = ""
        self.exited: dict[
            int, int
        ] = {}  # exit codes by process, as far as they are known; negative: a signal
        self._process = process
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._asked = 0
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, size: tuple[int, int], home: Path | None = None) -> Session:
        """A desktop of `size` pixels whose applications find `home` as theirs; None: an empty one of its own.

        Raises EnvironmentDown, with the packages that are missing.
        """
        if why := foreign():
            raise EnvironmentDown(why)
        if lacking := missing():
            raise EnvironmentDown(f"no desktop can be started; as root: apt-get install {' '.join(lacking)}")
        folder = Path(tempfile.mkdtemp(prefix="shopfloor-desktop-"))
        home = home or folder / "home"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(SUPERVISOR),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True, cwd="/",
        )  # fmt: skip
        session = cls(process, folder, home)
        try:
            await asyncio.wait_for(session._begin(size), START_SECONDS)
        except BaseException as error:
            await session.stop()
            if isinstance(error, TimeoutError):
                raise EnvironmentDown(f"no desktop started within {START_SECONDS:g} s; try again") from error
            raise
        return session

    async def _begin(self, size: tuple[int, int]) -> None:
        config = {"env": _environment(self.folder, self.home), "folder": str(self.folder), "size": size}
        self._send(config)
        assert self._process.stdout is not None
        said = json.loads(await self._process.stdout.readline() or '{"failed": "it ended at once"}')
        if "failed" in said:
            raise EnvironmentDown(f"no desktop can be started: {said['failed']}; see `shopfloor doctor`")
        self.display, self.bus = said["display"], said["bus"]
        self._reading = asyncio.create_task(self._read())

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and self._reading is not None and not self._reading.done()

    @property
    def roots(self) -> tuple[int, ...]:
        """The processes that all others here descend from."""
        return (self._process.pid,)

    async def run(self, argv: list[str], out: Path | None = None) -> int:
        """Start an application in the home folder, what it prints going to the file `out`; its process id.

        Raises EnvironmentDown where it can't be started.
        """
        if boxes():
            argv = [*box(self.folder, self.home, self.display), *argv]
        request: dict[str, Any] = {"run": argv, "cwd": str(self.home), "out": str(out) if out else None}
        answer = await self._ask(request)
        if "failed" in answer:
            raise EnvironmentDown(answer["failed"])
        return int(answer["pid"])

    async def end(self, pid: int) -> None:
        """Kill a process of this desktop with all below it."""
        await self._ask({"end": pid})

    async def stop(self) -> None:
        """End everything; returns when all of it is gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading
        if self._process.returncode:  # it was killed, and may have left some behind
            self._sweep()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _sweep(self) -> None:
        """Kill whatever was started with this session's folders."""
        import psutil

        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("XDG_RUNTIME_DIR") == str(self.folder / "run"):
                    process.kill()

    def _send(self, line: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if not self.alive:
            raise EnvironmentDown("the desktop has ended")
        self._asked += 1
        answer = self._waiting[self._asked] = asyncio.get_running_loop().create_future()
        self._send({"id": self._asked, **request})
        return await answer

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if "exited" in said:
                self.exited[said["exited"]] = said["code"]
            elif (waiting := self._waiting.pop(said["id"], None)) is not None and not waiting.done():
                waiting.set_result(said)
        for left in self._waiting.values():
            if not left.done():
                left.set_exception(EnvironmentDown("the desktop has ended"))


def _environment(folder: Path, home: Path) -> dict[str, str]:
    """What applications find set, and the folders that it names, made."""
    own = {name: folder / name for name in OWN}
    for path in (*own.values(), home):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for version in ("gtk-3.0", "gtk-4.0"):
        (own["config"] / version).mkdir()
        (own["config"] / version / "settings.ini").write_text(GTK, encoding="utf-8")
    (own["config"] / "glib-2.0" / "settings").mkdir(parents=True)
    (own["config"] / "glib-2.0" / "settings" / "keyfile").write_text(SETTINGS, encoding="utf-8")
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/games",
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(own["run"]),
        "XDG_CONFIG_HOME": str(own["config"]),
        "XDG_CACHE_HOME": str(own["cache"]),
        "XDG_DATA_HOME": str(own["data"]),
        "XDG_STATE_HOME": str(own["state"]),
        "TMPDIR": str(own["tmp"]),
        "GDK_BACKEND": "x11",
        "GTK_MODULES": "gail:atk-bridge",  # GTK 2; later ones have it built in
        "GTK_IM_MODULE": "gtk-im-context-simple",
        "GTK_USE_PORTAL": "0",
        "GIO_USE_VFS": "local",
        "GIO_USE_VOLUME_MONITOR": "unix",
        "GSETTINGS_BACKEND": "keyfile",
        "QT_QPA_PLATFORM": "xcb",
        "QT_LINUX_ACCESSIBILITY_ALWAYS_ON": "1",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "NO_AT_SPI_WARNINGS": "1",
    }
