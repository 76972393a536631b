"""Features that were computed before, kept on the disk: one SQLite file for all encoders."""

import hashlib
import math
import sqlite3
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.cache_folder import cache_folder

R = TypeVar("R")
FORMAT = 1
_TABLE = "CREATE TABLE IF NOT EXISTS features (key BLOB PRIMARY KEY, value BLOB NOT NULL, checksum BLOB NOT NULL)"
_OLDEST = "DELETE FROM features WHERE rowid IN (SELECT rowid FROM features ORDER BY rowid LIMIT ?)"


class EmbeddingCache:
    """Features by the encoder's fingerprint and the image's content.

    Several processes may use it at once, and a kill at any time leaves what was put before. What was damaged is not
    found. Where it cannot be used (a full disk, a folder that may not be written), there is one warning, and then no
    cache.

    Args:
        folder: where it is kept (None: in quickstudy's cache folder).
        most_bytes: of the file, from which on the oldest features are dropped.
    """

    def __init__(self, folder: Path | None = None, *, most_bytes: int = 500_000_000) -> None:
        self.path = (folder or cache_folder() / "embeddings") / f"features-{FORMAT}.sqlite"
        self.most_bytes = most_bytes
        self.works = True
        """Whether it is still used."""

    def get(self, fingerprint: str, content: str) -> Float[Tensor, " width"] | None:
        """The features of an image by the hash of its content; None if they are not there."""
        key = _digest(fingerprint.encode(), content.encode())
        ask = "SELECT value, checksum FROM features WHERE key = ?"
        value, checksum = self._tried(lambda file: file.execute(ask, (key,)).fetchone()) or (b"", None)
        if checksum is None or checksum != _digest(key, value):
            return None
        return torch.from_numpy(np.frombuffer(value, "<f4").astype(np.float32))

    def put(self, fingerprint: str, features: Mapping[str, Float[Tensor, " width"]]) -> None:
        """Keep features by the hash of the image's content, all in one go, and drop the oldest of too many."""
        rows: list[tuple[bytes, bytes, bytes]] = []
        for content, found in features.items():
            key, value = _digest(fingerprint.encode(), content.encode()), found.numpy().astype("<f4").tobytes()
            rows.append((key, value, _digest(key, value)))

        def write(file: sqlite3.Connection) -> None:
            with file:
                file.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", rows)
                self._drop_oldest(file)

        if rows:
            self._tried(write)

    def _drop_oldest(self, file: sqlite3.Connection) -> None:
        def number(ask: str) -> int:
            return int(file.execute(ask).fetchone()[0])

        used = (number("PRAGMA page_count") - number("PRAGMA freelist_count")) * number("PRAGMA page_size")
        if used > self.most_bytes:
            too_many = number("SELECT COUNT(*) FROM features") * (1 - 0.9 * self.most_bytes / used)
            file.execute(_OLDEST, (math.ceil(too_many),))

    def _tried(self, use: Callable[[sqlite3.Connection], R]) -> R | None:
        """What ``use`` gives; None where the cache cannot be used."""
        if not self.works:
            return None
        try:
            try:
                with self._opened() as file:
                    return use(file)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:  # it is no database any more
                for path in (self.path, self.path.with_name(f"{self.path.name}-journal")):
                    path.unlink(missing_ok=True)
                with self._opened() as file:
                    return use(file)
        except (sqlite3.Error, OSError) as error:
            self.works = False
            warnings.warn(
                f"features are not kept, as {self.path} cannot be used ({error}): free some space, set "
                f"QUICKSTUDY_CACHE to a folder that can be written, or say that no cache is wanted.",
                UserWarning,
                stacklevel=3,
            )
        return None

    @contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=20)) as file:
            file.execute("PRAGMA page_size = 16384")  # of a new file: three times 1,280 features a page
            file.execute(_TABLE)
            yield file


def _digest(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()
