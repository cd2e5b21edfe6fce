"""The process that a desktop's parts and applications run under, and that leaves none of them behind.

    python -I -S supervisor.py PARENT        (started by `session.py`; the standard library alone)

Everything it starts stays its descendant, for it is a subreaper: what a child leaves behind becomes its own
child. It ends when its standard input does, which is also what the parent's death looks like, SIGKILL
included, and when a part of the desktop does, for the rest is of no use then; it kills all descendants, X
server last, and removes the private folder.

Lines of JSON. In, first what to start with: `{"env", "folder", "size"}` (no size: only applications, on a
display that is there already); then requests `{"id", "run": [...], "cwd", "out"}` and `{"id", "end": pid}`.
Out: `{"display", "bus"}` or `{"failed"}`, then `{"id", "pid"}` or `{"id", "failed"}`; `{"exited", "code"}`.

Not covered: being killed by SIGKILL itself; its own children then die with it, and what those had started is
left to whoever started it (`session.py`).
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from typing import Any

START_SECONDS = 20.0  # for display and bus to be there
STOP_SECONDS = 2.0  # for the X server to take away its lock
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LAUNCHERS = ("/usr/libexec/at-spi-bus-launcher", "/usr/lib/at-spi2-core/at-spi-bus-launcher")
BUS = """<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
"""
# Windows are focused and raised by a click and move by their title; no menus of the desktop's own.
WINDOW_MANAGER = """<openbox_config xmlns="http://openbox.org/3.4/rc">
  <focus><focusNew>yes</focusNew><followMouse>no</followMouse></focus>
  <placement><policy>Smart</policy><center>yes</center></placement>
  <theme><name>Clearlooks</name><titleLayout>LMC</titleLayout><animateIconify>no</animateIconify></theme>
  <desktops><number>1</number><popupTime>0</popupTime></desktops>
  <resize><popupShow>Never</popupShow></resize>
  <keyboard>
    <keybind key="A-F4"><action name="Close"/></keybind>
  </keyboard>
  <mouse>
    <dragThreshold>4</dragThreshold><doubleClickTime>400</doubleClickTime>
    <context name="Titlebar">
      <mousebind button="Left" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
      <mousebind button="Left" action="Drag"><action name="Move"/></mousebind>
      <mousebind button="Left" action="DoubleClick"><action name="ToggleMaximize"/></mousebind>
    </context>
    <context name="Client">
      <mousebind button="Left" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
      <mousebind button="Right" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
    </context>
    <context name="Close">
      <mousebind button="Left" action="Click"><action name="Close"/></mousebind>
    </context>
    <context name="Maximize">
      <mousebind button="Left" action="Click"><action name="ToggleMaximize"/></mousebind>
    </context>
  </mouse>
  <applications>
    <application type="dialog"><position force="no"><x>center</x><y>center</y></position></application>
  </applications>
