"""`shopfloor generate` as a person runs it: a process, a browser, killed and started again, bad teachers."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from apps.main import main
from trajectories.explore.site import Access, Site
from trajectories.miniwob.protocol import families
from trajectories.store import Store

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(600)  # seconds on a quiet machine, minutes on a busy one


def command(out: Path, *more: str) -> list[str]:
    families = "click-test,click-button"
    start = [sys.executable, "-m", "apps.main", "generate", "miniwob", "--families", families, "--json"]
    return [*start, "--out", str(out), *more]


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SHOPFLOOR_") or k == "SHOPFLOOR_BROWSER"}
    return {**kept, "SHOPFLOOR_HOME": str(home), "PYTHONPATH": str(ROOT), **more}


def done(out: Path, *more: str, **env: str) -> tuple[int, dict[str, Any], str]:
    ran = subprocess.run(
        command(out, *more),
        capture_output=True,
        text=True,
        cwd=out.parent,
        env=environment(out.parent, **env),
    )
    return ran.returncode, json.loads(ran.stdout) if ran.stdout else {}, ran.stderr


@contextmanager
def teacher(say: Any) -> Iterator[str]:
    """A real chat endpoint on loopback; `say(request number, goal)` is its answer, or an HTTP status."""
    numbers = itertools.count(1)

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            goal = body["messages"][0]["content"].rsplit("\n", 1)[-1]
            answer = say(next(numbers), goal)  # requests come several at once
            self.send_response(answer if isinstance(answer, int) else 200)
            message = {"role": "assistant", "content": answer if isinstance(answer, str) else ""}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            reply = {"id": "1", "object": "chat.completion", "created": 0, "model": "t", "choices": [choice]}
            data = json.dumps(reply).encode()
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


def test_killed_and_interrupted_then_started_again(tmp_path: Path) -> None:
    """SIGKILL mid-run, no orphan goes on writing; Ctrl-C in the next run keeps all; the third finishes.
    Nothing is lost or doubled, what was finished is not touched, no teacher is asked the same twice."""
    out = tmp_path / "out"
    args = ("--episodes", "10", "--shard", "5", "--workers", "2", "--max-teacher-failures", "60")
    seen: list[str] = []

    def say(number: int, goal: str) -> str | int:
        seen.append(goal)
        return "bananas" if number == 1 else f"Kindly do this: {goal}"

    with teacher(say) as url:
        env = {"SHOPFLOOR_TEACHER_URL": url, "SHOPFLOOR_TEACHER_MODEL": "t"}

        def begin() -> subprocess.Popen[str]:
            return subprocess.Popen(
                command(out, *args),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=tmp_path,
                env=environment(tmp_path, **env),
            )

        def wait_for(episodes: int, process: subprocess.Popen[str]) -> None:
            while not (out / "episodes").exists() or len(Store(out / "episodes")) < episodes:
                assert process.poll() is None, "it ended before it could be stopped"
                time.sleep(0.02)

        killed = begin()
        wait_for(2, killed)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        time.sleep(1)  # an orphan would write in this time
        before = {p: p.stat().st_mtime_ns for p in (out / "episodes").glob("*/SHA256SUMS")}
        time.sleep(1)
        assert {p: p.stat().st_mtime_ns for p in (out / "episodes").glob("*/SHA256SUMS")} == before

        interrupted = begin()
        wait_for(len(before) + 1, interrupted)
        interrupted.send_signal(signal.SIGINT)
        said, _ = interrupted.communicate()
        assert interrupted.returncode == 130 and "start again" in json.loads(said)["error"]

        code, summary, stderr = done(out, *args, **env)
    assert code == 0, stderr
    store = Store(out / "episodes")
    episodes = list(store)
    assert len(episodes) == 10 == len({e.task for e in episodes}) and not store.broken
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in before.items())
    assert summary["episodes"] == 10 and summary["success"] == 1.0
    assert summary["made_now"] + summary["there_before"] == 10 and summary["there_before"] >= 3
    assert len(seen) == summary["teacher"]["asked"]
    assert summary["teacher"]["rejected"] == 1
    assert sum(e.goal.startswith("Kindly do this: ") for e in episodes) == summary["teacher"]["used"] > 0
    assert {p.name for p in (out / "examples").iterdir()} == {"000000.parquet", "000005.parquet"}
    assert not list(out.glob("*/.*.parquet*"))


def test_dagger_with_the_local_model(tmp_path: Path) -> None:
    """Without an endpoint the local model is served meanwhile, to the line's own steps too: it strays, and
    each of its steps stands beside what the oracle would have done."""
    out = tmp_path / "out"
    code, summary, stderr = done(out, "--policy", "dagger", "--episodes", "2")
    assert code == 0 and summary["model"] == "shopfloor-nano", stderr
    episodes = list(Store(out / "episodes"))
    assert len(episodes) == 2 and all(e.extra["better"] and e.policy == "dagger" for e in episodes)
    assert all(step.decision.prompt_tokens for e in episodes for step in e.steps[: len(e.extra["better"])])


@pytest.mark.parametrize("answer", ["As an AI I love bananas.", 500])
def test_a_bad_teacher_fails_the_run(tmp_path: Path, answer: str | int) -> None:
    """Babble or errors above the bound: counted, shown, exit 1, and nothing is rolled out for it."""
    with teacher(lambda number, goal: answer) as url:
        code, summary, stderr = done(
            tmp_path / "out",
            *("--episodes", "6"),
            SHOPFLOOR_TEACHER_URL=url,
            SHOPFLOOR_TEACHER_MODEL="t",
        )
    assert code == 1
    assert "the teacher failed" in stderr and "above the bound of 20%" in stderr
    assert ("bananas" if isinstance(answer, str) else "500") in summary["error"]
    assert not Store(tmp_path / "out" / "episodes").ids()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--seed", "1000000"), "held out"),
        (("--families", "chess"), "no family chess"),
        (("--episodes", "0"), "at least 1"),
        (("--max-teacher-failures", "120"), "percentage"),
    ],
)
def test_wrong_use_is_said_before_anything_starts(tmp_path: Path, more: tuple[str, ...], says: str) -> None:
    """Exit 2, one line with the mend, and no folder made."""
    code, summary, stderr = done(tmp_path / "out", *more)
    assert code == 2 and says in stderr and not summary and not (tmp_path / "out").exists()


def test_a_site_that_is_dead(tmp_path: Path) -> None:
    """A site that does not answer is said to, whatever was to be done there."""
    for more, said in (([], "127.0.0.1:9"), (["--policy", "random"], "127.0.0.1:9")):
        line = [sys.executable, "-m", "apps.main", "generate", "http://127.0.0.1:9/"]
        ran = subprocess.run(
            [*line, "--out", str(tmp_path / "o"), *more],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(tmp_path),
        )
        assert ran.returncode == 2 and said in ran.stderr and "Traceback" not in ran.stderr


def test_what_could_do_harm_on_a_site_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where forms are submitted and nothing puts the app back, only the oracle acts; what to do is said."""
    monkeypatch.setenv("SHOPFLOOR_HOME", str(tmp_path / "home"))
    Site(Access("http://127.0.0.1:9/", writes=True)).save()
    for more in (["--policy", "random"], ["--perturb", "0.5"]):
        assert main(["generate", "http://127.0.0.1:9/", "--out", str(tmp_path / "o"), *more]) == 2
        assert "explore it with --reset" in capsys.readouterr().err


def test_a_split_is_a_plan_of_its_families(tmp_path: Path) -> None:
    """--split train plans BrowserGym's 62 training tasks and no other; elsewhere it is refused."""
    out = tmp_path / "o"
    ran = {}
    for suite in ("miniwob", "helpdesk"):
        line = [sys.executable, "-m", "apps.main", "generate", suite, "--split", "train", "--episodes", "1"]
        ran[suite] = subprocess.run(
            [*line, "--out", str(out)], capture_output=True, text=True, env=environment(tmp_path)
        )
    planned = json.loads((out / "plan.json").read_text())["families"]
    assert ran["miniwob"].returncode == 0 and planned == list(families("train")) and len(planned) == 62
    assert ran["helpdesk"].returncode == 2 and "--split is MiniWoB++'s" in ran["helpdesk"].stderr
