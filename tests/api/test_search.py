"""Search by stored drawings: what may be found, in which order, and what the answer says of itself."""

import datetime as dt
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from linework_core.corpus import close_patent, next_snapshot, open_patent
from linework_core.tables import Encoder, Search, Unrecorded
from tests.api.conftest import Design, load, unit, wipe

QUERY = Design("USD0000001", [unit(0)], granted=dt.date(2020, 1, 7))


def ids(answer: dict[str, Any]) -> list[str]:
    return [hit["drawing"]["id"] for hit in answer["hits"]]


def search(client: TestClient, **params: Any) -> dict[str, Any]:
    response = client.get("/search", params=params)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_a_drawing_granted_on_the_cut_date_is_not_prior_art(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    on_the_day = Design("USD0000002", [unit(2)], granted=dt.date(2015, 3, 3))
    the_day_before = Design("USD0000003", [unit(3)], granted=dt.date(2015, 3, 2))
    load(session, encoder, [QUERY, on_the_day, the_day_before])
    answer = search(client, drawing="USD0000001-S_1", before="2015-03-03")
    assert ids(answer) == ["USD0000003-S_1"]
    assert answer["eligible"] == 1


def test_after_includes_its_day(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [QUERY, Design("USD0000002", [unit(2)], granted=dt.date(2015, 3, 3))])
    assert len(ids(search(client, drawing="USD0000001-S_1", after="2015-03-03", before="2015-03-04"))) == 1
    assert ids(search(client, drawing="USD0000001-S_1", after="2015-03-04", before="2016-01-01")) == []


def test_a_missing_date_never_passes_and_is_counted(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [QUERY, Design("LD3001", [unit(2), unit(3)], granted=None, locarno="Baseplate")])
    answer = search(client, drawing="USD0000001-S_1", before="2030-01-01")
    assert (ids(answer), answer["undated"]) == ([], 2)
    assert search(client, drawing="USD0000001-S_1", before="2030-01-01", locarno="14")["undated"] == 0
    assert len(ids(search(client, drawing="USD0000001-S_1"))) == 2


def test_hits_come_by_similarity_and_ties_by_drawing_id(client: TestClient, session: Session, encoder: Encoder) -> None:
    same = [Design(f"USD000000{n}", [unit(7)]) for n in (4, 2, 3)]
    load(session, encoder, [Design("USD0000001", [unit(7)]), *same, Design("USD0000009", [unit(8)])])
    answer = search(client, drawing="USD0000001-S_1")
    assert ids(answer) == ["USD0000002-S_1", "USD0000003-S_1", "USD0000004-S_1", "USD0000009-S_1"]
    assert answer["hits"][0]["score"] == pytest.approx(1.0, abs=1e-3)
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3, 4]
    assert answer["exact"] is True


def test_a_patent_query_scores_by_its_nearest_drawing(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [Design("USD0000001", [unit(1), unit(2)]), Design("USD0000002", [unit(2)])])
    answer = search(client, patent="USD0000001")
    assert ids(answer) == ["USD0000002-S_1"]
    assert answer["hits"][0]["score"] == pytest.approx(1.0, abs=1e-3)


