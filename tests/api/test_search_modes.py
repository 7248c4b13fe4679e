"""Words, weights, feedback, filters beyond dates, groups, facets, pages."""

import datetime as dt
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from linework_api.app import create_app
from linework_api.beat import forget
from linework_core.corpus import close_patent, next_snapshot, open_patent
from linework_core.settings import Settings
from linework_core.tables import Encoder, Search, Unrecorded
from tests.api.conftest import Design, load, require_keys, unit
from tests.api.test_search import ids, search

QUERY = Design("USD0000001", [unit(0)], granted=dt.date(2020, 1, 7))


def near(seed: int, distance: float) -> tuple[float, ...]:
    """A unit vector near `unit(seed)`."""
    values = np.array(unit(seed)) + distance * np.array(unit(seed + 1000))
    return tuple(float(value) for value in values / np.linalg.norm(values))


def test_words_rank_what_has_more_of_them_first_and_leave_nothing_out(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    titles = ["Table lamp", "Lamp shade", "Garden chair", "Lamps for a table"]
    load(session, encoder, [Design(f"USD001000{n}", title=title) for n, title in enumerate(titles)])
    answer = search(client, q="table lamps")
    titles_found = [hit["patent"]["title"] for hit in answer["hits"]]
    assert set(titles_found[:2]) == {"Table lamp", "Lamps for a table"}
    assert titles_found[2:] == ["Lamp shade", "Garden chair"]
    assert answer["eligible"] == 4
    assert answer["hits"][-1]["scores"] == {"image": None, "text": 0.0}


@pytest.mark.parametrize("text", ["the of", "' & | ! ( ) :* <->", "\\", "%", "'); DROP TABLE drawings; --", "ß", "🪑"])
def test_no_text_is_an_operator(client: TestClient, session: Session, encoder: Encoder, text: str) -> None:
    load(session, encoder, [QUERY])
    assert search(client, q=text)["eligible"] == 1


def test_image_and_text_are_both_scored_for_every_hit(client: TestClient, session: Session, encoder: Encoder) -> None:
    alike = Design("USD0000002", [near(0, 0.1)], title="Bottle")
    named = Design("USD0000003", [unit(5)], title="Table lamp")
    load(session, encoder, [QUERY, alike, named])
    for weights, first in (((0.9, 0.1), alike), ((0.1, 0.9), named)):
        answer = search(
            client, drawing="USD0000001-S_1", q="table lamp", image_weight=weights[0], text_weight=weights[1]
        )
        assert answer["hits"][0]["patent"]["id"] == first.id
        for hit in answer["hits"]:
            scores = hit["scores"]
            assert hit["score"] == pytest.approx(weights[0] * scores["image"] + weights[1] * scores["text"], abs=1e-5)
    assert answer["hits"][1]["scores"]["image"] == pytest.approx(1.0, abs=0.05)


def test_feedback_moves_the_query(client: TestClient, session: Session, encoder: Encoder) -> None:
    liked, disliked = Design("USD0000002", [unit(2)]), Design("USD0000003", [unit(3)])
    load(session, encoder, [QUERY, liked, disliked])
    plain = {hit["drawing"]["id"]: hit["score"] for hit in search(client, drawing="USD0000001-S_1")["hits"]}
    answer = search(client, drawing="USD0000001-S_1", like="USD0000002-S_1", unlike="USD0000003-S_1")
    moved = {hit["drawing"]["id"]: hit["score"] for hit in answer["hits"]}
    assert moved["USD0000002-S_1"] > plain["USD0000002-S_1"]
    assert moved["USD0000003-S_1"] < plain["USD0000003-S_1"]
    assert ids(search(client, like="USD0000003-S_1"))[0] == "USD0000003-S_1"
    assert client.get("/search", params={"like": "unknown"}).status_code == 404


def test_before_self_is_the_patents_own_date_by_the_basis(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    earlier = Design("USD0000002", granted=dt.date(2020, 1, 6), filed=dt.date(2019, 5, 1))
    same_day = Design("USD0000003", granted=dt.date(2020, 1, 7), filed=dt.date(2010, 5, 1))
    undated = Design("USD0000004", granted=None)
    load(session, encoder, [QUERY, earlier, same_day, undated])
    answer = search(client, drawing="USD0000001-S_1", before="self")
    assert (ids(answer), answer["before"]) == (["USD0000002-S_1"], "2020-01-07")
    by_filing = search(client, drawing="USD0000001-S_1", before="self", date_basis="filed")
    assert by_filing["before"] == str(QUERY.filed)
    assert client.get("/search", params={"patent": "USD0000004", "before": "self"}).status_code == 422
    assert client.get("/search", params={"q": "lamp", "before": "self"}).status_code == 422


def test_views_patents_and_citations_filter(client: TestClient, session: Session, encoder: Encoder) -> None:
    citing = Design("USD0000002", [unit(2), unit(3)], views=("front", "rear"), cites=("USD3", "USD428532"))
    cited = Design("USD0000003", [unit(4)], views=("front",))
    load(session, encoder, [QUERY, citing, cited])
    assert search(client, drawing="USD0000001-S_1", view=["front"])["eligible"] == 2
    assert search(client, drawing="USD0000001-S_1", view=["rear", "top"])["eligible"] == 1
    assert search(client, drawing="USD0000001-S_1", exclude=["USD0000002"])["eligible"] == 1
    assert search(client, drawing="USD0000001-S_1", cites="USD0000003")["eligible"] == 2
    assert search(client, drawing="USD0000001-S_1", cited_by="USD0000002")["eligible"] == 1
    assert search(client, drawing="USD0000001-S_1", cites="USD428532", view=["front"])["eligible"] == 1


def test_groups_show_one_hit_a_patent_and_its_other_drawings(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    several = Design("USD0000002", [near(0, 0.1), near(0, 0.2), None])
    load(session, encoder, [QUERY, several, Design("USD0000003", [near(0, 0.15)])])
    answer = search(client, drawing="USD0000001-S_1", group_by="patent")
    assert [hit["patent"]["id"] for hit in answer["hits"]] == ["USD0000002", "USD0000003"]
    assert [other["drawing"]["id"] for other in answer["hits"][0]["more"]] == ["USD0000002-S_2"]
    assert (answer["eligible"], answer["unindexed"]) == (2, 1)


def test_facets_count_what_is_eligible(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(
        session,
        encoder,
        [
            QUERY,
            Design("USD0000002", [unit(2), unit(3)], views=("front", "rear"), granted=dt.date(2015, 1, 6)),
            Design("USD0000003", [unit(2)], locarno="02-01", granted=dt.date(2016, 1, 5), office="EM"),
        ],
    )
    answer = search(client, drawing="USD0000001-S_1", facets=["locarno", "year", "view", "office"], limit=1)
    assert answer["facets"] == {
        "locarno": {"14-02": 2, "02-01": 1},
        "year": {"2015": 2, "2016": 1},
        "view": {"front": 1, "rear": 1, "unknown": 1},
        "office": {"US": 2, "EM": 1},
    }


@pytest.mark.parametrize("params", [{}, {"group_by": "patent"}, {"q": "lamp"}])
def test_pages_go_on_where_the_last_ended_while_the_corpus_changes(
    client: TestClient, session: Session, encoder: Encoder, params: dict[str, str]
) -> None:
    ties = [Design(f"USD002{n:04}", [unit(n % 4)]) for n in range(10)]
    load(session, encoder, [QUERY, *ties])
    whole = ids(search(client, drawing="USD0000001-S_1", limit=100, **params))
    found: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        answer = search(client, drawing="USD0000001-S_1", limit=3, **params, **cursor)
        found += ids(answer)
        load(session, encoder, [Design(f"USD003{len(found):04}", [unit(0)])])
        if answer["next"] is None:
            break
        cursor = {"cursor": answer["next"]}
    assert found == whole
    other = client.get("/search", params={"drawing": "USD0000001-S_1", "office": "US", **cursor})
    assert other.status_code == 422
    assert client.get("/search", params={"drawing": "USD0000001-S_1", "cursor": "nonsense"}).status_code == 422


def test_a_replay_is_the_same_after_later_changes(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [QUERY] + [Design(f"USD001{n:04}", [unit(n)], title="Lamp") for n in range(6)])
    params = {"drawing": "USD0000001-S_1", "q": "lamp", "group_by": "patent", "before": "2016-01-01", "limit": 4}
    answer = search(client, **params)
    load(session, encoder, [Design("USD0029999", [unit(0)], title="Lamp")])
    patent = open_patent(session, answer["hits"][0]["patent"]["id"])
    assert patent is not None
    close_patent(session, patent, next_snapshot(session))
    session.commit()
    assert search(client, **params)["hits"] != answer["hits"]
    replay = client.post(f"/searches/{answer['search_id']}/replay").json()
    assert (replay["same"], replay["missing"], replay["added"]) == (True, [], [])
    assert replay["answer"]["hits"] == answer["hits"]


def test_only_its_owner_or_an_admin_reads_a_search(
    monkeypatch: pytest.MonkeyPatch, environment: Settings, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [QUERY])
    require_keys(monkeypatch, anna=["search"], bert=["search"], chief=["admin"])
    with TestClient(create_app()) as client:

        def ask(key: str, method: str, path: str) -> Any:
            return client.request(method, path, headers={"Authorization": f"Bearer {key}-key"})

        record = ask("anna", "GET", "/search?drawing=USD0000001-S_1").json()["search_id"]
        for method, part in (("GET", ""), ("POST", "/replay"), ("GET", "/export"), ("GET", "/clusters")):
            path = f"/searches/{record}{part}"
            statuses = [ask(key, method, path).status_code for key in ("anna", "bert", "chief")]
            assert statuses == [200, 404, 200], path


def test_nothing_is_kept_of_a_search_that_asks_so(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [QUERY])
    answer = search(client, drawing="USD0000001-S_1", record=False)
    assert answer["search_id"] is None
    session.rollback()
    assert session.scalar(select(func.count()).select_from(Search)) == 0
    assert session.scalar(select(Unrecorded.searches)) == 1


def test_records_are_kept_for_as_long_as_is_set(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [QUERY])
    old, new = (search(client, drawing="USD0000001-S_1")["search_id"] for _ in range(2))
    session.execute(update(Search).where(Search.id == old).values(created_at=func.now() - dt.timedelta(days=31)))
    session.commit()
    forget(Settings(search_retention_days=0))
    assert client.get(f"/searches/{old}").status_code == 200
    forget(Settings(search_retention_days=30))
    assert [client.get(f"/searches/{search_id}").status_code for search_id in (old, new)] == [404, 200]


def test_explain_tells_the_plan(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [QUERY, Design("USD0000002")])
    assert search(client, drawing="USD0000001-S_1")["plan"] is None
    assert search(client, drawing="USD0000001-S_1", explain=True)["plan"]
