"""Withdrawing, restoring and erasing a patent, and what searches that showed it say afterwards."""

import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any
from uuid import UUID

import obstore
import pytest
from fastapi.testclient import TestClient
from obstore.store import ObjectStore
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from linework_api import worker
from linework_api.app import create_app
from linework_api.removals.__main__ import main
from linework_api.search import records, repository
from linework_core import corpus as versions
from linework_core import erasures, store, sweep
from linework_core.cluster_titles import Subject
from linework_core.db import transaction
from linework_core.jobs import runner
from linework_core.settings import Settings
from linework_core.tables import (
    Base,
    ClusterTitle,
    Description,
    DescriptionVector,
    Drawing,
    Embedding,
    Encoder,
    Erasure,
    Job,
    LlmCall,
    Patent,
    Search,
    SetAside,
)
from tests.api.conftest import (
    Design,
    as_caller,
    change,
    count,
    load,
    long_ago,
    look,
    problem_of,
    require_keys,
    unit,
)
from tests.waiting import PATIENCE

GONE, LEFT = "USD0000001", "USD0000002"
REASON = {"confirm": GONE, "reason": "order 7 of a court"}
Finish = Callable[[Any], dict[str, Any]]


@pytest.fixture
def finish(client: TestClient) -> Finish:
    """Run the job of a 202, and return it."""

    def run(response: Any) -> dict[str, Any]:
        assert response.status_code == 202, response.text
        job_id = response.json()["id"]
        runner.run_job(UUID(job_id), worker._ingest)
        job: dict[str, Any] = client.get(f"/jobs/{job_id}").json()
        return job

    return run


@pytest.fixture
def objects(environment: Settings) -> ObjectStore:
    return store.get_store()


@pytest.fixture
def corpus(session: Session, encoder: Encoder) -> Session:
    """Two patents of two drawings each, like one another, one of them described."""
    load(session, encoder, [Design(GONE, [unit(1), unit(2)], title="Lamp"), Design(LEFT, [unit(1), unit(3)])])
    job, row = session.scalars(select(Job.id)).one(), session.scalars(select(Drawing.row_id).limit(1)).one()
    calls = [
        LlmCall(key=k * 64, purpose="describe", provider_url="", model="", prompt="", answer="A chair.") for k in "ab"
    ]
    described = Description(
        drawing_row=row, drawing_id=f"{GONE}-S_1", patent_id=GONE, texts=[{"text": "a lamp", "language": "en"}],
        provider="template", prompt="", facts="", recipe="", calls=["a" * 64], job_id=job, added_in=1,
    )  # fmt: skip
    session.add_all([*calls, described])
    session.flush()
    vector = DescriptionVector(
        encoder=encoder.number, drawing_row=row, description=described.id, vector=list(unit(1)), added_in=1
    )
    session.add(vector)
    session.commit()
    return session


def hits(client: TestClient, **params: Any) -> list[str]:
    answer = client.get("/search", params={"drawing": f"{LEFT}-S_1", **params}).raise_for_status().json()
    return [hit["drawing"]["id"] for hit in answer["hits"]]


def search(client: TestClient, **params: Any) -> str:
    answer = client.get("/search", params={"drawing": f"{LEFT}-S_1", **params}).raise_for_status().json()
    return str(answer["search_id"])


# ---- restoring ---------------------------------------------------------------------------------------------


def test_a_restored_patent_is_found_as_it_was_and_the_past_stays_what_it_was(
    client: TestClient, corpus: Session, finish: Finish
) -> None:
    before, patent = hits(client), client.get(f"/patents/{GONE}").json()
    record = search(client)
    finish(client.delete(f"/patents/{GONE}"))
    assert hits(client) == []
    empty = search(client)
    job = finish(client.post(f"/patents/{GONE}/restore"))
    assert (job["state"], job["result"]["restored"]) == ("succeeded", GONE)
    assert hits(client) == before
    assert client.get(f"/patents/{GONE}").json() == patent | {"added_in": job["result"]["snapshot"]}
    for search_id in (record, empty):
        assert client.post(f"/searches/{search_id}/replay").json()["same"]
    assert count(corpus, Patent) == 3  # rows are never overwritten
    assert count(corpus, Drawing, Drawing.removed_in.is_(None)) == 4
    assert count(corpus, Embedding, Embedding.removed_in.is_(None)) == 4


