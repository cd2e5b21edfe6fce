"""The desktop measured: how often it is looked at, how well it types, and whether anything stays behind.

    python benchmarks/desktop.py looks                    # against pyatspi's full read and a screenshot alone
    python benchmarks/desktop.py typing --rounds 3        # 1,000 characters, mixed scripts, against xdotool
    python benchmarks/desktop.py soak --episodes 200      # memory, processes, file handles, folders

All sides of a comparison in one run, in turn, on the same private desktop, a text editor and a spreadsheet
open. `looks` wants python3-pyatspi and gir1.2-atspi-2.0 for the system's own Python, `typing` xdotool.

    looks     one look is the tree as elements and the screenshot as PNG; pyatspi's reads role, name, states,
              place and text of each node that shows; the screenshot alone is grabbed and made a PNG
    typing    into the editor, which is then asked what it holds; right is what stands in the right order
    soak      each episode a new desktop: open the editor, write, close; every tenth its editor crashes.
              Counted are what this process holds, and what is left of processes and folders after each;
              exits 1 where a step failed or more has grown than `GROWTH` allows

Not covered: what the model costs (`step_latency.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from tools.actions import parse
from tools.desktop import DesktopEnvironment, Desktops, _png
from tools.environment import Start
from tools.version import commit
from tools.x11.quiet import family

SCRIPTS = (
    "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 .,;:!?()[]{}<>@#$%&*+-=/",
    "äöüßéèêñçøåłžşğőřďťňµ½",
    "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "αβγδεζηθικλμνξοπρστυφχψω",
    "你好世界中文輸入東京大阪日本語",
    "あいうえおかきくけこさしすせそアイウエオ",
    "😀🚀🌍🎉→←∑√≠",
)
# From the first twentieth of the episodes to the end; memory is the allocator's, and comes and goes.
GROWTH = {"rss_kib": 16 * 1024, "handles": 0, "threads": 0, "processes": 0, "folders": 0}
PYATSPI = """
import json, sys, time, pyatspi
def read(node):
    count = 1
    states = node.getState()
    if not states.contains(pyatspi.STATE_SHOWING): return count
    node.getRoleName(); node.name
    try: node.queryComponent().getExtents(pyatspi.DESKTOP_COORDS)
    except NotImplementedError: pass
    try: node.queryText().getText(0, -1)
    except NotImplementedError: pass
    if states.contains(pyatspi.STATE_MANAGES_DESCENDANTS): return count
    return count + sum(read(child) for child in node if child is not None)
print("ready", flush=True)
for line in sys.stdin:
    begun = time.perf_counter()
    nodes = sum(read(window) for app in pyatspi.Registry.getDesktop(0) for window in app)
    print(json.dumps([time.perf_counter() - begun, nodes]), flush=True)
