"""What the stack is loaded with, and what its callers send: drawn here, always the same."""

import csv
import datetime as dt
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

PATENTS = 620
SHEETS = 24  # different sheets; each patent has a copy, with a mark of its own
SHEET = (850, 1100)  # a quarter of a page
FIRST = dt.date(2007, 1, 2)
FRAMES = 301
HEAVY_BYTES = 45_000_000


@dataclass(frozen=True, slots=True)
class Pictures:
    """Files of query pictures. All but `small` take their decoder seconds; a `huge` one has 45 MB."""

    small: Path
    transparent: Path
    deep: Path
    frames: Path
    huge: Path


def write_register(path: Path, patents: int = PATENTS) -> Path:
    """A tar with a plain table and an image for each patent."""
    sheets = [_sheet(number) for number in range(SHEETS)]
    path.write_bytes(_tar([(_id(number), _marked(sheets[number % SHEETS], number)) for number in range(patents)]))
    return path


def one_patent(number: int) -> bytes:
    """A tar with one patent that no other tar has."""
    return _tar([(f"PL{number:06}", _marked(_sheet(number % SHEETS), number))])


def write_pictures(folder: Path) -> Pictures:
    """The query pictures, 46 MB in all."""
    drawing = _lines(Image.new("L", (5000, 5000), 255), seed=1, number=25)
    pictures = Pictures(*(folder / name for name in ("small.png", "alpha.png", "deep.png", "frames.gif", "huge.png")))
    drawing.resize((400, 400)).save(pictures.small)
    drawing.convert("RGBA").save(pictures.transparent)
    deep = np.full((7000, 7000), 60_000, np.uint16)
    deep[1000:6000, 3000:3060] = deep[2000:2060, 1000:6000] = 100
    Image.fromarray(deep).save(pictures.deep)
    white, grey = Image.new("L", (1000, 1000), 255), Image.new("L", (1000, 1000), 250)
    for frame in (white, grey):
        ImageDraw.Draw(frame).rectangle((300, 200, 700, 800), outline=0, width=20)
    white.save(pictures.frames, save_all=True, append_images=[grey, white] * (FRAMES // 2), duration=10)
    side = int(HEAVY_BYTES**0.5)
    drawing.resize((side, side)).save(pictures.huge, compress_level=0)
    return pictures


def _id(number: int) -> str:
    return f"PR{number:06}"


def _sheet(number: int) -> Image.Image:
    return _lines(Image.new("L", SHEET, 255), seed=number, number=25)


def _lines(image: Image.Image, seed: int, number: int) -> Image.Image:
    """Broken lines and ellipses in black."""
    dice, draw = np.random.default_rng(seed), ImageDraw.Draw(image)
    width = max(2, image.width // 400)
    for _ in range(number):
        points = [tuple(map(int, dice.integers(0, image.size))) for _ in range(4)]
        draw.line(points, fill=0, width=width)
    left, upper = map(int, dice.integers(0, image.width // 2, 2))
    draw.ellipse((left, upper, left + image.width // 3, upper + image.height // 4), outline=0, width=width)
    return image


def _marked(sheet: Image.Image, number: int) -> bytes:
    """A copy with a bar whose place is the number's, as a bilevel PNG."""
    copy, (row, column) = sheet.copy(), divmod(number % 440, 40)
    left, upper = 20 + 20 * column, 50 + 90 * row
    ImageDraw.Draw(copy).rectangle((left, upper, left + 16, upper + 80), fill=0)
    buffer = io.BytesIO()
    copy.point(lambda grey: 255 * (grey > 127), "1").save(buffer, "PNG")
    return buffer.getvalue()


def _tar(images: list[tuple[str, bytes]]) -> bytes:
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["id", "date", "class", "title", "image"])
    for number, (name, _) in enumerate(images):
        granted = FIRST + dt.timedelta(weeks=number)
        rows.writerow([name, granted.isoformat(), f"14-{1 + number % 5:02}", f"Design {name}", f"{name}.png"])
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        _add(tar, "register.csv", table.getvalue().encode())
        for name, content in images:
            _add(tar, f"{name}.png", content)
    return packed.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
