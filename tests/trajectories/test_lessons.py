"""What of a data folder is learnt from, whichever stage learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from apps import runs
from trajectories.lessons import lessons, told
from trajectories.shards import write_json
from trajectories.store import Store
from trajectories.tasks import HELD_OUT_FROM

from .test_store import EPISODE


def test_what_is_left_out(tmp_path: Path) -> None:
    """Held-out seeds, what broke off, what the line marked, and what is damaged; a person's word counts."""
    store = Store(tmp_path / "episodes")
    for id, change in {
        "good": {},
        "held": {"task": f"suite/family/{HELD_OUT_FROM}"},
        "broke": {"ended": "error"},
        "judged": {"ended": "error", "extra": {"checked_by": "person"}},
        "twice": {},
        "hurt": {},
    }.items():
        store.add(replace(EPISODE, id=id, **change))
    (tmp_path / "episodes" / "hurt" / "episode.json").write_text("{}")
    rows = [{"id": id, "keep": id != "twice"} for id in ("good", "twice")]
    write_json(tmp_path / "shards" / "000000.json", {"rows": rows})
    assert "twice" not in told(tmp_path)
    assert [episode.id for episode in lessons(tmp_path)] == ["good", "judged"]


def test_every_named_folder_must_hold_episodes(tmp_path: Path) -> None:
    """One of two names mistyped is an error, and makes no folder."""
    Store(tmp_path / "data" / "episodes").add(EPISODE)
    with pytest.raises(ValueError, match="no folder"):
        runs.digests([tmp_path / "data", tmp_path / "dta"])
    assert not (tmp_path / "dta").exists()
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="no episodes in"):
        runs.digests([tmp_path / "none"])
