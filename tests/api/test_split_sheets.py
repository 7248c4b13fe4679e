"""Composite sheets on their way through an ingest job: drawings, figures, layouts and pictures."""

import io
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx import Response
from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session

from linework_api import worker
from linework_core.jobs import runner
from linework_core.settings import get_settings
from linework_core.tables import Drawing, Encoder, Figure, Sheet
from tests.ingest.building import grant, zipped
from tests.sheets.drawn import page

Load = Callable[..., dict[str, Any]]
PATENT = "USD0907292"
SHAPES = [(200, 100, 1500, 900), (200, 1300, 1500, 2100)]
TWO = [("FIG. 2", 700, 960), ("FIG. 3", 700, 2160)]


def tiff(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.convert("1").save(buffer, "TIFF", compression="group4", dpi=(300, 300))
    return buffer.getvalue()


def package(*pages: Image.Image, damaged: int | None = None) -> bytes:
    """A grant with three figures and these sheets; one of them may be no image."""
    stem = f"{PATENT}-20210105"
    names = [f"{stem}-D{number:05d}.TIF" for number in range(len(pages) + 1)]
    files = {name: tiff(image) for name, image in zip(names, (pages[0], *pages), strict=True)}
    if damaged is not None:
        files[names[damaged]] = b"II*\0 no image"
    return zipped({f"{stem}.XML": grant(images=names), **files})


@pytest.fixture(scope="module", autouse=True)
def decoder() -> Iterator[None]:
    """The worker's decoder, once for all: its children take a while to start."""
    worker.decoder.cache_clear()
    yield
    worker.decoder().close()
    worker.decoder.cache_clear()


@pytest.fixture
def load(client: TestClient, encoder: Encoder) -> Load:
    def ingest(content: bytes) -> dict[str, Any]:
        answer = client.post("/ingest", files={"file": ("package.zip", content)})
        runner.run_job(UUID(answer.json()["id"]), worker._ingest)
        job: dict[str, Any] = client.get(f"/jobs/{answer.json()['id']}").json()
        assert job["state"] == "succeeded", job
        return job

    return ingest


def drawings(session: Session) -> list[tuple[str, str | None]]:
    """The drawings that are there, as (id without the patent's part, figure)."""
    session.rollback()
    rows = select(Drawing.drawing_id, Figure.number).outerjoin(Figure, Figure.row_id == Drawing.figure_row)
    found = session.execute(rows.where(Drawing.removed_in.is_(None)).order_by(Drawing.number)).all()
    return [(name.rsplit("-", 1)[1], figure) for name, figure in found]


def layouts(client: TestClient) -> list[dict[str, Any] | None]:
    sheets = client.get(f"/patents/{PATENT}").raise_for_status().json()["sheets"]
    return [sheet["layout"] for sheet in sheets if sheet["role"] == "drawings"]


def answered(client: TestClient, drawing: str, size: int | None = None) -> Response:
    url = f"/drawings/{PATENT}-20210105-{drawing}/image"
    return client.get(url, params={"size": size} if size else {}).raise_for_status()


def picture(client: TestClient, drawing: str, size: int | None = None) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(answered(client, drawing, size).content)))


