"""Sharing a search: whom it is shared with reads all of it and rules none of it, until that is revoked."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from linework_api.app import create_app
from linework_core.settings import Settings
from linework_core.tables import Encoder, Search, SearchShare
from tests.api.conftest import Design, as_caller, draw, load, problem_of, require_keys, store_pictures, unit

Ask = Callable[..., Any]
SCOPES = {"anna": ["search"], "bert": ["search"], "carl": ["search"], "dora": ["enrich"], "chief": ["admin"]}


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, environment: Settings, session: Session, encoder: Encoder) -> Iterator[Ask]:
    """Calls as somebody: `ask('anna', 'GET', '/search')`."""
    load(session, encoder, [Design("USD0000001", [unit(0)]), *(Design(f"USD001000{n}", [unit(n)]) for n in range(4))])
    store_pictures(session, original=draw(60, 40))
    require_keys(monkeypatch, **SCOPES)
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield lambda name, method, path, **more: client.request(method, path, headers=as_caller(name), **more)


@pytest.fixture
def address(ask: Ask) -> str:
    """Of anna's search."""
    return f"/searches/{ask('anna', 'GET', '/search?drawing=USD0000001-S_1&limit=2').json()['search_id']}"


def readings(ask: Ask, name: str, address: str) -> set[int]:
    """The statuses of all that can be read of a search."""
    calls = [("GET", ""), ("POST", "/replay"), ("GET", "/clusters")]
    calls += [("GET", f"/export?format={kind}") for kind in ("csv", "xlsx", "json")]
    return {ask(name, method, f"{address}{part}").status_code for method, part in calls}


def share(ask: Ask, address: str, reader: str, by: str = "anna") -> Any:
    return ask(by, "POST", f"{address}/share", json={"with": reader})


@pytest.mark.parametrize("by", ["anna", "chief"])
def test_whom_a_search_is_shared_with_reads_all_of_it_until_that_is_revoked(ask: Ask, address: str, by: str) -> None:
    assert readings(ask, "bert", address) == {404}
    answer = share(ask, address, "bert", by)
    assert (answer.status_code, answer.json()["with"], answer.json()["shared_by"]) == (200, "bert", by)
    assert (readings(ask, "bert", address), readings(ask, "carl", address)) == ({200}, {404})
    hit = ask("bert", "GET", address).json()["answer"]["hits"][0]
    assert ask("bert", "GET", hit["drawing"]["thumbnail"]).status_code == 200
    assert ask(by, "DELETE", f"{address}/share/bert").json()["revoked_by"] == by
    assert readings(ask, "bert", address) == {404}


def test_a_search_that_is_shared_with_everyone_is_for_all_who_may_search(ask: Ask, address: str) -> None:
    share(ask, address, "everyone")
    assert (readings(ask, "bert", address), readings(ask, "carl", address)) == ({200}, {200})
    titles = ask("dora", "POST", f"{address}/clusters/titles?provider=template")
    problem_of(titles, 404, "not-found")  # dora has no scope 'search'
    ask("anna", "DELETE", f"{address}/share/everyone")
    assert readings(ask, "carl", address) == {404}


def test_a_reader_neither_shares_nor_goes_on_with_a_search(ask: Ask, address: str) -> None:
    share(ask, address, "bert")
    problem_of(share(ask, address, "carl", by="bert"), 403, "forbidden")
    problem_of(ask("bert", "GET", f"{address}/share"), 403, "forbidden")
    problem_of(ask("bert", "DELETE", f"{address}/share/bert"), 403, "forbidden")
    cursor = ask("bert", "GET", address).json()["answer"]["next"]
    page = ask("bert", "GET", f"/search?drawing=USD0000001-S_1&limit=2&cursor={cursor}")
    problem_of(page, 422, "invalid-request")


def test_a_stranger_learns_nothing_of_a_search(ask: Ask, address: str) -> None:
    for method, part in (("POST", "/share"), ("GET", "/share"), ("DELETE", "/share/bert")):
        body = {"json": {"with": "carl"}} if method == "POST" else {}
        problem_of(ask("bert", method, f"{address}{part}", **body), 404, "not-found")


def test_shares_are_listed_with_those_that_were_revoked(ask: Ask, address: str) -> None:
    for reader in ("bert", "carl", "bert"):  # again, it changes nothing
        share(ask, address, reader)
    ask("anna", "DELETE", f"{address}/share/bert")
    share(ask, address, "bert")
    listed = ask("anna", "GET", f"{address}/share").json()["shares"]
    assert [(one["with"], one["revoked_at"] is None) for one in listed] == [
        ("bert", True), ("carl", True), ("bert", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body", [{"with": "nobody-at-all"}, {"with": ""}, {"with": "a\0"}, {}, {"reader": "bert"}], ids=str
)
def test_a_search_is_shared_with_callers_that_there_are(ask: Ask, address: str, body: dict[str, str]) -> None:
    problem_of(ask("anna", "POST", f"{address}/share", json=body), 422, "invalid-request")


def test_what_is_not_shared_cannot_be_revoked(ask: Ask, address: str) -> None:
    problem_of(ask("anna", "DELETE", f"{address}/share/bert"), 404, "not-found")


def test_sharing_and_revoking_stand_in_the_audit_log(ask: Ask, address: str) -> None:
    share(ask, address, "bert")
    ask("anna", "DELETE", f"{address}/share/bert")
    entries = ask("chief", "GET", f"/audit?subject={address.rpartition('/')[2]}").json()["entries"]
    assert [(one["caller"], one["method"], one["status"]) for one in entries] == [
        ("anna", "DELETE", 200), ("anna", "POST", 200),
    ]  # fmt: skip
    problem_of(ask("chief", "POST", "/keys", json={"name": "everyone", "scopes": ["search"]}), 422, "invalid-request")


def test_shares_go_with_their_record(ask: Ask, address: str, session: Session) -> None:
    share(ask, address, "bert")
    session.execute(delete(Search))
    session.commit()
    assert session.scalar(select(func.count()).select_from(SearchShare)) == 0