def test_it_has_its_descriptions_again_with_their_vectors(client: TestClient, corpus: Session, finish: Finish) -> None:
    finish(client.delete(f"/patents/{GONE}"))
    assert count(corpus, Description, Description.removed_in.is_(None)) == 0
    finish(client.post(f"/patents/{GONE}/restore"))
    open_set = corpus.scalars(select(Description).where(Description.removed_in.is_(None))).one()
    row = corpus.scalars(
        select(Drawing.row_id).where(Drawing.drawing_id == f"{GONE}-S_1", Drawing.removed_in.is_(None))
    ).one()
    assert (open_set.drawing_row, open_set.texts) == (row, [{"text": "a lamp", "language": "en"}])
    vector = corpus.scalars(select(DescriptionVector).where(DescriptionVector.removed_in.is_(None))).one()
    assert (vector.drawing_row, vector.description) == (row, open_set.id)


def test_what_is_not_withdrawn_cannot_be_restored(client: TestClient, corpus: Session) -> None:
    problem_of(client.post(f"/patents/{GONE}/restore"), 409, "conflict")
    problem_of(client.post("/patents/USD0000009/restore"), 404, "not-found")


def test_two_who_restore_at_once_make_one_version(client: TestClient, corpus: Session, finish: Finish) -> None:
    finish(client.delete(f"/patents/{GONE}"))
    first, second = (client.post(f"/patents/{GONE}/restore") for _ in range(2))
    assert [finish(one)["progress"]["done"] for one in (first, second)] == [1, 0]
    assert count(corpus, Patent, Patent.removed_in.is_(None)) == 2


# ---- erasing -----------------------------------------------------------------------------------------------


def test_an_erasure_leaves_no_row_of_the_patent_but_its_tombstone(
    client: TestClient, corpus: Session, finish: Finish
) -> None:
    finish(client.delete(f"/patents/{GONE}"))
    finish(client.post(f"/patents/{GONE}/restore"))  # so that it has two versions
    job = finish(client.post(f"/patents/{GONE}/erase", json=REASON))
    assert (job["state"], job["result"]["drawings"]) == ("succeeded", 4)
    tombstone = corpus.scalars(select(Erasure)).one()
    assert (tombstone.patent_id, tombstone.reason, tombstone.erased_by) == (GONE, REASON["reason"], "local")
    assert tombstone.snapshot == job["result"]["snapshot"] == client.get("/corpus").json()["snapshot"]
    for table in Base.metadata.sorted_tables:
        if table.name not in ("erasures", "jobs", "audit"):
            dumped = corpus.execute(text(f"SELECT t::text FROM {table.name} t")).scalars().all()
            assert not [row for row in dumped if GONE in row or "amp" in row], table.name
    assert count(corpus, Patent) == 1
    assert count(corpus, Embedding) == 2


def test_a_models_answer_goes_unless_another_patents_text_came_from_it(
    client: TestClient, corpus: Session, finish: Finish
) -> None:
    finish(client.post(f"/patents/{GONE}/erase", json=REASON))
    assert corpus.scalars(select(LlmCall.key)).all() == ["b" * 64]


def test_a_models_title_of_a_cluster_that_shows_it_goes_with_the_models_answer(
    client: TestClient, corpus: Session, finish: Finish
) -> None:
    shows_it, another = (Subject((picture,), (), (), {}) for picture in (f"{GONE}-1", f"{LEFT}-1"))
    corpus.add(Job(kind="enrich", owner="x", params={"kind": "titles", "clusters": [shows_it.as_json()]}))
    for subject, call in ((shows_it, "c" * 64), (another, "d" * 64)):
        corpus.add(LlmCall(key=call, purpose="title", provider_url="", model="", prompt="", answer="Chairs"))
        corpus.add(ClusterTitle(key=subject.key, title="Chairs", summary="", provenance={"calls": [call]}))
    corpus.commit()
    finish(client.post(f"/patents/{GONE}/erase", json=REASON))
    assert corpus.scalars(select(ClusterTitle.key)).all() == [another.key]
    assert corpus.scalars(select(LlmCall.key).order_by(LlmCall.key)).all() == ["b" * 64, "d" * 64]


