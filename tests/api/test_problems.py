"""Whatever is sent, the answer is a problem document with a stable type and never an error of ours."""

import gc
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from linework_api.app import create_app
from linework_core.settings import Settings
from linework_core.tables import Encoder, Job
from tests.api.conftest import Design, draw, load, problem_of, store_pictures
from tests.api.serving import serving

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
NUL = "a%00b"
HUGE = "9" * 5000


@pytest.mark.parametrize("path", ["/", "/nothing", "/search/", "/jobs/", "/patents/a/b", "/drawings//image", "/%ff%fe"])
def test_an_unknown_path_is_a_404(client: TestClient, path: str) -> None:
    problem_of(client.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/search", "GET, POST"),
        ("OPTIONS", "/encoders", "GET, POST"),
        ("POST", "/jobs", "GET"),
        ("PATCH", "/jobs/1d5f0fc9-27f5-4ffd-8b24-4e8a9e9ad4c6", "DELETE, GET"),
        ("GET", "/ingest", "POST"),
        ("POST", "/metrics", "GET"),
        ("POST", "/health/ready", "GET"),
    ],
)
def test_a_wrong_method_is_a_405_that_names_the_right_ones(
    client: TestClient, method: str, path: str, allow: str
) -> None:
    response = client.request(method, path)
    problem_of(response, 405, "method-not-allowed")
    assert response.headers["allow"] == allow


@pytest.mark.parametrize("path", ["/encoders", "/embed", "/ingest"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b'{"spec": NaN}',
        b'{"uri": 5, "spec": 5, "encoder": 5}',
        b'{"colour": "red", "uri": "file:///x", "spec": "hog"}',
        b'{"uri": "\xff", "spec": "\xff", "encoder": "\xff"}',
        b'{"uri": "\\ud800", "spec": "\\ud800", "encoder": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"\\u0000": 1}',
        b'{"uri": "file:///\\u0000", "spec": "a\\u0000", "encoder": "a\\u0000"}',
        b'{"uri": %s, "spec": %s, "encoder": %s}' % ((HUGE.encode(),) * 3),
        b'{"uri": "", "spec": "", "encoder": ""}',
        b"[" * 60_000,
        b'{"a":' * 10_000,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_wrong_json_body_is_refused(client: TestClient, path: str, body: bytes) -> None:
    response = client.post(path, content=body, headers=JSON)
    assert response.status_code in (400, 422), response.text
    problem_of(response, response.status_code, {400: "bad-request", 422: "invalid-request"}[response.status_code])


@pytest.mark.parametrize(("path", "status"), [("/ingest", 415), ("/encoders", 422), ("/embed", 422), ("/search", 422)])
@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "", "a/b/c; d", "é"])
def test_a_wrong_media_type_is_refused(client: TestClient, path: str, status: int, media_type: str) -> None:
    response = client.post(path, content=b"{}", headers=[(b"Content-Type", media_type.encode("latin-1"))])
    problem_of(response, status, {415: "unsupported-media-type", 422: "invalid-request"}[status])


@pytest.fixture(scope="module")
def little_garbage() -> Iterator[None]:
    """What is there already is not looked at: a collection among all that the suite has loaded takes seconds."""
    gc.freeze()
    yield
    gc.unfreeze()


# Starlette leaves the temporary file of a form that was cut off to the garbage collector
@pytest.mark.usefixtures("little_garbage")
@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("path", ["/ingest", "/search"])
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "multipart/form-data"}, b""),
        ({"Content-Type": "multipart/form-data; boundary="}, b""),
        ({"Content-Type": 'multipart/form-data; boundary="\\""'}, b"x"),
        (FORM, b""),
        (FORM, b"no boundary anywhere"),
        (FORM, b"--b--\r\n"),
        (FORM, b"--b\r\n\r\nno headers\r\n--b--\r\n"),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ncut off'),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="file"; filename="\xff"\r\n\r\nx\r\n--b--\r\n'),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nnot a file\r\n--b--\r\n'),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\nnot a file\r\n--b--\r\n'),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="\x00"; filename="a"\r\n\r\nx\r\n--b--\r\n'),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n\r\n' * 2000),
        (FORM, b"--b\r\nX: " + b"x" * 100_000),
    ],
    ids=lambda part: repr(part)[:60],
)
def test_a_wrong_form_is_refused_and_leaves_no_object(
    client: TestClient, environment: Settings, path: str, headers: dict[str, str], body: bytes
) -> None:
    response = client.post(path, content=body, headers=headers)
    assert response.status_code in (400, 422), response.text
    problem_of(response, response.status_code, {400: "bad-request", 422: "invalid-request"}[response.status_code])
    assert stored(environment) == []
    gc.collect()


