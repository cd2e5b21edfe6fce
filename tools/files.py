"""A text file written whole or not at all, whatever the disk or a kill does meanwhile.

Not covered: folders (`trajectories/store.py`, `training/nano.py`) and tables, which go aside by themselves.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """The text in UTF-8; what stood there before stays until the new is on disk. Raises OSError, also where
    there is no such folder."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:  # in the words of the file that was meant
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)
