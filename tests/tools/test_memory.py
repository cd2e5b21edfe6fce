"""Memory with the real embeddings and a real Chroma."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tools.memory import CHUNK, Memory, MemoryDown, NotText, chunks, site_of


def test_what_was_kept_is_found_by_meaning_with_its_source(tmp_path: Path) -> None:
    """Notes, documents and programs come back nearest first, once each, and after opening again."""
    guide = tmp_path / "guide.md"
    guide.write_text(
        "# Refunds\n\nMoney goes back to the card.\n\n# Printers\n\nTurn the printer off and on.\n"
    )
    memory = Memory(tmp_path / "m")
    assert memory.retrieve("anything", "http://127.0.0.1:1/", 3) == [] and not memory.exists()
    assert memory.add_note("VIP customers are answered within one hour.", "handbook")
    assert not memory.add_note("VIP customers are answered within one hour.", "handbook")
    assert memory.add_document(guide) == 2 and memory.add_document(guide) == 0
    goal = 'Set the priority of ticket 3 to "high"'
    assert memory.add_program(goal, "127.0.0.1", 'click(link("Tickets"))')
    assert not memory.add_program(goal, "127.0.0.1", 'click(link("Tickets"))')
    memory.close()

    memory = Memory(tmp_path / "m")
    best = memory.retrieve("the printing machine does not work", "http://elsewhere/", 2)[0]
    assert (best.kind, best.source) == ("document", str(guide)) and "Printers" in best.text
    program = memory.retrieve("Set the priority of ticket 9 to low", "http://127.0.0.1:99/", 1)[0]
    assert program.kind == "program" and program.text == 'click(link("Tickets"))' and program.worked == 2
    assert program.score > 0.7
    guide.write_text("# Printers\n\nCall the technician.\n")
    assert memory.add_document(guide) == 1
    assert [h.text for h in memory.entries() if h.kind == "document"] == [
        "# Printers\n\nCall the technician."
    ]
    memory.close()


def test_two_documents_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is named from its own folder; neither is taken for an older version of the other."""
    memory = Memory(tmp_path / "m")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "guide.md").write_text(f"All about {name}.\n")
        monkeypatch.chdir(tmp_path / name)
        assert memory.add_document("guide.md") == 1
    memory.close()
    memory = Memory(tmp_path / "m")
    assert [h.source for h in memory.entries()] == [str(tmp_path / n / "guide.md") for n in ("one", "two")]
    memory.close()


def test_one_process_at_a_time_and_broken_is_said(tmp_path: Path) -> None:
    """A second holder is told so, a garbage database too, and the first goes on."""
    memory = Memory(tmp_path / "m")
    memory.add_note("one", "a")
    code = f"from tools.memory import Memory; Memory({str(tmp_path / 'm')!r}).add_note('x', 'y')"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MemoryDown" in other.stderr and "in use by another shopfloor" in other.stderr
    assert memory.add_note("two", "a")
    memory.close()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "chroma.sqlite3").write_bytes(b"garbage" * 999)
    with pytest.raises(MemoryDown, match="move that folder away"):
        Memory(tmp_path / "b").entries()


def test_what_fails_after_opening_is_said_too(tmp_path: Path) -> None:
    """A disk that fills up, or a database that is spoilt, while it is in use."""
    memory = Memory(tmp_path / "m")
    memory.add_note("one", "a")
    with sqlite3.connect(tmp_path / "m" / "chroma.sqlite3") as spoilt:
        spoilt.execute("DROP TABLE embedding_metadata")
    for use in (
        lambda: memory.retrieve("one", "", 1),
        lambda: memory.add_note("two", "a"),
        lambda: memory.add_program("goal", "a", "noop()"),
        lambda: memory.program("goal", "a"),
        memory.entries,
    ):
        with pytest.raises(MemoryDown, match="no such table|[Ff]ailed"):
            use()


def test_files_that_are_no_text_are_named(tmp_path: Path) -> None:
    """What can't be read is an error that says which file and why."""
    (tmp_path / "x.bin").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.md").write_text("\n\n")
    memory = Memory(tmp_path / "m")
    for name, why in (("x.bin", "not UTF-8"), ("empty.md", "is empty"), ("gone.md", "can't be read")):
        with pytest.raises(NotText, match=f"{name}.*{why}"):
            memory.add_document(tmp_path / name)
    assert not memory.exists()


def test_pieces_are_whole_and_bounded() -> None:
    """Every word survives cutting, and no piece is much longer than the bound."""
    words = [f"w{i}" for i in range(900)]
    text = "# Title\n" + " ".join(words[:600]) + "\n\n" + ". ".join(words[600:]) + "\n\n" + "x" * 2000
    pieces = chunks(text)
    assert all(len(p) <= CHUNK + 210 for p in pieces)
    assert all(p.startswith("# Title") for p in pieces)
    joined = " ".join(pieces)
    assert all(w in joined for w in words) and joined.count("x") == 2000
    assert site_of("http://127.0.0.1:8/x") == "127.0.0.1" and site_of("file:///a/b.html") == "file:/a"
