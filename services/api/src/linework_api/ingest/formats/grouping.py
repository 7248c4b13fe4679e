"""A temporary index on disk: records by patent, images by name. Memory does not grow with the data set."""

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

Record = dict[str, Any]


class Index:
    """SQLite in a temporary folder; it is gone when closed. For use by one thread after another."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="linework-")
        self._db = sqlite3.connect(Path(self._folder.name, "index.db"), check_same_thread=False)
        self._db.executescript("""
            PRAGMA journal_mode = OFF;
            PRAGMA synchronous = OFF;
            CREATE TABLE records (ordinal INTEGER PRIMARY KEY, patent TEXT NOT NULL, body TEXT NOT NULL);
            CREATE INDEX records_by_patent ON records (patent, ordinal);
            CREATE TABLE images (library INTEGER NOT NULL, path TEXT NOT NULL, name TEXT NOT NULL,
                                 start INTEGER, size INTEGER, PRIMARY KEY (library, path)) WITHOUT ROWID;
            CREATE INDEX images_by_name ON images (library, name);
        """)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._folder.cleanup()

    def add_record(self, patent: str, record: Record) -> None:
        self._db.execute("INSERT INTO records (patent, body) VALUES (?, ?)", (patent, json.dumps(record)))

    def patents(self, most: int) -> Iterator[tuple[str, list[Record]]]:
        """Each patent with its records (`most` + 1 at the most), in the order in which patents came first."""
        first = "SELECT patent FROM records GROUP BY patent ORDER BY min(ordinal)"
        of_patent = "SELECT body FROM records WHERE patent = ? ORDER BY ordinal LIMIT ?"
        for (patent,) in self._db.execute(first):
            yield patent, [json.loads(body) for (body,) in self._db.execute(of_patent, (patent, most + 1))]

    def add_image(self, library: int, path: str, start: int | None = None, size: int | None = None) -> None:
        """An image of a folder, or of a tar where it has `size` bytes from `start`. The last of a path counts."""
        row = (library, path, PurePosixPath(path).name, start, size)
        self._db.execute("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?)", row)

    def images(self, library: int, wanted: str) -> list[tuple[str, int, int]]:
        """Path, start and size of the images with the path `wanted`, or else with its last part (two at most)."""
        columns = "SELECT path, start, size FROM images WHERE library = ? AND"
        exact = self._db.execute(f"{columns} path = ?", (library, wanted)).fetchall()
        name = PurePosixPath(wanted).name
        return exact or self._db.execute(f"{columns} name = ? LIMIT 2", (library, name)).fetchall()
