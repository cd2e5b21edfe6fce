"""A text file is written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools.files import write_whole


def test_what_was_there_stays_until_the_new_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails at the last moment costs the new text, not the old one, and leaves nothing beside."""
    file = tmp_path / "program.txt"
    write_whole(file, "first \u20ac")
    assert file.read_text("utf-8") == "first \u20ac"

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, "second")
    assert file.read_text("utf-8") == "first \u20ac" and list(tmp_path.iterdir()) == [file]