def test_who_asks_for_an_erased_patent_is_told_so(client: TestClient, corpus: Session, finish: Finish) -> None:
    finish(client.post(f"/patents/{GONE}/erase", json=REASON))
    for path in (f"/patents/{GONE}", f"/drawings/{GONE}-S_1", f"/drawings/{GONE}-S_1/image"):
        problem_of(client.get(path), 410, "erased")
    for again in (client.post(f"/patents/{GONE}/erase", json=REASON), client.post(f"/patents/{GONE}/restore")):
        problem_of(again, 410, "erased")
    problem_of(client.delete(f"/patents/{GONE}"), 410, "erased")
    assert client.get(f"/patents/{LEFT}").status_code == 200
    assert hits(client) == []


@pytest.mark.parametrize("params", [{}, {"group_by": "patent"}, {"drawing": f"{GONE}-S_1"}, {"patent": GONE}], ids=repr)
def test_a_record_that_showed_it_stays_readable_without_it_and_its_replay_says_so(
    client: TestClient, corpus: Session, finish: Finish, params: dict[str, str]
) -> None:
    if "patent" in params:
        response = client.get("/search", params=params)
        record = str(response.raise_for_status().json()["search_id"])
    else:
        record = search(client, **params)
    assert client.post(f"/searches/{record}/replay").json()["same"]
    finish(client.post(f"/patents/{GONE}/erase", json=REASON))
    answer = client.get(f"/searches/{record}").raise_for_status().json()["answer"]
    for hit in answer["hits"]:
        assert hit["erased"] == (hit["patent"]["id"] == GONE)
        assert (hit["patent"]["title"] is None) == hit["erased"]
    assert answer["hits"]
    problem_of(client.post(f"/searches/{record}/replay"), 410, "erased")
    for kind in ("csv", "json"):
        assert client.get(f"/searches/{record}/export?format={kind}").status_code == 200
    assert client.get(f"/searches/{record}/clusters").status_code == 200
    kept = corpus.scalars(
        select(Search).where(Search.id == UUID(record)).execution_options(populate_existing=True)
    ).one()
    by_it = "patent" in params or params.get("drawing", LEFT).startswith(GONE)
    assert any(kept.vectors or b"") != by_it  # the vector of a query by it is its picture's


def test_a_record_that_never_showed_it_replays_as_before(client: TestClient, corpus: Session, finish: Finish) -> None:
    record = search(client, office="EU")
    finish(client.post(f"/patents/{GONE}/erase", json=REASON))
    assert client.post(f"/searches/{record}/replay").json()["same"]


def test_an_erasure_wants_an_admin_and_the_id_a_second_time(
    client: TestClient, corpus: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.post(f"/patents/{GONE}/erase", json=REASON | {"confirm": LEFT}).status_code == 422
    assert client.post(f"/patents/{GONE}/erase", json={"confirm": GONE}).status_code == 422
    problem_of(client.post("/patents/USD0000009/erase", json=REASON | {"confirm": "USD0000009"}), 404, "not-found")
    problem_of(client.delete(f"/patents/{GONE}/erasure"), 404, "not-found")
    require_keys(monkeypatch, anna=["ingest", "search", "train", "enrich"])
    with TestClient(create_app()) as keyed:
        anna = as_caller("anna")
        assert keyed.post(f"/patents/{GONE}/erase", json=REASON, headers=anna).status_code == 403
        assert keyed.delete(f"/patents/{GONE}/erasure", headers=anna).status_code == 403
    assert count(corpus, Erasure) == 0


def test_what_was_set_aside_of_a_patent_whose_id_begins_alike_stays(
    client: TestClient, corpus: Session, encoder: Encoder, finish: Finish
) -> None:
    load(corpus, encoder, [Design("LD300"), Design("LD3001")])
    names = {"LD300": "LD300, picture 1", "the same": "a/LD300-1.png", "LD3001": "LD3001, picture 1", "LD": "XLD300"}
    job = corpus.scalars(select(Job.id).limit(1)).one()
    for name in names.values():
        corpus.add(SetAside(job_id=job, package="a.zip", record=name, reason="unreadable-image", detail=""))
    corpus.commit()
    finish(client.post("/patents/LD300/erase", json={"confirm": "LD300", "reason": "order 7"}))
    assert set(corpus.scalars(select(SetAside.record))) == {names["LD3001"], names["LD"]}


@pytest.mark.parametrize("another", [[], [Design("USD0000012")]], ids=["alone", "beside-a-us-design"])
def test_an_id_that_looks_like_a_us_designs_is_erased_and_lifted_as_it_is_written(
    client: TestClient, corpus: Session, encoder: Encoder, finish: Finish, another: list[Design]
) -> None:
    load(corpus, encoder, [Design("D12"), *another])
    finish(client.post("/patents/D12/erase", json={"confirm": "D12", "reason": "order 7"}))
    if not another:
        problem_of(client.get("/patents/D12"), 410, "erased")
        problem_of(client.post("/patents/D12/restore"), 410, "erased")
    assert client.delete("/patents/D12/erasure").status_code == 204
    problem_of(client.delete("/patents/D12/erasure"), 404, "not-found")


# ---- searches that are under way ---------------------------------------------------------------------------


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType, str], None]:
    """Let the patent be erased just before a function is called for the first time."""

    def erase_before(module: ModuleType, name: str) -> None:
        function = getattr(module, name)

        def erase_first(*args: Any, **options: Any) -> Any:
            monkeypatch.setattr(module, name, function)
            assert main(["erase", GONE, "--confirm", GONE, "--reason", "order 7"]) == 0
            return function(*args, **options)

        monkeypatch.setattr(module, name, erase_first)

    return erase_before


