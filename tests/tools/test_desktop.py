"""The desktop environment on real applications, each test on a virtual desktop of its own."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageGrab

from tools.actions import Named, parse
from tools.desktop import LOOKS, DesktopEnvironment, Desktops
from tools.environment import ActionFailed, EnvironmentDown, Start
from tools.observation import Observation
from tools.x11 import accessibility, screen, session
from tools.x11.accessibility import Reading, topmost
from tools.x11.session import INSIDE, Session, boxes, missing

PROGRAMS = {"zenity": "zenity", "mousepad": "mousepad", "xterm": "xterm"}
LACKING = [*missing(), *(package for program, package in PROGRAMS.items() if shutil.which(program) is None)]
pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=f"as root: apt-get install {' '.join(LACKING)}"),
    pytest.mark.timeout(300),  # several processes for each application: beside other work it takes its time
]
FORM = ["zenity", "--forms", "--title=Order", "--text=Fill in", "--add-entry=Name", "--add-password=PIN"]
FORM += ["--add-combo=Size", "--combo-values=small|medium|large"]


@pytest.fixture
async def env() -> AsyncIterator[DesktopEnvironment]:
    async with Desktops() as desktops:
        yield desktops.environment()


async def do(env: DesktopEnvironment, *calls: str) -> Observation:
    """Do each call; none may fail."""
    for call in calls:
        seen = await env.step(parse(call))
        assert seen.error is None, (call, seen.error, seen.text())
    return seen


def lines(seen: Observation) -> list[str]:
    return seen.text().splitlines()


async def opened(env: DesktopEnvironment, title: str) -> Observation:
    """What is seen once a window of that title is in front: on a busy machine one that is slow to open may
    come after the look that follows the key."""
    for _ in range(50):
        seen = await env.observe()
        if seen.title == title:
            break
        await asyncio.sleep(0.2)
    return seen


async def test_a_terminal_behind_is_not_acted_in(env: DesktopEnvironment, tmp_path: Path) -> None:
    """The policy judges by the window in front, so a click on a terminal behind it is refused; in front it is
    done."""
    apps = ("app:xterm", "app:mousepad")
    await env.reset(Start("app:xterm", apps, viewport=(1200, 900), files=str(tmp_path)))
    await do(env, 'goto("app:mousepad")')
    windows = env.screen.windows
    front = env._front()
    assert front is not None and env._called(front) == "app:mousepad"
    spots = ((x, y) for x in range(10, 1000, 10) for y in range(10, 1000, 10))
    over = (
        spot
        for spot in spots
        if (top := topmost(windows.stacked(), *env._start.pixels(*spot))) and env._called(top) == "app:xterm"
    )
    x, y = next(over)
    seen = await env.step(parse(f"mouse_click({x}, {y})"))
    assert seen.error is not None and "is not in front" in seen.error
    await do(env, 'goto("app:xterm")', f"mouse_click({x}, {y})")


async def test_an_editor_is_read_and_written(env: DesktopEnvironment, tmp_path: Path) -> None:
    """Menus and the document by ARIA's roles; text of any script typed right; the file on disk is what was
    typed; the picture is the screen's."""
    seen = await env.reset(Start("app:mousepad", viewport=(800, 600), files=str(tmp_path)))
    assert lines(seen)[0] == "page: Untitled 1 - Mousepad (mousepad)"
    assert [e.name for e in seen.elements if e.role == "menuitem"][:3] == ["File", "Edit", "Search"]
    with Image.open(io.BytesIO(seen.screenshot or b"")) as picture:
        assert picture.size == (800, 600) and len(picture.convert("RGB").getcolors(100_000) or ()) > 20
    text = "Grüße, Привет 你好 😀 — “quoted” ½\nzwei\tdrei"
    seen = await env.step(parse(f"fill(textbox(''), {text!r})"))
    assert seen.error is None and seen.find(seen.focused or 0) is not None
    await do(env, 'keyboard_press("Control+s")')
    seen = await opened(env, "Save As")
    assert 'dialog "Save As"' in seen.text() and seen.url == "app:mousepad" and len(seen.tabs) == 2
    assert 'menuitem "File"' not in seen.text()  # behind a dialog that must be answered first
    await do(env, 'fill(textbox("Name"), "note.txt")', 'click(button("Save"))')
    seen = await opened(env, "note.txt - Mousepad")
    assert seen.title == "note.txt - Mousepad" and seen.tabs == ()
    assert (tmp_path / "note.txt").read_text(encoding="utf-8").rstrip("\n") == text
    seen = await do(env, 'click(menuitem("Edit"))')
    entries = [e.name for e in seen.elements if e.role == "menuitem"]
    assert "Select All" in entries and 'textbox ""' in seen.text()
    covered = next(e for e in seen.elements if e.name == "Select All")
    assert covered.box.y > 50  # an open menu's entries stand where they are drawn


