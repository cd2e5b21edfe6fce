"""The episodes of a data folder that models learn from.

    for episode in lessons(Path(".shopfloor/data/helpdesk")): ...

Left out are what the line marked as teaching nothing new or too much of one family, what broke off, and
what has a held-out seed, whoever names the folder; what is damaged on disk is passed over.

Not covered: what is made of them (`examples.py`, `preferences.py`, `training/pages.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from trajectories.episode import Episode
from trajectories.shards import Folder
from trajectories.store import Store, StoreError, store_path
from trajectories.tasks import is_held_out


def lessons(folder: Path, ids: list[str] | None = None) -> Iterator[Episode]:
    """Those of `ids` (all of the folder's) that are fit. Raises OSError where there is no such folder."""
    store = Store(store_path(folder))
    for id in told(folder) if ids is None else ids:
        with suppress(StoreError):
            if not unfit(episode := store.load(id)):
                yield episode


def told(folder: Path) -> list[str]:
    """The ids of a folder's episodes but for those that its line left out, unread."""
    marked = (row for manifest in Folder(folder).manifests().values() for row in manifest["rows"])
    left_out = {row["id"] for row in marked if not row["keep"]}
    return [id for id in Store(store_path(folder)).ids() if id not in left_out]


def unfit(episode: Episode) -> str:
    """Why an episode is not to be learnt from; empty if it is. What a person judged is judged, however it
    ended."""
    if is_held_out(episode.seed):
        return "held out"
    if episode.ended == "error" and episode.extra.get("checked_by") != "person":
        return "broke off"
    return ""
