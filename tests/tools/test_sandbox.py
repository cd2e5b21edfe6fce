"""Ways out of the sandbox, each really tried against a real target, and what scripts may do in it.

Where it can be done without harm the very same attempt is made outside first, and must succeed there: a test
whose attempt could never work would prove nothing. What would hurt the machine (bombs, hogs) is not; there
the script goes on after the attempt, or ends with the reason that the limit gives.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import platform
import re
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import sandbox
from tools.chromium import LAUNCH_ARGS, find_chromium
from tools.sandbox import Limits, Sandbox, SandboxMissing, bubblewrap, docker, find

SECRET = "swordfish-5501"
ROOT = Path(__file__).resolve().parents[2]
PRELUDE = """
import ctypes, glob, json, os, signal, socket, stat, subprocess, sys, threading, time
T = json.loads({targets!r})
libc = ctypes.CDLL(None, use_errno=True)
try:
{attempt}
except BaseException as error:
    print("stopped by", type(error).__name__, str(error)[:200])
print("alive")
"""


class World:
    """What there is to reach outside: files, an environment, listeners that answer with the secret."""

    def __init__(self, folder: Path) -> None:
        self.heard = 0
        secret = folder / "secret.txt"
        secret.write_text(SECRET)
        x11 = Path("/tmp/.X11-unix")
        x11.mkdir(exist_ok=True)
        self._x11 = x11 / f"X{7600 + os.getpid() % 2000}"
        self._x11.unlink(missing_ok=True)
        abstract = f"shopfloor-{os.getpid()}-{folder.name}"
        self._sockets = [
            self._listen(socket.AF_INET, ("127.0.0.1", 0)),
            self._listen(socket.AF_UNIX, str(folder / "bus")),
            self._listen(socket.AF_UNIX, "\0" + abstract),
            self._listen(socket.AF_UNIX, str(self._x11)),
        ]
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        self.udp = udp
        self.targets: dict[str, Any] = {
            "secret": str(secret),
            "folder": str(folder),
            "repository": str(ROOT),
            "port": self._sockets[0].getsockname()[1],
            "udp": udp.getsockname()[1],
            "bus": str(folder / "bus"),
            "abstract": abstract,
            "x11": str(self._x11),
            "outside": os.getpid(),
            "python": os.path.realpath(sys.executable),
        }

    def _listen(self, family: int, address: Any) -> socket.socket:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.bind(address)
        listener.listen()
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()
        return listener

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed
                return
            with connection:
                self.heard += 1
                connection.sendall(SECRET.encode())

    def close(self) -> None:
        for each in (*self._sockets, self.udp):
            each.close()
        self._x11.unlink()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.close()


def written(attempt: str, targets: dict[str, Any]) -> str:
    code = textwrap.indent(textwrap.dedent(attempt).strip(), "    ")
    return PRELUDE.format(targets=json.dumps(targets), attempt=code)


async def run(script: str, **how: Any) -> Sandbox:
    """A script run to its end, each call answered with None."""
    async with Sandbox(script, **how) as running:
        while await running.call() is not None:
            await running.answer()
    return running


def outside(attempt: str, targets: dict[str, Any]) -> str:
    """What the same attempt prints as an ordinary process of this user, the secret in its environment."""
    ran = subprocess.run(
        [sys.executable, "-c", written(attempt, targets)],
        env={**os.environ, "SHOPFLOOR_MODEL_KEY": SECRET},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=targets["folder"],
    )
    return ran.stdout


CONTROLLED = {  # these succeed outside, for any user: they print OUT, or the secret itself
    "read a file of the user's": 'print(open(T["secret"]).read())',
    "read it by ..": 'print(open("/tmp/../" * 3 + T["secret"]).read())',
    "read it by a link in the work folder": 'os.symlink(T["secret"], "l1"); print(open("l1").read())',
    "hard-link it into the work folder": 'os.link(T["secret"], "l2"); print(open("l2").read())',
    "read it through process 1's root": """
        root = "/proc/self/root" if os.getpid() > 2 else "/proc/1/root"
        print(open(root + T["secret"]).read())
        """,
    "copy it with sendfile": """
        inside, out = os.open(T["secret"], os.O_RDONLY), os.open("copy", os.O_RDWR | os.O_CREAT)
        os.sendfile(out, inside, 0, 100); print(os.pread(out, 100, 0))
        """,
    "list the folders of the user": 'os.listdir(T["folder"]); print("OUT")',
    "read the users of the machine": 'print("OUT" if "root:" in open("/etc/passwd").read() else "")',
    "read the project's code": 'open(T["repository"] + "/tools/guard.py").read(); print("OUT")',
    "write beside the user's files": 'open(T["folder"] + "/planted", "w").write("x"); print("OUT")',
    "read the environment": 'print(os.environ["SHOPFLOOR_MODEL_KEY"])',
    "read the environment of other processes": """
        for path in glob.glob("/proc/[0-9]*/environ"):
            try: print(open(path).read())
            except OSError: pass
        """,
    "find the user's processes": 'os.kill(T["outside"], 0); print("OUT")',
    "look into another process's memory": """
        os.stat(f"/proc/{T['outside']}/mem"); print("OUT")
        """,
    "start a process by fork": """
        if os.fork() == 0: os._exit(0)
        print("OUT")
        """,
    "start a process by posix_spawn": 'os.posix_spawn(T["python"], ["python", "-c", ""], {}); print("OUT")',
    "start a process by subprocess": """
        subprocess.run([sys.executable, "-c", "pass"], check=True); print("OUT")
        """,
    "start a shell": 'os.path.exists("/bin/sh") and print("OUT")',
    "start a process by clone, in C": """
        number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
        made = libc.syscall(number, signal.SIGCHLD, 0, 0, 0, 0)
        if made == 0: os._exit(0)
        if made > 0: print("OUT")
        """,
    "be traced, by ptrace": 'libc.ptrace(0, 0, 0, 0) == 0 and print("OUT")',
    "keep a key in the kernel's keyring": """
        number = {"x86_64": 248, "aarch64": 217}[os.uname().machine]
        libc.syscall(number, b"user", b"shopfloor", b"x", 1, -2) > 0 and print("OUT")
        """,
    "take memory by memfd": 'os.memfd_create("m"); print("OUT")',
    "take memory by System V": """
        made = libc.shmget(0, 4096, 0o1600)
        if made >= 0: libc.shmctl(made, 0, None); print("OUT")
        """,
    "find setuid programs": """
        for path in ("/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount"):
            if os.path.exists(path) and os.stat(path).st_mode & stat.S_ISUID: print("OUT")
        """,
    "connect to a server of this machine": """
        print(socket.create_connection(("127.0.0.1", T["port"]), 5).recv(100))
        """,
    "send it a datagram": """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s: s.sendto(b"x", ("127.0.0.1", T["udp"]))
        print("OUT")
        """,
    "connect to a bus by its path": """
        s = socket.socket(socket.AF_UNIX); s.connect(T["bus"]); print(s.recv(100))
        """,
    "connect to an abstract socket": """
        s = socket.socket(socket.AF_UNIX); s.connect("\\0" + T["abstract"]); print(s.recv(100))
        """,
    "connect to the display": 's = socket.socket(socket.AF_UNIX); s.connect(T["x11"]); print(s.recv(100))',
    "ask the kernel by netlink": 'socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); print("OUT")',
    "reach the browser's debugging port": """
        import urllib.request
        seen = urllib.request.urlopen(f"http://127.0.0.1:{T['debugging']}/json/version", timeout=30).read()
        print("OUT" if b"Browser" in seen else "")
        """,
}


@pytest.fixture(scope="module")
def debugging(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The debugging port of a real Chromium."""
    profile = tmp_path_factory.mktemp("profile")
    command = [str(find_chromium()), *LAUNCH_ARGS, "--headless", "--no-sandbox", "--remote-debugging-port=0"]
    browser = subprocess.Popen(
        [*command, f"--user-data-dir={profile}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    said = profile / "DevToolsActivePort"
    deadline = time.monotonic() + 90
    while not (said.exists() and said.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.1)
    yield int(said.read_text().split()[0])
    browser.kill()
    browser.wait()


@pytest.mark.parametrize("way", CONTROLLED)
async def test_no_way_out(way: str, world: World, request: pytest.FixtureRequest) -> None:
    """The attempt works for an ordinary process here and fails in the sandbox, which goes on."""
    attempt, targets = CONTROLLED[way], dict(world.targets)
    if "debugging" in attempt:
        targets["debugging"] = request.getfixturevalue("debugging")
    said = outside(attempt, targets)
    assert "OUT" in said or SECRET in said, said
    heard = world.heard
    while select.select([world.udp], [], [], 0)[0]:
        world.udp.recv(100)
    ran = await run(written(attempt, targets), goal="")
    assert ran.failed is None and ran.printed.endswith("alive\n"), ran.printed
    assert "OUT" not in ran.printed and SECRET not in ran.printed
    assert SECRET.encode() not in b"".join(ran.files.values())
    assert world.heard == heard and not select.select([world.udp], [], [], 0.05)[0]


HARMFUL = {  # these are tried in the sandbox alone: outside they would need root, or do harm
    "become root": 'os.setuid(0); print("OUT")',
    "make a namespace of users": 'libc.unshare(0x10000000) == 0 and print("OUT")',
    "mount a disk": 'libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0 and print("OUT")',
    "make the system writable": 'libc.mount(None, b"/", None, 0x1020, None) == 0 and print("OUT")',
    "change the root": 'os.chroot("/tmp"); print("OUT")',
    "join process 1's namespaces": """
        libc.setns(os.open("/proc/1/ns/net", os.O_RDONLY), 0) == 0 and print("OUT")
        """,
    "set a setuid bit on a program of its own": """
        open("tool", "w").close(); os.chmod("tool", 0o4755)
        if not os.statvfs("tool").f_flag & os.ST_NOSUID: print("OUT")
        """,
    "make a device": 'os.mknod("disk", 0o600 | stat.S_IFBLK, os.makedev(254, 0)); open("disk"); print("OUT")',
    "open the machine's devices": """
        for name in ("vda", "sda", "nvme0n1", "mem", "kmsg", "kvm", "fuse", "net/tun", "snd", "dri"):
            if os.path.exists("/dev/" + name): print("OUT", name)
        """,
    "open the terminal": 'open("/dev/tty", "w"); print("OUT")',
    "set kernel parameters": 'open("/proc/sys/kernel/core_pattern", "w"); print("OUT")',
    "press the kernel's keys": 'open("/proc/sysrq-trigger", "w"); print("OUT")',
    "set the clock": 'time.clock_settime(time.CLOCK_REALTIME, 0); print("OUT")',
    "read the kernel's log": 'libc.klogctl(3, ctypes.create_string_buffer(99), 99) >= 0 and print("OUT")',
    "kill process 1": """
        os.kill(1, signal.SIGKILL); time.sleep(0.2)
        """,
    "raise its own limits": """
        import resource; resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40)); print("OUT")
        """,
    "plant code in the packages": 'open("/packages/planted.pth", "w"); print("OUT")',
    "plant code in the standard library": 'open(os.__file__, "a"); print("OUT")',
    "change the code that holds it": 'open("/inside.py", "a"); print("OUT")',
    "write anywhere else": """
        for folder in ("/", "/dev", "/etc", "/usr", "/usr/lib", "/packages", os.path.dirname(T["python"])):
            try: open(folder + "/planted", "w"); print("OUT", folder)
            except OSError: pass
        """,
    "leave by a socket to the machine's host": """
        socket.socket(getattr(socket, "AF_VSOCK", 40), socket.SOCK_STREAM); print("OUT")
        """,
    "fork without end": """
        for _ in range(5000):
            try:
                if os.fork() == 0: time.sleep(5); os._exit(0)
                print("OUT")
            except OSError: pass
        """,
    "threads without end": """
        gate, begun = threading.Event(), 0
        threading.stack_size(65536)
        try:
            for _ in range(2000): threading.Thread(target=gate.wait, daemon=True).start(); begun += 1
        except RuntimeError: pass
        gate.set(); print("OUT" if begun > 70 else "threads", begun)
        """,
    "fill the disk": """
        for folder in ("/work", "/tmp", "/dev/shm"):
            size = 0
            try:
                for i in range(200): size += open(f"{folder}/{i}", "wb", 0).write(bytes(65536))
            except OSError: pass
            print("OUT" if size > 2**20 else folder, size)
        """,
    "find other processes": 'len(glob.glob("/proc/[0-9]*")) > 2 and print("OUT")',
    "find files left open by its parent": """
        for fd in range(256):
            try: path = os.readlink(f"/proc/self/fd/{fd}")
            except OSError: continue
            if not path.startswith(("pipe:", "/dev/null", "/proc")): print("OUT", path)
        """,
}


@pytest.mark.parametrize("way", HARMFUL)
async def test_no_harmful_way_out(way: str, world: World) -> None:
    """The attempt fails, and the script goes on after it."""
    ran = await run(written(HARMFUL[way], world.targets), limits=Limits(files=2**20))
    assert ran.printed.endswith("alive\n"), (ran.printed, ran.failed)
    assert "OUT" not in ran.printed, ran.printed


ENDED = {  # what ends the script itself, and the words for it
    "use all memory": ("x = []\nwhile len(x) < 40: x.append(bytearray(2**26))", r"line 2, .*MemoryError"),
    "run for ever": ("x = 0\nwhile True: x += 1", r"line 2, .*ran too long"),
    "run for ever and hear no alarm": (
        "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass",
        "was killed",
    ),
    "sleep for ever and hear no alarm": (
        "import signal, time\nsignal.pthread_sigmask(0, range(1, 65))\ntime.sleep(99)",
        r"ran longer than 1 s",
    ),
    "print without end": ('while True: print("x" * 9999)', "printed more than"),
    "crash the interpreter": ("import ctypes; ctypes.string_at(0)", "was killed"),
    "leave too many files": ("for i in range(1100): open(str(i), 'w').close()", "MiB of files"),
    "call without end": ("while True: read()", "made more than 50 calls"),
    "send a line without end": ("{pipe}os.write(fd, b'x' * 3 * 2**20)", "sent a line of more than"),
    "send what is no JSON": ("{pipe}os.write(fd, b'{{call: 1\\n')", "sent what is no call"),
    "send JSON that is no call": ("{pipe}os.write(fd, b'[1, 2]\\n')", "sent what is no call"),
    "send JSON nested too deep": ("{pipe}os.write(fd, b'[' * 500000 + b'\\n')", "sent what is no call"),
    "send half a character": ('{pipe}os.write(fd, b\'{{"end": "\\\\ud800"}}\\n\')', "sent what is no call"),
    "send a call too long to be read": (
        "{pipe}os.write(fd, json.dumps(dict(call='-' * 60000 + '1')).encode() + b'\\n')",
        "sent what is no call",
    ),
    "send bytes that are no text": (
        "{pipe}os.write(fd, bytes(range(128, 255)) + b'\\n')",
        "sent what is no call",
    ),
    "leave a file above the folder": (
        "{pipe}os.write(fd, json.dumps(dict(file='../escaped', data='')).encode() + b'\\n')",
        "name can't be used",
    ),
    "leave a file at an absolute path": (
        "{pipe}os.write(fd, json.dumps(dict(file='/tmp/escaped', data='')).encode() + b'\\n')",
        "name can't be used",
    ),
    "leave a file that is no base64": (
        "{pipe}os.write(fd, json.dumps(dict(file='a', data='%%')).encode() + b'\\n')",
        "sent what is no file",
    ),
}
# The descriptor on which the calls go out, as a script would look for it: the second pipe it finds.
PIPE = """import fcntl, json, os
fd = [f for f in range(3, 30) if os.path.exists(f"/proc/self/fd/{f}") and fcntl.fcntl(f, 3) & 3 == 1][0]
"""


@pytest.mark.parametrize("way", ENDED)
async def test_what_goes_too_far_is_ended_with_the_reason(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits, and whatever comes over the pipe that is no call, end the script in words; nothing hangs."""
    code, why = ENDED[way]
    if "{pipe}" in code:
        code = (
            PIPE
            + code.replace("{pipe}", "").replace("{{", "{").replace("}}", "}")
            + "\nimport time; time.sleep(30)"
        )
    if "sleep for ever" in way:
        monkeypatch.setattr(sandbox, "GRACE", 5.0)
    short = 1 if "for ever" in way else 60
    ran = await run(code, limits=Limits(seconds=short, memory=2**29, calls=50))
    assert re.search(why, ran.failed or ""), (ran.failed, ran.printed[:500])


async def test_a_forged_call_is_only_text() -> None:
    """What a script writes on the pipe by itself comes out as a call to be judged, like any other."""
    code = (
        PIPE + """os.write(fd, json.dumps({"call": '__import__("os").system("true")'}).encode() + b"\\n")"""
    )
    async with Sandbox(code) as running:
        assert await running.call() == '__import__("os").system("true")'


async def test_a_chart_that_is_a_link_is_not_taken(world: World) -> None:
    """Only regular files come out; a link to something outside or inside is left, so is a pipe."""
    code = f"""
import os
os.symlink({world.targets["secret"]!r}, "chart.png")
os.symlink("/etc/ld.so.cache", "inside.png")
os.mkfifo("fifo.png")
os.makedirs("out/deep"); open("out/deep/real.csv", "w").write("a,b")
open("empty", "w").close()
"""
    ran = await run(code)
    assert (ran.failed, ran.files) == (None, {"out/deep/real.csv": b"a,b", "empty": b""})


async def test_one_that_is_interrupted_at_its_start_is_ended() -> None:
    """Nobody has it in hand then, and it would go on to its own end."""
    running = Sandbox("import time; time.sleep(90)", files={"large": bytes(16 * 2**20)})
    starting = asyncio.ensure_future(running.__aenter__())
    while not hasattr(running, "_printing"):
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert await asyncio.wait_for(running._process.wait(), 20) != 0


async def test_the_sandbox_dies_with_its_parent() -> None:
    """SIGKILL of whoever runs a script leaves nothing behind."""
    code = """
import asyncio
from tools.sandbox import Sandbox
async def main():
    async with Sandbox("noop()\\nimport time; time.sleep(60)") as running:
        await running.call()
        print(running._process.pid, flush=True)
        await running.answer()
        await running.call()
asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    inside = int(parent.stdout.readline())
    children = [int(p) for p in Path(f"/proc/{inside}/task/{inside}/children").read_text().split()]
    assert children
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while (left := [p for p in (inside, *children) if _lives(p)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_calls_come_out_as_text_and_answers_go_in() -> None:
    """Targets are written by role and name, numbers as text where text is wanted; a refusal is raised."""
    code = """
total = 3
fill(textbox("Total", nth=1), total)
select_option(combobox("State"), ["a", "b"])
print(read(), goal)
try:
    click(button("Gone"))
except ActionError as error:
    print("no:", error)
send_msg_to_user("done")
print("never")
"""
    calls = []
    async with Sandbox(code, goal="add up") as running:
        while (call := await running.call()) is not None:
            calls.append(call)
            if "Gone" in call:
                await running.refuse("no such button")
            else:
                await running.answer("page text", over=call.startswith("send_msg"))
    assert calls[0] == "fill(textbox('Total', nth=1), '3')"
    assert calls[1] == "select_option(combobox('State', nth=0), ['a', 'b'])"
    assert calls[2:] == ["read()", "click(button('Gone', nth=0))", "send_msg_to_user('done')"]
    assert (running.failed, running.printed) == (None, "page text add up\nno: no such button\n")


async def test_files_go_in_and_what_changed_comes_out() -> None:
    """Given files lie in the work folder; those that are as before are not sent back."""
    code = 'open("sum", "w").write(str(sum(map(int, open("in/a.txt")))))'
    ran = await run(code, files={"in/a.txt": b"1\n2\n", "b": b""})
    assert ran.files == {"sum": b"3"}


async def test_an_error_says_the_line() -> None:
    """What the script's author needs to mend it."""
    ran = await run("def f(row):\n    return row['Amount']\n\nf({})")
    assert ran.failed == "line 2, return row['Amount']: KeyError: 'Amount'"


async def test_pandas_and_matplotlib_are_there() -> None:
    """A table is read and a chart is saved, without a display or the network."""
    code = """
import pandas, matplotlib.pyplot as plt
table = pandas.read_csv("t.csv")
table.plot.bar(x="who", y="amount")
plt.savefig("chart.png")
print(table.amount.sum())
"""
    ran = await run(code, files={"t.csv": b"who,amount\nAda,2\nBob,40\n"})
    assert ran.failed is None and ran.printed.endswith("42\n"), ran.printed
    assert list(ran.files) == ["chart.png"] and ran.files["chart.png"].startswith(b"\x89PNG")


async def test_without_an_engine_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither bubblewrap nor Docker, and a bubblewrap that does not work here."""
    monkeypatch.setenv("PATH", str(tmp_path))
    find.cache_clear()
    try:
        with pytest.raises(SandboxMissing, match="apt-get install bubblewrap"):
            await run("pass")
        broken = tmp_path / "bwrap"
        broken.write_text("#!/bin/sh\necho no permission >&2\nexit 1\n")
        broken.chmod(0o755)
        with pytest.raises(SandboxMissing, match="no permission.*allow user namespaces"):
            find()
    finally:
        find.cache_clear()


def test_the_commands_open_nothing_more_than_they_must() -> None:
    """Both engines: no network, no root, nothing writable from outside, and limits."""
    command = bubblewrap(Limits())
    assert {"--unshare-net", "--unshare-pid", "--die-with-parent", "--new-session", "--clearenv"} <= {
        *command
    }
    assert "--bind" not in command and "--dev-bind" not in command
    words = docker(Limits(memory=2**30, files=2**20, threads=8), "name")
    pairs = list(zip(words, words[1:], strict=False))
    for pair in [
        *(("--network", "none"), ("--cap-drop", "ALL"), ("--security-opt", "no-new-privileges")),
        *(("--pids-limit", "8"), ("--memory", str(2**30)), ("--name", "name"), ("--user", "65533:65533")),
    ]:
        assert pair in pairs
    assert "--read-only" in words and "--rm" in words and "--interactive" in words
    assert all(word.endswith(":ro") for flag, word in pairs if flag == "--volume")
    image = f"python:{platform.python_version().rpartition('.')[0]}-slim"
    assert words[words.index(image) + 1 :] == ["python", "-u", "-s", "-P", "/inside.py"]


async def test_it_starts_soon() -> None:
    """Well under a second of work until the script begins (a clock would count what else is going on)."""
    ran = await run("import time; print(time.process_time())")
    assert 0 < float(ran.printed) < 0.8


def test_base64_in_a_line_holds_a_chunk() -> None:
    """A piece of a file, written as a line, is shorter than the longest line that is taken."""
    from tools.sandbox_inside import CHUNK

    assert len(json.dumps({"file": "x" * 200, "data": base64.b64encode(bytes(CHUNK)).decode()})) < (
        sandbox.LONGEST_LINE
    )