async def test_lines_and_ways_that_are_strange(env: DesktopEnvironment) -> None:
    """Line ends of Windows are typed as others, which is no error; a scroll without end ends soon."""
    await env.reset(Start("app:mousepad"))
    seen = await do(env, 'fill(textbox(""), "one\\r\\ntwo")')
    assert next(e.value for e in seen.elements if e.role == "textbox") == "one\ntwo"
    await do(env, "scroll(0, 1e9)", "scroll(0, -1e9)")  # sixteen million notches each


async def test_a_dialog_is_filled_in(env: DesktopEnvironment, tmp_path: Path) -> None:
    """Fields are called by the text beside them; a password is not shown; a list is chosen from; what can't
    be done says why; the program gets what was entered."""
    out = tmp_path / "printed"
    await env.open(Start("app:desktop"))
    assert (await env.observe()).url == "app:desktop"
    pid = await env.run("zenity", FORM, out)
    seen = await env.observe()
    assert lines(seen)[:5] == [
        "page: Order (zenity)",
        'dialog "Order"',
        'text "Fill in"',
        'textbox "Name" [1]',
        'textbox "PIN" [2]',
    ]
    assert 'combobox "Size" [3] of small|medium|large' in seen.text()
    seen = await do(env, 'fill(textbox("Name"), "Zoë")', 'fill(textbox("PIN"), "1234")')
    assert 'textbox "PIN" [2] = "••••"' in seen.text()
    seen = await env.step(parse('select_option(combobox("Size"), "huge")'))
    assert seen.error == '"Size" [3] has no "huge"; it offers "small", "medium", "large"'
    seen = await do(env, 'select_option(combobox("Size"), "large")')
    assert 'combobox "Size" [3] = "large" of' in seen.text()
    assert (await env.step(parse("click(99)"))).error == "there is no [99] on the screen now"
    seen = await do(env, 'click(button("OK"))')
    assert seen.url == "app:desktop" and env.exit_code(pid) == 0
    assert out.read_text(encoding="utf-8") == "Zoë|1234|large\n"


async def test_windows_are_tabs(env: DesktopEnvironment, tmp_path: Path) -> None:
    """Windows come to the front and close; what another window covers is left out; the clipboard goes from
    one application to another; only what was allowed is opened."""
    (tmp_path / "a.txt").write_text("copied")
    start = Start("app:mousepad?a.txt", ("app:mousepad", "app:galculator"), files=str(tmp_path))
    await env.reset(start)
    await do(env, 'keyboard_press("Control+a")', 'keyboard_press("Control+c")')
    await env.launch("app:mousepad")
    seen = await env.observe()
    assert len(seen.tabs) == 2 and seen.tab == 1
    assert seen.text().count('menuitem "File"') == 2, "they lie side by side, or nearly"
    seen = await do(env, 'press(textbox(""), "Control+v")')
    assert '= "copied"' in seen.text()
    await env.run("zenity", [*FORM, "--width=1022", "--height=746"])
    seen = await env.observe()
    assert "menuitem" not in seen.text() and seen.tab == 2, seen.text()  # it covers both
    await do(env, 'click(button("Cancel"))')
    seen = await do(env, "tab_focus(0)")
    assert seen.tab == 0 and seen.title == "a.txt - Mousepad"
    seen = await do(env, "tab_close()")
    assert seen.tabs == () and "Untitled" in seen.title
    assert "no window 7" in ((await env.step(parse("tab_focus(7)"))).error or "")
    seen = await env.step(parse('goto("app:xterm")'))
    assert seen.error == "app:xterm may not be opened; applications that may: app:mousepad, app:galculator"
    for nothing in ("../../etc/passwd", "a" * 300, "%00"):  # the last two can't be any file's name
        seen = await env.step(parse(f'goto("app:mousepad?{nothing}")'))
        assert "no file" in (seen.error or "")