def switch(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SPLIT_SHEETS", value)
    get_settings.cache_clear()


FIRST = page([("FIG. 1", 700, 2000)], SHAPES[:1])
BOTH = page(TWO, SHAPES)


def test_a_composite_sheet_becomes_a_drawing_for_each_of_its_figures(
    load: Load, client: TestClient, session: Session
) -> None:
    load(package(FIRST, BOTH))
    assert drawings(session) == [("D00001_1", "1"), ("D00002_2", "2"), ("D00002_3", "3")]
    assert layouts(client) == [
        {"state": "single", "reason": None, "labels": ["1"], "turned": 0},
        {"state": "split", "reason": None, "labels": ["2", "3"], "turned": 0},
    ]


def test_figures_are_linked_by_their_labels_and_not_by_the_order_of_the_sheets(load: Load, session: Session) -> None:
    second = page([("FIG. 3", 700, 2000)], SHAPES[:1])
    third = page([("FIG. 2", 700, 2000)], SHAPES[:1])
    load(package(FIRST, second, third))
    assert drawings(session) == [("D00001_1", "1"), ("D00002_2", "3"), ("D00003_3", "2")]


def test_a_sheet_that_cannot_be_split_stays_whole_and_says_so(load: Load, client: TestClient, session: Session) -> None:
    touching = page(TWO, [*SHAPES, (1400, 500, 1500, 2100)])
    load(package(FIRST, touching))
    assert drawings(session) == [("D00001_1", "1"), ("D00002_2", None)]
    assert layouts(client)[1] == {"state": "whole", "reason": "not-separable", "labels": ["2", "3"], "turned": 0}
    drawing = client.get(f"/drawings/{PATENT}-20210105-D00002_2").json()
    assert [figure["number"] for figure in drawing["candidates"]] == ["1", "2", "3"]


def test_nobody_guesses_which_sheet_has_the_figure_whose_label_is_not_there(
    load: Load, client: TestClient, session: Session
) -> None:
    load(package(FIRST, page(TWO[1:], SHAPES)))  # the drawing above has no label: figure 2, or one that fell apart
    assert drawings(session) == [("D00001_1", None), ("D00002_2", None)]
    assert {layout["reason"] for layout in layouts(client) if layout} == {"not-accounted-for"}


@pytest.mark.parametrize("size", [None, 1024])
def test_pictures_show_the_drawing_alone_upright_and_without_its_label(
    load: Load, client: TestClient, size: int | None
) -> None:
    load(package(FIRST, BOTH.rotate(90, expand=True)))
    assert layouts(client)[1] == {"state": "split", "reason": None, "labels": ["2", "3"], "turned": 90}
    shown = picture(client, "D00002_2", size)
    assert max(shown.shape) == size or 512
    assert shown.shape[1] / shown.shape[0] == pytest.approx(1300 / 800, abs=0.05)
    dark = np.argwhere(shown < 128)
    assert (dark.min(axis=0) < 0.04 * max(shown.shape)).all()  # the drawing fills its picture
    assert (dark.max(axis=0) > np.array(shown.shape) - 0.04 * max(shown.shape)).all()


def test_drawings_of_one_sheet_have_pictures_of_their_own_in_every_size(load: Load, client: TestClient) -> None:
    load(package(FIRST, page(TWO, [SHAPES[0], (500, 1300, 900, 2100)])))
    for size in (None, 128, 1024):
        tags = [answered(client, name, size).headers["etag"] for name in ("D00002_2", "D00002_3")]
        assert tags[0] != tags[1]
        assert picture(client, "D00002_2", size).shape != picture(client, "D00002_3", size).shape


def test_a_damaged_sheet_is_set_aside_and_the_drawings_of_the_others_keep_their_numbers(
    load: Load, session: Session
) -> None:
    job = load(package(page([], SHAPES), BOTH, damaged=1))
    assert job["result"]["set aside: unreadable-image"] == 1
    assert drawings(session) == [("D00002_2", "2"), ("D00002_3", "3")]


def test_switched_off_each_sheet_is_one_drawing_as_filed_and_switched_on_again_it_is_a_new_version(
    load: Load, client: TestClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = package(FIRST, BOTH)
    switch(monkeypatch, "false")
    load(content)
    assert drawings(session) == [("D00001_1", None), ("D00002_2", None)]
    assert layouts(client) == [None, None]
    switch(monkeypatch, "true")
    assert load(content)["result"]["corrected"] == 1
    assert [name for name, _ in drawings(session)] == ["D00001_1", "D00002_2", "D00002_3"]
    assert load(content)["result"]["unchanged"] == 1


def test_boxes_are_those_of_the_sheet_as_filed(load: Load, session: Session) -> None:
    load(package(FIRST, BOTH.rotate(90, expand=True)))
    session.rollback()
    sheet = session.scalars(select(Sheet).where(Sheet.number == 2, Sheet.role == "drawings")).one()
    for drawing in session.scalars(select(Drawing).where(Drawing.sheet_row == sheet.row_id)):
        left, top, width, height = drawing.box or []
        assert (sheet.width, sheet.height) == (2400, 1800)
        assert (width, height) == pytest.approx((800, 1300), abs=40)
        assert left + width <= sheet.width
        assert top + height <= sheet.height
