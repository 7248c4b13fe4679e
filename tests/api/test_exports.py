"""Files for spreadsheets: whatever a title is, no cell of theirs is a formula."""

import csv
import io

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from linework_api.search.exports import harmless
from linework_core.tables import Encoder
from tests.api.conftest import Design, load, unit
from tests.api.test_search import search

PLAIN = ["=1+1", "+1", "-1", "@SUM(A1)"]
WIDE = ["＝1+1", "＋1", "－1", "＠SUM(A1)", "﹦1"]
BEHIND_BLANKS = [" =1", "\t=1", "\u3000＝1", "\ufeff=1"]


@pytest.mark.parametrize("title", PLAIN + WIDE + BEHIND_BLANKS)
def test_no_title_is_a_formula(client: TestClient, session: Session, encoder: Encoder, title: str) -> None:
    load(session, encoder, [Design("USD0000001"), Design("USD0000002", [unit(2)], title=title)])
    found = search(client, drawing="USD0000001-S_1")["search_id"]
    text = client.get(f"/searches/{found}/export", params={"format": "csv"}).content.decode("utf-8-sig")
    [row] = csv.DictReader(io.StringIO(text))
    assert row["title"] == f"'{title}"


@pytest.mark.parametrize("value", ["Lamp", "Lamp = light", "", None, -0.5, "’=’", "A\t=1"])
def test_what_is_no_formula_stays_as_it_is(value: object) -> None:
    assert harmless(value) == value
