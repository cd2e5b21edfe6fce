"""The card: its figures are those of the episodes that lie there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trajectories.card import markdown, read, summary
from trajectories.shards import PlanError
from trajectories.store import Store


@pytest.mark.timeout(240)
def test_the_card_of_a_made_folder(tmp_path: Path) -> None:
    """Counts, sizes and digest are the folder's; an episode taken away changes the digest."""
    made = tmp_path / "wob"
    command = "generate miniwob --families click-test,enter-text --episodes 4 --workers 1 --out"
    subprocess.run([sys.executable, "-m", "apps.main", *command.split(), str(made)], check=True)
    part = read(made)
    whole = summary([part])
    assert (whole["episodes"], whole["verified"], whole["tasks"], whole["held_out"]) == (4, 4, 2, 0)
    assert whole["per_task"] == {"least": 2, "median": 2, "most": 2}
    assert whole["steps"] == sum(len(e.steps) for e in Store(made / "episodes"))
    card = markdown([part])
    assert "| miniwob/enter-text | 2 | 2 | 2 | 2.0 |" in card and card.startswith("4 episodes, 4 of them")
    said = subprocess.run(
        [sys.executable, "-m", "apps.main", "card", str(made), "--json"], check=True, capture_output=True
    )
    assert json.loads(said.stdout) == whole
    gone = next(p for p in (made / "episodes").iterdir() if not p.name.startswith("."))
    gone.rename(tmp_path / "elsewhere")
    assert summary([read(made)])["digest"] != whole["digest"]


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    """A folder without a plan, or without a complete shard, is named with what to do."""
    with pytest.raises(PlanError, match="was not made by shopfloor generate"):
        read(tmp_path)
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(PlanError, match="no complete shard yet"):
        read(tmp_path)