def test_a_class_holds_its_subclasses_and_a_subclass_only_itself(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    classes = ["14-02", "14-03", "02-14", "140-02", None]
    load(session, encoder, [QUERY] + [Design(f"USD001000{n}", [unit(n)], locarno=c) for n, c in enumerate(classes)])
    assert search(client, drawing="USD0000001-S_1", locarno="14")["eligible"] == 2
    assert search(client, drawing="USD0000001-S_1", locarno="14-03")["eligible"] == 1
    assert search(client, drawing="USD0000001-S_1", locarno=["14-03", "02-14"])["eligible"] == 2


def test_the_family_is_left_out_on_request_over_several_links(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    kin = [("USD0000001", ("US1", "KR9")), ("USD0000002", ("US2", "US1")), ("USD0000003", ("US3", "US2"))]
    load(session, encoder, [Design(name, [unit(1)], family=keys) for name, keys in kin] + [Design("USD0000004")])
    assert search(client, drawing="USD0000001-S_1")["eligible"] == 3
    assert ids(search(client, drawing="USD0000001-S_1", family="exclude")) == ["USD0000004-S_1"]


def test_what_passes_but_has_no_vector_is_counted_as_unindexed(
    client: TestClient, session: Session, encoder: Encoder
) -> None:
    load(session, encoder, [QUERY, Design("USD0000002", [unit(2), None, None])])
    answer = search(client, drawing="USD0000001-S_1")
    assert (answer["eligible"], answer["unindexed"]) == (1, 2)


def test_a_withdrawn_patent_is_not_found_again(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [QUERY, Design("USD0000002", [unit(2)])])
    before = search(client, drawing="USD0000001-S_1")
    patent = open_patent(session, "USD0000002")
    assert patent is not None
    close_patent(session, patent, next_snapshot(session))
    session.commit()
    after = search(client, drawing="USD0000001-S_1")
    assert (before["eligible"], after["eligible"], after["unindexed"]) == (1, 0, 0)
    assert after["snapshot"] == before["snapshot"] + 1


def test_a_search_is_kept_as_it_was_answered(client: TestClient, session: Session, encoder: Encoder) -> None:
    load(session, encoder, [QUERY, Design("USD0000002", [unit(2)])])
    answer = search(client, drawing="USD0000001-S_1", before="2018-01-01")
    kept = client.get(f"/searches/{answer['search_id']}").json()
    assert kept["answer"] == answer
    assert kept["request"]["drawing"] == "USD0000001-S_1"
    assert kept["request"]["before"] == "2018-01-01"


@pytest.mark.parametrize("record", ["true", "false"])
def test_an_answer_that_fails_leaves_nothing(
    client: TestClient, session: Session, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, record: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("the disk is gone")

    load(session, encoder, [QUERY, Design("USD0000002", [unit(2)])])
    monkeypatch.setattr("linework_api.search.service.assemble", fail)
    failed = client.get("/search", params={"drawing": "USD0000001-S_1", "record": record})
    assert failed.status_code >= 500
    assert not session.scalar(select(func.count()).select_from(Search))
    assert not session.scalar(select(func.count()).select_from(Unrecorded))


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"drawing": "a", "patent": "b"},
        {"drawing": "a", "before": "01/02/2019"},
        {"drawing": "a", "before": "2019-02-30"},
        {"drawing": "a", "before": "2019-01-01", "after": "2019-01-01"},
        {"drawing": "a", "limit": 0},
        {"drawing": "a", "limit": 10**9},
        {"drawing": "a", "date_basis": "expired"},
        {"drawing": "a", "colour": "red"},
        {"drawing": "a" * 5000},
    ],
)
def test_a_wrong_request_is_answered_with_a_problem(client: TestClient, encoder: Encoder, params: Any) -> None:
    response = client.get("/search", params=params)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == "urn:linework:problem:invalid-request"
    assert problem["status"] == 422
    assert problem["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("name", ["'; DROP TABLE drawings; --", "../../etc/passwd", "%", "none"])
def test_an_unknown_drawing_is_a_404(client: TestClient, encoder: Encoder, name: str) -> None:
    response = client.get("/search", params={"drawing": name})
    assert (response.status_code, response.json()["type"]) == (404, "urn:linework:problem:not-found")


def test_without_an_active_index_search_says_when_to_come_again(client: TestClient) -> None:
    response = client.get("/search", params={"drawing": "x"})
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0


dates = st.none() | st.dates(dt.date(2014, 12, 28), dt.date(2015, 1, 4))
designs = st.builds(
    lambda n, **facts: Design(f"USD{n:07}", **facts),
    n=st.integers(10, 99),
    vectors=st.lists(st.none() | st.integers(0, 3).map(unit), min_size=1, max_size=3),
    granted=dates,
    filed=dates,
    priority=dates,
    locarno=st.sampled_from([None, "14-02", "14-03", "02-01", "Baseplate"]),
    office=st.sampled_from(["US", "EM"]),
)


@given(
    corpus=st.lists(designs, max_size=8, unique_by=lambda design: design.id),
    before=dates,
    after=dates,
    basis=st.sampled_from(["granted", "filed", "priority"]),
    locarno=st.lists(st.sampled_from(["14", "14-02", "02", "Baseplate"]), max_size=2),
    office=st.lists(st.sampled_from(["US", "EM"]), max_size=1),
    limit=st.integers(1, 12),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_hit_is_dated_on_or_after_the_cut_and_none_that_is_eligible_is_missing(
    client: TestClient,
    session: Session,
    encoder: Encoder,
    corpus: list[Design],
    before: dt.date | None,
    after: dt.date | None,
    basis: str,
    locarno: list[str],
    office: list[str],
    limit: int,
) -> None:
    wipe(session)
    load(session, encoder, [QUERY, *corpus])
    span = {name: str(day) for name, day in (("before", before), ("after", after)) if day}
    asked = {"drawing": "USD0000001-S_1", "date_basis": basis, "locarno": locarno, "office": office, "limit": limit}
    response = client.get("/search", params=asked | span)
    if before and after and after >= before:
        assert response.status_code == 422
        return
    answer = response.json()

    def passes(design: Design) -> bool:
        by_class = not locarno or any(
            design.locarno == c or (design.locarno or "").startswith(f"{c}-") for c in locarno
        )
        return by_class and (not office or design.office in office)

    def in_time(design: Design) -> bool | None:
        day: dt.date | None = getattr(design, basis)
        if not span:
            return True
        return None if day is None else (before is None or day < before) and (after is None or day >= after)

    wanted = [design for design in corpus if passes(design)]
    eligible = sum(v is not None for d in wanted if in_time(d) for v in d.vectors)
    assert answer["eligible"] == eligible
    assert answer["unindexed"] == sum(v is None for d in wanted if in_time(d) for v in d.vectors)
    assert answer["undated"] == sum(len(d.vectors) for d in wanted if in_time(d) is None)
    assert len(answer["hits"]) == min(limit, eligible)
    found = {design.id: design for design in corpus}
    assert all(passes(found[hit["patent"]["id"]]) and in_time(found[hit["patent"]["id"]]) for hit in answer["hits"])
