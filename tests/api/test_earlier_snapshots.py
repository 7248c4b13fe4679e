"""What a record shows stays readable, whatever becomes of the patent afterwards."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from linework_core.corpus import close_patent, next_snapshot, open_patent
from linework_core.tables import Encoder
from tests.api.conftest import Design, draw, load, problem_of, store_pictures, unit
from tests.api.test_search import search


@pytest.fixture
def shown(client: TestClient, session: Session, encoder: Encoder) -> dict[str, str]:
    """A hit's links, its patent's address, and the search's; the patent has been withdrawn since."""
    load(session, encoder, [Design("USD0000001", [unit(0)]), Design("USD0000002", [unit(2), unit(3)], title="Lamp")])
    store_pictures(session, original=draw(600, 400))
    answer = search(client, drawing="USD0000001-S_1", group_by="patent")
    [hit] = answer["hits"]
    patent = open_patent(session, "USD0000002")
    assert patent is not None
    close_patent(session, patent, next_snapshot(session))
    session.commit()
    links = {name: hit["drawing"][name] for name in ("image", "thumbnail")}
    links["another"] = hit["more"][0]["drawing"]["image"]
    return {**links, "search": f"/searches/{answer['search_id']}", "snapshot": str(answer["snapshot"])}


def test_pictures_of_a_record_outlive_a_withdrawal(client: TestClient, shown: dict[str, str]) -> None:
    for name in ("image", "thumbnail", "another"):
        assert client.get(shown[name]).status_code == 200
    record = client.get(shown["search"]).json()
    assert record["answer"]["hits"][0]["drawing"]["image"] == shown["image"]
    assert client.get(f"{shown['search']}/export", params={"format": "xlsx"}).status_code == 200
    large = client.get(f"{shown['image']}&size=550")
    assert large.status_code == 200


def test_the_facts_of_a_withdrawn_patent_are_read_at_the_records_snapshot(
    client: TestClient, shown: dict[str, str]
) -> None:
    at = {"snapshot": shown["snapshot"]}
    patent = client.get("/patents/USD0000002", params=at).json()
    assert (patent["title"], patent["drawings"]) == ("Lamp", ["USD0000002-S_1", "USD0000002-S_2"])
    drawing = client.get("/drawings/USD0000002-S_1", params=at).json()
    assert (drawing["figure"]["caption"], drawing["image"]) == ("FIG. 1 is a front view", shown["image"])


def test_as_it_is_now_a_withdrawn_patent_is_not_there(client: TestClient, shown: dict[str, str]) -> None:
    later = int(shown["snapshot"]) + 1
    for path in ("/patents/USD0000002", "/drawings/USD0000002-S_1", "/drawings/USD0000002-S_1/image"):
        for params in ({}, {"snapshot": later}, {"snapshot": 0}):
            problem_of(client.get(path, params=params), 404, "not-found")


@pytest.mark.parametrize("snapshot", ["-1", "x", "9" * 30, ""])
def test_a_snapshot_is_a_number_that_there_can_be(client: TestClient, snapshot: str) -> None:
    for path in ("/patents/a", "/drawings/a", "/drawings/a/image"):
        problem_of(client.get(path, params={"snapshot": snapshot}), 422, "invalid-request")
