"""Faults thrown at the team: does every episode end? Counted are those that don't within a stated time.

    python benchmarks/faults.py --episodes 1000 --workers 4 --minutes 60

A real browser on the help desk, models behind a real endpoint, a real memory; each episode has one fault,
from some question on: the endpoint is down, silent, slow, or drips its answer; it answers errors, half an
answer, what is no JSON or no completion; the model's words are garbage, empty, cut off or endless; the
browser is killed, once or again and again; memory is held by another, its database locked or broken; a script
dies.

Times are set short, so that an episode ends in seconds rather than minutes: an answer may take ANSWER seconds
in place of 90. LIMIT is then what an episode may take; one that ends after it is late, one that has not
ended after ten times as long hangs. Not covered: what came of the work; a machine whose disk is full or whose
memory is short.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from agents import clients
from agents.clients import Endpoint
from agents.job import Request
from agents.team import run_team
from tools.actions import quote
from tools.browser import Browser, BrowserEnvironment
from tools.environment import EnvironmentDown
from tools.memory import Memory
from tools.observation import Observation
from tools.version import commit
from trajectories.helpdesk.suite import HelpDesk
from trajectories.helpdesk.tasks import HelpDeskTask
from trajectories.tasks import HELD_OUT_FROM

ANSWER = 4.0  # seconds one answer may take; the openai client asks twice more
LIMIT = 90.0  # seconds an episode may take, this machine shared with other work
STEPS = 8

WORDS: dict[str, Callable[[random.Random], str]] = {
    "garbage": lambda r: "".join(chr(r.choice((r.randrange(1, 0x3000), 0x1F600))) for _ in range(400)),
    "empty": lambda r: "",
    "cut off": lambda r: r.choice(('fill(textbox("Na', '"Save" clic', "rev", "import csv\nfor row in csv.")),
    "endless": lambda r: 'click(button("Save"))\n' * 20_000,
    "nested": lambda r: "(" * 5000 + ")" * 5000,
    "same again": lambda r: "noop()",
    "dying script": lambda r: r.choice(
        (
            "import os\nos._exit(3)",
            "x = [0] * 10**12",
            "while True:\n    noop()",
            "for x in (1 / 0,):\n    pass",
        )
    ),
}
ANSWERS = (
    *("closed", "silent", "slow", "drips", "half", "no JSON", "no completion", "null"),
    *("error 400", "error 429", "error 500"),
)
OTHERS = ("nobody", "killed", "killed often", "memory held", "memory locked", "memory broken", "none")
FAULTS = (*WORDS, *ANSWERS, *OTHERS)


class Faulty(ThreadingHTTPServer):
    """A chat endpoint. The model asked for says what is wrong with it, and after how many questions:
    `silent/2/77`; the last is a seed."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.over = threading.Event()  # lets go of those who are kept waiting
        super().__init__(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked has gone: that is often so here."""


def _handler(server: Faulty) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fault, first, seed = body["model"].split("/")
            server.asked[body["model"]] += 1
            number = server.asked[body["model"]]
            draw = random.Random(f"{seed}/{number}")
            wrong = fault if number > int(first) else "none"
            said = WORDS[wrong](draw) if wrong in WORDS else _sense(body, draw)
            message = {"role": "assistant", "content": said}
            whole = {"id": "x", "object": "chat.completion", "created": 0, "model": "x"}
            choices = [{"index": 0, "finish_reason": "stop", "message": message}]
            data = json.dumps({**whole, "choices": choices}).encode()
            match wrong:
                case "closed":
                    return
                case "silent":
                    server.over.wait()
                    return
                case "slow":
                    server.over.wait(draw.uniform(0.1, 0.4) * ANSWER)
                case "no JSON":
                    data = b"<html>502 Bad Gateway</html>"
                case "no completion":
                    data = draw.choice((b"{}", b"[]", b"7", b'{"choices": []}', b'{"choices": [{}]}'))
                case "null":
                    data = data.replace(json.dumps(said).encode(), b"null", 1)
            status = int(wrong[6:]) if wrong.startswith("error ") else 200
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if wrong == "half":
                data = data[: len(data) // 2]
            if wrong == "drips":
                for byte in data:
                    self.wfile.write(bytes([byte]))
                    if server.over.wait(ANSWER / 4):
                        return
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    return Handler


def _sense(body: dict[str, object], draw: random.Random) -> str:
    """What a middling model would answer, by the question's cue."""
    messages: list[dict[str, object]] = body["messages"]  # type: ignore[assignment]
    text = str(messages[-1]["content"])
    for message in messages:
        if message["role"] == "user" and isinstance(content := message["content"], list):
            text = str(content[-1]["text"])
            break
    if text.endswith("check plan:"):
        return draw.choice(("approve", "approve", "approve", "revise: not so"))
    if text.endswith("check result:"):
        return draw.choice(("done", "done", "not yet: more to do", "give up: no use"))
    if text.endswith("plan:"):
        return draw.choice(("act(goal)", "act(goal)", 'rows = read()\nact("look around")'))
    links = [line.split('"')[1] for line in text.replace("| ", "").splitlines() if line.startswith('link "')]
    if not links or draw.random() < 0.2:
        return 'send_msg_to_user("done")'
    return f"click(link({quote(draw.choice(links))}))"


def descendants(parent: int) -> list[int]:
    """Every process below this one, nearest first."""
    children: dict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            children[int(path.read_text().rpartition(")")[2].split()[1])].append(int(path.parent.name))
    found = [*children[parent]]
    for pid in found:
        found += children[pid]
    return found


def kill_browser() -> None:
    """SIGKILL to the Chromium of this process."""
    for pid in descendants(os.getpid()):
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"chrom" in words[0] and not any(word.startswith(b"--type=") for word in words):
                os.kill(pid, signal.SIGKILL)


def standing() -> list[str]:
    """Where every task waits, innermost call last."""
    found = []
    for task in asyncio.all_tasks():
        inner, line = task.get_coro(), ""
        while inner is not None and (frame := getattr(inner, "cr_frame", None)) is not None:
            line += f" > {Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
            inner = getattr(inner, "cr_await", None)
        found.append(line)
    return sorted(found)


async def yes(request: Request) -> bool:
    return True


async def episode(
    number: int, fault: str, env: BrowserEnvironment, suite: HelpDesk, server: Faulty, folder: Path
) -> tuple[str, float]:
    """How one episode ended, and after how many seconds: outcome, an exception's name, "late", "hangs"; "not
    begun" where its page could not be opened, which is no matter of the team's."""
    draw = random.Random(number)
    family = draw.choice((*suite.families, *suite.scripted))
    memory_folder = folder / f"memory-{number}" if fault.startswith("memory") or draw.random() < 0.2 else None
    undo = _spoil(fault, memory_folder, folder)
    memory = Memory(memory_folder) if memory_folder else None
    url = "http://127.0.0.1:9/v1" if fault == "nobody" else server.url
    endpoint = Endpoint(url, f"{fault}/{draw.randrange(5)}/{number}")
    killer = asyncio.ensure_future(_kill(fault, draw))
    began = time.monotonic()
    try:
        task = suite.task(family, HELD_OUT_FROM + number)
        try:
            goal, look = await _begun(task, env)
        except EnvironmentDown:
            return "not begun", time.monotonic() - began
        began = time.monotonic()
        work = asyncio.ensure_future(
            run_team(
                goal, env, look, {"actor": endpoint, "coder": endpoint, "reviewer": endpoint},
                memory=memory, on_event=lambda event: None, approve=yes, max_steps=STEPS, files=task.files,
            )
        )  # fmt: skip
        done, _ = await asyncio.wait({work}, timeout=LIMIT)
        if not done:
            done, _ = await asyncio.wait({work}, timeout=9 * LIMIT)
            if done:
                return "late", time.monotonic() - began
            print(number, fault, "hangs at", *standing(), sep="\n  ", file=sys.stderr, flush=True)
            work.cancel()
            return "hangs", 10 * LIMIT
        return work.result().outcome, time.monotonic() - began
    except Exception as error:
        return f"raises {type(error).__name__}: {str(error)[:120]}", time.monotonic() - began
    finally:
        killer.cancel()
        undo()
        if memory is not None:
            await asyncio.to_thread(memory.close)


async def _begun(task: HelpDeskTask, env: BrowserEnvironment) -> tuple[str, Observation]:
    """The task set up; the browser may have been killed just now, by the episode before or by another's."""
    for _ in range(4):
        with suppress(EnvironmentDown):
            return await task.setup(env)
    return await task.setup(env)


async def _kill(fault: str, draw: random.Random) -> None:
    for _ in range({"killed": 1, "killed often": 6}.get(fault, 0)):
        await asyncio.sleep(draw.uniform(0.1, 3))
        await asyncio.to_thread(kill_browser)


def _spoil(fault: str, memory: Path | None, folder: Path) -> Callable[[], None]:
    """A memory as the fault has it; how to put it right."""
    if memory is None:
        return lambda: None
    shutil.copytree(folder / "kept", memory)
    match fault:
        case "memory held":
            other = Memory(memory)
            other.entries()
            return other.close
        case "memory locked":
            held = sqlite3.connect(memory / "chroma.sqlite3", isolation_level=None, check_same_thread=False)
            held.execute("begin exclusive")
            return held.close
        case "memory broken":
            (memory / "chroma.sqlite3").write_bytes(b"not a database" * 1000)
    return lambda: None


async def main(count: int, only: tuple[str, ...], workers: int, minutes: float) -> dict[str, object]:
    defaults = clients.ChatModel.__init__.__kwdefaults__ or {}
    defaults["timeout"] = ANSWER  # the time for one answer, for as long as this process lives
    clients.PAUSE = ANSWER
    ended: dict[str, Counter[str]] = defaultdict(Counter)
    longest: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place)
        kept = Memory(folder / "kept")
        kept.add_note("The desk is closed on Sundays.", "test")
        kept.close()
        server = Faulty()
        end = time.monotonic() + 60 * minutes
        numbers = iter(range(count))

        async def worker() -> None:
            async with HelpDesk() as suite:
                env = browser.environment()
                for number in numbers:
                    if time.monotonic() > end:
                        return
                    fault = only[number % len(only)]
                    how, seconds = await episode(number, fault, env, suite, server, folder)
                    ended[fault][how] += 1
                    longest[fault] = max(longest[fault], round(seconds, 1))
                    print(number, fault, how, round(seconds, 1), file=sys.stderr, flush=True)
                    if how in ("hangs", "not begun") or how.startswith("raises"):
                        with suppress(Exception):
                            await asyncio.wait_for(env.close(), 20)

        async with Browser() as browser, asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(worker())
        server.over.set()
        server.shutdown()
    every = Counter[str]()
    for counts in ended.values():
        every.update({how.split(":")[0]: n for how, n in counts.items()})
    return {
        "commit": commit(), "episodes": every.total(), "hangs": every["hangs"], "late": every["late"],
        "ended": dict(every), "longest_seconds": dict(longest),
        "by_fault": {fault: dict(c) for fault, c in ended.items()},
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=4, help="episodes at once, in one browser")
    parser.add_argument("--minutes", type=float, default=60, help="no new episode after these")
    parser.add_argument("--faults", default=",".join(FAULTS), help="only these, with commas")
    args = parser.parse_args()
    only = tuple(args.faults.split(","))
    print(json.dumps(asyncio.run(main(args.episodes, only, args.workers, args.minutes))), flush=True)
    os._exit(0)  # whatever thread still waits for a lock