Meanwhile = Callable[[ModuleType, str], None]


@pytest.mark.parametrize("params", [{}, {"drawing": f"{GONE}-S_1"}], ids=["that shows it", "by it"])
def test_a_search_that_is_written_down_after_the_erasure_is_marked_by_the_sweep(
    client: TestClient, corpus: Session, meanwhile: Meanwhile, environment: Settings, objects: ObjectStore,
    params: dict[str, str],
) -> None:  # fmt: skip
    meanwhile(records, "keep")
    record = search(client, **params)
    for _ in range(2):  # twice is as once
        sweep.sweep(environment, objects)
    kept = corpus.get_one(Search, UUID(record), populate_existing=True)
    assert kept.erased == [GONE]
    assert any(kept.vectors or b"") == (not params)
    problem_of(client.post(f"/searches/{record}/replay"), 410, "erased")


def test_searches_by_a_patent_that_was_erased_and_loaded_again_are_not_marked(
    client: TestClient, corpus: Session, encoder: Encoder, finish: Finish, environment: Settings, objects: ObjectStore
) -> None:
    finish(client.post(f"/patents/{GONE}/erase", json=REASON))
    assert client.delete(f"/patents/{GONE}/erasure").status_code == 204
    load(corpus, encoder, [Design(GONE, [unit(1)])])
    record = search(client, drawing=f"{GONE}-S_1")
    sweep.sweep(environment, objects)
    assert client.post(f"/searches/{record}/replay").json()["same"]


def test_a_page_that_joins_its_record_after_the_erasure_is_marked_by_the_sweep(
    client: TestClient, corpus: Session, encoder: Encoder, meanwhile: Meanwhile, environment: Settings,
    objects: ObjectStore,
) -> None:  # fmt: skip
    load(corpus, encoder, [Design("USD0000003", [unit(3)])])
    params: dict[str, Any] = {"drawing": f"{LEFT}-S_2", "limit": 1}
    first = client.get("/search", params=params).raise_for_status().json()
    assert first["hits"][0]["patent"]["id"] == "USD0000003"
    meanwhile(records, "extend")
    second = client.get("/search", params=params | {"cursor": first["next"]}).raise_for_status().json()
    assert second["hits"][0]["patent"]["id"] == GONE
    sweep.sweep(environment, objects)
    problem_of(client.post(f"/searches/{first['search_id']}/replay"), 410, "erased")


def test_a_search_by_patents_is_answered_without_what_is_erased_after_its_ranking(
    client: TestClient, corpus: Session, meanwhile: Meanwhile
) -> None:
    meanwhile(repository, "details")
    params = {"drawing": f"{LEFT}-S_1", "group_by": "patent"}
    (hit,) = client.get("/search", params=params).raise_for_status().json()["hits"]
    assert (hit["erased"], hit["patent"]["title"], hit["more"]) == (True, None, [])


# ---- pictures, and being killed ----------------------------------------------------------------------------


