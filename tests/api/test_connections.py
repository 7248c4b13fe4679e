"""Connections that never become a request, and how many there may be."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from linework_api.app import create_app
from linework_core import guarded
from linework_core.settings import Settings, get_settings
from tests.api.serving import serving
from tests.waiting import PATIENCE

HALF = b"GET /corpus HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Rest: "
Connect = Callable[[], socket.socket]


@pytest.fixture
def short_patience(environment: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUEST_SECONDS", "1")
    monkeypatch.setenv("MAX_CONNECTIONS_PER_ADDRESS", "200")
    get_settings.cache_clear()


@pytest.fixture
def url(short_patience: None) -> Iterator[str]:
    with serving(create_app()) as address:
        yield address


@pytest.fixture
def connect(url: str) -> Iterator[Connect]:
    """Opens connections that end with the test."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    with ExitStack() as opened:
        yield lambda: opened.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE))


def rest_of(line: socket.socket) -> bytes:
    """What comes until the other side closes."""
    said = b""
    try:
        while chunk := line.recv(4096):
            said += chunk
    except ConnectionResetError:
        pass
    return said


def test_half_sent_heads_are_closed_and_others_are_served_meanwhile(url: str, connect: Connect) -> None:
    lines = [connect() for _ in range(150)]
    for line in lines:
        line.sendall(HALF)
    assert httpx.get(f"{url}/corpus", timeout=PATIENCE).status_code == 200
    assert all(rest_of(line).startswith(b"HTTP/1.1 408") for line in lines)
    assert httpx.get(f"{url}/corpus", timeout=PATIENCE).status_code == 200


def test_a_head_that_drips_is_closed_too(connect: Connect) -> None:
    line, began = connect(), time.monotonic()
    try:
        for byte in HALF * 100:
            line.sendall(bytes([byte]))
            time.sleep(0.1)
            assert time.monotonic() - began < PATIENCE
    except (BrokenPipeError, ConnectionResetError):
        return
    pytest.fail("it was read to its end")


ENDLESS = {
    "address": (b"GET /corpus?", b"a" * 50_000),
    "header": (b"GET /corpus HTTP/1.1\r\nX-Long: ", b"a" * 50_000),
    "headers": (b"GET /corpus HTTP/1.1\r\n", b"X-Again: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 1000),
    "trailer": (b"POST /keys HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Long: ", b"a" * 50_000),
    "extension": (b"POST /keys HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a" * 50_000),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_head_without_end_is_refused_before_it_fills_the_memory(connect: Connect, kind: str) -> None:
    begin, more = ENDLESS[kind]
    line = connect()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        line.sendall(begin + more * 400)  # 14 to 20 MB


def test_a_long_head_that_is_refused_says_why(connect: Connect) -> None:
    line = connect()
    line.sendall(b"GET /health/live HTTP/1.1\r\nX-Long: " + b"a" * 300_000)
    assert rest_of(line).startswith(b"HTTP/1.1 431")


def test_a_large_body_after_a_long_head_is_read(connect: Connect) -> None:
    line = connect()
    head = b"POST /ingest HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    long = b"X-Long: " + b"a" * 60_000 + b"\r\nContent-Length: 60000\r\n\r\n"
    line.sendall(head + long + b" " * 60_000)
    assert rest_of(line).startswith(b"HTTP/1.1 422")


def test_a_websocket_is_no_way_past_the_limits(connect: Connect) -> None:
    line = connect()
    upgrade = b"Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    line.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\n" + upgrade + key)
    assert rest_of(line).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("before", [b"", b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"], ids=["first", "second"])
@pytest.mark.parametrize("said", [b"", b"\r\n", b"G", HALF], ids=["nothing", "an empty line", "a letter", "half"])
def test_a_connection_that_says_nothing_whole_is_closed(connect: Connect, before: bytes, said: bytes) -> None:
    line = connect()
    if before:
        line.sendall(before)
        assert line.recv(4096).startswith(b"HTTP/1.1 200")
    line.sendall(said)
    assert b"HTTP/1.1 200" not in rest_of(line)


def test_a_body_that_stops_is_closed_and_is_no_crash(
    connect: Connect, environment: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = connect()
    head = b"POST /ingest HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\nhalf'
    line.sendall(head + b"Content-Length: 100000\r\n\r\n" + part)
    assert rest_of(line) == b""
    deadline = time.monotonic() + PATIENCE
    logged = ""
    while '"status": 499' not in logged:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        logged += capfd.readouterr().err
    assert "request_crashed" not in logged
    assert "Exception in ASGI" not in logged
    assert not [path for path in (tmp_path / "objects" / "uploads").glob("*") if path.is_file()]


def refused_upload(line: socket.socket, parts: int) -> bytes:
    """What is answered to a body that is refused for its size and sent nevertheless, a part every 0.6 s."""
    line.sendall(b"POST /keys HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % (parts * 2_000_000))
    for _ in range(parts):
        line.sendall(b" " * 2_000_000)
        time.sleep(0.6)
    return line.recv(4096)


def test_whoever_sends_all_of_a_body_that_was_refused_at_its_head_reads_why(connect: Connect) -> None:
    assert refused_upload(connect(), parts=6).startswith(b"HTTP/1.1 413")  # 3.6 s, and REQUEST_SECONDS are 1


def test_a_body_that_was_refused_is_not_read_for_ever(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "LINGER_S", 1.0)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        refused_upload(connect(), parts=100)


def test_a_slow_body_that_goes_on_is_read_to_its_end(connect: Connect) -> None:
    line = connect()
    body = b'{"uri": "file:///nowhere"}'
    head = b"POST /ingest HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    line.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body))
    for part in (body[:8], body[8:16], body[16:]):
        time.sleep(0.6)
        line.sendall(part)
    assert rest_of(line).startswith(b"HTTP/1.1 403")


def test_connections_beyond_the_limit_of_an_address_are_refused_at_once(
    short_patience: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_CONNECTIONS_PER_ADDRESS", "3")
    monkeypatch.setenv("REQUEST_SECONDS", "100")
    get_settings.cache_clear()
    with serving(create_app()) as url, ExitStack() as opened:
        host, _, port = url.removeprefix("http://").rpartition(":")
        lines = [opened.enter_context(socket.create_connection((host, int(port)), PATIENCE)) for _ in range(4)]
        assert b"urn:linework:problem:busy" in rest_of(lines[3])
        lines[0].sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert rest_of(lines[0]).startswith(b"HTTP/1.1 200")
        assert httpx.get(f"{url}/health/live", timeout=PATIENCE).status_code == 200


def test_no_more_connections_than_the_process_may_have_are_served(
    short_patience: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_CONNECTIONS", "2")
    get_settings.cache_clear()
    with serving(create_app()) as url, ExitStack() as opened:
        host, _, port = url.removeprefix("http://").rpartition(":")
        lines = [opened.enter_context(socket.create_connection((host, int(port)), PATIENCE)) for _ in range(3)]
        assert rest_of(lines[2]).startswith(b"HTTP/1.1 503")
