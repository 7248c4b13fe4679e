"""A temporary index on disk: records by patent, images by name. Memory does not grow with the data set."""

import json
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

Record = dict[str, Any]
_NUMBERED = re.compile(r"(.+)[-_. ]D?\d{1,5}")  # the stem of an image: an id and the image's number


class Index:
    """SQLite in a temporary folder; it is gone when closed. For use by one thread after another."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="linework-")
        self._db = sqlite3.connect(Path(self._folder.name, "index.db"), check_same_thread=False)
        self._db.executescript("""
            PRAGMA journal_mode = OFF;
            PRAGMA synchronous = OFF;
            CREATE TABLE records (ordinal INTEGER PRIMARY KEY, patent TEXT NOT NULL, source TEXT NOT NULL,
                                  body TEXT NOT NULL);
            CREATE INDEX records_by_patent ON records (patent, source, ordinal);
            CREATE TABLE images (library INTEGER NOT NULL, path TEXT NOT NULL, name TEXT NOT NULL, stem TEXT NOT NULL,
                                 base TEXT, folder TEXT NOT NULL, start INTEGER, size INTEGER,
                                 PRIMARY KEY (library, path)) WITHOUT ROWID;
            CREATE INDEX images_by_name ON images (library, name);
            CREATE INDEX images_by_stem ON images (stem);
            CREATE INDEX images_by_base ON images (base);
            CREATE INDEX images_by_folder ON images (folder);
        """)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._folder.cleanup()

    def add_record(self, patent: str, source: str, record: Record) -> None:
        row = (patent, source, json.dumps(record))
        self._db.execute("INSERT INTO records (patent, source, body) VALUES (?, ?, ?)", row)

    def patents(self, most: int) -> Iterator[tuple[str, str, list[Record]]]:
        """Each patent with its source and records (`most` + 1 at the most), in the order in which they came first."""
        first = "SELECT patent, source FROM records GROUP BY patent, source ORDER BY min(ordinal)"
        of_patent = "SELECT body FROM records WHERE patent = ? AND source = ? ORDER BY ordinal LIMIT ?"
        for patent, source in self._db.execute(first):
            bodies = self._db.execute(of_patent, (patent, source, most + 1))
            yield patent, source, [json.loads(body) for (body,) in bodies]

    def add_image(self, library: int, path: str, start: int | None = None, size: int | None = None) -> None:
        """An image of a folder or an archive, in a tar of `size` bytes from `start`. The last of a path counts."""
        place = PurePosixPath(path)
        base = _NUMBERED.fullmatch(place.stem)
        row = (library, path, place.name, place.stem, base and base[1], place.parent.name, start, size)
        self._db.execute("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def images(self, library: int, wanted: str, kind: str | None = None) -> list[tuple[str, int, int]]:
        """Path, start and size of the images with the path `wanted`, or else with its last part; of several those
        under a folder whose name begins with `kind`, if there are any.
        """
        columns = "SELECT path, start, size FROM images WHERE library = ? AND"
        exact = self._db.execute(f"{columns} path = ?", (library, wanted)).fetchall()
        name = PurePosixPath(wanted).name
        found = exact or self._db.execute(f"{columns} name = ? LIMIT 100", (library, name)).fetchall()
        if len(found) > 1 and kind is not None:
            return [row for row in found if _lies_under(row[0], kind)] or found
        return found

    def images_of(self, patent: str, most: int) -> list[str]:
        """Paths of the images that bear a patent's id, alone ('7.png') or with a number ('7-2.png', '7_2.png') that
        makes it no other patent's, or lie in a folder of that name; in the order of their numbers.
        """
        statement = """
            SELECT path FROM images WHERE stem = :patent OR folder = :patent
            UNION SELECT path FROM images
                  WHERE base = :patent AND NOT EXISTS (SELECT 1 FROM records WHERE records.patent = images.stem)
            LIMIT :most"""
        found = self._db.execute(statement, {"patent": patent, "most": most + 1})
        return sorted(
            (path for (path,) in found), key=lambda path: ([int(n) for n in re.findall(r"\d{1,9}", path)], path)
        )


def _by_numbers(path: str) -> tuple[list[int], str]:
    return [int(number) for number in re.findall(r"\d{1,9}", path)], path


def _lies_under(path: str, kind: str) -> bool:
    return any(part.lower().startswith(kind) for part in PurePosixPath(path).parts[:-1])
