"""The person's own display: a virtual one plays it, with a hand's devices beside XTest's."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image
from Xlib.display import Display
from Xlib.ext import xinput, xtest
from Xlib.protocol import rq

from tools.actions import parse
from tools.environment import ActionFailed, EnvironmentDown, Start
from tools.own_desktop import OwnDesktop, OwnDesktops
from tools.x11 import own
from tools.x11.input import Halted
from tools.x11.session import Session, missing
from tools.x11.watch import COLOUR, Watch

LACKING = [*missing(), *(name for name in ("mousepad", "xauth") if shutil.which(name) is None)]
pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=f"as root: apt-get install {' '.join(LACKING)}"),
    pytest.mark.timeout(240),
]
KEY, BUTTON, MOTION = 1, 3, 5  # XInput's, counted from its first event; releases follow the presses
LEFT, WHEEL_DOWN = 1, 5


HEAD = [
    rq.Card8("opcode"), rq.Opcode(2), rq.RequestLength(),
    rq.Card8("type"), rq.Card8("detail"), rq.Pad(29), rq.Card8("device"),
]  # fmt: skip


class _Pressed(rq.Request):
    """XTestFakeInput for one device (XTest's protocol, section 3)."""

    _request = rq.Struct(*HEAD)


class _Moved(rq.Request):
    """The same with the place that a motion needs, an event of its own."""

    _request = rq.Struct(
        *HEAD, rq.Card8("valuator"), rq.Card8("again"), rq.Pad(2), rq.Card16("state"), rq.Card8("count"),
        rq.Card8("first"), rq.Int32("x"), rq.Int32("y"), rq.Pad(16),
    )  # fmt: skip


class _Mapped(rq.ReplyRequest):
    """SetDeviceButtonMapping (XInput's protocol, section 2.23)."""

    _request = rq.Struct(
        rq.Card8("opcode"), rq.Opcode(29), rq.RequestLength(),
        rq.Card8("device"), rq.LengthOf("map", 1), rq.Pad(2), rq.List("map", rq.Card8Obj),
    )  # fmt: skip
    _reply = rq.Struct(
        rq.ReplyCode(), rq.Pad(1), rq.Card16("sequence_number"), rq.ReplyLength(), rq.Card8("status"),
        rq.Pad(23),
    )  # fmt: skip


class Hand:
    """A person's: what it does comes from the server's own mouse and keyboard.

    Xvfb's mouse has three buttons and no wheel. A notch of one is to X a button of its own, so the third is
    made to be that.
    """

    def __init__(self, name: str) -> None:
        self.display = Display(name)
        found = self.display.xinput_query_device(xinput.AllDevices).devices
        self.devices = {device.name: device.deviceid for device in found}
        self.first = self.display.query_extension(xinput.extname).first_event
        self.opcode = self.display.display.get_extension_major(xtest.extname)

    def press(self, code: int) -> None:
        self._strike(KEY, code, "Xvfb keyboard")

    def click(self, button: int) -> None:
        self._strike(BUTTON, button, "Xvfb mouse")

    def wheel(self) -> None:
        """One notch down."""
        display = self.display.display
        extension = display.get_extension_major(xinput.extname)
        _Mapped(display=display, opcode=extension, device=self.devices["Xvfb mouse"], map=[1, 2, WHEEL_DOWN])
        self.click(3)

    def _strike(self, kind: int, detail: int, device: str) -> None:
        for half in (kind, kind + 1):
            _Pressed(
                display=self.display.display, opcode=self.opcode, type=self.first + half, detail=detail,
                device=self.devices[device],
            )  # fmt: skip
        self.display.sync()

    def move(self, x: int, y: int) -> None:
        mouse = self.devices["Xvfb mouse"]
        _Moved(
            display=self.display.display, opcode=self.opcode, type=self.first + MOTION, detail=0,
            device=mouse,
            valuator=self.first, again=mouse, state=0, count=2, first=0, x=x, y=y,
        )  # fmt: skip
        self.display.sync()

    def place(self) -> tuple[int, int]:
        at = self.display.screen().root.query_pointer()
        return at.root_x, at.root_y


@pytest.fixture
async def persons(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Session]:
    """A desktop that plays the person's, as their environment says."""
    session = await Session.start((800, 600))
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", session.bus)
    monkeypatch.setenv("DISPLAY", session.display)
    monkeypatch.setenv("GDK_BACKEND", "x11")
    for name in ("XDG_SESSION_TYPE", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    try:
        yield session
    finally:
        await session.stop()


@pytest.fixture
async def env(persons: Session, tmp_path: Path) -> AsyncIterator[OwnDesktop]:
    async with OwnDesktops(persons.display) as desktops:
        made = desktops.environment()
        await made.open(Start("app:desktop", ("app:mousepad",), files=str(tmp_path)))
        yield made
        with suppress(EnvironmentDown):
            for pid in made.screen.session.roots:
                await made.screen.session.end(pid)


def frame(shot: bytes | None) -> bool:
    """Whether the mark is on a picture: its left edge is of the mark's colour."""
    with Image.open(io.BytesIO(shot or b"")) as picture:
        wanted = (COLOUR >> 16, COLOUR >> 8 & 255, COLOUR & 255)
        return all(picture.convert("RGB").getpixel((1, y)) == wanted for y in range(40, 600, 40))


async def test_the_mark_and_the_stop(env: OwnDesktop, persons: Session, tmp_path: Path) -> None:
    """Nothing is done before `begin`; then a frame is shown, clicks go through it, our own typing does not
    stop us, and a touch of the mouse does at once, in the middle of a long wait. What was opened stays."""
    seen = await env.step(parse('goto("app:mousepad")'))
    assert seen.error is not None and "nothing is done on your screen now" in seen.error
    assert (await env.step(parse('goto("app:desktop")'))).error is None  # where a next task begins
    told: list[str] = []
    env.watch.touched = told.append
    env.watch.begin()
    seen = await env.step(parse('goto("app:mousepad")'))
    assert seen.error is None and seen.title.startswith("Untitled"), seen.text()
    assert seen.viewport == (800, 600) and frame(seen.screenshot)
    text = "typed on a person's screen: 你好, Привет"
    seen = await env.step(parse(f'fill(textbox(""), "{text}")'))
    assert seen.error is None and f'= "{text}"' in seen.text() and not told
    hand = Hand(persons.display)
    waiting = asyncio.create_task(env.step(parse("noop(9000)")))
    await asyncio.sleep(0.5)
    hand.move(300, 300)
    seen = await waiting
    assert told == ["you moved the mouse"]
    assert seen.error == "you moved the mouse; it was stopped" and not frame(seen.screenshot)
    seen = await env.step(parse('keyboard_type("more")'))
    assert seen.error is not None and f'= "{text}"' in seen.text() and hand.place() == (300, 300)
    env.watch.begin()
    assert (await env.step(parse("noop(1)"))).error is None
    (pid,) = env.screen.session.roots
    await env.close()
    assert os.path.exists(f"/proc/{pid}/stat") and persons.alive
    os.kill(pid, 9)


TOUCHED = {
    "you moved the mouse": lambda hand: hand.move(300, 300),
    "you pressed a key": lambda hand: hand.press(50),  # a Shift
    "you pressed a mouse button": lambda hand: hand.click(LEFT),
    "you pressed a mouse button, of the wheel": lambda hand: hand.wheel(),
}


@pytest.mark.parametrize("touch", TOUCHED)
async def test_any_touch_stops_at_once(env: OwnDesktop, persons: Session, touch: str) -> None:
    """Motion, a key, a button, a notch of the wheel: nothing is sent any more, and what is under way ends.

    The best of three counts, for other work on the machine only adds. Seen on a busy one: 3 to 27 ms.
    """
    how, hand = touch.partition(",")[0], Hand(persons.display)
    forbidden, ended = [], []
    for turn in range(3):
        told = threading.Event()
        env.watch.touched = lambda said, told=told: told.set() if said == how else None
        env.watch.begin()
        await asyncio.sleep(env.watch.grace)
        doing = asyncio.create_task(env.act(parse("noop(9000)")))
        await asyncio.sleep(0.1 + turn / 100)
        begun = time.monotonic()
        TOUCHED[touch](hand)
        assert told.wait(5), f"not told that {how}"
        forbidden.append(time.monotonic() - begun)
        with pytest.raises(Halted, match=how):
            env.screen.input.move(1, 1)
        with pytest.raises(ActionFailed, match=f"{how}; it was stopped"):
            await doing
        ended.append(time.monotonic() - begun)
        env.watch.rest()
    assert min(forbidden) < 0.05 and min(ended) < 0.1, (forbidden, ended)


async def test_a_key_stops_in_the_middle_of_typing(env: OwnDesktop, persons: Session) -> None:
    """A person's key press while a long text is typed: the rest of it is not."""
    env.watch.begin()
    await env.step(parse('goto("app:mousepad")'))
    hand = Hand(persons.display)
    long = "0123456789" * 300
    typing = asyncio.create_task(env.step(parse(f'keyboard_type("{long}")')))
    await asyncio.sleep(0.1)
    hand.press(50)  # a Shift
    seen = await typing
    assert seen.error == "you pressed a key; it was stopped"
    assert len(next(e.value or "" for e in seen.elements if e.role == "textbox")) < len(long)


def with_cookie(folder: Path) -> Iterator[tuple[str, Path]]:
    """An X server that lets in only who has its cookie."""
    cookies = folder / "cookies"
    read, write = os.pipe()
    argv = ["Xvfb", "-displayfd", str(write), "-screen", "0", "320x240x24", "-nolisten", "tcp", "-noreset"]
    cookies.touch()
    key = os.urandom(16).hex()
    # The number is not known before the server has started: a cookie for any.
    for number in range(100):
        subprocess.run(["xauth", "-q", "-f", str(cookies), "add", f":{number}", ".", key], check=True)
    with subprocess.Popen(
        [*argv, "-auth", str(cookies)], pass_fds=(write,), stderr=subprocess.DEVNULL
    ) as server:
        try:
            yield f":{os.read(read, 16).decode().strip()}", cookies
        finally:
            server.kill()
            os.close(read)
            os.close(write)


def test_the_cookie_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the session's cookie a line says which file was looked at; with it the display opens."""
    for name, cookies in with_cookie(tmp_path):
        monkeypatch.setenv("XAUTHORITY", str(tmp_path / "none"))
        gc.collect()  # what other tests left is not ours
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            why = own.unsuited(name)
            gc.collect()
        assert [str(w.message) for w in heard if w.category is ResourceWarning] == []  # a socket left open
        assert f"display {name} can't be opened" in why and f"now {tmp_path / 'none'}" in why, why
        assert "\n" not in why
        monkeypatch.setenv("XAUTHORITY", str(cookies))
        assert own.unsuited(name) == ""


@pytest.mark.parametrize(
    ("platform", "display", "said"),
    [("darwin", ":0", "CGEvent"), ("win32", ":0", "SendInput"), ("linux", "wayland-0", "libei")],
)
def test_other_systems_are_named(
    platform: str, display: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line: what is missing there, and where it would go."""
    monkeypatch.setattr(sys, "platform", platform)
    why = own.unsuited(display)
    assert said in why and "tools/environment.py" in why and "\n" not in why


@pytest.mark.parametrize(
    ("kind", "socket"), [("wayland", None), ("tty", "wayland-1")], ids=["logged in to", "from a console"]
)
async def test_wayland_behind_an_x11_display_is_seen(
    persons: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, socket: str | None
) -> None:
    """A display that a Wayland session offers for old applications is not the screen."""
    monkeypatch.setenv("XDG_SESSION_TYPE", kind)
    if socket is not None:
        monkeypatch.setenv("WAYLAND_DISPLAY", socket)
    with pytest.raises(EnvironmentDown, match="on Wayland input and screenshots"):
        await OwnDesktop(persons.display).open(Start("app:desktop", files=str(tmp_path)))


async def test_a_watch_that_can_not_begin_leaves_nothing_open(
    persons: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection, its pipe and its thread are gone, and it says why."""

    def old(watch: Watch) -> None:
        raise EnvironmentDown("XInput is too old")

    before, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    monkeypatch.setattr(Watch, "_listen", old)
    with pytest.raises(EnvironmentDown, match="can't be watched: XInput is too old"):
        Watch(persons.display)
    assert len(os.listdir("/proc/self/fd")) == before and threading.active_count() == threads