def stored(environment: Settings) -> list[Path]:
    """Files in the object store."""
    return [path for path in Path(urlsplit(environment.object_store_url).path).rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "path",
    [
        f"/search?drawing={NUL}",
        f"/search?patent={NUL}",
        f"/search?drawing=a&office={NUL}",
        f"/search?drawing=a&locarno={NUL}",
        f"/search?drawing=a&family={NUL}",
        f"/search?drawing=a&before={NUL}",
        f"/search?drawing=a&{NUL}=1",
        f"/patents/{NUL}",
        f"/drawings/{NUL}",
        f"/drawings/{NUL}/image",
        f"/encoders/{NUL}",
        f"/jobs/{NUL}",
        f"/jobs?kind={NUL}",
        f"/jobs?cursor={NUL}",
        f"/searches/{NUL}",
        f"/jobs?limit={HUGE}",
        f"/search?drawing=a&limit={HUGE}",
        f"/search?drawing=a&before={HUGE}",
        f"/drawings/a/image?size={HUGE}",
        "/jobs?limit=1e400",
        "/jobs?limit=-0.5",
        "/jobs?cursor=%ff%fe",
        "/jobs?cursor=W10",  # []
        "/jobs?cursor=WzEsMl0",  # [1,2]
        "/jobs?cursor=WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzIzOjU5IiwgIjFkNWYwZmM5LTI3ZjUtNGZmZC04YjI0LTRlOGE5ZTlhZDRjNiJd",
        "/search?drawing=a&before=0",
        "/search?drawing=a&before=2019",
        "/search?drawing=a&before=2019-05-01T00:00:00",
        "/search?drawing=a&before=20190501",
        "/search?drawing=a&before=2019-05-01&before=2030-01-01",
        "/search?drawing=a&drawing=b",
        "/drawings/a/image?size=32&size=64",
        "/search?drawing=" + "a" * 201,
        "/patents/" + "a" * 10_000,
    ],
    ids=lambda path: path[:60],
)
def test_wrong_parameters_are_refused(client: TestClient, encoder: Encoder, path: str) -> None:
    problem_of(client.get(path), 422, "invalid-request")


@pytest.mark.parametrize(
    "path", ["/search?drawing=%ff%c0%80", "/search?patent=%f4%ff", "/patents/%ff", "/drawings/%ed%a0%80"]
)
def test_bytes_that_are_no_text_name_nothing(client: TestClient, encoder: Encoder, path: str) -> None:
    problem_of(client.get(path), 404, "not-found")


@pytest.mark.parametrize("key", [b"", b" ", b"two words", b"\xe9", b"\x7f", b"k" * 201], ids=repr)
def test_a_wrong_idempotency_key_is_refused(client: TestClient, session: Session, key: bytes) -> None:
    form = {"file": ("a.zip", b"x")}
    response = client.post("/ingest", files=form, headers=[(b"Idempotency-Key", key)])
    problem_of(response, 422, "invalid-request")
    assert session.query(Job).count() == 0


@pytest.mark.parametrize("sent", [b"", b"\xff", b"a b", b"x" * 65, b'"'])
def test_a_request_id_that_could_spoil_a_log_is_replaced(client: TestClient, sent: bytes) -> None:
    returned = client.get("/health/live", headers=[(b"X-Request-ID", sent)]).headers["x-request-id"]
    assert returned.isalnum()
    assert len(returned) == 32
    assert client.get("/health/live", headers={"X-Request-ID": "a-1.b_2"}).headers["x-request-id"] == "a-1.b_2"


@pytest.mark.parametrize("tag", [b"", b"*,", b'"', b"W/", b'W/"\xff"', b"," * 5000])
def test_any_etag_may_be_asked_about(client: TestClient, session: Session, encoder: Encoder, tag: bytes) -> None:
    load(session, encoder, [Design("USD0000001")])
    assert client.get("/patents/USD0000001", headers=[(b"If-None-Match", tag)]).status_code in (200, 304)


