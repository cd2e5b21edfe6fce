"""How fast roll-outs are: both sides of each comparison in one run, as a ratio.

    python benchmarks/rollouts.py                     # all, about 15 minutes on two cores
    python benchmarks/rollouts.py ceiling nodes       # only these

    browsergym  steps and resets a second against BrowserGym's own environment, same tasks, taking turns,
                one worker each and then side by side; its packages go into an environment of their own
    ceiling     a step (an action, waiting for the page, a look) against a bare loop of one screenshot and
                one element read on the same page: Playwright's own two calls, and ours
    workers     episodes a second of two workers against one
    nodes       a look at a page of 5,000 nodes against one of 100
    long        2,000 episodes in one go: memory of the process tree, size on disk, what outlives a SIGKILL

Not covered: the model's speed (decisions here are the oracle's), and clusters.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from tools import settings
from tools.actions import Action
from tools.browser import Browser, BrowserEnvironment
from tools.chromium import find_chromium
from tools.environment import Start
from trajectories.miniwob.suite import MiniWob
from trajectories.rollout import Job, oracle_policy, roll_out_all
from trajectories.store import Store

HERE = Path(__file__).resolve().parent
FAMILIES = ("click-test", "click-checkboxes", "enter-text", "click-tab-2", "email-inbox", "login-user")
CLICK = Action("mouse_click", (964, 23))  # an empty corner, (320, 5), in both
STEPS, ROUNDS, EPISODES = 6, 3, 20  # of a family in a row, as `generate` does them
ABREAST = 4  # environments of ours in one process


async def browsergym() -> dict[str, Any]:
    """Theirs and ours in turns, a reset and `STEPS` clicks an episode: `EPISODES` of each family in a row in
    a tab of ours; of theirs one of each, in an environment made for it, as their benchmark does.

    First one at a time, then as many side by side as serve the machine best: a process for each core of
    theirs, which waits for its browser; `ABREAST` environments in one process of ours, which does not.
    """
    python = _browsergym_python()
    rates: dict[str, float] = {}
    async with MiniWob() as suite, Browser() as browser:
        pages = suite.task("click-test", 0).url.rsplit("/", 1)[0] + "/"
        others = [await _other(python, pages) for _ in range(os.cpu_count() or 1)]
        for name, theirs, ours in (("", others[:1], 1), ("abreast_", others, ABREAST)):
            total: dict[str, dict[str, float]] = {"their": {}, "our": {}}
            for _ in range(ROUNDS):
                for each in await asyncio.gather(*(_theirs(other) for other in theirs)):
                    _add(total["their"], each)
                for each in await asyncio.gather(*(_ours(suite, browser) for _ in range(ours))):
                    _add(total["our"], each)
            for kind in ("step", "reset"):
                for side, count in (("our", ours), ("their", len(theirs))):
                    rate = count * total[side][f"{kind}s"] / total[side][f"{kind}_seconds"]
                    rates[f"{name}{side}_{kind}s_per_second"] = rate
                ours_, theirs_ = (rates[f"{name}{side}_{kind}s_per_second"] for side in ("our", "their"))
                rates[f"{name}{kind}_ratio"] = ours_ / theirs_
        for other in others:
            assert other.stdin is not None
            other.stdin.close()
            await other.wait()
    return rates


async def _other(python: str, pages: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        python,
        str(HERE / "browsergym_side.py"),
        find_chromium(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "MINIWOB_URL": pages},
    )


async def _theirs(other: asyncio.subprocess.Process) -> dict[str, float]:
    """One turn of theirs: seconds and counts."""
    assert other.stdin is not None and other.stdout is not None
    other.stdin.write(json.dumps({"families": FAMILIES, "steps": STEPS}).encode() + b"\n")
    answer: dict[str, float] = json.loads(await other.stdout.readline())
    return answer


async def _ours(suite: MiniWob, browser: Browser) -> dict[str, float]:
    """One turn of ours: seconds and counts."""
    total: dict[str, float] = {}
    env = browser.environment()
    for family in FAMILIES:
        for seed in range(EPISODES):
            _add(total, await _episode(suite, env, family, seed))
    await env.close()
    return total


async def _episode(suite: MiniWob, env: BrowserEnvironment, family: str, seed: int) -> dict[str, float]:
    begun = time.perf_counter()
    await suite.task(family, seed).setup(env)
    ready = time.perf_counter()
    for _ in range(STEPS):
        await env.step(CLICK)
    done = time.perf_counter()
    return {"resets": 1, "reset_seconds": ready - begun, "steps": STEPS, "step_seconds": done - ready}


def _add(total: dict[str, float], more: dict[str, float]) -> None:
    for key, value in more.items():
        total[key] = total.get(key, 0.0) + value


def _browsergym_python() -> str:
    """The Python of BrowserGym's own environment, made when it is first wanted."""
    place = settings.home() / "benchmarks" / "browsergym"
    python = place / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-qq", "browsergym-miniwob==0.14.3"], check=True)
    return str(python)


