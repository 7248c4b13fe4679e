"""What an enrichment describes, what it costs, and where it stops: jobs on a real database, models over real HTTP."""

import datetime as dt

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from linework_core import db
from linework_core.corpus import close_patent, current_snapshot, next_snapshot, open_patent
from linework_core.scope import Scope
from linework_core.tables import Description, Drawing, EnrichFailure, Job, LlmCall
from linework_enricher import prompts
from tests.enricher.corpus import add_design, counts, enrich, failures, sets
from tests.enricher.rig import KEY


def add(engine, objects, *designs, **told):
    with db.transaction(engine) as session:
        for number, named in enumerate(designs, start=1):
            add_design(session, objects, f"USD{number:07}", named=named, **told)


def due_again(engine):
    with db.transaction(engine) as session:
        session.execute(update(EnrichFailure).values(next_try_at=func.now() - dt.timedelta(seconds=1)))


def about(named):
    """Whether a call's body is about an object of this name."""
    return lambda body: named in str(body["messages"])


def test_the_template_describes_every_drawing_without_a_call(engine, objects, stub):
    add(engine, objects, "desk lamp", "office chair")
    job = enrich(engine, "template")
    assert (job.state, counts(job)) == ("succeeded", (6, 6, 0, 0)), job.error
    assert job.result["described"] == 6
    assert (job.result["calls"], job.result["cost"], job.result["stopped"]) == (0, 0, None)
    assert stub.log == []
    for one in sets(engine):
        assert (one.provider, one.model, one.calls, one.recipe) == ("template", None, [], job.result["recipe"])
        assert len(one.texts) == 10


def test_a_set_is_searchable_by_words_and_has_its_snapshot(engine, objects):
    add(engine, objects, "desk lamp")
    with Session(engine) as session:
        before = current_snapshot(session)
    enrich(engine, "template")
    with Session(engine) as session:
        assert current_snapshot(session) == before + 1
        found = select(Description).where(Description.words.op("@@")(func.to_tsquery("english", "lamp:C")))
        assert [one.added_in for one in session.scalars(found)] == [before + 1] * 3


def test_drawings_of_a_design_share_the_call_that_needs_no_view(engine, objects, stub):
    add(engine, objects, "desk lamp", "office chair")
    job = enrich(engine)
    assert (job.state, counts(job)) == ("succeeded", (6, 6, 0, 0)), job.error
    assert len(stub.log) == job.result["calls"] == 2
    described = sets(engine)
    assert {(one.provider, one.model, one.captioner) for one in described} == {("openai", "stub-1", None)}
    assert len({tuple(one.calls) for one in described}) == 2
    assert sum(one.tokens_in for one in described) == job.result["tokens_in"] > 0
    assert float(sum(one.cost for one in described)) == pytest.approx(job.result["cost"])
    assert all(len(one.texts) == 10 for one in described)
    assert len({str(one.texts) for one in described}) == 6  # its view tells each from the others


def test_a_captioner_looks_at_each_drawing(engine, objects, stub):
    add(engine, objects, "desk lamp")
    job = enrich(engine, captioner=True)
    assert (job.state, counts(job)) == ("succeeded", (3, 3, 0, 0)), job.error
    assert stub.calls_by_purpose == {"caption": 3, "describe": 3}
    assert {(one.captioner, len(one.calls)) for one in sets(engine)} == {("stub-vision", 2)}
    pictures = [call for call in stub.log if "data:image/png;base64" in call.prompt]
    assert len(pictures) == 3


def test_the_same_enrichment_again_does_nothing(engine, objects, stub):
    add(engine, objects, "desk lamp")
    enrich(engine)
    job = enrich(engine)
    assert counts(job) == (0, 0, 0, 0)
    assert len(stub.log) == 1
    assert len(sets(engine, all_of_them=True)) == 3


