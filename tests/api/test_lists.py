"""One rule for all lists: repeated, or with commas between, in query strings and forms."""

import io
from typing import Any

import pytest
from fastapi import UploadFile
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from linework_api import lists
from linework_api.search.schemas import ImageForm
from linework_core.tables import Encoder
from tests.api.conftest import Design, load, problem_of, unit
from tests.api.test_search import ids, search

ALL = {
    "locarno": ["14-02", "02-01"],
    "office": ["US", "EM"],
    "view": ["front", "left"],
    "exclude": ["USD0000002", "LD3001"],
    "facets": ["office", "view"],
    "like": ["USD0000003-S_1", "USD0000004-S_1"],
    "unlike": ["USD0000003-S_1", "USD0000005-S_1"],
}


@pytest.fixture
def corpus(session: Session, encoder: Encoder) -> None:
    load(
        session,
        encoder,
        [
            *(Design(f"USD000000{n}", [unit(n)], views=("front" if n % 2 else "left",)) for n in range(1, 6)),
            Design("USD0907292", [unit(6)], locarno="02-01", office="EM", views=("top",)),
            Design("LD3001", [unit(7)], locarno="Plate, Round", views=("top",)),
        ],
    )


@pytest.mark.usefixtures("corpus")
@pytest.mark.parametrize("name", ALL)
def test_commas_are_as_good_as_repeating(client: TestClient, name: str) -> None:
    drawing = {"drawing": "USD0000001-S_1"}
    repeated = search(client, **drawing, **{name: ALL[name]})
    for written in (",".join(ALL[name]), ", ".join(ALL[name]), [*ALL[name][:1], ",".join(ALL[name][1:])]):
        answer = search(client, **drawing, **{name: written})
        assert (answer["hits"], answer["facets"]) == (repeated["hits"], repeated["facets"])


@pytest.mark.usefixtures("corpus")
def test_a_batch_has_the_same_rule(client: TestClient) -> None:
    for view in (["front", "left"], "front,left"):
        asked = {"before": "2030-01-01", "view": view, "office": "US,EM", "exclude": "D907,292,LD3001"}
        assert client.post("/search/batch", params=asked, json={"patents": ["USD0000001"]}).status_code == 202


def test_a_form_has_the_same_rule_and_a_crop_keeps_its_commas() -> None:
    sent = {"image": [UploadFile(io.BytesIO())], "like": ["a,b", "c"], "page": ["1,2"], "crop": ["0,0,1,1"]}
    form = ImageForm.model_validate(sent)
    assert (form.like, form.page, form.crop) == (["a", "b", "c"], [1, 2], ["0,0,1,1"])


@pytest.mark.usefixtures("corpus")
def test_a_comma_of_a_values_own_stands_in_quotes(client: TestClient) -> None:
    assert ids(search(client, q="lamp", locarno='"Plate, Round"')) == ["LD3001-S_1"]
    assert search(client, q="lamp", locarno='"Plate, Round",02-01')["eligible"] == 2


@pytest.mark.usefixtures("corpus")
def test_a_comma_within_a_patents_number_parts_nothing(client: TestClient) -> None:
    left = ids(search(client, q="lamp", exclude="D907,292,LD3001, D2"))
    assert left == ["USD0000001-S_1", "USD0000003-S_1", "USD0000004-S_1", "USD0000005-S_1"]


@pytest.mark.parametrize(
    ("sent", "values"),
    [
        ([], []),
        (["a"], ["a"]),
        (["a,b", "c"], ["a", "b", "c"]),
        (["a, b"], ["a", "b"]),
        (["a,"], ["a", ""]),
        ([""], [""]),
        (['"a,b"'], ["a,b"]),
        (['"a'], ['"a']),
        (["a\n,b"], ["a\n,b"]),
        ([1, None], [1, None]),
    ],
    ids=str,
)
def test_values_are_parted(sent: list[Any], values: list[Any]) -> None:
    assert lists.parted("view", sent) == values


@pytest.mark.parametrize("view", ["front,", ",", "", '"front', "front\0,left"])
def test_an_empty_or_broken_value_is_refused(client: TestClient, encoder: Encoder, view: str) -> None:
    problem_of(client.get("/search", params={"q": "lamp", "view": view}), 422, "invalid-request")
