"""`shopfloor doctor`: checks every part by using it, and says how to mend what fails.

    shopfloor doctor
    shopfloor doctor --only browser --json

Exit 1 when a part that every task needs fails (browser, model, memory, packages, ports, disk); a warning is
about what only some uses need.

Not covered: mending; `make run` does that where it can.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tools import rules, settings
from tools.environment import EnvironmentDown

if TYPE_CHECKING:
    from agents.clients import Endpoint

ROOT = Path(__file__).resolve().parent.parent
GIB = 2**30
PORTS = 3  # helpdesk, model server, and one to spare


@dataclass(frozen=True)
class Check:
    """What was found of one part. `mend` says what to do, empty when all is well."""

    part: str
    status: Literal["ok", "warn", "fail"]
    found: str
    mend: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", metavar="PART", choices=list(CHECKS), help=f"one of {', '.join(CHECKS)}")


def run(args: argparse.Namespace) -> int:
    done = []
    for part in [args.only] if args.only else list(CHECKS):
        try:
            check = CHECKS[part]()
        except settings.SettingsError as error:
            check = Check(part, "fail", str(error), "mend that setting; `shopfloor config` shows them all")
        done.append(check)
        if not args.json:
            _show(check)
    ok = all(c.status != "fail" for c in done)
    if args.json:
        print(json.dumps({"ok": ok, "checks": [asdict(c) for c in done]}))
    return 0 if ok else 1


def _show(check: Check) -> None:
    colour = {"ok": "32", "warn": "33", "fail": "31"}[check.status]
    status = f"{check.status:4}"
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        status = f"\x1b[{colour}m{status}\x1b[0m"
    print(f"{status}  {check.part:9} {check.found}")
    if check.mend:
        print(f"{'':16} mend: {check.mend}")
    sys.stdout.flush()


def python() -> Check:
    """Which one; pip and `setup.sh` refuse what is older than 3.11, so nothing can be wrong with it here."""
    return Check("python", "ok", f"{sys.version.split()[0]} at {sys.prefix}")


def the_settings() -> Check:
    settings.load()
    policy = rules.load().path or "built in"
    strangers = settings.strangers()
    if strangers:
        return Check("settings", "warn", f"{', '.join(strangers)}: no such setting", "see `shopfloor config`")
    return Check("settings", "ok", f"state folder {settings.home_path()}; policy {policy}")


def packages() -> Check:
    """Installed versions against constraints.txt; a missing one fails, another version only warns."""
    path = ROOT / "constraints.txt"
    if not path.is_file():
        return Check("packages", "warn", "constraints.txt is not beside the code", "install from a checkout")
    pinned = dict(line.split("==") for line in path.read_text(encoding="utf-8").split() if "==" in line)
    missing, other = [], []
    for name, version in pinned.items():
        try:
            installed = metadata.version(name).split("+")[0]  # torch says 2.13.0+cpu
        except metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if installed != version:
            other.append(f"{name} {installed}, not {version}")
    if missing:
        return Check("packages", "fail", f"missing: {', '.join(missing[:5])}", "touch setup.sh; make run")
    if other:
        return Check("packages", "warn", f"untested: {'; '.join(other[:5])}", "make clean; make run")
    return Check("packages", "ok", f"all {len(pinned)} as pinned")


def browser() -> Check:
    """Launches the browser and takes a picture of a word, which a machine without fonts leaves blank."""
    from tools.chromium import find_chromium

    try:
        path = str(find_chromium())
    except EnvironmentDown as error:
        return Check("browser", "fail", "none found", str(error))
    if why := _no_driver():
        return Check("browser", "fail", why, "as root: apt-get install libatomic1; then: make setup")
    return asyncio.run(_draw(path))


def _no_driver() -> str:
    """Why Playwright's driver, a node of its own, does not start; nothing where it does."""
    from playwright._impl._driver import compute_driver_executable

    node, _ = compute_driver_executable()
    try:
        ran = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"Playwright's driver does not start: {error}"
    return f"Playwright's driver does not start: {ran.stderr.strip()[:160]}" if ran.returncode else ""


