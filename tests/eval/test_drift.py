"""Drift: a new look and a new app alarm soon, and where nothing has changed next to nothing does.

`desk.json.gz` holds what drift sees of real episodes, recorded once by `record` (conftest.py): the help desk
in one look (`same`), in two others (`look 4`, `look 5`), and MiniWoB++ (`miniwob`).
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from apps.main import main
from eval.drift import (
    WINDOW,
    NoReference,
    Reference,
    Sample,
    compare,
    samples,
    stability,
    windows,
)
from trajectories.episode import Episode
from trajectories.store import Store

Record = Callable[[str, int | None, Iterable[int]], Awaitable[list[Episode]]]
RECORDED = Path(__file__).with_name("desk.json.gz")
REFERENCE = 150  # episodes


@pytest.fixture(scope="module")
def recorded() -> dict[str, list[Sample]]:
    read = json.loads(gzip.decompress(RECORDED.read_bytes()))
    return {name: [Sample(**row) for row in rows] for name, rows in read.items()}


@pytest.fixture(scope="module")
def reference(recorded: dict[str, list[Sample]]) -> Reference:
    return Reference(tuple(recorded["same"][:REFERENCE]))


def drawn(rest: Sequence[Sample], seed: int) -> list[Sample]:
    """A window of episodes drawn from those that the reference has not."""
    mixed = random.Random(seed).sample(rest, len(rest))
    return list(next(windows([replace(s, started=f"{i:05}") for i, s in enumerate(mixed)])))


def steps_until_alarm(reference: Reference, before: Sequence[Sample], after: Sequence[Sample]) -> int:
    """How many steps of `after` are done when it alarms, if live traffic changes from `before` to it."""
    live = [replace(s, started=f"{i:05}") for i, s in enumerate([*before, *after])]
    first = live[len(before)].started
    for window in windows(live):
        alarms = compare(reference, window).alarms
        if window[-1].started < first:
            assert not alarms
        elif alarms:
            return sum(s.steps for s in live if first <= s.started <= window[-1].started)
    raise AssertionError("it never alarmed")


def test_fifty_windows_where_nothing_changed(reference: Reference, recorded: dict[str, list[Sample]]) -> None:
    """At most one of fifty alarms."""
    rest = recorded["same"][REFERENCE:]
    alarms = [compare(reference, drawn(rest, seed)).alarms for seed in range(50)]
    assert sum(map(bool, alarms)) <= 1, alarms


@pytest.mark.parametrize("change", ["look 4", "look 5", "miniwob"])
@pytest.mark.parametrize("before", [0, 5, 15])
def test_a_planted_drift_alarms_within_200_steps(
    reference: Reference, recorded: dict[str, list[Sample]], change: str, before: int
) -> None:
    """Another look of the same desk, or another app, begun with a window or amid one."""
    old = recorded["same"][REFERENCE:][:before]
    assert steps_until_alarm(reference, old, recorded[change]) <= 200


def test_a_model_that_fails_or_doubts_alarms(reference: Reference, recorded: dict[str, list[Sample]]) -> None:
    """The same pages, less success and confidence: only these two drift."""
    sure = [replace(s, numbers={**s.numbers, "confidence": 0.9}) for s in reference.samples]
    window = [
        replace(s, success=i % 3 == 0, numbers={**s.numbers, "confidence": 0.5 + i / 1000})
        for i, s in enumerate(drawn(recorded["same"][REFERENCE:], 0))
    ]
    found = compare(Reference(tuple(sure)), window)
    assert {f.name for f in found.alarms} == {"success", "confidence"}
    assert {f.test for f in found.alarms} == {"KS", "Fisher"}


def test_rounding_is_no_drift() -> None:
    """Goals that the reference has are as near in a window of any size, whatever the last bits say; so are
    shares that sum up to all."""
    roles = {"button": 3, "link": 7, "textbox": 11}
    usual = [
        Sample(f"2026-01-01T00:{i:02}", 3, True, "Add a name.", {"elements": 21.0}, roles, {"click": 3})
        for i in range(40)
    ]
    for n in (10, 33, 34, 40):
        found = compare(Reference(tuple(usual)), usual[:n])
        assert not found.alarms and all(figure.effect == 0 for figure in found.figures), n


def test_stability() -> None:
    """Nought for the same shares; by hand for others; finite where one side lacks something."""
    assert stability({"a": 10, "b": 30}, {"a": 100, "b": 300}) == pytest.approx(0)
    assert stability({"a": 50, "b": 50}, {"a": 80, "b": 20}) == pytest.approx(0.4159, abs=1e-4)
    assert stability({"a": 50}, {"b": 50}) > 1


def test_windows_are_whole(recorded: dict[str, list[Sample]]) -> None:
    """Each has the steps wanted without its last episode lacking them, in order of time; a rest is left."""
    live = recorded["same"][:60]
    cut = list(windows(reversed(live)))
    assert [s for window in cut for s in window] == sorted(live, key=lambda s: s.started)[
        : sum(map(len, cut))
    ]
    for window in cut:
        assert sum(s.steps for s in window) >= WINDOW > sum(s.steps for s in window[:-1])


def test_a_reference_comes_back(reference: Reference, tmp_path: Path) -> None:
    """As it was kept; what is none is refused, and so are too few episodes."""
    reference.save(tmp_path / "r.json.gz")
    assert Reference.load(tmp_path / "r.json.gz") == reference
    (tmp_path / "r.json.gz").write_bytes(b"no")
    with pytest.raises(NoReference, match="holds no reference"):
        Reference.load(tmp_path / "r.json.gz")
    with pytest.raises(NoReference, match="0 episodes"):
        Reference.of([])


def kept(folder: Path, episodes: Sequence[Episode]) -> Path:
    store = Store(folder / "episodes")
    for i, episode in enumerate(episodes):
        store.add(replace(episode, id=f"e{i}"))
    return folder


@pytest.mark.timeout(300)
async def test_the_command(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On live pages: exit 0 for the same look, 3 for another; without a reference 2; what it said is kept."""
    from apps.drift import last

    old = kept(tmp_path / "old", await record("helpdesk", 3, range(20)))
    same = kept(tmp_path / "same", await record("helpdesk", 3, range(50, 58)))
    new = kept(tmp_path / "new", await record("helpdesk", 4, range(100, 108)))

    def shopfloor(*args: str) -> int:
        return main(["drift", *args, "--steps", "28", "--json"])

    assert shopfloor(str(same)) == 2
    assert "--reference" in capsys.readouterr().err
    assert shopfloor(str(same), "--reference", str(old)) == 0
    assert json.loads(capsys.readouterr().out)["windows"]
    assert shopfloor(str(new)) == 3
    said = json.loads(capsys.readouterr().out)
    assert said["alarm"] and said["windows"][0]["alarms"]
    assert said.pop("new") == sorted(said["windows"][0]["alarms"])  # the line has had no turn yet
    assert last() == said
    assert main(["drift", str(same), "--steps", "5000", "--json"]) == 0
    assert last() == said


@pytest.mark.slow
@pytest.mark.timeout(7200)
async def test_all_of_it_recorded_anew(record: Record) -> None:
    """A reference, fifty undrifted windows one after the other, and three changes, on live pages."""
    reference = Reference.of(await record("helpdesk", 3, range(300)))
    live = list(samples(await record("helpdesk", 3, range(1000, 2400))))
    cut = list(windows(live))[:50]
    assert len(cut) == 50
    assert sum(bool(compare(reference, window).alarms) for window in cut) <= 1
    for suite, look in (("helpdesk", 4), ("helpdesk", 5), ("miniwob", None)):
        changed = list(samples(await record(suite, look, range(3000, 3080))))
        assert steps_until_alarm(reference, live[:5], changed) <= 200
