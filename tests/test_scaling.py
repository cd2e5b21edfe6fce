"""The simulation behind docs/scaling.md, held against what is known of queues."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from benchmarks.scaling import Setup, main, simulate

ROOT = Path(__file__).parents[1]


def erlang_c(load: float, servers: int) -> float:
    """The share of questions that wait, of `load` servers' worth of work at random (M/M/c)."""
    top = load**servers / math.factorial(servers) * servers / (servers - load)
    return top / (sum(load**k / math.factorial(k) for k in range(servers)) + top)


def late(seconds: float, load: float, servers: int, answer: float) -> float:
    """The share of questions not answered after so many seconds (M/M/c: the wait and the answer together)."""
    done, next_free = 1 / answer, (servers - load) / answer  # rates
    waits = erlang_c(load, servers)
    both = next_free * math.exp(-done * seconds) - done * math.exp(-next_free * seconds)
    return (1 - waits) * math.exp(-done * seconds) + waits * both / (next_free - done)


@pytest.mark.parametrize("servers", [1, 2])
def test_servers_are_at_work_as_much_as_there_is_work(servers: int) -> None:
    """With one question a task and browsers to spare it is a queue of the books: utilisation is the work over
    the servers, and one answer in twenty comes later than the books' 95th percentile, or nearly: answers are
    lognormal here and exponential there."""
    setup = Setup(
        tasks=3600, steps=1, answer=0.6 * servers, step=1e-6, spread=1.0, servers=servers, browsers=500
    )
    out = simulate(setup, hours=3)
    assert out.servers_busy == pytest.approx(0.6, abs=0.04) and out.kept_up
    assert late(0.75 * out.answer_p95, 0.6 * servers, servers, setup.answer) > 0.05
    assert late(1.25 * out.answer_p95, 0.6 * servers, servers, setup.answer) < 0.05


def test_too_much_is_seen() -> None:
    """More work than servers can do piles up and is called so; one more server mends it, at its price."""
    short = Setup(tasks=3600, steps=2, answer=0.6, servers=1, browsers=50)
    enough = Setup(tasks=3600, steps=2, answer=0.6, servers=2, browsers=50)
    over, fine = simulate(short, hours=1), simulate(enough, hours=1)
    assert not over.kept_up and over.servers_busy > 0.98 and fine.kept_up
    assert fine.cost == pytest.approx(1000 * (2 * 0.10 + 50 * 0.01) / 3600, rel=0.05)
    assert simulate(enough, hours=1) == fine


def test_the_documents_table_is_what_the_simulation_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Line by line, head and figures: the seed is always the same."""
    monkeypatch.setattr(sys, "argv", ["scaling.py"])
    main()
    printed = capsys.readouterr().out.splitlines()
    written = (ROOT / "docs" / "scaling.md").read_text().splitlines()
    begin = written.index(printed[0])
    assert written[begin : begin + len(printed)] == printed
    assert not written[begin + len(printed)].startswith("|")