SLOW = """wm title . Slow
proc work {} {
  for {set i 0} {$i < 15000000} {incr i} {}
  wm title [toplevel .new] Late
}
pack [button .b -text Go -command work] -ipadx 80 -ipady 80
"""


@pytest.mark.skipif(shutil.which("wish") is None, reason="as root: apt-get install tk")
async def test_a_window_slow_to_open_is_waited_for(env: DesktopEnvironment) -> None:
    """Nothing on the screen moves while a program works; what it opens then is seen by the look that follows,
    also where it says nothing of itself (Tk has no accessibility tree)."""
    await env.open(Start("app:desktop"))
    (env.aside / "slow.tcl").write_text(SLOW)
    await env.run("wish", ["wish", str(env.aside / "slow.tcl")])
    box = env.screen.windows.stacked()[-1].inside
    x, y = (await env.observe()).thousandths(*box.centre)
    seen = await do(env, f"mouse_click({x}, {y})")
    assert seen.tabs == ("Slow", "Late"), seen.tabs


HANDED = """wm title . Running
proc wait {} {
  if {[file exists asked]} { after 500 {wm title [toplevel .new] Handed} } else { after 20 wait }
}
wait
"""


@pytest.mark.skipif(shutil.which("wish") is None, reason="as root: apt-get install tk")
async def test_a_window_of_one_that_runs_already_is_waited_for(env: DesktopEnvironment) -> None:
    """A program that hands on to its running like and ends at once has opened what that shows a little later;
    one that ends badly has not."""
    await env.open(Start("app:desktop"))
    (env.aside / "handed.tcl").write_text(HANDED)
    await env.run("wish", ["wish", str(env.aside / "handed.tcl")])
    await env.run("again", ["touch", "asked"])
    assert env.titles() == ("Running", "Handed")
    with pytest.raises(ActionFailed, match="again ended with exit code 1"):
        await env.run("again", ["false"])


async def test_a_crash_and_a_hang_are_told_of(env: DesktopEnvironment) -> None:
    """An application that crashes is named; one that answers nothing is closed; the next episode is clean."""
    await env.reset(Start("app:mousepad"))
    os.kill(env.screen.windows.stacked()[-1].pid, signal.SIGSEGV)
    seen = await env.step(parse("noop(300)"))
    assert seen.error == "mousepad crashed (SIGSEGV)" and seen.url == "app:desktop"
    await env.reset(Start("app:mousepad"))
    os.kill(env.screen.windows.stacked()[-1].pid, signal.SIGSTOP)
    said = []
    while not said or "was closed" not in said[-1]:
        said.append((await env.step(parse("noop(100)"))).error or "")
        assert len(said) < 20, said
    assert said[0] == "mousepad does not answer"
    assert said[-1] == "mousepad did not answer for 8 s and was closed"
    assert (await env.step(parse("noop()"))).error is None
    seen = await env.reset(Start("app:mousepad"))
    assert seen.error is None and seen.title.startswith("Untitled")


STUCK = """wm title . Stuck
pack [button .b -text Go -command {while 1 {}}] -ipadx 80 -ipady 80
"""


async def end_of_a_hang(env: DesktopEnvironment, name: str, first: str | None = None) -> None:
    """Without a tree nothing but silence could be read: it is told all the same, and the window closed."""
    said = [first or ""]
    while "was closed" not in said[-1]:
        said.append((await env.step(parse("noop(100)"))).error or "")
        assert len(said) < 20, said
    assert f"{name} does not answer" in said
    assert said[-1] == f"{name} did not answer for 8 s and was closed"
    seen = await env.step(parse("noop()"))
    assert seen.error is None and seen.url == "app:desktop"
    seen = await env.reset(Start("app:mousepad"))
    assert seen.error is None and seen.title.startswith("Untitled")


async def test_a_stopped_terminal_is_told_of(env: DesktopEnvironment) -> None:
    """xterm has no accessibility tree and answers no ping: its process is seen to be stopped."""
    seen = await env.reset(Start("app:xterm"))
    assert (await env.step(parse("noop()"))).error is None and seen.url == "app:xterm"
    os.kill(env.screen.windows.stacked()[-1].pid, signal.SIGSTOP)
    await end_of_a_hang(env, "xterm")


