"""The sandbox: a script run as real Python in a process of its own, which can do nothing but ask here.

    async with Sandbox('click(button("Save"))', goal="Save it") as sandbox:
        while (call := await sandbox.call()) is not None:   # 'click(button("Save", nth=0))'
            await sandbox.answer(value)                     # or refuse("why"), an ActionError in the script
    sandbox.failed, sandbox.printed, sandbox.files

Under bubblewrap: namespaces of its own and no network, an empty environment, only the system's libraries,
Python and its packages to be read, a folder in memory to write to, no root, a filter of system calls, limits
on time, memory, files and output. Where bubblewrap is not, Docker gives the same. The one way out is a pipe,
whose every line is held to a length and a form; a call is plain text until the caller has parsed it.

Not covered: what calls mean (`agents/script.py`); subprocesses, which a script can't start; kernel memory
that very many empty files take until it ends. Docker's side has never been run.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from tools import seccomp
from tools.actions import ACTIONS

MIB = 2**20
INSIDE = Path(__file__).parent / "sandbox_inside.py"
USER = 65533  # nobody's number: what a root process becomes in there, so that limits on processes bind it
LONGEST_LINE = MIB  # bytes of a call, or of a piece of a file
LONGEST_CALL = 50_000  # characters
GRACE = 20.0  # seconds for starting, and for handing over files, beyond the script's own
READING: dict[str, list[str]] = {"read": [], "read_table": [], "act": ["text"]}  # beside the table's actions
ROLES = [
    *("alertdialog", "button", "canvas", "checkbox", "clickable", "combobox", "dialog", "file", "heading"),
    *("img", "link", "listbox", "menuitem", "menuitemcheckbox", "menuitemradio", "option", "progressbar"),
    *("radio", "searchbox", "slider", "spinbutton", "switch", "tab", "text", "textbox", "treeitem", "video"),
]
SYSTEM = (
    *("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/lib", "/lib32", "/lib64", "/libx32"),
    "/etc/ld.so.cache",
)
ENVIRONMENT = {
    "HOME": "/work",
    "TMPDIR": "/tmp",
    "PATH": "",
    "LANG": "C.UTF-8",
    "PYTHONPATH": "/packages",
    "PYTHONDONTWRITEBYTECODE": "1",
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
INSTALL = "as root: apt-get install bubblewrap libseccomp2 (or install Docker)"


class SandboxMissing(RuntimeError):
    """Scripts can't be run apart on this machine; the message says what to install or allow."""


@dataclass(frozen=True)
class Limits:
    """What a script may use. `seconds` are its own: while a call is being answered they don't run."""

    seconds: float = 120.0
    memory: int = 3072 * MIB  # address space
    files: int = 64 * MIB  # bytes in its work folder, and as much again in /tmp and in /dev/shm
    output: int = MIB  # printed
    calls: int = 2000
    threads: int = 64