async def _draw(path: str) -> Check:
    from playwright.async_api import Error, async_playwright

    from tools.chromium import LAUNCH_ARGS

    async with async_playwright() as playwright:
        try:
            chromium = await playwright.chromium.launch(
                executable_path=path, args=LAUNCH_ARGS, timeout=30_000
            )
        except Error as error:
            why = next((s for s in str(error).splitlines() if "error while loading" in s), str(error))
            mend = "as root: playwright install-deps chromium; or: apt-get install chromium fonts-dejavu-core"
            return Check("browser", "fail", f"{path} does not start: {why.splitlines()[0][:160]}", mend)
        page = await chromium.new_page(viewport={"width": 200, "height": 80})
        blank = await page.screenshot()
        await page.set_content("<h1>Shopfloor</h1>")
        written = await page.screenshot()
        version = chromium.version
        await chromium.close()
    if blank == written:
        mend = "as root: apt-get install fonts-dejavu-core"
        return Check("browser", "fail", f"{path} {version} draws no text", mend)
    return Check("browser", "ok", f"Chromium {version} at {path} draws")


def model() -> Check:
    """What the roles speak to: endpoints that answer, or a folder whose files can be read."""
    from agents.clients import ROLES, Endpoint, EndpointUnset, endpoint_for

    settings.export()  # where endpoints are looked up
    local = Endpoint("", "")
    try:
        used = dict.fromkeys(endpoint_for(role, local) for role in ROLES)
    except EndpointUnset as error:
        return Check("model", "fail", str(error), "see `shopfloor config`")
    checks = [_local() if each == local else _endpoint(each) for each in used]
    failed = next((check for check in checks if check.status != "ok"), None)
    return failed or Check("model", "ok", "; ".join(check.found for check in checks))


def _local() -> Check:
    from training.registry import NoModel, resolve

    try:
        folder = resolve(settings.load().model)
    except NoModel as error:
        return Check("model", "fail", str(error), "git checkout -- models/nano, or set SHOPFLOOR_MODEL")
    mend = f"restore the files of {folder}, or choose another folder: SHOPFLOOR_MODEL"
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        if not (folder / name).is_file():
            return Check("model", "fail", f"{folder / name} is missing", mend)
    from safetensors import SafetensorError, safe_open

    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
        with safe_open(folder / "model.safetensors", "np") as weights:
            count = sum(_product(weights.get_slice(k).get_shape()) for k in weights.keys())  # noqa: SIM118
    except (ValueError, KeyError, OSError, SafetensorError) as error:
        return Check("model", "fail", f"{folder} can't be read: {error}", mend)
    return Check("model", "ok", f"{folder} ({kind}, {count / 1e6:.1f}M parameters)")