@pytest.mark.skipif(shutil.which("wish") is None, reason="as root: apt-get install tk")
async def test_a_program_that_runs_in_a_circle_is_told_of(env: DesktopEnvironment) -> None:
    """Tk has no accessibility tree and answers no ping: its process is seen never to wait."""
    await env.open(Start("app:desktop"))
    (env.aside / "stuck.tcl").write_text(STUCK)
    await env.run("wish", ["wish", str(env.aside / "stuck.tcl")])
    x, y = (await env.observe()).thousandths(*env.screen.windows.stacked()[-1].inside.centre)
    assert (await env.step(parse("noop()"))).error is None
    seen = await env.step(parse(f"mouse_click({x}, {y})"))
    await end_of_a_hang(env, "wish", seen.error)


@pytest.mark.parametrize("part", ["Xvfb", "openbox", "dbus-daemon", "at-spi-bus-laun", "all of it"])
async def test_a_dead_desktop_is_started_again(env: DesktopEnvironment, part: str) -> None:
    """When a part of it dies, be it the X server, the step says so and the episode goes on, on a fresh
    desktop; so too where all of it does, and then nothing is left of it."""
    await env.reset(Start("app:mousepad"))
    session, before = env.screen.session, children(env.screen.session)
    if part == "all of it":
        os.kill(session._process.pid, signal.SIGKILL)
    for pid in before:
        if called(pid) == part:
            os.kill(pid, signal.SIGKILL)
    for _ in range(3):  # the supervisor may learn of it after the step has begun
        seen = await env.step(parse("noop()"))
        if seen.restarted:
            break
    assert seen.restarted and "was started again" in (seen.error or "") and seen.title.startswith("Untitled")
    for _ in range(50):
        if not (left := [called(pid) for pid in alive(before)]):
            break
        await asyncio.sleep(0.1)
    assert not left


@pytest.mark.parametrize("owner, stays", [(1234, False), (1, True)])
def test_another_desktops_lock_stays(owner: int, stays: bool) -> None:
    """A display's number is free as soon as its server has ended, and a desktop beside may take it then."""
    from tools.x11.supervisor import Supervisor

    number = 70_000 + os.getpid() % 10_000 + owner  # above any that an X server takes
    lock = Path(f"/tmp/.X{number}-lock")
    lock.write_text(f"{owner:10}\n")
    try:
        supervisor = Supervisor({"env": {}, "folder": ""})
        supervisor.display, supervisor.server = number, 1234
        supervisor._unlock()
        assert lock.exists() == stays
    finally:
        lock.unlink(missing_ok=True)


