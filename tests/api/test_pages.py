"""A walk through pages is one search: one record, ranks that go on, nothing twice and nothing left out."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from linework_api import cursors
from linework_api.app import create_app
from linework_api.search import walking
from linework_api.search.finding import Finder, Finding
from linework_core.settings import Settings
from linework_core.tables import Encoder, Search, Unrecorded
from tests.api.conftest import Design, as_caller, load, problem_of, require_keys, unit
from tests.api.test_search import ids, search

QUERY = Design("USD0000001", [unit(0)])
OTHERS = [Design(f"USD002{n:04}", [unit(n), unit(n % 4)], title="Lamp" if n % 3 else "Chair") for n in range(10)]
DRAWING = {"drawing": "USD0000001-S_1"}
KINDS: list[dict[str, Any]] = [{}, {"group_by": "patent"}, {"q": "lamp"}, {"q": "lamp", "group_by": "patent"}]


@pytest.fixture(autouse=True)
def corpus(session: Session, encoder: Encoder) -> None:
    load(session, encoder, [QUERY, *OTHERS])


@pytest.fixture
def astray(monkeypatch: pytest.MonkeyPatch) -> None:
    """First pages come approximately, and miss the best hit and every third."""
    first_page = Finder.first_page

    def lost(finder: Finder, options: Any) -> Finding:
        asked = options.model_copy(update={"limit": 3 * options.limit})
        hits = first_page(finder, asked).hits
        return Finding([hit for n, hit in enumerate(hits) if n % 3][: options.limit], False, {"way": "graph"})

    monkeypatch.setattr(Finder, "first_page", lost)


def walk(client: TestClient, limit: int = 4, **params: Any) -> list[dict[str, Any]]:
    """All pages of a search."""
    pages = [search(client, limit=limit, **params)]
    while pages[-1]["next"] is not None:
        pages.append(search(client, limit=limit, **params, cursor=pages[-1]["next"]))
        assert len(pages) < 100
    return pages


def hits(pages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [hit for page in pages for hit in page["hits"]]


def record_of(client: TestClient, search_id: str) -> dict[str, Any]:
    record: dict[str, Any] = client.get(f"/searches/{search_id}").json()
    return record


@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_pages_together_are_the_whole_ranking(client: TestClient, kind: dict[str, Any], record: bool) -> None:
    whole = search(client, limit=1000, **DRAWING, **kind)
    pages = walk(client, **DRAWING, **kind, record=record)
    assert hits(pages) == whole["hits"]
    assert [hit["rank"] for hit in hits(pages)] == list(range(1, whole["eligible"] + 1))
    assert {page["eligible"] for page in pages} == {whole["eligible"]}
    assert all(page["exact"] for page in pages)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_walk_has_one_record_which_holds_all_its_pages(
    client: TestClient, session: Session, kind: dict[str, Any]
) -> None:
    pages = walk(client, **DRAWING, **kind)
    assert session.scalar(select(func.count()).select_from(Search)) == 1
    assert len({page["search_id"] for page in pages}) == 1
    address = f"/searches/{pages[0]['search_id']}"
    assert client.get(address).json()["answer"]["hits"] == hits(pages)
    assert client.get(address).json()["answer"]["next"] is None
    exported = json.loads(client.get(f"{address}/export", params={"format": "json"}).content)
    assert exported["answer"]["hits"] == hits(pages)
    clusters = client.get(f"{address}/clusters", params={"k": 2, "top": 1000}).json()["clusters"]
    assert sum(cluster["size"] for cluster in clusters) == len(hits(pages))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_replay_of_a_walk_is_the_same(
    client: TestClient, session: Session, encoder: Encoder, kind: dict[str, Any]
) -> None:
    first = search(client, limit=4, **DRAWING, **kind)
    load(session, encoder, [Design("USD0090000", [unit(0)], title="Lamp")])
    second = search(client, limit=4, **DRAWING, **kind, cursor=first["next"])
    replay = client.post(f"/searches/{first['search_id']}/replay").json()
    assert (replay["same"], replay["missing"], replay["added"]) == (True, [], [])
    assert replay["answer"]["hits"] == first["hits"] + second["hits"]


@pytest.mark.usefixtures("astray")
@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_an_approximate_page_missed_comes_on_the_next_and_nothing_comes_twice(
    client: TestClient, kind: dict[str, Any], record: bool
) -> None:
    exact = walk(client, limit=1000, **DRAWING, **kind, record=False)
    pages = walk(client, **DRAWING, **kind, record=record)
    shown = [hit["patent" if "group_by" in kind else "drawing"]["id"] for hit in hits(pages)]
    assert len(shown) == len(set(shown)) == pages[0]["eligible"]
    assert set(ids({"hits": hits(pages)})) == set(ids({"hits": hits(exact)}))
    assert [page["exact"] for page in pages] == [False] + [True] * (len(pages) - 1)
    assert pages[1]["hits"][0]["score"] == max(hit["score"] for hit in hits(pages))  # the first page missed it
    later = [hit["score"] for hit in hits(pages[1:])]
    assert later == sorted(later, reverse=True)


@pytest.mark.usefixtures("astray")
def test_a_record_is_exact_only_if_all_its_pages_are(client: TestClient) -> None:
    pages = walk(client, **DRAWING)
    answer = record_of(client, pages[0]["search_id"])["answer"]
    assert (answer["exact"], answer["hits"]) == (False, hits(pages))


def test_a_page_that_is_fetched_again_is_the_same_and_changes_nothing(client: TestClient) -> None:
    pages = walk(client, **DRAWING)
    for before, page in pairwise(pages):
        assert search(client, limit=4, **DRAWING, cursor=before["next"]) == page
    assert record_of(client, pages[0]["search_id"])["answer"]["hits"] == hits(pages)
    longer = search(client, limit=1000, **DRAWING, cursor=pages[0]["next"])
    assert longer["hits"] == hits(pages[1:])


def test_a_longer_page_than_the_record_holds_adds_what_is_missing(client: TestClient) -> None:
    first = search(client, limit=2, **DRAWING)
    search(client, limit=2, **DRAWING, cursor=first["next"])
    longer = search(client, limit=7, **DRAWING, cursor=first["next"])
    whole = search(client, limit=9, **DRAWING)
    assert first["hits"] + longer["hits"] == whole["hits"]
    assert record_of(client, first["search_id"])["answer"]["hits"] == whole["hits"]


def test_pages_that_are_fetched_at_once_do_not_double(client: TestClient, threads: ThreadPoolExecutor) -> None:
    first = search(client, limit=2, **DRAWING)
    limits = [1, 2, 3, 4, 5, 6, 7, 7] * 3

    def fetch(limit: int) -> dict[str, Any]:
        return search(client, limit=limit, **DRAWING, cursor=first["next"])

    pages = list(threads.map(fetch, limits))
    whole = search(client, limit=9, **DRAWING)["hits"]
    assert [page["hits"] for page in pages] == [whole[2 : 2 + limit] for limit in limits]
    assert record_of(client, first["search_id"])["answer"]["hits"] == whole


def test_a_walk_without_a_record_leaves_none_and_is_one_search(client: TestClient, session: Session) -> None:
    pages = walk(client, **DRAWING, record=False)
    assert {page["search_id"] for page in pages} == {None}
    session.rollback()
    assert session.scalar(select(func.count()).select_from(Search)) == 0
    assert session.scalar(select(Unrecorded.searches)) == 1


@pytest.mark.parametrize("record", [True, False])
def test_a_cursor_goes_with_its_own_search_only(client: TestClient, record: bool) -> None:
    first = search(client, limit=2, **DRAWING, record=record)
    for other in ({"office": "US"}, {"before": "2030-01-01"}, {"q": "lamp"}, {"record": not record}):
        asked = {**DRAWING, "limit": 2, "record": record, "cursor": first["next"], **other}
        problem_of(client.get("/search", params=asked), 422, "invalid-request")


def test_a_place_that_the_record_has_not_come_to_is_none(client: TestClient) -> None:
    first = search(client, limit=2, **DRAWING)
    for hits_before in (0, 3, 10**6):
        forged = cursors.encode(first["search_id"], hits_before)
        problem_of(client.get("/search", params={**DRAWING, "limit": 2, "cursor": forged}), 422, "invalid-request")


def test_a_walk_ends_with_its_record(client: TestClient, session: Session) -> None:
    first = search(client, limit=2, **DRAWING)
    session.execute(delete(Search))
    session.commit()
    problem_of(client.get("/search", params={**DRAWING, "limit": 2, "cursor": first["next"]}), 410, "gone")


def test_only_who_began_a_walk_goes_on_with_it(monkeypatch: pytest.MonkeyPatch, environment: Settings) -> None:
    require_keys(monkeypatch, anna=["search"], bert=["search"], chief=["admin"])
    with TestClient(create_app()) as client:
        params: dict[str, Any] = {**DRAWING, "limit": 2}
        first = client.get("/search", params=params, headers=as_caller("anna")).json()
        params["cursor"] = first["next"]
        statuses = [
            client.get("/search", params=params, headers=as_caller(name)).status_code
            for name in ("bert", "chief", "anna")
        ]
        assert statuses == [422, 422, 200]


def test_a_record_holds_so_many_hits_and_says_so(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MOST_HITS", 6)
    first = search(client, limit=4, **DRAWING)
    second = search(client, limit=4, **DRAWING, cursor=first["next"])
    assert len(second["hits"]) == 2
    third = client.get("/search", params={**DRAWING, "limit": 4, "cursor": second["next"]})
    assert "record=false" in problem_of(third, 422, "invalid-request")["detail"]