@pytest.fixture
def pictures(corpus: Session, objects: ObjectStore) -> set[str]:
    """Each patent has an original of its own, and they share a derivative."""
    for table, column in (("drawings", "patent_id"), ("sheets", "split_part(sheet_id, '-', 1)")):
        corpus.execute(text(f"UPDATE {table} SET original = {column}"))
    corpus.execute(text("UPDATE drawings SET derivative = 'shared' WHERE number = 1"))
    corpus.commit()
    of_both = {store.original_key(GONE), store.original_key(LEFT)}
    derivatives = {"shared", f"{GONE}-2", f"{LEFT}-2"}
    for key in of_both | {store.derivative_key(one) for one in derivatives}:
        store.put(objects, key, b"x")
    return {store.original_key(LEFT), store.derivative_key("shared"), store.derivative_key(f"{LEFT}-2")}


def keys(objects: ObjectStore) -> set[str]:
    return {meta["path"] for page in obstore.list(objects) for meta in page}


def test_pictures_go_but_for_those_that_another_patent_has(
    client: TestClient, pictures: set[str], objects: ObjectStore, finish: Finish
) -> None:
    job = finish(client.post(f"/patents/{GONE}/erase", json=REASON))
    assert (job["result"]["pictures"], keys(objects)) == (2, pictures)


@pytest.mark.parametrize("then", ["the job is run again", "the beat sweeps"])
def test_an_erasure_that_was_killed_before_its_pictures_were_deleted_is_completed(
    client: TestClient, corpus: Session, pictures: set[str], objects: ObjectStore, finish: Finish,
    environment: Settings, monkeypatch: pytest.MonkeyPatch, then: str,
) -> None:  # fmt: skip
    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    asked = client.post(f"/patents/{GONE}/erase", json=REASON)
    with monkeypatch.context() as patched:
        patched.setattr(erasures, "delete_pictures", killed)
        with pytest.raises(KeyboardInterrupt):
            finish(asked)
    assert count(corpus, Patent) == 1
    assert keys(objects) > pictures
    if then == "the beat sweeps":
        sweep.sweep(environment, objects)
    else:
        job_id = UUID(asked.json()["id"])
        change(corpus, job_id, lease_until=long_ago())
        runner.run_job(job_id, worker._ingest)
        job = look(corpus, job_id)
        assert (job.state, (job.result or {})["drawings"]) == ("succeeded", 2)
    assert keys(objects) == pictures
    assert count(corpus, Erasure) == 1


def test_pictures_that_an_ingest_adds_while_others_are_deleted_are_deleted_by_the_sweep(
    client: TestClient, pictures: set[str], objects: ObjectStore, finish: Finish, environment: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    store.put(objects, store.original_key("late"), b"x")

    def add_one() -> None:
        """As an ingest does that has stored a picture before the erasure was committed."""
        with transaction() as session:
            versions.lock(session)
            tombstone = erasures.in_force(session, [GONE])[GONE]
            tombstone.originals = [*tombstone.originals, "late"]

    adding, delete = threading.Thread(target=add_one), store.delete

    def add_meanwhile(*args: Any) -> None:
        if adding.ident is None:
            adding.start()
            adding.join(1)  # it may have to wait for us
        delete(*args)

    monkeypatch.setattr(store, "delete", add_meanwhile)
    finish(client.post(f"/patents/{GONE}/erase", json=REASON))
    adding.join(PATIENCE)
    assert keys(objects) == pictures | {store.original_key("late")}
    sweep.sweep(environment, objects)
    assert keys(objects) == pictures


# ---- at the shell ------------------------------------------------------------------------------------------


def test_the_command_erases_restores_and_lifts(
    client: TestClient, corpus: Session, finish: Finish, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["erase", GONE, "--confirm", LEFT, "--reason", "none"]) == 2
    assert main(["restore", GONE]) == 1  # not withdrawn
    finish(client.delete(f"/patents/{GONE}"))
    assert main(["restore", GONE]) == 0
    assert client.get(f"/patents/{GONE}").status_code == 200
    assert main(["erase", GONE, "--confirm", GONE, "--reason", "order 7"]) == 0
    assert client.get(f"/patents/{GONE}").status_code == 410
    assert main(["erase", GONE, "--confirm", GONE, "--reason", "order 7"]) == 1
    assert main(["lift", GONE]) == 0
    assert main(["lift", GONE]) == 1
    assert main(["erase", "D2", "--confirm", "D2", "--reason", "order 8"]) == 0  # as people write it
    assert client.get(f"/patents/{LEFT}").status_code == 410
    assert main(["restore", "D2"]) == 1
    assert main(["lift", "d0,000,002"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("{")]
    assert len(told) == 5
    assert all(corpus.scalars(select(Erasure.lifted_by)))
