"""Episodes on disk: a folder each, `episode.json` (ATIF) beside its images, written whole or not at all.

    STORE/<id>/episode.json
    STORE/<id>/images/<hash>.png     equal screenshots once
    STORE/<id>/SHA256SUMS            what `sha256sum -c` reads; checked on every load

An episode is written to a temporary folder and renamed, so a killed writer or a full disk leaves nothing
half-written, and any number of processes may write different episodes. One that was tampered with or damaged
is reported by `load`; iteration passes over it and keeps why in `broken`. Nothing is forced to the disk (it
cost ten times the writing): what a power cut damages is found by its digest, and made anew.

Not covered: what an episode is (`episode.py`), and stores on several machines' shared disk written at once.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trajectories.episode import Episode, EpisodeError, from_atif, images, to_atif, validate_atif
from trajectories.tasks import is_held_out

if TYPE_CHECKING:
    from datasets import Dataset

SUMS = "SHA256SUMS"
PARTIAL = ".partial"  # folders being written: host, process and a random part
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


class StoreError(RuntimeError):
    """The store can't be written or an episode can't be read; the message says which and what to do."""


class Store:
    """The episodes under one folder. Cheap to open; nothing is kept in memory but what was asked for."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.broken: dict[str, str] = {}  # found while reading: id to reason
        try:
            (self.path / PARTIAL).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"can't make the store {self.path}: {error.strerror}") from error
        self._sweep()

    def add(self, episode: Episode) -> Path:
        """Write an episode and return its folder; one that is there already, and whole, is left as it is."""
        folder = self._folder(episode.id)
        if not (folder.exists() and self.fault(episode.id) is None):
            self._write(episode, self._place)
        return folder

    def replace(self, episode: Episode) -> Path:
        """Write an episode in place of the one of its id; should that fail, the old one stays."""
        folder = self._folder(episode.id)

        def swap(partial: Path, folder: Path) -> None:
            former = partial.with_name(f"{partial.name}~{folder.name}")
            folder.rename(former)  # killed now, `_sweep` puts it back
            try:
                partial.rename(folder)
            except OSError:
                former.rename(folder)
                raise
            shutil.rmtree(former, ignore_errors=True)

        self._write(episode, swap)
        return folder

    def _write(self, episode: Episode, place: Callable[[Path, Path], None]) -> None:
        """An episode's files written aside, then put into place. Raises StoreError."""
        folder = self._folder(episode.id)
        document = to_atif(episode)
        validate_atif(document)
        files = {"episode.json": (json.dumps(document) + "\n").encode(), **images(episode)}
        sums = "".join(
            f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())
        )
        partial = self.path / PARTIAL / f"{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex}"
        try:
            partial.mkdir()
            for name, data in {**files, SUMS: sums.encode()}.items():
                (partial / name).parent.mkdir(exist_ok=True)
                (partial / name).write_bytes(data)
            place(partial, folder)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                size = sum(map(len, files.values()))
                raise StoreError(
                    f"no room for episode {episode.id} ({size // 1024 + 1} KiB) in {self.path}: "
                    f"{os.strerror(error.errno)}; free some space and start again, nothing finished is lost"
                ) from error
            raise StoreError(f"can't write episode {episode.id} in {self.path}: {error}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _place(self, partial: Path, folder: Path) -> None:
        """Rename into place. Only a broken episode is ever replaced; another writer's whole one stays."""
        try:
            partial.rename(folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            if self.fault(folder.name) is None:
                return
            folder.rename(partial.with_name(partial.name + ".broken"))
            partial.rename(folder)
            shutil.rmtree(partial.with_name(partial.name + ".broken"), ignore_errors=True)

    def ids(self) -> list[str]:
        """The ids of all episodes, in order, unread: a broken one is among them."""
        return sorted(e.name for e in os.scandir(self.path) if not e.name.startswith(".") and e.is_dir())

    def __len__(self) -> int:
        return len(self.ids())

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and bool(_ID.fullmatch(id)) and (self.path / id).is_dir()

    def fault(self, id: str) -> str | None:
        """Why an episode can't be trusted, or None: every file must be the one that was written."""
        folder = self._folder(id)
        try:
            lines = (folder / SUMS).read_text().splitlines()
            named = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
            for name, digest in named.items():
                if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                    return f"{name} is not what was written"
        except (OSError, ValueError) as error:
            return f"unreadable: {error}"
        return None if "episode.json" in named else f"{SUMS} does not name episode.json"

    def load(self, id: str) -> Episode:
        """One episode, its files checked against their digests. Raises StoreError."""
        if (why := self.fault(id)) is not None:
            raise StoreError(
                f"episode {id} in {self.path} is broken ({why}); delete its folder to make it anew"
            )
        folder = self._folder(id)
        try:
            return from_atif(json.loads((folder / "episode.json").read_bytes()), folder)
        except (EpisodeError, ValueError) as error:
            raise StoreError(f"episode {id} in {self.path} can't be read: {error}") from error

    def __iter__(self) -> Iterator[Episode]:
        """Every whole episode, in order of id; what is broken is passed over and noted in `broken`."""
        for id in self.ids():
            try:
                yield self.load(id)
            except StoreError as error:
                self.broken[id] = str(error)

    def digest(self) -> str:
        """One SHA-256 of the whole store: it changes when an episode is added, taken away or changed."""
        total = hashlib.sha256()
        for id in self.ids():
            try:
                total.update(
                    f"{id} {hashlib.sha256((self._folder(id) / SUMS).read_bytes()).hexdigest()}\n".encode()
                )
            except OSError as error:
                raise StoreError(
                    f"episode {id} in {self.path} is broken ({error}); delete its folder"
                ) from error
        return total.hexdigest()

    def dataset(self) -> Dataset:
        """A `datasets` table with a row for each step of each whole episode; images by path."""
        from datasets import Dataset

        return Dataset.from_list([row for episode in self for row in self._rows(episode)])

    def _rows(self, episode: Episode) -> Iterator[dict[str, Any]]:
        folder = self._folder(episode.id)
        shots = to_atif(episode)["steps"][1:]
        for number, (step, seen) in enumerate(zip(episode.steps, shots, strict=False)):
            shot = seen["extra"]["look"]["screenshot"]
            yield {
                "episode": episode.id,
                "task": episode.task,
                "suite": episode.suite,
                "family": episode.family,
                "seed": episode.seed,
                "split": "held-out" if is_held_out(episode.seed) else "train",
                "goal": episode.goal,
                "step": number,
                "page": step.observation.text(),
                "image": None if shot is None else str(folder / shot),
                "action": str(step.decision.action),
                "by": step.by,
                "valid": step.decision.valid,
                "success": episode.outcome.success,
                "reward": float(episode.outcome.reward),
                "ended": episode.ended,
                "policy": episode.policy,
                "model": episode.model,
            }

    def _folder(self, id: str) -> Path:
        if not _ID.fullmatch(id):
            raise StoreError(f"{id!r} is no episode id: letters, digits, dots, dashes and underscores only")
        return self.path / id

    def _sweep(self) -> None:
        """Remove what killed writers of this machine left, put back what one was about to replace; a live
        writer's folder stays."""
        for left in (self.path / PARTIAL).iterdir():
            writer, _, id = left.name.partition("~")
            host, _, rest = writer.rpartition(".")[0].rpartition(".")
            if left.name.endswith(".broken"):
                host, rest = left.name.rsplit(".", 3)[:2]
            if host == socket.gethostname() and rest.isdigit() and not alive(int(rest)):
                if id and not (self.path / id).exists():
                    left.rename(self.path / id)
                shutil.rmtree(left, ignore_errors=True)


def episode_in(folder: Path) -> tuple[Store, Episode]:
    """The episode that a folder is, and the store that it lies in. Raises StoreError."""
    folder = folder.resolve()
    if not (folder / "episode.json").is_file():
        raise StoreError(f"{folder} is no episode's folder")
    store = Store(folder.parent)
    return store, store.load(folder.name)


def store_path(folder: Path) -> Path:
    """Where a folder's store is: its `episodes`, or itself. Raises OSError that says what to do."""
    if not folder.exists():
        raise FileNotFoundError(f"no folder {folder}; give one that `generate` or `eval` had as --out")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder; give the one that holds the episodes")
    inside = folder / "episodes"
    return inside if inside.is_dir() else folder


def alive(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
