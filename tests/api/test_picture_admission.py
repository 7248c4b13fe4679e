"""Many and heavy pictures: each caller has a share of the gateway, and nobody waits for another's."""

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from sqlalchemy import Engine

from linework_api.app import create_app
from linework_core import encoders
from linework_core.db import transaction
from linework_core.settings import Settings, get_settings
from linework_embedder.app import create_app as create_embedder
from linework_vision import load as load_encoder
from tests.api.conftest import as_caller, draw, give_key, problem_of, require_keys
from tests.api.serving import serving
from tests.waiting import until

Gateway = Callable[..., Any]


@pytest.fixture
def gateway(environment: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """A gateway over HTTP with keys of anna, ben and a caller of two searches a day, and an embedder behind it."""
    with transaction(engine) as session:
        encoders.ensure_active(session, load_encoder("hog").manifest)
    place = Path(environment.embedder_url.removeprefix("unix://"))

    @contextmanager
    def start(**settings: str) -> Iterator[tuple[FastAPI, str]]:
        require_keys(monkeypatch, anna=["search"], ben=["search"])
        with transaction(engine) as session:
            give_key(session, "cora", ["search"], searches_per_day=2)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        app = create_app()
        with serving(create_embedder(), socket=place), serving(app) as address:
            yield app, address

    return start


def post(address: str, caller: str, *pictures: bytes, timeout: float = 300, **more: Any) -> httpx.Response:
    files = [("image", ("query", picture)) for picture in pictures]
    return httpx.post(f"{address}/search", files=files, headers=as_caller(caller), timeout=timeout, **more)


def heavy(side: int = 4000) -> bytes:
    """Few bytes, many pixels of 16 bits."""
    values = np.zeros((side, side), np.uint16)
    values[side // 4 : side // 2, side // 4 : side // 2] = 60_000
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


@contextmanager
def half_sent(address: str, caller: str, length: int | None) -> Iterator[socket.socket]:
    """A search whose body does not arrive; without a length it is chunked."""
    where = urlsplit(address)
    told = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    head = (
        f"POST /search HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {caller}-key\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\n{told}\r\n\r\n"
    )
    with socket.create_connection((where.hostname or "", where.port or 0)) as connection:
        connection.sendall(head.encode())
        yield connection


def under_way(app: FastAPI) -> int:
    """Searches by pictures that have got room."""
    return int(app.state.resources.admission._requests.total())


def test_heavy_pictures_of_one_caller_do_not_hold_up_another(gateway: Gateway, threads: ThreadPoolExecutor) -> None:
    picture, small = heavy(), draw(300, 200)
    with gateway() as (_, address), ThreadPoolExecutor(45) as crowd:
        post(address, "ben", small).raise_for_status()  # children have started
        crowded = [crowd.submit(post, address, "anna", picture) for _ in range(45)]
        until(lambda: sum(one.done() for one in crowded) >= 20)  # those that are refused
        for _ in range(5):
            post(address, "ben", small).raise_for_status()
        assert sum(not one.done() for one in crowded) > 5, "ben has waited for anna's pictures"
        answers = [one.result() for one in crowded]
    assert {answer.status_code for answer in answers} == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    problem_of(refused, 429, "too-many-requests")
    assert int(refused.headers["retry-after"]) > 0
    assert sum(answer.status_code == 200 for answer in answers) >= 16


def test_bodies_beyond_a_share_and_beyond_all_room_are_refused_before_they_are_read(gateway: Gateway) -> None:
    small = draw(60, 40)
    with gateway(QUERY_BYTES_AT_ONCE="100000") as (app, address):
        with half_sent(address, "anna", 90_000):  # the only one of anna's: it may exceed her share
            until(lambda: under_way(app) == 1)
            problem_of(post(address, "anna", small), 429, "too-many-requests")
            with half_sent(address, "ben", 20_000) as refused:  # its body never comes, its answer does
                assert refused.recv(100).startswith(b"HTTP/1.1 503")
            assert post(address, "ben", small).status_code == 200
        until(lambda: under_way(app) == 0)
        assert post(address, "anna", small).status_code == 200


def test_a_body_that_does_not_tell_its_length_counts_as_the_largest(gateway: Gateway) -> None:
    with gateway() as (app, address), half_sent(address, "anna", None):
        until(lambda: under_way(app) == 1)
        assert app.state.resources.admission._bytes["anna"] > 7 * get_settings().max_query_bytes


def test_a_body_that_does_not_arrive_gives_its_room_back(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("linework_api.admission.PATIENCE_S", 0.2)
    with gateway() as (_, address), half_sent(address, "anna", 1000) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_pictures_of_a_client_who_has_left_are_not_decoded(gateway: Gateway) -> None:
    with gateway(DECODE_WORKERS="1") as (app, address):
        post(address, "ben", draw(60, 40)).raise_for_status()
        lanes = app.state.resources.decoder.turns._lanes
        first = threading.Thread(target=post, args=(address, "anna", heavy(9000)))
        first.start()
        until(lambda: "anna" in lanes)
        with pytest.raises(httpx.ReadTimeout):
            post(address, "ben", draw(60, 40), timeout=0.2)
        until(lambda: "ben" not in lanes and under_way(app) == 1)
        assert "anna" in lanes, "its turn had not come"
        first.join()


def test_a_search_that_finds_no_room_is_none_of_the_day(gateway: Gateway) -> None:
    small = draw(60, 40)
    with gateway(QUERY_BYTES_AT_ONCE="100000") as (app, address):
        with half_sent(address, "anna", 99_990):
            until(lambda: under_way(app) == 1)
            for _ in range(3):
                problem_of(post(address, "cora", small), 503, "busy")
        until(lambda: under_way(app) == 0)
        assert [post(address, "cora", small).status_code for _ in range(3)] == [200, 200, 429]


def test_pictures_of_a_query_have_so_many_pixels_together(gateway: Gateway) -> None:
    with gateway(MAX_QUERY_PIXELS="2500000") as (_, address):
        assert post(address, "anna", draw(1000, 1000), draw(1000, 1000)).status_code == 200
        problem = problem_of(post(address, "anna", *[draw(1000, 1000)] * 3), 422, "unreadable-image")
        assert problem["image"] == 3


def test_the_bytes_of_pictures_that_wait_are_not_in_memory(gateway: Gateway) -> None:
    """Seven pictures of 16 MB, five times: they were all held at once."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(draw(4000, 4000))).save(buffer, "BMP")
    picture = buffer.getvalue()
    with gateway(MAX_QUERY_PIXELS="1000000000", QUERY_BYTES_AT_ONCE="4000000000") as (_, address):
        most = Peak()
        with most, ThreadPoolExecutor(5) as pool:
            for answer in pool.map(lambda _: _from_file(address, picture), range(5)):
                assert answer.status_code == 200
    assert most.grown < 16 * len(picture), f"grew by {most.grown / 2**20:.0f} MiB"


def _from_file(address: str, picture: bytes) -> httpx.Response:
    """The same picture seven times, sent without a copy of the body."""
    files = [("image", ("query", io.BytesIO(picture))) for _ in range(7)]
    return httpx.post(f"{address}/search", files=files, headers=as_caller("anna"), timeout=600)


class Peak:
    """By how much the memory of this process has grown meanwhile, at most."""

    def __enter__(self) -> None:
        self.began, self.grown, self._ended = _resident(), 0, threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._ended.is_set():
            self.grown = max(self.grown, _resident() - self.began)
            time.sleep(0.01)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
