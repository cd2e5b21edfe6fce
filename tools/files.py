"""A text file written whole or not at all, whatever the disk or a kill does meanwhile.

Not covered: folders (`trajectories/store.py`, `training/nano.py`) and tables, which go aside by themselves.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """The text in UTF-8; what stood there before stays until the new is on disk. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