class Sandbox:
    """One run of one script. `files` are given at first, and afterwards those that it has made or changed."""

    def __init__(
        self,
        script: str,
        *,
        goal: str = "",
        files: Mapping[str, bytes] | None = None,
        limits: Limits = Limits(),
    ) -> None:
        self.failed: str | None = None  # why it did not run to its end, in words for whoever wrote it
        self.files: dict[str, bytearray] = {}
        self._limits = limits
        self._printed = bytearray()
        self._calls = 0
        self._left = limits.seconds + GRACE
        self._name = f"shopfloor-{uuid.uuid4().hex}"
        self._start = {
            "script": script,
            "goal": goal,
            "roles": ROLES,
            "functions": {name: [k for _, k in spec.params] for name, spec in ACTIONS.items()} | READING,
            "files": _written(files),
            "seconds": limits.seconds,
            "limits": {
                "RLIMIT_AS": limits.memory,
                "RLIMIT_CORE": 0,
                "RLIMIT_CPU": int(limits.seconds) + 4,  # for what hears no alarm
                "RLIMIT_FSIZE": limits.files,
                "RLIMIT_NOFILE": 256,
                "RLIMIT_NPROC": limits.threads,
            },
            "user": None,
        }

    @property
    def printed(self) -> str:
        """What the script has printed so far."""
        return self._printed.decode(errors="replace")

    async def __aenter__(self) -> Sandbox:
        """Start it. Raises SandboxMissing."""
        engine = find()
        if engine == "bwrap":
            self._start["user"] = USER if os.geteuid() == 0 else None
            command = bubblewrap(self._limits)
        else:
            command = docker(self._limits, self._name)
        rules = os.memfd_create("seccomp")
        try:
            os.write(rules, seccomp.program())
            os.lseek(rules, 0, os.SEEK_SET)
            self._process = await asyncio.create_subprocess_exec(
                *(str(rules) if word == "{seccomp}" else word for word in command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(rules,),
                # Bubblewrap's own stays readable in there, as that of process 1; Docker's client wants its.
                env={} if engine == "bwrap" else None,
                limit=LONGEST_LINE,
            )
        finally:
            os.close(rules)
        self._printing = asyncio.ensure_future(self._listen())
        try:
            await self._write(self._start)
        except BaseException:  # whoever waits was stopped: nobody would end it any more
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()
        await asyncio.gather(self._process.wait(), self._printing)

    async def call(self) -> str | None:
        """The script's next call, as text that nobody has checked; None at its end. See `failed` then."""
        while True:
            began = asyncio.get_running_loop().time()
            try:
                line = await asyncio.wait_for(self._out.readline(), max(0.0, self._left))
            except TimeoutError:
                return await self._end(f"it ran longer than {self._limits.seconds:g} s and was stopped")
            except ValueError:
                return await self._end(f"it sent a line of more than {LONGEST_LINE} bytes and was stopped")
            self._left -= asyncio.get_running_loop().time() - began
            if not line:
                await self._process.wait()
                return await self._end(f"it was killed ({self._process.returncode}): a limit, or a crash")
            match _read(line):
                case {"call": str(text)} if len(text) <= LONGEST_CALL:
                    self._calls += 1
                    if self._calls > self._limits.calls:
                        return await self._end(
                            f"it made more than {self._limits.calls} calls and was stopped"
                        )
                    return text
                case {"file": str(name), "data": str(data)}:
                    problem = self._keep(name, data)
                    if problem:
                        return await self._end(problem)
                case {"end": None}:
                    return await self._end(None)
                case {"end": str(why)}:
                    return await self._end(why[:1000])
                case _:
                    return await self._end("it sent what is no call and was stopped")

    async def answer(
        self, value: Any = None, *, over: bool = False, files: Mapping[str, bytes] | None = None
    ) -> None:
        """The call's result (JSON), and files that have come meanwhile; `over`: the script ends here."""
        await self._write({"value": value, "over": over, "files": _written(files)})

    async def refuse(self, why: str) -> None:
        """The call fails, and is an ActionError in the script."""
        await self._write({"error": why})

    @property
    def _out(self) -> asyncio.StreamReader:
        assert self._process.stdout is not None
        return self._process.stdout

    async def _write(self, line: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        with suppress(ConnectionError, TimeoutError):  # one that does not listen is met at its next call
            await asyncio.wait_for(self._process.stdin.drain(), GRACE)

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(65536):
            self._printed += data
            if len(self._printed) > self._limits.output and self._process.returncode is None:
                self.failed = f"it printed more than {self._limits.output} bytes and was stopped"
                self._kill()
            del self._printed[self._limits.output :]

    def _keep(self, name: str, data: str) -> str | None:
        """Add a piece to a file; what is wrong with it, if anything is."""
        parts = PurePosixPath(name).parts
        if not parts or not name.isprintable() or name.startswith("/") or ".." in parts or len(name) > 200:
            return "it left a file whose name can't be used"
        try:
            self.files.setdefault(name, bytearray()).extend(base64.b64decode(data, validate=True))
        except ValueError:
            return "it sent what is no file and was stopped"
        if sum(map(len, self.files.values())) > self._limits.files or len(self.files) > 1000:
            return f"it left more than {self._limits.files // MIB} MiB of files"
        return None

    async def _end(self, why: str | None) -> str | None:
        """It is over; the None that `call` then returns."""
        self.failed = self.failed or why
        self._kill()
        await self._process.wait()
        await self._printing
        return None

    def _kill(self) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            if find() == "docker":  # killing its client leaves the container running
                subprocess.run(["docker", "rm", "--force", self._name], capture_output=True)


def _written(files: Mapping[str, bytes] | None) -> dict[str, str]:
    """Files as a line of JSON has them."""
    return {name: base64.b64encode(data).decode() for name, data in (files or {}).items()}


def _read(line: bytes) -> Any:
    """The line's JSON; None where it is none, or holds halves of characters, which no file takes."""
    try:
        said = json.loads(line)
        json.dumps(said, ensure_ascii=False).encode()
        return said
    except (ValueError, RecursionError):
        return None


@cache
def find() -> str:
    """The engine that works here, "bwrap" or "docker". Raises SandboxMissing, which says what to do."""
    problem = f"scripts are run apart, in bubblewrap, which is not here; {INSTALL}"
    if shutil.which("bwrap"):
        problem = _tried()
        if not problem:
            return "bwrap"
    if shutil.which("docker"):
        with suppress(subprocess.TimeoutExpired):
            if subprocess.run(["docker", "info"], capture_output=True, timeout=10).returncode == 0:
                return "docker"
    raise SandboxMissing(problem)


def _tried() -> str:
    """Why bubblewrap does not work here; nothing where it does."""
    try:
        seccomp.program()
        command = [*bubblewrap(Limits())[:-1], "-c", ""]
        command[command.index("--seccomp") : command.index("--seccomp") + 2] = []
        ran = subprocess.run(command, capture_output=True, text=True, timeout=20, env={})
    except OSError as error:
        return f"scripts are run apart, with libseccomp's help, which is not here ({error}); {INSTALL}"
    except subprocess.TimeoutExpired:
        return "scripts are run apart, in bubblewrap, which hangs here; is the machine overloaded? try again"
    if ran.returncode == 0:
        return ""
    return (
        f"scripts are run apart, in bubblewrap, which does not work here ({ran.stderr.strip()[:160]}); "
        "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, or AppArmor's bwrap profile)"
    )


def python() -> tuple[str, list[str], str]:
    """The interpreter, the folders it needs beside the system's libraries, and that of its packages."""
    program = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    folders = {sysconfig.get_path("stdlib"), str(sysconfig.get_config_var("LIBDIR"))}
    kept = sorted(f for f in folders if os.path.isdir(f))
    return program, [f for f in kept if not f.startswith(("/usr/lib", "/lib"))], sysconfig.get_path("purelib")


def bubblewrap(limits: Limits) -> list[str]:
    """The command that runs the inside under bubblewrap; `{seccomp}` stands for the filter's descriptor."""
    program, folders, packages = python()
    command = [
        shutil.which("bwrap") or "bwrap",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        "--cap-drop",
        "ALL",
    ]
    command += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if os.geteuid() == 0:  # it gives up root by itself, once it has begun
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        command += ["--unshare-user"]
    for name, value in ENVIRONMENT.items():
        command += ["--setenv", name, value]
    seen = {path: path for path in (*SYSTEM, program, *folders) if os.path.exists(path)}
    seen |= {packages: "/packages", str(INSIDE): "/inside.py"}
    for folder in sorted({str(parent) for path in seen.values() for parent in Path(path).parents} - {"/"}):
        command += ["--perms", "0755", "--dir", folder]  # bubblewrap's own are for root alone
    for path, there in seen.items():
        link = path.count("/") == 1 and os.path.islink(path)  # /lib is usr/lib on most systems
        command += ["--symlink", os.readlink(path), path] if link else ["--ro-bind", path, there]
    command += ["--proc", "/proc", "--dev", "/dev"]
    for folder in ("/work", "/tmp", "/dev/shm"):
        command += ["--perms", "1777", "--size", str(limits.files), "--tmpfs", folder]
    command += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/work", "--seccomp", "{seccomp}"]
    return [*command, program, "-u", "-s", "-P", "/inside.py"]


def docker(limits: Limits, name: str) -> list[str]:
    """The command that runs the inside in a container with the same to see and the same limits."""
    _, _, packages = python()
    command = ["docker", "run", "--rm", "--interactive", "--name", name, "--network", "none", "--read-only"]
    command += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", f"{USER}:{USER}"]
    command += ["--pids-limit", str(limits.threads), "--memory", str(limits.memory)]
    for folder in ("/work", "/tmp"):
        command += ["--tmpfs", f"{folder}:rw,nosuid,nodev,mode=1777,size={limits.files}"]
    for word, value in ENVIRONMENT.items():
        command += ["--env", f"{word}={value}"]
    command += ["--volume", f"{packages}:/packages:ro", "--volume", f"{INSIDE}:/inside.py:ro"]
    image = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
    return [*command, "--workdir", "/work", image, "python", "-u", "-s", "-P", "/inside.py"]