"""


async def opened(env: DesktopEnvironment) -> None:
    await env.open(Start("app:mousepad", ("app:mousepad", "app:gnumeric")))
    await env.launch("app:gnumeric")


async def looks(rounds: int) -> dict[str, Any]:
    """Seconds of each side's looks, their medians, and how many go into a second."""
    async with Desktops() as desktops:
        env = desktops.environment()
        await opened(env)
        session = env.screen.session
        where = {"DISPLAY": session.display, "DBUS_SESSION_BUS_ADDRESS": session.bus, "PATH": "/usr/bin:/bin"}
        other = await asyncio.create_subprocess_exec(
            "/usr/bin/python3", "-c", PYATSPI, env=where,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert other.stdin is not None and other.stdout is not None
        if await other.stdout.readline() != b"ready\n":
            raise SystemExit("no pyatspi; as root: apt-get install python3-pyatspi gir1.2-atspi-2.0")
        taken: dict[str, list[float]] = {"ours": [], "pyatspi": [], "screenshot": []}
        elements = nodes = 0
        for _ in range(rounds + 1):
            begun = time.perf_counter()
            elements = len((await env.look()).elements)
            taken["ours"].append(time.perf_counter() - begun)
            other.stdin.write(b"\n")
            seconds, nodes = json.loads(await other.stdout.readline())
            taken["pyatspi"].append(seconds)
            begun = time.perf_counter()
            _png(env.screen.grab())
            taken["screenshot"].append(time.perf_counter() - begun)
        other.stdin.close()
        await other.wait()
    middle = {side: median(seconds[1:]) for side, seconds in taken.items()}  # the first warms up
    return {
        "rounds": rounds, "elements": elements, "pyatspi_nodes": nodes,
        "seconds": {side: round(value, 4) for side, value in middle.items()},
        "a_second": {side: round(1 / value, 2) for side, value in middle.items()},
        "ours_to_pyatspi": round(middle["pyatspi"] / middle["ours"], 2),
        "ours_to_screenshot": round(middle["screenshot"] / middle["ours"], 2),
    }  # fmt: skip


async def typing(characters: int, rounds: int) -> dict[str, Any]:
    """Seconds, and how many characters came right."""
    if shutil.which("xdotool") is None:
        raise SystemExit("no xdotool; as root: apt-get install xdotool")
    draw = random.Random(0)
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "xdotool": []}
    async with Desktops() as desktops:
        env = desktops.environment()
        for _ in range(rounds):
            text = "".join(draw.choice(draw.choice(SCRIPTS)) for _ in range(characters)).strip()

            async def ours(text: str = text) -> None:
                await env.screen.input.type(text)

            async def theirs(text: str = text) -> None:
                argv = ["xdotool", "type", "--delay", "12", text]
                where = {"DISPLAY": env.screen.session.display, "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
                await (await asyncio.create_subprocess_exec(*argv, env=where)).wait()

            for side, types in (("ours", ours), ("xdotool", theirs)):
                found[side].append(await typed(env, text, types))
    return {
        "characters": characters, "rounds": rounds, **found,
        "ours_to_xdotool": round(
            median(r["seconds"] for r in found["xdotool"]) / median(r["seconds"] for r in found["ours"]), 2
        ),
    }  # fmt: skip


async def typed(env: DesktopEnvironment, text: str, types: Callable[[], Awaitable[None]]) -> dict[str, Any]:
    """A text typed into a new editor."""
    await env.reset(Start("app:mousepad"))
    page = next(item for item in env._items.values() if item.element.role == "textbox")
    begun = time.perf_counter()
    await types()
    await env.drained()
    seconds = time.perf_counter() - begun
    assert page.node is not None
    for _ in range(100):  # the other side does not wait for the editor
        holds = await env.screen.atspi.text(page.node)
        await asyncio.sleep(0.1)
        if holds == await env.screen.atspi.text(page.node):
            break
    blocks = difflib.SequenceMatcher(None, text, holds, autojunk=False).get_matching_blocks()
    right = sum(block.size for block in blocks)
    return {"seconds": round(seconds, 2), "right": right, "of": len(text), "exact": holds == text}


def held(folders: set[Path]) -> dict[str, int]:
    """What this process holds, and what of its desktops is there."""
    me = psutil.Process()
    return {
        "rss_kib": me.memory_info().rss // 1024, "handles": me.num_fds(), "threads": me.num_threads(),
        "processes": len([*family([os.getpid()])]) - 1, "folders": sum(map(Path.exists, folders)),
    }  # fmt: skip


async def soak(episodes: int) -> dict[str, Any]:
    """What is held after the first twentieth of the episodes, after each further one, and at the end."""
    marks: list[dict[str, int]] = []
    failed: list[str] = []
    folders: set[Path] = set()
    begun = time.perf_counter()
    every = max(1, episodes // 20)
    async with Desktops() as desktops:
        env = desktops.environment()
        for number in range(1, episodes + 1):
            await env.reset(Start("app:mousepad"))
            folders.add(env.aside)
            seen = await env.step(parse('fill(textbox(""), "one")'))
            if seen.error or '= "one"' not in seen.text():
                failed.append(f"{number}: {seen.error or seen.text()}")
            if number % 10 == 0:
                front = env.screen.windows.stacked()[-1].pid
                assert front > 1  # 0 would be this benchmark's own group
                os.kill(front, signal.SIGSEGV)
                seen = await env.step(parse("noop(300)"))
                if "crashed" not in (seen.error or ""):
                    failed.append(f"{number}: a crash was not told of: {seen.error}")
            await env.close()
            if number % every == 0:
                marks.append({"episode": number, **held(folders)})
                print(json.dumps(marks[-1]), flush=True)
    first, last = marks[0], marks[-1]
    grown = {name: last[name] - first[name] for name in GROWTH}
    return {
        "episodes": episodes, "seconds": round(time.perf_counter() - begun, 1), "failed": failed,
        "grown": grown, "first": first, "last": last,
        "holds": not failed and all(grown[name] <= bound for name, bound in GROWTH.items()),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("looks", "typing", "soak"))
    parser.add_argument("--rounds", type=int, default=20, help="of looks, or texts typed")
    parser.add_argument("--characters", type=int, default=1000)
    parser.add_argument("--episodes", type=int, default=200)
    args = parser.parse_args()
    work: Any = {
        "looks": lambda: looks(args.rounds),
        "typing": lambda: typing(args.characters, args.rounds),
        "soak": lambda: soak(args.episodes),
    }[args.what]
    found = asyncio.run(work())
    print(json.dumps({"commit": commit(), args.what: found}, ensure_ascii=False))
    raise SystemExit(not found.get("holds", True))


if __name__ == "__main__":
    main()