def _product(shape: list[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _endpoint(endpoint: Endpoint) -> Check:
    import httpx

    from agents.clients import by_proxy

    url = endpoint.base_url
    try:
        answer = httpx.get(
            f"{url.rstrip('/')}/models",
            headers={"Authorization": f"Bearer {endpoint.api_key}"},
            timeout=5.0,
            trust_env=by_proxy(url),
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        mend = "start it, or mend SHOPFLOOR_MODEL_URL or the role's own _URL"
        return Check("model", "fail", f"{url}: {error}", mend)
    if answer.status_code != 200:
        mend = "mend its _URL (it usually ends in /v1) or _KEY"
        return Check("model", "fail", f"{url} answered {answer.status_code}", mend)
    return Check("model", "ok", f"{url} answers")


def memory() -> Check:
    """Remembers a note and finds it again, with the embeddings that come in the package."""
    from tools.memory import Memory, MemoryDown

    with tempfile.TemporaryDirectory() as folder:
        try:
            kept = Memory(folder)
            kept.add_note("The printer on the second floor is broken.", "doctor")
            hits = kept.retrieve("which printer does not work?", "", 1)
            kept.close()
        except (MemoryDown, ImportError, OSError) as error:
            return Check("memory", "fail", f"{error}", "make clean; make run")
    if not hits:
        return Check("memory", "fail", "a note was kept but not found", "make clean; make run")
    return Check("memory", "ok", "keeps a note and finds it")


def display() -> Check:
    name = os.environ.get("DISPLAY", "")
    mend = "only for browser windows and `desktop --display`: log in graphically; or xvfb-run, of xvfb"
    if not name:
        return Check("display", "warn", "DISPLAY is not set: no windows, headless only", mend)
    if name.startswith(":"):
        address = f"/tmp/.X11-unix/X{name[1:].split('.')[0]}"
        with socket.socket(socket.AF_UNIX) as x:
            try:
                x.connect(address)
            except OSError as error:
                return Check("display", "warn", f"DISPLAY={name}, but {address}: {error.strerror}", mend)
    from tools.x11.own import unsuited

    if why := unsuited(name):
        return Check("display", "warn", f"DISPLAY={name}; `desktop --display {name}` can't be used", why)
    return Check("display", "ok", f"DISPLAY={name}; `desktop --display {name}` can be used")


def desktop() -> Check:
    """Starts a virtual desktop and stops it again; only desktop tasks need one."""
    from tools.x11.session import Session, boxes, foreign
    from trajectories.desktop.suite import lacking

    async def tried() -> str:
        session = await Session.start((640, 480))
        await session.stop()
        return session.display

    if why := foreign():  # before any talk of Debian's packages
        return Check("desktop", "warn", why, "only for desktop tasks; do those on Linux")
    if packages := lacking():
        mend = f"only for desktop tasks; as root: apt-get install {' '.join(packages)}"
        return Check("desktop", "warn", f"{len(packages)} Debian packages are missing", mend)
    try:
        shown = asyncio.run(tried())
    except EnvironmentDown as error:
        return Check("desktop", "warn", str(error), "is the machine overloaded? try again")
    if not boxes():
        mend = "as root: apt-get install bubblewrap (or allow unprivileged user namespaces)"
        return Check("desktop", "warn", "a virtual desktop starts; its applications are not boxed in", mend)
    return Check("desktop", "ok", f"a virtual desktop starts (at {shown}); its applications are boxed in")


def sandbox() -> Check:
    """Runs a script as the team does, and lets it call once; only scripts need it."""
    from tools.sandbox import Sandbox, SandboxMissing, find

    async def tried() -> str | None:
        async with Sandbox('noop(); print("ran")') as running:
            called = await running.call()
            await running.answer()
            await running.call()
        well = called == "noop()" and running.printed == "ran\n"
        return running.failed or (None if well else f"a script went wrong: {running.printed[:160]}")

    try:
        why = asyncio.run(tried())
    except SandboxMissing as error:
        found, _, mend = str(error).partition("; ")
        return Check("sandbox", "warn", found, mend)
    if why:
        return Check(
            "sandbox",
            "warn",
            f"{find()}: {why}",
            "only scripts need it; is the machine overloaded? try again",
        )
    return Check("sandbox", "ok", f"{find()} runs a script apart")


def ports() -> Check:
    """Opens the loopback ports that helpdesk and model server will want, all at once."""
    opened: list[socket.socket] = []
    try:
        for _ in range(PORTS):
            opened.append(socket.create_server(("127.0.0.1", 0)))
        numbers = [str(s.getsockname()[1]) for s in opened]
    except OSError as error:
        return Check("ports", "fail", f"127.0.0.1: {error.strerror}", "allow listening on loopback")
    finally:
        for each in opened:
            each.close()
    return Check("ports", "ok", f"free on 127.0.0.1, such as {', '.join(numbers)}")


def disk() -> Check:
    """Writes a file into the state folder and asks how much more fits."""
    mend = "free some, or set SHOPFLOOR_HOME to a folder on another disk"
    try:
        folder = settings.home()
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x" * 4096)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check("disk", "fail", f"{settings.home_path()}: {error.strerror}", mend)
    status: Literal["ok", "warn", "fail"] = "ok" if free > 2 * GIB else "warn" if free > GIB / 4 else "fail"
    return Check("disk", status, f"{free / GIB:.1f} GiB free at {folder}", "" if status == "ok" else mend)


def ram() -> Check:
    import psutil

    free = psutil.virtual_memory().available
    limit = Path("/sys/fs/cgroup/memory.max")  # a container's own bound, lower than the machine's
    if limit.is_file() and (text := limit.read_text().strip()).isdecimal():
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        free = min(free, int(text) - used)
    if free < 3 * GIB:
        return Check("ram", "warn", f"{free / GIB:.1f} GiB free", "close something: a task needs up to 3 GiB")
    return Check("ram", "ok", f"{free / GIB:.1f} GiB free")


CHECKS: dict[str, Callable[[], Check]] = {
    "python": python,
    "settings": the_settings,
    "packages": packages,
    "disk": disk,
    "ram": ram,
    "ports": ports,
    "browser": browser,
    "model": model,
    "memory": memory,
    "sandbox": sandbox,
    "desktop": desktop,
    "display": display,
}
