"""Many clients at once: the server with batching, without, and `transformers serve`, in one run.

    python benchmarks/serving.py --data data/helpdesk data/miniwob        # about ten minutes on two cores
    python benchmarks/serving.py --data … --requests 24 --clients 1 8 --no-transformers

    batched     `shopfloor serve`
    alone       the same with `--batch 1`: one answer after the other, caches as they are
    theirs      `transformers serve` on the same checkpoint, no grammar, as many tokens at most

The questions are the actor's, of recorded episodes, each asked once a side: no answer comes from the cache;
a last pass (`again`) asks them a second time. The sides take turns at every number of clients. Prints
answers a second, median and 95th percentile of an answer's time, the server's processor time for one answer
(which other work on the machine hardly changes), the batches, cache hits and memory; then ratios.

Not covered: an answer's parts (`step_latency.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import psutil
from step_latency import Question, played, stored

from agents import prompts
from tools.grammar import action_regex
from training.registry import resolve

TOKENS = 60  # of an answer at most


@dataclass
class Side:
    """A running server, and what was measured of it by number of clients."""

    name: str
    url: str
    model: str
    process: psutil.Process
    rate: dict[str, float] = field(default_factory=dict)
    busy: dict[str, float] = field(default_factory=dict)

    def spent(self) -> float:
        """Seconds of processor time so far."""
        return sum(self.process.cpu_times()[:2])


def body_of(question: Question, model: str, *, grammar: bool) -> bytes:
    goal, look, history = question
    said = prompts.messages("actor", prompts.actor_text(goal, look, history), look.screenshot, brief=True)
    body: dict[str, Any] = {"model": model, "messages": said, "max_tokens": TOKENS, "temperature": 0}
    if grammar:
        body["structured_outputs"] = {"regex": action_regex(look, sources=[goal])}
    return json.dumps(body).encode()


@contextmanager
def ours(name: str, model: Path, *more: str) -> Iterator[Side]:
    command = [
        sys.executable,
        "-m",
        "apps.main",
        "serve",
        "--model",
        str(model),
        "--port",
        "0",
        "--json",
        *more,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = json.loads(process.stdout.readline())
        try:
            yield Side(name, said["url"], said["model"], psutil.Process(process.pid))
        finally:
            process.terminate()


@contextmanager
def theirs(model: Path, port: int) -> Iterator[Side]:
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(model)]
    command += ["--port", str(port), "--host", "127.0.0.1", "--device", "cpu", "--dtype", "float32"]
    with subprocess.Popen(command) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            until = time.monotonic() + 900
            while True:
                try:
                    httpx.get(f"{url}/health", trust_env=False, timeout=30)
                    break
                except httpx.HTTPError as error:
                    if process.poll() is not None or time.monotonic() > until:
                        raise SystemExit("transformers serve does not start; see above") from error
                    time.sleep(1)
            yield Side("theirs", f"{url}/v1", str(model), psutil.Process(process.pid))
        finally:
            process.terminate()


async def load(side: Side, questions: list[Question], clients: int, label: str) -> None:
    """Ask all of them, so many at a time."""
    waiting = [body_of(q, side.model, grammar=side.name != "theirs") for q in reversed(questions)]
    took: list[float] = []
    failed: list[str] = []

    async def client(http: httpx.AsyncClient) -> None:
        while waiting:
            body = waiting.pop()
            begun = time.perf_counter()
            headers = {"Content-Type": "application/json"}
            answer = await http.post(f"{side.url}/chat/completions", content=body, headers=headers)
            took.append(time.perf_counter() - begun)
            if answer.status_code != 200:
                failed.append(f"{answer.status_code}: {answer.text[:200]}")

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(trust_env=False, timeout=600, limits=limits) as http:
        busy, begun = side.spent(), time.perf_counter()
        await asyncio.gather(*(client(http) for _ in range(clients)))
        seconds, busy = time.perf_counter() - begun, side.spent() - busy
    side.rate[label], side.busy[label] = len(questions) / seconds, busy / len(questions)
    tail = quantiles(took, n=20)[-1] if len(took) > 1 else took[0]
    print(
        f"{side.name:8} {label:10} {side.rate[label]:6.2f} answers/s, p50 {1000 * median(took):6.0f} ms, "
        f"p95 {1000 * tail:6.0f} ms, processor {1000 * side.busy[label]:5.1f} ms/answer, "
        f"memory {side.process.memory_info().rss >> 20} MiB"
        + (f", FAILED {len(failed)}: {failed[0]}" if failed else ""),
        flush=True,
    )


def counted(side: Side) -> str:
    """Batches and caches, by the server's own metrics."""
    page = httpx.get(side.url.removesuffix("/v1") + "/metrics", trust_env=False).text

    def value(name: str) -> float:
        found = re.search(f"^shopfloor_{re.escape(name)} (.*)$", page, re.MULTILINE)
        return float(found[1]) if found else 0.0

    caches = []
    for cache in ("answer", "prefix", "image"):
        hits, misses = (value(f'cache_{what}_total{{cache="{cache}"}}') for what in ("hits", "misses"))
        caches.append(f"{cache} {hits:.0f} of {hits + misses:.0f}")
    passes = max(1.0, value("batch_size_count"))
    return f"{value('batch_size_sum') / passes:.2f} sequences a pass; cache hits: {', '.join(caches)}"


async def run(args: argparse.Namespace) -> None:
    model = await asyncio.to_thread(resolve, args.model)
    counts = [max(args.requests, clients) for clients in args.clients]
    need = sum(counts) + 1
    questions = stored(args.data, need) if args.data else await played(need)
    if len(questions) < need:
        raise SystemExit(f"only {len(questions)} questions there, {need} needed; give more --data")
    with ExitStack() as stack:
        sides = [
            stack.enter_context(ours("batched", model)),
            stack.enter_context(ours("alone", model, "--batch", "1")),
        ]
        if args.transformers:
            sides.append(stack.enter_context(theirs(model, args.port)))
        for side in sides:
            await load(side, questions[:1], 1, "first")  # loads and compiles what is needed
        at = 1
        for clients, count in zip(args.clients, counts, strict=True):
            some = questions[at : at + count]
            at += count
            for side in sides:
                await load(side, some, clients, str(clients))
        for side in sides[:2]:
            await load(side, some, clients, "again")
            print(f"{side.name}: {counted(side)}")
    batched = sides[0]
    for label in map(str, args.clients):
        for other in sides[1:]:
            print(
                f"{label} clients: batched {batched.rate[label] / other.rate[label]:.2f} times {other.name}, "
                f"by processor time {other.busy[label] / batched.busy[label]:.2f}"
            )
    if "1" in batched.rate:
        for label in map(str, args.clients):
            print(f"{label} clients against one: {batched.rate[label] / batched.rate['1']:.2f}")
    print(f"from the cache against not: {batched.rate['again'] / batched.rate[str(args.clients[-1])]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, nargs="+", help="what `generate` made (default: play some now)")
    parser.add_argument(
        "--requests",
        type=int,
        default=96,
        help="at each number of clients, at least one for each (default: 96)",
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64], help="default: 1 8 64")
    parser.add_argument("--model", help="folder or version (default: the champion, else the released one)")
    parser.add_argument("--no-transformers", dest="transformers", action="store_false")
    parser.add_argument("--port", type=int, default=8765, help="for transformers serve (default: 8765)")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