def test_the_same_question_is_never_sent_twice_even_where_its_texts_are_gone(engine, objects, stub):
    add(engine, objects, "desk lamp")
    enrich(engine, captioner=True)
    with db.transaction(engine) as session:
        session.execute(text("DELETE FROM descriptions"))
    job = enrich(engine, captioner=True)
    assert (job.result["described"], job.result["calls"], job.result["cache_hits"], job.result["cost"]) == (3, 0, 6, 0)
    assert len(stub.log) == 6
    assert {float(one.cost) for one in sets(engine)} == {0.0}


def test_a_new_version_of_a_prompt_makes_new_sets_beside_the_old(engine, objects, stub, monkeypatch):
    add(engine, objects, "desk lamp")
    first = enrich(engine)
    original = prompts._file
    monkeypatch.setattr(prompts, "_file", lambda name: original(name) + " Be brief.")
    prompts.version.cache_clear()
    try:
        second = enrich(engine)
    finally:
        prompts.version.cache_clear()
    assert second.result["described"] == 3
    assert len(stub.log) == 2
    assert {one.recipe for one in sets(engine)} == {second.result["recipe"]} != {first.result["recipe"]}
    everything = sets(engine, all_of_them=True)
    assert len(everything) == 6
    older = {one.drawing_id: one for one in everything if one.removed_in}
    assert all(older[one.drawing_id].removed_in == one.added_in for one in sets(engine))


def test_corrected_facts_are_described_anew_and_unchanged_ones_cost_nothing(engine, objects, stub):
    add(engine, objects, "desk lamp", "office chair")
    enrich(engine)
    with db.transaction(engine) as session:
        for patent_id, named in (("USD0000001", "table lamp"), ("USD0000002", "office chair")):
            close_patent(session, open_patent(session, patent_id), next_snapshot(session))
            add_design(session, objects, patent_id, named=named)
    assert sets(engine) == []  # closed with their patents
    job = enrich(engine)
    assert (job.result["described"], job.result["calls"], job.result["cache_hits"]) == (6, 1, 1)
    assert len(sets(engine, all_of_them=True)) == 12


def test_patents_and_drawings_add_up_and_a_filter_narrows_down(engine, objects):
    add(engine, objects, "desk lamp", "office chair", "tea pot")
    with Session(engine) as session:
        snapshot = current_snapshot(session)
    front = Scope(snapshot, view=("front elevational view",)).as_json()

    def described(**scope):
        asked = {"patents": [], "drawings": [], "scope": None, "dry_run": True} | scope
        return enrich(engine, "template", **asked).result["drawings"]

    assert described() == 9
    assert described(patents=["USD0000001"], drawings=["USD0000002-S_1"]) == 4
    assert described(scope=front) == 3
    assert described(patents=["USD0000001"], scope=front) == 1


def test_a_dry_run_tells_what_would_be_sent_and_sends_nothing(engine, objects, stub):
    add(engine, objects, "desk lamp", "office chair")
    told = enrich(engine, dry_run=True)
    assert told.state == "succeeded", told.error
    assert stub.log == []
    assert sets(engine) == []
    assert (told.result["drawings"], told.result["calls"], told.result["cache_hits"]) == (6, 2, 0)
    job = enrich(engine)
    assert job.result["calls"] == told.result["calls"]
    assert job.result["tokens_in"] <= told.result["tokens_in"] <= 3 * job.result["tokens_in"]
    assert 0 < told.result["cost"] < 1


def test_a_dry_run_with_a_captioner_knows_what_was_answered_before(engine, objects, stub):
    add(engine, objects, "desk lamp", drawings=4)
    assert enrich(engine, captioner=True, dry_run=True).result["calls"] == 8
    enrich(engine, captioner=True, drawings=["USD0000001-S_1", "USD0000001-S_2"])
    assert enrich(engine, captioner=True, dry_run=True).result["calls"] == 4
    with db.transaction(engine) as session:
        session.execute(text("DELETE FROM descriptions"))
        session.execute(text("DELETE FROM llm_calls WHERE purpose = 'describe'"))
    told = enrich(engine, captioner=True, dry_run=True).result
    assert (told["drawings"], told["calls"], told["cache_hits"]) == (4, 6, 2)
    assert len(stub.log) == 4


