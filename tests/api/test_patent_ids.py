"""Ids as people write them: every place understands them, and leaves those of other registers alone."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from linework_core.patent_ids import canonical, ungrouped
from linework_core.tables import Encoder
from tests.api.conftest import Design, load, unit
from tests.api.test_search import ids, search

WRITTEN = [
    "USD0907292", "USD907292", "usd907292", "D907292", "D907,292", "d0907292", "US D907292 S", "US D907,292 S1",
    "USD907292S1", "US-D907292-S", "Des. 907,292", " USD0907292 ",
]  # fmt: skip
OTHERS = ["LD3001", "Baseplate", "EM001234567-0001", "CN304525790S", "D", "USD", "D0", "USD0907292-20210105-D00003_1"]


@pytest.mark.parametrize("text", WRITTEN)
def test_a_us_designs_number_is_its_id(text: str) -> None:
    assert canonical(text) == "USD0907292"


@pytest.mark.parametrize("text", [*OTHERS, "US5819225A", "D12345678", "DD907292", "", "\0"])
def test_what_is_no_us_design_stays_as_it_is(text: str) -> None:
    assert canonical(text) == text


def test_a_reissue_has_two_letters() -> None:
    assert {canonical(text) for text in ("RE48,378", "USRE048378", "US RE48378 E1")} == {"USRE048378"}


def test_commas_within_a_number_part_no_list() -> None:
    assert ungrouped("D907,292,USD0907293,US D1,012,345") == "D907292,USD0907293,US D1012345"
    assert ungrouped("LD3,001,D12,3456,front,left") == "LD3,001,D12,3456,front,left"


@pytest.fixture
def corpus(session: Session, encoder: Encoder) -> None:
    citing = Design("USD0907292", [unit(0)], cites=("USD3", "US5819225A", "EM001234567-0001"))
    load(
        session,
        encoder,
        [citing, Design("USD0000003", [unit(1)]), Design("D12", [unit(2)]), Design("LD3001", [unit(3)])],
    )


@pytest.mark.usefixtures("corpus")
@pytest.mark.parametrize("text", WRITTEN)
def test_every_place_understands_it(client: TestClient, text: str) -> None:
    assert client.get(f"/patents/{text}").json()["id"] == "USD0907292"
    assert "USD0907292-S_1" not in ids(search(client, patent=text))
    assert "USD0907292-S_1" not in ids(search(client, q="lamp", exclude=text))
    assert ids(search(client, q="lamp", cited_by=text)) == ["USD0000003-S_1"]
    batch = client.post("/search/batch?before=2030-01-01", json={"patents": [text, "USD0907292"]}).json()
    assert batch["progress"]["total"] == 1
    queries = client.get(f"/search/batch/{batch['id']}").json()["queries"]
    assert [query["query"] for query in queries] == ["USD0907292"]
    dry = client.post("/enrich", json={"patents": [text], "dry_run": True})
    assert dry.status_code == 202, dry.text


@pytest.mark.usefixtures("corpus")
def test_an_id_of_another_register_that_looks_like_a_us_design_is_its_own(client: TestClient) -> None:
    assert client.get("/patents/D12").json()["id"] == "D12"
    assert "D12-S_1" not in ids(search(client, patent="D12"))
    assert "D12-S_1" not in ids(search(client, q="lamp", exclude="D12"))
    assert client.get("/patents/D3").json()["id"] == "USD0000003"


@pytest.mark.usefixtures("corpus")
def test_what_an_answer_gives_as_a_citation_can_be_asked_for(client: TestClient) -> None:
    for citation in client.get("/patents/USD0907292").json()["citations"]:
        assert ids(search(client, q="lamp", cites=citation["number"])) == ["USD0907292-S_1"]
    assert client.get("/patents/USD3").json()["id"] == "USD0000003"
    assert ids(search(client, q="lamp", cites="US 5,819,225 A")) == ["USD0907292-S_1"]
    assert ids(search(client, q="lamp", cites="D3")) == ["USD0907292-S_1"]


@pytest.mark.usefixtures("corpus")
def test_a_withdrawal_names_the_patents_own_id(client: TestClient) -> None:
    first = client.delete("/patents/D907,292", headers={"Idempotency-Key": "once"})
    again = client.delete("/patents/USD0907292", headers={"Idempotency-Key": "once"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