async def ceiling() -> dict[str, Any]:
    """Milliseconds of a step and of the bare loops, taking turns on one page."""
    took: dict[str, list[float]] = {"step": [], "bare_playwright": [], "bare_ours": []}
    async with MiniWob() as suite, Browser() as browser:
        env = browser.environment()
        await suite.task("click-checkboxes-large", 1).setup(env)
        page = env.page

        async def playwrights() -> None:
            await page.screenshot()
            await page.aria_snapshot(mode="ai", boxes=True)

        async def ours() -> None:
            await env.observe()

        async def step() -> None:
            await env.step(CLICK)

        for _ in range(10):
            for name, work in (("step", step), ("bare_playwright", playwrights), ("bare_ours", ours)):
                took[name].append(await _mean(work, 10))
    ms = {f"{name}_ms": 1000 * median(values) for name, values in took.items()}
    return ms | {
        "share_of_playwright_loop": ms["bare_playwright_ms"] / ms["step_ms"],
        "share_of_our_own_look": ms["bare_ours_ms"] / ms["step_ms"],
    }


async def _mean(work: Callable[[], Awaitable[None]], times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        await work()
    return (time.perf_counter() - begun) / times


async def workers() -> dict[str, Any]:
    """Episodes a second by one worker and by two, in turns."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(3):
        for count in rates:
            jobs = [Job(f, 1000 * turn + 100 * count + s) for f in FAMILIES for s in range(20)]
            with tempfile.TemporaryDirectory() as folder:
                begun = time.perf_counter()
                await roll_out_all(jobs, "miniwob", oracle_policy, count, Store(folder))
                rates[count].append(len(jobs) / (time.perf_counter() - begun))
    one, two = median(rates[1]), median(rates[2])
    return {"one_worker_per_second": one, "two_workers_per_second": two, "ratio": two / one}


async def nodes() -> dict[str, Any]:
    """Milliseconds of a look at pages of about 100 and 5,000 nodes, taking turns."""
    took: dict[int, list[float]] = {100: [], 5000: []}
    async with Browser() as browser:
        envs = {}
        with tempfile.TemporaryDirectory() as folder:
            for count in took:
                rows = "".join(
                    f"<tr><td>{i}</td><td><a href='#{i}'>row {i}</a></td><td><input></td></tr>"
                    for i in range(count // 6)
                )
                file = Path(folder) / f"{count}.html"
                file.write_text(f"<title>{count}</title><table>{rows}</table>")
                envs[count] = browser.environment()
                await envs[count].reset(Start(file.as_uri()))

            async def look(count: int) -> None:
                await envs[count].observe()

            for _ in range(10):
                for count, values in took.items():
                    values.append(await _mean(lambda count=count: look(count), 5))  # type: ignore[misc]
    small, large = (1000 * median(values) for values in took.values())
    return {"nodes_100_ms": small, "nodes_5000_ms": large, "ratio": large / small}


async def long() -> dict[str, Any]:
    """2,000 episodes by two workers: memory by tenths, bytes an episode; then a SIGKILL in mid-run."""
    here = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        jobs = [Job(FAMILIES[i % len(FAMILIES)], 10_000 + i) for i in range(2000)]
        samples: list[int] = []
        begun = time.perf_counter()

        def note(*_: object) -> None:
            samples.append(_memory(here) if len(samples) % 10 == 0 else samples[-1])

        await roll_out_all(jobs, "miniwob", oracle_policy, 2, Store(folder), note)
        seconds = time.perf_counter() - begun
        size = sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file())
    tenth = len(samples) // 10
    second, last = (sum(part) / tenth for part in (samples[tenth : 2 * tenth], samples[-tenth:]))
    return {
        "episodes_per_second": len(samples) / seconds,
        "second_tenth_mib": second / 2**20,
        "last_tenth_mib": last / 2**20,
        "memory_ratio": last / second,
        "kib_per_episode": size / len(samples) / 1024,
        "browsers_left_after_sigkill": _after_sigkill(),
    }


def _memory(root: psutil.Process) -> int:
    """Bytes of a process and all below it, shared pages counted in parts (PSS)."""
    total = 0
    for process in (root, *root.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total


def _after_sigkill() -> int:
    """Processes of a killed run's browser that are still there five seconds later."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "apps.main", "generate", "miniwob", "--families", "click-test,login-user"]
        run = subprocess.Popen(
            [sys.executable, *command, "--episodes", "500", "--out", folder],
            cwd=HERE.parent,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.time() + 120
        while not list(Path(folder).glob("episodes/miniwob*")) and time.time() < deadline:
            time.sleep(0.2)
        below = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(signal.SIGKILL)
        run.wait()
        time.sleep(5)
        return sum(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in below)


PARTS: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
    "browsergym": browsergym,
    "ceiling": ceiling,
    "workers": workers,
    "nodes": nodes,
    "long": long,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="|".join(PARTS), help="which (default: all)")
    args = parser.parse_args()
    if unknown := [part for part in args.parts if part not in PARTS]:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    for name in args.parts or PARTS:
        found = asyncio.run(PARTS[name]())
        print(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in found.items()), flush=True)


if __name__ == "__main__":
    main()