</openbox_config>
"""


class Failed(Exception):
    """A part that does not start; the message says which and how."""


class Supervisor:
    """What is running, by process id, and how to end all of it."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.env: dict[str, str] = config["env"]
        self.folder: str = config["folder"]
        self.size: list[int] | None = config.get("size")
        self.children: dict[int, subprocess.Popen[bytes]] = {}
        self.display: int | None = None
        self.server: int | None = None  # the X server's process
        self.parts: set[int] = set()  # the processes without which there is no desktop

    def begin(self) -> dict[str, str]:
        """Start display, bus, accessibility and window manager; their addresses. Raises Failed."""
        if self.size is None:
            return {"display": self.env["DISPLAY"], "bus": self.env["DBUS_SESSION_BUS_ADDRESS"]}
        width, height = self.size
        config = os.path.join(self.folder, "bus.conf")
        with open(config, "w") as file:
            file.write(BUS.format(path=os.path.join(self.folder, "bus")))
        screen = ("-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp", "-noreset", "-dpi", "96")
        display = self._asking("Xvfb", "-displayfd", "{}", *screen)
        bus = self._asking("dbus-daemon", f"--config-file={config}", "--nofork", "--print-address={}")
        self.server = display[0].pid
        self.display = int(self._answer(*display))
        self.env["DISPLAY"] = f":{self.display}"
        self.env["DBUS_SESSION_BUS_ADDRESS"] = self._answer(*bus)
        launcher = next((path for path in LAUNCHERS if os.path.exists(path)), LAUNCHERS[0])
        self.start([launcher, "--launch-immediately", "--a11y=1", "--screen-reader=1"])
        rules = os.path.join(self.folder, "openbox.xml")
        with open(rules, "w") as file:
            file.write(WINDOW_MANAGER)
        self.start(["openbox", "--config-file", rules, "--sm-disable"])
        self.parts = {*self.children}
        return {"display": self.env["DISPLAY"], "bus": self.env["DBUS_SESSION_BUS_ADDRESS"]}

    def start(
        self, argv: list[str], cwd: str | None = None, out: str | None = None, fds: tuple[int, ...] = ()
    ) -> subprocess.Popen[bytes]:
        """A child that dies with us, its output in the file `out`. Raises Failed."""
        try:
            with open(out or os.devnull, "wb") as written:
                child = subprocess.Popen(
                    argv,
                    env=self.env,
                    cwd=cwd or self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=written,
                    stderr=subprocess.DEVNULL,
                    pass_fds=fds,
                    preexec_fn=_die_with_parent,
                )
        except OSError as error:
            raise Failed(f"{argv[0]} does not start: {error.strerror}") from error
        self.children[child.pid] = child
        return child

    def _asking(self, *argv: str) -> tuple[subprocess.Popen[bytes], int, str]:
        """A child that writes its address into a pipe, and the pipe's other end."""
        read, write = os.pipe()
        try:
            child = self.start([word.format(write) for word in argv], fds=(write,))
        finally:
            os.close(write)
        return child, read, argv[0]

    def _answer(self, child: subprocess.Popen[bytes], pipe: int, name: str) -> str:
        """The line that a child writes once it is ready."""
        until = time.monotonic() + START_SECONDS
        text = b""
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
            data = os.read(pipe, 4096) if ready else b""
            if not data:
                raise Failed(f"{name} does not start" + ("" if ready else f" within {START_SECONDS:g} s"))
            text += data
        os.close(pipe)
        return text.decode().strip()

    def serve(self) -> None:
        """Do what is asked until the input ends, a part of the desktop does, or a signal says so."""
        wake, waker = os.pipe()
        for end in (wake, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        ended: list[int] = []
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.append(1))
        left = b""
        self._reap()
        while not ended and self.parts <= self.children.keys():
            ready, _, _ = select.select([0, wake], [], [])
            if wake in ready:
                os.read(wake, 4096)
                self._reap()
            if 0 in ready:
                data = os.read(0, 65536)
                if not data:
                    return
                *lines, left = (left + data).split(b"\n")
                for line in lines:
                    self._do(json.loads(line))

    def _do(self, request: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"id": request["id"]}
        if "run" in request:
            try:
                answer["pid"] = self.start(request["run"], request.get("cwd"), request.get("out")).pid
            except Failed as error:
                answer["failed"] = str(error)
        else:
            for pid in [request["end"], *_descendants(request["end"])]:
                _kill(pid, signal.SIGKILL)
        say(answer)

    def _reap(self) -> None:
        """Wait for every process that has ended, ours or left to us."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self.children.pop(pid, None) is not None:
                say({"exited": pid, "code": os.waitstatus_to_exitcode(status)})

    def end(self) -> None:
        """Kill all descendants, the X server last and gently, and remove the private folder."""
        until = time.monotonic() + 5
        while time.monotonic() < until:
            others = [pid for pid in _descendants(os.getpid()) if pid != self.server]
            for pid in others:
                _kill(pid, signal.SIGKILL)
            if not others:
                break
            self._bury(0.02)
        if self.server is not None:
            _kill(self.server, signal.SIGTERM)
            until = time.monotonic() + STOP_SECONDS
            while time.monotonic() < until and self.server in _descendants(os.getpid()):
                self._bury(0.01)
            _kill(self.server, signal.SIGKILL)
        self._unlock()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _unlock(self) -> None:
        """Remove what an X server leaves that was killed. One that ended by itself has, and then the number
        may be another desktop's already."""
        lock = f"/tmp/.X{self.display}-lock"
        try:
            with open(lock) as file:
                owner = int(file.read())
        except (OSError, ValueError):
            return
        if owner == self.server:
            for left in (f"/tmp/.X11-unix/X{self.display}", lock):
                try:
                    os.unlink(left)
                except FileNotFoundError:
                    continue

    def _bury(self, seconds: float) -> None:
        time.sleep(seconds)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return


def _descendants(root: int) -> list[int]:
    """The processes below one, as /proc shows them now; those that are only waited for are none."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat") as file:
                    state, parent = file.read().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                parents.setdefault(int(parent), []).append(int(name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _die_with_parent() -> None:
    """In a child, before it becomes the program: its own session, and no life after ours."""
    os.setsid()
    _libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@cache
def _libc() -> ctypes.CDLL:
    """Linux's; not loaded by whoever only imports this, on whatever system."""
    return ctypes.CDLL(None)


def say(line: dict[str, Any]) -> None:
    """One line to the parent; one that has gone reads nothing, and the end of the input follows."""
    try:
        os.write(1, json.dumps(line).encode() + b"\n")
    except BrokenPipeError:
        return


def main() -> None:
    _libc().prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    first = b""
    while not first.endswith(b"\n"):
        data = os.read(0, 1)  # to the end of the line and no further
        if not data:
            return
        first += data
    supervisor = Supervisor(json.loads(first))
    try:
        try:
            say(supervisor.begin())
        except (Failed, ValueError) as error:
            say({"failed": str(error)})
            return
        supervisor.serve()
    finally:
        supervisor.end()


if __name__ == "__main__":
    main()
    sys.exit(0)
