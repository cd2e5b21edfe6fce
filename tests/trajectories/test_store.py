"""The store: whole or absent, checked on every read, safe for several writers, a `datasets` table."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from agents.policies import Decision
from tools.actions import Action
from tools.observation import Box, Element, Observation
from trajectories.episode import Episode, Step
from trajectories.store import PARTIAL, Store, StoreError
from trajectories.tasks import Outcome

LOOK = Observation(
    url="http://127.0.0.1:1/",
    title="Desk",
    viewport=(100, 80),
    elements=(Element(1, "button", "Save", Box(1, 2, 3, 4)),),
    screenshot=b"\x89PNG first",
)
EPISODE = Episode(
    id="one",
    task="suite/family/1",
    goal='Click "Save".',
    steps=(
        Step(LOOK, Decision(Action("click", (1,), "Save")), "oracle", 0.1),
        Step(LOOK, Decision(Action("send_msg_to_user", ("done",))), "oracle", 0.0),
    ),
    final=replace(LOOK, screenshot=b"\x89PNG second"),
    outcome=Outcome(True, 1.0),
    ended="done",
    policy="oracle",
    model="",
    started="2026-11-23T00:00:00+00:00",
)


def numbered(number: int, size: int = 0) -> Episode:
    shot = b"\x89PNG" + bytes([number % 256]) * size
    final = replace(LOOK, screenshot=shot)
    return replace(EPISODE, id=f"e{number:05d}", task=f"suite/family/{number}", final=final)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    """An episode is loaded equal and listed, and added twice is there once."""
    store = Store(tmp_path / "s")
    folder = store.add(EPISODE)
    assert store.add(EPISODE) == folder
    assert store.ids() == ["one"] and len(store) == 1 and "one" in store and "two" not in store
    assert store.load("one") == EPISODE and list(store) == [EPISODE]
    assert len(list((folder / "images").iterdir())) == 2  # three looks, two of them equal


def test_sums_are_what_sha256sum_reads(tmp_path: Path) -> None:
    """Anyone can check an episode without our code."""
    folder = Store(tmp_path).add(EPISODE)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, check=True)


@pytest.mark.parametrize("spoil", ["episode.json", "image", "missing", "sums"])
def test_tampering_is_found(tmp_path: Path, spoil: str) -> None:
    """Whatever file is changed or gone: load says which, iteration passes over it, add mends it."""
    store = Store(tmp_path)
    folder = store.add(EPISODE)
    store.add(numbered(2))
    image = next((folder / "images").iterdir())
    if spoil == "episode.json":
        text = (folder / "episode.json").read_text()
        (folder / "episode.json").write_text(text.replace('"success": true', '"success": false'))
    elif spoil == "image":
        image.write_bytes(b"\x89PNG forged")
    elif spoil == "missing":
        image.unlink()
    else:
        (folder / "SHA256SUMS").write_text("nonsense\n")
    with pytest.raises(StoreError, match="one in .* is broken"):
        store.load("one")
    assert [e.id for e in store] == ["e00002"]
    assert list(store.broken) == ["one"]
    store.add(EPISODE)
    assert store.load("one") == EPISODE


def test_digest_follows_the_content(tmp_path: Path) -> None:
    """Equal stores have equal digests; any episode more or other changes it."""
    a, b = Store(tmp_path / "a"), Store(tmp_path / "b")
    for store in (a, b):
        store.add(EPISODE)
    assert a.digest() == b.digest()
    b.add(numbered(2))
    assert a.digest() != b.digest()


def test_strange_ids_are_refused(tmp_path: Path) -> None:
    """An id can't leave the store's folder."""
    with pytest.raises(StoreError, match="no episode id"):
        Store(tmp_path).add(replace(EPISODE, id="../out"))


def test_dataset_has_a_row_a_step(tmp_path: Path) -> None:
    """The `datasets` table holds goal, page, action, image path and outcome of every step."""
    store = Store(tmp_path)
    store.add(EPISODE)
    store.add(replace(EPISODE, id="held", task="suite/family/1000000"))
    table = store.dataset()
    assert table.num_rows == 4
    row = next(r for r in table if r["episode"] == "one")
    assert row["action"] == '"Save" click(1)' and row["page"] == LOOK.text() and row["success"] is True
    assert Path(row["image"]).read_bytes() == LOOK.screenshot
    assert {r["episode"]: r["split"] for r in table} == {"one": "train", "held": "held-out"}


def test_one_in_place_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaced, an episode is the new one; killed between the two, or short of room, it is the old one."""
    store = Store(tmp_path)
    store.add(EPISODE)
    store.replace(replace(EPISODE, goal="another"))
    assert store.load("one").goal == "another" and len(store) == 1
    with pytest.raises(StoreError), monkeypatch.context() as full:
        full.setattr("pathlib.Path.write_bytes", _full)
        store.replace(EPISODE)
    assert store.load("one").goal == "another"
    rename = Path.rename

    def no_room_for_the_new(self: Path, to: Path) -> Path:
        if self.parent.name == PARTIAL and "~" not in self.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, to)

    with pytest.raises(StoreError), monkeypatch.context() as full:
        full.setattr("pathlib.Path.rename", no_room_for_the_new)
        store.replace(EPISODE)
    assert store.load("one").goal == "another" and [*(tmp_path / PARTIAL).iterdir()] == []
    script = """
        import os, sys, shutil
        from dataclasses import replace
        from pathlib import Path
        from trajectories.store import Store
        store = Store(sys.argv[1])
        rename = Path.rename

        def killed(self, to):
            if self.parent.name == ".partial":
                os._exit(9)
            rename(self, to)

        Path.rename = killed
        store.replace(replace(store.load("one"), goal="never"))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)])
    assert done.returncode == 9 and not (tmp_path / "one").exists()
    assert Store(tmp_path).load("one").goal == "another"


def _full(self: Path, data: bytes) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


WRITER = """
    import sys
    from dataclasses import replace
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from test_store import numbered
    from trajectories.store import Store
    store = Store(sys.argv[2])
    for number in range(int(sys.argv[3]), int(sys.argv[4])):
        store.add(numbered(number, 200_000))
        print(number, flush=True)
"""


def writer(store: Path, first: int, last: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(Path(__file__).parent), str(store)]
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": root}
    return subprocess.Popen([*command, str(first), str(last)], stdout=subprocess.PIPE, text=True, env=env)


def test_killed_writer_leaves_only_whole_episodes(tmp_path: Path) -> None:
    """SIGKILL at no particular moment, with a second process writing: all there is is whole, and the next
    one to open the store sweeps away what was half-written."""
    killed, other = writer(tmp_path, 0, 100_000), writer(tmp_path, 200_000, 200_010)
    assert killed.stdout is not None and other.stdout is not None
    for _ in range(8):
        killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert other.wait() == 0
    killed.stdout.close()
    other.stdout.close()
    store = Store(tmp_path)
    assert len(list(store)) == len(store) >= 18
    assert store.broken == {}
    assert list((tmp_path / ".partial").iterdir()) == []


def test_no_room_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """A write that fails half-way (a size limit stands in for a full disk): a clear error, nothing left."""
    code = """
        import resource, sys
        sys.path.insert(0, sys.argv[1])
        from test_store import numbered
        from trajectories.store import Store, StoreError
        store = Store(sys.argv[2])
        store.add(numbered(1, 1_000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            store.add(numbered(2, 200_000))
        except StoreError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(Path(__file__).parent), str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout
    assert "no room for episode e00002" in said and "free some space" in said
    store = Store(tmp_path)
    assert store.ids() == ["e00001"] and list((tmp_path / ".partial").iterdir()) == []
