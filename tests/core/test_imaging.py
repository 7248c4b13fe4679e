"""How a picture becomes greys: what it costs, what is refused, and what counts as nothing drawn."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from linework_core import imaging
from linework_core.errors import UnreadableImage


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def drawing(size: tuple[int, int] = (400, 300)) -> Image.Image:
    image = Image.new("L", size, "white")
    ImageDraw.Draw(image).rectangle((size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2), outline="black", width=2)
    return image


# ---- what is refused


def test_the_frames_before_the_one_that_is_asked_for_count_among_the_pixels() -> None:
    frames = [Image.new("L", (100, 100), 6 * number) for number in range(40)]
    for form in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
        assert imaging.open_image(data, 10, most_pixels=100_000).size == (100, 100)
        with pytest.raises(UnreadableImage, match="11 frames of 100 x 100 pixels; 100,000 are allowed"):
            imaging.open_image(data, 11, most_pixels=100_000)


def test_a_page_of_a_tiff_counts_alone() -> None:
    pages = [Image.new("1", (100, 100)) for _ in range(20)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=[*pages[1:], Image.new("1", (400, 400))])
    assert imaging.open_image(data, 20, most_pixels=10_000).size == (100, 100)
    with pytest.raises(UnreadableImage, match="400 x 400"):
        imaging.open_image(data, 21, most_pixels=10_000)
    with pytest.raises(UnreadableImage, match="no page 22"):
        imaging.open_image(data, 22)


# ---- what it costs

PEAK = """
import io, resource, sys
from linework_core import imaging
data = sys.stdin.buffer.read()
imaging.greyscale(imaging.open_image(data))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def peak_bytes(data: bytes) -> int:
    """The memory of a process that converts this picture."""
    return int(subprocess.run([sys.executable, "-c", PEAK], input=data, capture_output=True, check=True).stdout)


@pytest.mark.parametrize("mode", ["I;16", "RGBA"])
def test_the_conversion_takes_few_bytes_beyond_the_pixels_themselves(mode: str) -> None:
    small, large = (encoded(Image.new(mode, (side, side)), "PNG") for side in (100, 5000))
    for data, side in ((small, 100), (large, 5000)):  # something to stretch
        assert len(data) < side * side
    own = {"I;16": 2 + 4, "RGBA": 4}[mode]  # the picture, and as numpy has it
    assert peak_bytes(large) - peak_bytes(small) < 5000 * 5000 * (own + 1 + 2)


def test_16_bits_are_stretched_to_their_own_range() -> None:
    values = np.linspace(1000, 3000, 256).round().astype(np.uint16).reshape(16, 16)
    for data in (encoded(Image.fromarray(values), "PNG"), encoded(Image.fromarray(values.astype(np.int32)), "TIFF")):
        grey = np.asarray(imaging.greyscale(imaging.open_image(data)))
        assert (grey.min(), grey.max()) == (0, 255)
        assert np.abs(grey.astype(float).ravel() - np.arange(256)).max() <= 1


# ---- nothing drawn


def blank(*marks: tuple[int, int, int, int], size: tuple[int, int] = (500, 400), paper: int = 255) -> Image.Image:
    image = Image.new("L", size, paper)
    for mark in marks:
        ImageDraw.Draw(image).ellipse(mark, fill=255 - paper)
    return image


@pytest.mark.parametrize(
    "image",
    [
        blank(),
        blank(paper=0),
        blank(paper=128),
        blank((250, 200, 252, 202)),
        blank((250, 200, 275, 225)),
        blank((250, 200, 260, 210), paper=0),
        blank((10, 10, 12, 12), (480, 380, 482, 382)),
        blank(size=(2550, 3300)),
        blank((900, 900, 960, 960), size=(2550, 3300)),
        blank(size=(1, 1)),
    ],
)
def test_an_empty_sheet_a_dot_and_a_few_specks_are_no_drawing(image: Image.Image) -> None:
    assert imaging.is_blank(imaging.to_derivative(image))


def test_an_empty_sheet_with_a_scanners_noise_is_no_drawing() -> None:
    noise = np.random.default_rng(1).normal(245, 4, (1200, 900)).clip(0, 255).astype(np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG", quality=60)
    assert imaging.is_blank(imaging.to_derivative(imaging.open_image(data)))


def test_a_thin_line_a_small_drawing_and_a_silhouette_are_drawings() -> None:
    line = Image.new("L", (2550, 3300), 255)
    ImageDraw.Draw(line).line((300, 300, 2200, 300), fill=0, width=1)
    small = Image.new("L", (2550, 3300), 255)
    ImageDraw.Draw(small).rectangle((1000, 1000, 1400, 1300), outline=0, width=4)
    faint = Image.new("L", (600, 600), 235)
    ImageDraw.Draw(faint).ellipse((100, 100, 500, 500), outline=190, width=2)
    silhouette = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(silhouette).rectangle((20, 20, 280, 280), fill=0)
    for image in (line, small, faint, silhouette, drawing()):
        assert not imaging.is_blank(imaging.to_derivative(image))


def test_no_real_drawing_is_taken_for_a_blank_sheet(real_data: Path) -> None:
    seen = 0
    for archive in sorted(real_data.glob("*/images.tar")) + sorted(real_data.glob("uspto/*/images.tar")):
        with tarfile.open(archive) as tar:
            for number, member in enumerate(one for one in tar if one.isfile()):
                file = tar.extractfile(member) if number % 20 == 0 or "uspto" in archive.parts else None
                if file is not None:
                    seen += 1
                    picture = imaging.to_derivative(imaging.open_image(file.read()))
                    assert not imaging.is_blank(picture), member.name
    assert seen > 100