def test_a_dry_run_of_the_template_costs_nothing(engine, objects):
    add(engine, objects, "desk lamp")
    assert enrich(engine, "template", dry_run=True).result == {
        "drawings": 3, "calls": 0, "cache_hits": 0, "tokens_in": 0, "tokens_out": 0, "cost": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize("provider", ["template", "openai"])
def test_a_budget_of_drawings_is_kept(engine, objects, provider):
    add(engine, objects, "desk lamp", "office chair")
    job = enrich(engine, provider, budget={"drawings": 4, "tokens": None, "money": None})
    assert (job.state, job.result["stopped"], counts(job)) == ("succeeded", "budget", (4, 4, 0, 0)), job.error
    assert len(sets(engine)) == 4
    rest = enrich(engine, provider, budget={"drawings": 2})
    assert (rest.result["stopped"], rest.result["described"]) == (None, 2)


def test_a_budget_of_tokens_stops_before_it_is_exceeded(engine, objects, stub):
    add(engine, objects, *(f"desk lamp of kind {number}" for number in range(12)), drawings=1)
    job = enrich(engine, budget={"tokens": 8000})
    assert (job.state, job.result["stopped"]) == ("succeeded", "budget"), job.error
    assert 0 < job.result["tokens_in"] + job.result["tokens_out"] <= 8000
    assert 0 < len(stub.log) == job.result["calls"] == len(sets(engine)) < 12


def test_a_budget_of_money_stops_before_it_is_exceeded_and_what_is_known_costs_nothing(engine, objects, stub):
    add(engine, objects, *(f"desk lamp of kind {number}" for number in range(12)), drawings=1)
    job = enrich(engine, budget={"money": 0.009})
    assert job.result["stopped"] == "budget"
    assert 0 < job.result["cost"] <= 0.009
    with db.transaction(engine) as session:
        session.execute(text("DELETE FROM descriptions"))
    again = enrich(engine, budget={"money": 0.000001})
    assert (again.result["cost"], again.result["stopped"]) == (0, "budget")
    assert again.result["cache_hits"] > 0
    assert len(stub.log) == job.result["calls"]


def test_a_bad_answer_is_asked_again_with_its_fault_named(engine, objects, stub):
    add(engine, objects, "desk lamp", drawings=1)
    stub.fail("wrong-schema", "prose")
    job = enrich(engine)
    assert (job.state, counts(job)) == ("succeeded", (1, 1, 0, 0)), job.error
    assert len(stub.log) == job.result["calls"] == 3
    assert "cannot be used" in stub.log[1].prompt
    assert len(sets(engine)[0].calls) == 3


def test_one_poisoned_drawing_is_set_aside_with_its_reason_and_the_others_go_on(engine, objects, stub):
    add(engine, objects, "desk lamp", "poisoned pot", "office chair", drawings=1)
    stub.fail_where(lambda body: "prose" if about("poisoned")(body) else None)
    job = enrich(engine)
    assert (job.state, counts(job)) == ("succeeded", (3, 2, 0, 1)), job.error
    assert job.result["failed"] == {"answer-not-json": 1}
    failed = failures(engine)[0]
    assert (failed.reason, failed.tries) == ("answer-not-json", 1)
    assert "Asked 3 times" in failed.detail

    assert counts(enrich(engine)) == (0, 0, 0, 0)  # not due yet
    assert enrich(engine).result["waiting"] == 1
    due_again(engine)
    sent = len(stub.log)
    assert enrich(engine).result["failed"] == {"answer-not-json": 1}
    assert len(stub.log) == sent  # what was answered to these questions is known
    assert failures(engine)[0].tries == 2
    with Session(engine) as session:
        pause = session.scalars(select(EnrichFailure.next_try_at - func.now())).one()
    assert pause > dt.timedelta(minutes=3)


def test_a_refusal_is_a_failure_with_a_reason_of_its_own_and_what_it_took_is_counted(engine, objects, stub):
    add(engine, objects, "desk lamp", drawings=2)
    stub.always = "refusal"
    job = enrich(engine)
    assert (counts(job), job.result["failed"]) == ((2, 0, 0, 2), {"model-refused": 2})
    assert job.result["calls"] == len(stub.log) == 2  # the third question would have been the second again
    assert job.result["cost"] > 0


def test_what_failed_for_the_provider_is_tried_again_after_a_pause(engine, objects, stub):
    add(engine, objects, "desk lamp", "office chair", drawings=1)
    stub.fail_where(lambda body: "400" if about("office")(body) else None)
    job = enrich(engine)
    assert (counts(job), job.result["failed"]) == ((2, 1, 0, 1), {"provider-rejected": 1})
    stub.pick = None
    due_again(engine)
    assert counts(enrich(engine)) == (1, 1, 0, 0)
    assert failures(engine) == []
    assert len(sets(engine)) == 2


def test_a_drawing_whose_picture_is_missing_is_set_aside(engine, objects, stub):
    add(engine, None, "desk lamp", drawings=1)
    job = enrich(engine, captioner=True)
    assert (counts(job), job.result["failed"]) == ((1, 0, 0, 1), {"derivative-missing": 1})
    assert stub.log == []


def test_a_wrong_key_ends_the_job_and_is_told_nowhere(engine, objects, stub):
    add(engine, objects, "desk lamp", "office chair")
    stub.always = "401"
    job = enrich(engine)
    assert (job.state, job.error["type"]) == ("failed", "provider-rejected")
    assert failures(engine) == []
    with Session(engine) as session:
        rows = session.execute(select(func.row_to_json(Job.__table__.table_valued()))).all()
        rows += session.execute(select(func.row_to_json(LlmCall.__table__.table_valued()))).all()
    assert KEY not in str(rows)


def test_a_model_that_is_not_configured_any_more_fails_the_job(engine, objects, settings):
    add(engine, objects, "desk lamp")
    job = enrich(engine, settings=settings.model_copy(update={"llm": None}))
    assert (job.state, job.error["type"]) == ("failed", "invalid-request")


def test_another_model_of_the_same_server_is_another_recipe(engine, objects, stub):
    add(engine, objects, "desk lamp", drawings=1)
    enrich(engine)
    enrich(engine, model="stub-2")
    assert [call.body["model"] for call in stub.log] == ["stub-1", "stub-2"]
    assert [one.model for one in sets(engine)] == ["stub-2"]


def test_a_drawing_that_was_closed_meanwhile_is_skipped(engine, objects, stub):
    add(engine, objects, "desk lamp", "office chair", drawings=1)

    def withdraw(body):
        if about("office")(body):
            with db.transaction(engine) as session:
                patent = open_patent(session, "USD0000002")
                if patent is not None:
                    close_patent(session, patent, next_snapshot(session))

    stub.fail_where(withdraw)
    job = enrich(engine)
    assert counts(job) == (2, 1, 1, 0)
    with Session(engine) as session:
        closed = select(Drawing.row_id).where(Drawing.removed_in.is_not(None))
        assert session.scalars(select(Description).where(Description.drawing_row.in_(closed))).all() == []


def test_texts_in_another_language_are_asked_for_in_that_language(engine, objects, stub, monkeypatch):
    add(engine, objects, "desk lamp", drawings=1)
    job = enrich(engine, languages=["de"], count=5)
    assert counts(job) == (1, 1, 0, 0), failures(engine)[0].detail
    assert {one["language"] for one in sets(engine)[0].texts} == {"de"}