@pytest.fixture
def small(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A gateway that takes little."""
    settings = environment.model_copy(update={"max_upload_bytes": 1000, "max_query_bytes": 1000})
    with TestClient(create_app(settings), raise_server_exceptions=False) as opened:
        yield opened


@pytest.mark.parametrize("path", ["/encoders", "/embed", "/ingest", "/corpus", "/jobs"])
@pytest.mark.parametrize("length_is_told", [True, False])
def test_a_body_that_is_too_large_is_refused(client: TestClient, path: str, length_is_told: bool) -> None:
    body = b'{"uri": "' + b"x" * (2 * 2**20)
    content: Any = body if length_is_told else iter([body[:100_000]] * 30)
    response = client.request("GET" if path in ("/corpus", "/jobs") else "POST", path, content=content, headers=JSON)
    if path in ("/corpus", "/jobs") and not length_is_told:
        assert response.status_code == 200  # nobody reads it
    else:
        problem_of(response, 413, "too-large")


@pytest.mark.parametrize("size", [1001, 70_000, 3 * 2**20])
def test_an_upload_that_is_too_large_is_refused_and_leaves_no_object(
    small: TestClient, environment: Settings, encoder: Encoder, size: int
) -> None:
    problem_of(small.post("/ingest", files={"file": ("a.zip", b"x" * size)}), 413, "too-large")
    problem_of(small.post("/ingest", content=json.dumps({"uri": "x" * 70_000}), headers=JSON), 413, "too-large")
    problem_of(small.post("/search", files={"image": ("a.png", b"x" * size)}), 413, "too-large")
    assert stored(environment) == []


def test_an_image_that_is_none_is_told_apart(client: TestClient, encoder: Encoder) -> None:
    for data in (b"", b"GIF89a", draw(50, 50)[:60], b"\x00" * 100):
        problem_of(client.post("/search", files={"image": ("a.png", data)}), 422, "unreadable-image")


def test_too_many_images_are_refused(client: TestClient, encoder: Encoder) -> None:
    eight = [("image", ("a.png", draw(20, 20)))] * 8
    problem_of(client.post("/search", files=eight), 422, "invalid-request")


@pytest.mark.parametrize(
    ("uri", "status", "kind"),
    [
        ("http://example.com/a.zip", 400, "bad-request"),
        ("/etc/passwd", 400, "bad-request"),
        ("file:///etc/passwd", 403, "forbidden"),
        ("s3://bucket/key", 403, "forbidden"),
        ("s3://[bucket/key", 400, "bad-request"),
        ("file://{inside}/%00", 400, "bad-request"),
        ("file://{inside}/../../etc/passwd", 400, "bad-request"),
        ("file://{inside}/nothing", 404, "not-found"),
        ("file://{inside}/" + "x" * 300, 404, "not-found"),
    ],
)
def test_what_may_not_be_ingested_is_said(client: TestClient, tmp_path: Path, uri: str, status: int, kind: str) -> None:
    response = client.post("/ingest", json={"uri": uri.replace("{inside}", str(tmp_path))})
    problem_of(response, status, kind)


def test_an_error_on_our_side_has_an_id_and_is_counted(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [Design("USD0000001"), Design("USD0000002")])
    session.execute(text("DROP TABLE searches CASCADE"))
    session.commit()
    problem = problem_of(client.get("/search", params={"drawing": "USD0000001-S_1"}), 500, "internal-error")
    assert "searches" not in json.dumps(problem)
    counted = 'linework_http_requests_total{method="GET",route="/search",status="500"}'
    assert counted in client.get("/metrics").text


def test_an_object_store_that_is_down_is_a_503(
    client: TestClient, session: Session, encoder: Encoder, environment: Settings
) -> None:
    load(session, encoder, [Design("USD0000001")])
    store_pictures(session, original=draw(60, 60))
    assert client.get("/drawings/USD0000001-S_1/image").status_code == 200
    folder = Path(urlsplit(environment.object_store_url).path)
    shutil.rmtree(folder / "derivatives")
    (folder / "derivatives").write_text("in the way")
    response = client.get("/drawings/USD0000001-S_1/image")
    problem_of(response, 503, "unavailable")
    assert int(response.headers["retry-after"]) > 0


def test_bytes_that_are_hardly_http_do_no_harm(environment: Settings) -> None:
    with serving(create_app()) as url:
        port = urlsplit(url).port
        for head in (b"GET /\xff\xfe HTTP/1.1", b"GET /patents/%ZZ HTTP/1.1", b"GET * HTTP/1.1", b"\x00\x01"):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(head + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                status = connection.makefile("rb").readline().split()[1:2]
                assert status in ([b"400"], [b"404"])
        assert httpx.get(f"{url}/health/live").status_code == 200
