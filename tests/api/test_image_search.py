"""Search by pictures: every format and mode, crops, several views; exports and clusters of what was found."""

import csv
import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageOps
from sqlalchemy import Engine, select

from linework_api import worker
from linework_api.app import create_app
from linework_core import encoders
from linework_core.db import transaction
from linework_core.jobs import runner, service
from linework_core.settings import Settings
from linework_core.store import derivative_key, get, get_store
from linework_core.tables import Drawing
from linework_embedder.app import create_app as create_embedder
from linework_embedder.bulk import BulkEmbedder
from linework_office import plan, write_package
from linework_vision import load as load_encoder
from tests.api.serving import serving


@pytest.fixture
def client(environment: Settings, engine: Engine, tmp_path: Path) -> Iterator[TestClient]:
    """A gateway over a few designs of the sample office, embedded by HOG."""
    worker.decoder.cache_clear()
    with transaction(engine) as session:
        encoders.ensure_active(session, load_encoder("hog").manifest)
    socket = Path(environment.embedder_url.removeprefix("unix://"))
    with serving(create_embedder(), socket=socket), TestClient(create_app(), raise_server_exceptions=False) as opened:
        folder = tmp_path / "packages"
        folder.mkdir()
        for design in plan(designs=5, seed=9):
            write_package(folder, design, size=0.25)
        job = opened.post("/ingest", json={"uri": folder.as_uri()}).json()
        runner.run_job(UUID(job["id"]), worker._ingest)
        with transaction(engine) as session:
            embed = service.ensure_embed_job(session, encoders.active(session)).id
        runner.run_job(embed, BulkEmbedder(environment, get_store()))
        yield opened
    worker.decoder().close()
    worker.decoder.cache_clear()


@pytest.fixture
def drawing(client: TestClient, engine: Engine) -> Drawing:
    with transaction(engine) as session:
        return session.scalars(select(Drawing).order_by(Drawing.row_id)).first()  # type: ignore[return-value]


@pytest.fixture
def picture(drawing: Drawing) -> Image.Image:
    return Image.open(io.BytesIO(get(get_store(), derivative_key(drawing.derivative))))


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def post(client: TestClient, *pictures: bytes, data: dict[str, Any] | None = None, **params: Any) -> Any:
    files = [("image", ("query", picture)) for picture in pictures]
    return client.post("/search", files=files, data=data or {}, params=params)


def transparent(image: Image.Image) -> Image.Image:
    rgba = Image.new("RGBA", image.size, (0, 0, 0, 0))
    rgba.putalpha(ImageOps.invert(image))
    return rgba


VARIANTS: dict[str, Any] = {
    "png": lambda image: encoded(image, "PNG"),
    "jpeg": lambda image: encoded(image.convert("RGB"), "JPEG", quality=90),
    "webp": lambda image: encoded(image, "WEBP", lossless=True),
    "gif": lambda image: encoded(image, "GIF"),
    "tiff": lambda image: encoded(image, "TIFF"),
    "bilevel tiff": lambda image: encoded(image.convert("1"), "TIFF", compression="group4"),
    "palette": lambda image: encoded(image.convert("P"), "PNG"),
    "cmyk": lambda image: encoded(image.convert("CMYK"), "TIFF"),
    "16 bits": lambda image: encoded(Image.fromarray(np.asarray(image).astype(np.uint16) * 257), "PNG"),
    "black lines on transparency": lambda image: encoded(transparent(image), "PNG"),
    "inverted": lambda image: encoded(ImageOps.invert(image), "PNG"),
    "inverted, as RGB": lambda image: encoded(ImageOps.invert(image).convert("RGB"), "PNG"),
    "twice as large": lambda image: encoded(image.resize((image.width * 2, image.height * 2)), "PNG"),
}


def test_a_drawing_finds_itself_in_every_format_and_mode(
    client: TestClient, drawing: Drawing, picture: Image.Image
) -> None:
    for name, variant in VARIANTS.items():
        response = post(client, variant(picture), limit=3)
        assert response.status_code == 200, (name, response.text)
        first = response.json()["hits"][0]
        assert (first["drawing"]["id"], first["score"] > 0.9) == (drawing.drawing_id, True), name


def test_the_page_of_a_tiff_and_a_crop_are_what_is_searched(
    client: TestClient, drawing: Drawing, picture: Image.Image
) -> None:
    blank = Image.new("L", picture.size, "white")
    pages = encoded(blank, "TIFF", save_all=True, append_images=[picture])
    found = post(client, pages, data={"page": 2}).json()["hits"][0]
    assert found["drawing"]["id"] == drawing.drawing_id
    assert post(client, pages, data={"page": 3}).status_code == 422
    beside = Image.new("L", (picture.width * 2, picture.height), "white")
    beside.paste(picture, (picture.width, 0))
    beside.paste(ImageOps.invert(picture).rotate(45, fillcolor=255), (0, 0))
    whole, cropped = (post(client, encoded(beside, "PNG"), data=data).json() for data in ({}, {"crop": "0.5,0,1,1"}))
    assert cropped["hits"][0]["drawing"]["id"] == drawing.drawing_id
    assert cropped["hits"][0]["score"] == pytest.approx(1.0, abs=1e-3)
    assert whole["hits"][0]["score"] < 0.99