def called(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:  # it has just gone
        return ""


def children(of: Session) -> list[int]:
    from tools.x11.supervisor import _descendants

    return _descendants(of._process.pid)


async def test_a_server_that_dies_under_a_picture(
    env: DesktopEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow then raises an OSError of its own; look and step go on, on a fresh desktop."""
    await env.reset(Start("app:mousepad"))
    real, armed = ImageGrab.grab, [True]

    def grab(*args: Any, **options: Any) -> Image.Image:
        if armed and armed.pop():
            (server,) = (pid for pid in children(env.screen.session) if called(pid) == "Xvfb")
            os.kill(server, signal.SIGKILL)
        return real(*args, **options)

    monkeypatch.setattr(ImageGrab, "grab", grab)
    seen = await env.observe()
    assert not armed and seen.restarted and seen.title.startswith("Untitled")
    armed.append(True)
    seen = await env.step(parse("noop()"))
    assert not armed and seen.restarted and seen.title.startswith("Untitled")


async def test_a_window_moves_by_its_title_bar(env: DesktopEnvironment) -> None:
    """Dragged, it lies where it was dragged to, as near as thousandths can say; nothing else happens."""
    seen = await env.reset(Start("app:mousepad"))
    box = env.screen.windows.stacked()[-1].box
    x, y = box.x + box.width / 2, box.y + 8
    (a, b), (c, d) = seen.thousandths(x, y), seen.thousandths(x - 80, y + 40)
    seen = await do(env, f"mouse_drag_and_drop({a}, {b}, {c}, {d})")
    now = env.screen.windows.stacked()[-1].box
    assert abs(now.x - box.x + 80) <= 2 and abs(now.y - box.y - 40) <= 2, (box, now)
    assert (now.width, now.height) == (box.width, box.height)
    assert seen.title.startswith("Untitled") and seen.tabs == ()


COVER = """wm geometry . 50x50+0+0
proc wait {} {
  if {[file exists ready]} {
    toplevel .cover -background #ff0000; wm geometry .cover 1024x768+0+0
  } else { after 20 wait }
}
wait
"""


@pytest.mark.skipif(shutil.which("wish") is None, reason="as root: apt-get install tk")
async def test_elements_and_picture_are_of_one_moment(
    env: DesktopEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window that opens between the reading and its picture: both are taken again, and neither shows what
    was there before. A screen that never rests ends after so many tries."""
    await env.open(Start("app:mousepad"))
    (env.aside / "cover.tcl").write_text(COVER)
    await env.run("wish", ["wish", str(env.aside / "cover.tcl")])
    assert (await env.observe()).find(Named("menuitem", "File")) is not None
    real, grabs = ImageGrab.grab, [0]

    def grab(*args: Any, **options: Any) -> Image.Image:
        grabs[0] += 1
        if grabs[0] == 2:
            (env.home / "ready").touch()
            until = time.monotonic() + 60
            while len(env.screen.windows.ids()) < 3 and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(0.5)  # to be drawn
        return real(*args, **options)

    monkeypatch.setattr(ImageGrab, "grab", grab)
    seen = await env.look()
    assert grabs[0] > 2 and len(seen.tabs) == 3
    with Image.open(io.BytesIO(seen.screenshot or b"")) as picture:
        assert picture.convert("RGB").getpixel((512, 600)) == (255, 0, 0)
    assert seen.find(Named("menuitem", "File")) is None, seen.text()

    def restless(*args: Any, **options: Any) -> Image.Image:
        grabs[0] += 1
        return Image.new("RGB", (1024, 768), (grabs[0] % 256, 0, 0))

    readings: list[Reading] = []
    reads = accessibility.read

    async def read(*args: Any) -> Reading:
        readings.append(await reads(*args))
        return readings[-1]

    monkeypatch.setattr(ImageGrab, "grab", restless)
    monkeypatch.setattr(accessibility, "read", read)
    await env.look()
    assert len(readings) == LOOKS


async def test_desktops_side_by_side(tmp_path: Path) -> None:
    """Two at once share nothing: neither display, windows, nor home folder."""
    async with Desktops() as desktops:
        one, two = desktops.environment(), desktops.environment()
        await asyncio.gather(one.reset(Start("app:mousepad")), two.reset(Start("app:mousepad")))
        await asyncio.gather(
            one.step(parse('fill(textbox(""), "one")')), two.step(parse('fill(textbox(""), "two")'))
        )
        assert '= "one"' in (await one.observe()).text() and '= "two"' in (await two.observe()).text()
        assert one.screen.session.display != two.screen.session.display and one.home != two.home
        folders = [one.aside, two.aside]
    assert not any(folder.exists() for folder in folders)


@pytest.mark.skipif(not boxes(), reason="bubblewrap does not work here")
async def test_applications_are_boxed_in(env: DesktopEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal, the worst there is: it writes in its home and nowhere else, and sees neither the person's
    files, nor other processes, nor the network, nor secrets of the environment."""
    monkeypatch.setenv("SHOPFLOOR_SECRET_PASSWORD", "hunter2-hunter2")
    outside = Path(session.__file__).parent / "written-from-inside"
    await env.reset(Start("app:xterm"))
    (env.aside / "printed").write_text("true")  # what checkers read
    commands = [
        f"echo false > {env.aside}/printed; touch {env.aside}/made {env.aside}/run/made",
        f"touch {outside}; touch /etc/written; ls -A ~root /root /tmp > seen",
        "cat /proc/*/environ > environ 2>&1; ls -d /proc/[0-9]* | wc -l > processes",
        "cat /proc/net/dev | tail -n +3 | cut -d: -f1 > net; pwd > here",
    ]
    for command in commands:
        await do(env, f"keyboard_type({command + chr(10)!r})")
    for _ in range(50):
        if (env.home / "here").exists() and (env.home / "here").read_text():
            break
        await asyncio.sleep(0.1)
    assert (env.home / "here").read_text() == f"{INSIDE}\n"
    assert (env.aside / "printed").read_text() == "true" and not (env.aside / "made").exists()
    assert (env.aside / "run" / "made").exists()  # their own
    assert not outside.exists() and not Path("/etc/written").exists()
    assert b"hunter2" not in (env.home / "environ").read_bytes()
    assert int((env.home / "processes").read_text()) < 15
    assert (env.home / "net").read_text().split() == ["lo"]
    assert {line for line in (env.home / "seen").read_text().split() if not line.startswith("/")} <= {
        ".X11-unix",
        env.aside.name,
    }


@pytest.mark.skipif(not boxes(), reason="bubblewrap does not work here")
async def test_applications_see_one_display(env: DesktopEnvironment) -> None:
    """A terminal finds the socket of its own display, and none of another desktop's or the person's."""
    other = await Session.start((320, 240))
    try:
        await env.reset(Start("app:xterm"))
        await do(env, 'keyboard_type("ls /tmp/.X11-unix > listed; touch here\\n")')
        for _ in range(100):
            if (env.home / "here").exists():
                break
            await asyncio.sleep(0.1)
        own, others = (f"X{display[1:]}" for display in (env.screen.session.display, other.display))
        assert Path("/tmp/.X11-unix", others).exists()
        assert (env.home / "listed").read_text().split() == [own]
    finally:
        await other.stop()


START = """
import asyncio, sys
from tools.desktop import Desktops
from tools.environment import Start
async def main():
    async with Desktops() as desktops:
        env = desktops.environment()
        await env.reset(Start("app:mousepad"))
        print(env.screen.session._process.pid, env.screen.session.display, env.aside, flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


def test_nothing_is_left_after_sigkill() -> None:
    """The parent killed without warning: display, buses, window manager, application and folder are gone."""
    from tools.x11.supervisor import _descendants

    with subprocess.Popen([sys.executable, "-c", START], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        supervisor, display, folder = process.stdout.readline().split()
        below = _descendants(int(supervisor))
        names = {called(pid) for pid in below}
        assert {"Xvfb", "openbox", "dbus-daemon", "mousepad"} <= names
        process.kill()
        until = time.monotonic() + 20
        while time.monotonic() < until and (left := alive([int(supervisor), *below])):
            time.sleep(0.1)
    assert not left
    assert not Path(folder).exists()
    assert not Path(f"/tmp/.X{display[1:]}-lock").exists()


LOOK = """
import asyncio, os
from tools.actions import parse
from tools.desktop import Desktops
from tools.environment import Start
async def main():
    async with Desktops() as desktops:
        env = desktops.environment()
        await env.reset(Start("app:mousepad"))
        seen = await env.step(parse('fill(textbox(""), "typed")'))
        print(os.getuid(), seen.title, seen.error, '= "typed"' in seen.text(), bool(seen.screenshot))
asyncio.run(main())
"""
NOBODY = 65534


@pytest.mark.skipif(
    os.getuid() != 0, reason="only root can become an ordinary user; who is one has tested it"
)
def test_an_ordinary_user_has_a_desktop() -> None:
    """Without any right of root's: a private desktop starts, an application is opened, written in, looked at.
    The system's Python does it where that user can't reach this one."""
    path = os.pathsep.join([str(Path(session.__file__).parents[2]), *filter(os.path.isdir, sys.path)])
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]

    def run(python: str, script: str) -> subprocess.CompletedProcess[str]:
        argv = [*become, python, "-c", script]
        return subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True, timeout=280)

    needs = (
        "import PIL._imaging, subprocess, sys, tools.desktop; subprocess.check_call([sys.executable, '-V'])"
    )
    pythons = [python for python in (sys.executable, "/usr/bin/python3") if not run(python, needs).returncode]
    if not pythons:
        pytest.skip("no Python here that an ordinary user can run has the packages")
    ran = run(pythons[0], LOOK)
    assert ran.stdout == f"{NOBODY} *Untitled 1 - Mousepad None True True\n", ran.stdout + ran.stderr


async def test_a_character_that_no_key_can_give(env: DesktopEnvironment) -> None:
    """A keyboard without a spare key: the step says which character it was, and the next goes on."""
    await env.reset(Start("app:mousepad"))
    env.screen.input._spare.clear()
    seen = await env.step(parse('keyboard_type("山")'))
    assert seen.error == 'this keyboard has no key for "山", and no spare one to make it'
    assert (await env.step(parse('keyboard_press("Nonsense")'))).error == 'there is no key "Nonsense"'
    assert '= "plain"' in (await do(env, 'keyboard_type("plain")')).text()


FOREIGN = """
import asyncio, ctypes, os, subprocess, sys
import PIL.ImageGrab, Xlib.display, dbus_fast.aio, apps.chat
for name in [*sys.modules]:  # others' modules may have been made for this system; ours are to be made there
    if name.partition(".")[0] in ("tools", "agents", "apps"):
        del sys.modules[name]
def lacking(*_): raise TypeError("no such library")
ctypes.CDLL = lacking
del os.sysconf
sys.platform = sys.argv[1]
from apps.main import main
from tools.desktop import Desktops
from tools.environment import EnvironmentDown, Start
code = main(["desktop", "Anything"])
try:
    Desktops().environment()
    from tools.x11.session import Session
    Session.start((640, 480)).send(None)
except EnvironmentDown as error:
    print(error)
sys.exit(code)
"""


@pytest.mark.parametrize(("platform", "lacks"), [("darwin", "CGEvent"), ("win32", "SendInput")])
def test_other_systems_are_told_what_is_missing(platform: str, lacks: str) -> None:
    """Without Linux's library and calls everything is imported, and one line says what is missing there and
    where it would go; the command exits with 1."""
    ran = subprocess.run([sys.executable, "-c", FOREIGN, platform], capture_output=True, text=True)
    assert ran.returncode == 1, ran.stderr
    assert lacks in ran.stdout and "tools/environment.py" in ran.stdout and ran.stdout.count("\n") == 1
    assert ran.stderr == f"shopfloor desktop: {ran.stdout}"


def alive(pids: list[int]) -> list[int]:
    return [p for p in pids if (s := Path(f"/proc/{p}/stat")).exists() and ") Z" not in s.read_text()]


async def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, env: DesktopEnvironment) -> None:
    """Without the packages a reset says what to install; an application that is not installed likewise."""
    monkeypatch.setattr(session, "PARTS", {"no-such-program": "xvfb", "openbox": "openbox"})
    with pytest.raises(EnvironmentDown, match="apt-get install xvfb$"):
        await env.reset(Start("app:desktop"))
    monkeypatch.setattr(session, "PARTS", {})
    with pytest.raises(EnvironmentDown, match="no application 'app:solitaire'"):
        await env.reset(Start("app:solitaire"))


async def test_a_desktop_that_can_not_be_connected_to_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last connection fails: the ones before it are closed, and the desktop is gone."""

    def broken(display: str) -> None:
        raise OSError("no more connections")

    def sockets() -> int:
        return sum(
            os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
            for fd in os.listdir("/proc/self/fd")
            if os.path.islink(f"/proc/self/fd/{fd}")
        )

    started: list[Session] = []
    start = Session.start

    async def noted(*given: Any) -> Session:
        started.append(await start(*given))
        return started[-1]

    before = sockets()
    monkeypatch.setattr(screen, "Pulse", broken)
    monkeypatch.setattr(Session, "start", noted)
    with pytest.raises(OSError, match="no more connections"):
        await DesktopEnvironment().reset(Start("app:mousepad"))
    assert not started[0].alive and sockets() == before


@pytest.mark.skipif(shutil.which("galculator") is None, reason="as root: apt-get install galculator")
async def test_keys_that_press_buttons_come_one_at_a_time(env: DesktopEnvironment) -> None:
    """A GTK button flashes after a key and takes none meanwhile: no digit that comes twice is lost."""
    await env.reset(Start("app:galculator"))
    seen = await do(env, 'keyboard_type("66+3366-66")', 'keyboard_press("Enter")')
    assert 'textbox "" [6] = "3366" readonly' in lines(seen)


@pytest.mark.skipif(shutil.which("galculator") is None, reason="as root: apt-get install galculator")
async def test_what_is_written_waits_for_no_button(env: DesktopEnvironment) -> None:
    """Into an editor with a calculator beside it, at a third of a second a digit this would take too long."""
    await env.reset(Start("app:galculator", ("app:galculator", "app:mousepad")))
    seen = await do(env, 'goto("app:mousepad")')
    assert 'button "1"' in seen.text()
    seen = await do(env, f'keyboard_type("{"1" * 200}")')
    assert any(e.value == "1" * 200 for e in seen.elements)
