"""Vectors of texts already encoded, on disk: a nightly run encodes only what changed.

One SQLite file per embedding space, so that two spaces never mix. Every ``put`` is one transaction: a run killed in the
middle keeps each finished chunk and loses nothing else. Keys are content hashes, so no text is stored.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

_LOOKUP = 512
"""Keys asked for in one query; SQLite allows 999 variables and more in all its versions."""


def text_key(text: str) -> bytes:
    """The key of a text's vector: the first 128 bits of its sha256."""
    return hashlib.sha256(text.encode()).digest()[:16]


class VectorCache:
    """A map from text key to float32 vector in one SQLite file, shared safely by threads of work and processes."""

    def __init__(self, path: Path, width: int) -> None:
        self._path = path
        self._width = width
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)")
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise OSError(f"the vector cache {path} is unusable ({error}): delete it, it will be rebuilt") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def get(self, keys: Iterable[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """The vectors that are there. One of another width than this space's is treated as absent."""
        found: dict[bytes, NDArray[np.float32]] = {}
        remaining = iter(dict.fromkeys(keys))
        while some := list(islice(remaining, _LOOKUP)):
            marks = ",".join("?" * len(some))
            query = f"SELECT key, vector FROM vectors WHERE key IN ({marks})"  # noqa: S608 - only question marks
            for key, blob in self._connection.execute(query, some):
                if len(blob) == 4 * self._width:
                    found[key] = np.frombuffer(blob, dtype="<f4")
        return found

    def put(self, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        """Store vectors, all or none of them."""
        rows = ((key, row.astype("<f4").tobytes()) for key, row in zip(keys, vectors, strict=True))
        with self._connection:  # commits, or rolls back on any exception
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