def test_several_views_score_by_the_nearest_of_them(
    client: TestClient, engine: Engine, drawing: Drawing, picture: Image.Image
) -> None:
    with transaction(engine) as session:
        other = session.scalars(select(Drawing).where(Drawing.patent_id != drawing.patent_id)).first()
    assert other is not None
    pictures = [encoded(picture, "PNG"), get(get_store(), derivative_key(other.derivative))]
    answer = post(client, *pictures, limit=2).json()
    assert {hit["drawing"]["id"] for hit in answer["hits"]} == {drawing.drawing_id, other.drawing_id}
    assert all(hit["score"] == pytest.approx(1.0, abs=1e-3) for hit in answer["hits"])


def bomb() -> bytes:
    return encoded(Image.new("1", (20_000, 20_000)), "PNG")


BAD: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "empty": (b"", {}, {}),
    "no picture": (b"hello", {}, {}),
    "corrupt": (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, {}, {}),
    "a bomb": (bomb, {}, {}),
    "crop outside": (None, {"crop": "0,0,1.5,1"}, {}),
    "crop inside out": (None, {"crop": "0.5,0,0.1,1"}, {}),
    "crop of NaN": (None, {"crop": "nan,0,1,1"}, {}),
    "crop of words": (None, {"crop": "all"}, {}),
    "two crops for one picture": (None, {"crop": ["0,0,1,1", "0,0,1,1"]}, {}),
    "page 0": (None, {"page": 0}, {}),
    "a weight of NaN": (None, {"image_weight": "nan"}, {}),
    "a weight above 1": (None, {"text_weight": "1e9"}, {}),
    "no weight at all": (None, {"image_weight": 0, "text_weight": 0}, {}),
    "a megabyte of text": (None, {"q": "chair " * 170_000}, {}),
    "an unknown part": (None, {"url": "http://127.0.0.1/secret.png"}, {}),
    "an unknown parameter": (None, {}, {"url": "http://127.0.0.1/secret.png"}),
    "a day that is none": (None, {}, {"before": "2019-13-01"}),
    "after the cut": (None, {}, {"before": "2019-01-01", "after": "2019-01-01"}),
    "self": (None, {}, {"before": "self"}),
    "limit 0": (None, {}, {"limit": 0}),
    "limit 10^9": (None, {}, {"limit": 10**9}),
    "a NUL": (None, {"q": "a\0b"}, {}),
}


def test_bad_input_gets_a_problem_at_once(client: TestClient, picture: Image.Image) -> None:
    good = encoded(picture, "PNG")
    post(client, good)
    for name, (data, form, params) in BAD.items():
        sent = good if data is None else data() if callable(data) else data
        began = time.monotonic()
        response = post(client, sent, data=form, **params)
        assert 400 <= response.status_code < 500, (name, response.status_code, response.text[:300])
        assert response.headers["content-type"] == "application/problem+json", name
        assert time.monotonic() - began < 10, name
    assert post(client, *[good] * 8).status_code == 422
    assert client.post("/search", data={"q": "chair"}).status_code == 422


def test_a_picture_that_is_too_large_is_refused_without_being_kept(
    client: TestClient, environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_large = b"\x89PNG\r\n\x1a\n" + bytes(environment.max_query_bytes + 1)
    assert post(client, too_large).status_code == 413


def test_a_search_is_exported_with_its_pictures(client: TestClient, picture: Image.Image) -> None:
    answer = post(client, encoded(picture, "PNG"), limit=4, before="2030-01-01").json()
    address = f"/searches/{answer['search_id']}/export"
    rows = list(csv.DictReader(io.StringIO(client.get(address).content.decode("utf-8-sig"))))
    assert [row["drawing"] for row in rows] == [hit["drawing"]["id"] for hit in answer["hits"]]
    assert rows[0]["granted"] == answer["hits"][0]["patent"]["granted"]
    exported = json.loads(client.get(address, params={"format": "json"}).content)
    assert exported["answer"]["hits"] == answer["hits"]
    book = client.get(address, params={"format": "xlsx"})
    with zipfile.ZipFile(io.BytesIO(book.content)) as archive:
        pictures = [name for name in archive.namelist() if name.startswith("xl/media/")]
        text = archive.read("xl/sharedStrings.xml").decode()
    assert len(pictures) == len({hit["drawing"]["id"] for hit in answer["hits"]})
    assert answer["hits"][0]["drawing"]["id"] in text
    assert answer["encoder"]["id"] in text
    assert client.get(address, params={"format": "pdf"}).status_code == 422


def test_clusters_put_every_hit_in_one_group_with_words(client: TestClient, picture: Image.Image) -> None:
    answer = post(client, encoded(picture, "PNG"), limit=100).json()
    made = client.get(f"/searches/{answer['search_id']}/clusters", params={"k": 4}).json()
    assert made["k"] == len(made["clusters"]) == 4
    grouped = [hit["drawing"]["id"] for cluster in made["clusters"] for hit in cluster["hits"]]
    assert sorted(grouped) == sorted(hit["drawing"]["id"] for hit in answer["hits"])
    assert made["clusters"][0]["hits"][0]["rank"] == 1
    assert any(cluster["keywords"] for cluster in made["clusters"])
    assert {cluster["title"] for cluster in made["clusters"]} == {None}
    assert client.get(f"/searches/{answer['search_id']}/clusters", params={"k": 4}).json() == made


def test_an_unknown_search_is_a_404(client: TestClient) -> None:
    unknown = "00000000-0000-0000-0000-000000000000"
    for method, path in (("get", ""), ("post", "/replay"), ("get", "/export"), ("get", "/clusters")):
        assert getattr(client, method)(f"/searches/{unknown}{path}").status_code == 404
