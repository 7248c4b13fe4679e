"""The two ways of ranking, as the planner takes them: what they promise holds under any corpus and filter."""

import datetime as dt
import threading
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from linework_api.search import ranking
from linework_api.search.ranking import Ranked
from linework_core import nearest, vector_costs, vector_index
from linework_core.corpus import close_patent, current_snapshot, next_snapshot, open_patent
from linework_core.db import one_by_one, session_factory, transaction
from linework_core.scope import Scope
from linework_core.tables import Embedding, Encoder, VectorIndex
from linework_core.vector_index import Measured
from tests.api.conftest import Design, load, unit, wipe

CLASSES = ("14-02", "14-03", "14", "02-14", None)
FIRST = dt.date(2001, 1, 2)
MODES = ("auto", "exact", "approximate")
quick = settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def day(week: int) -> dt.date:
    return FIRST + dt.timedelta(weeks=week)


def query(seed: int) -> Any:
    return np.asarray([unit(seed)], np.float32)


def ids(ranked: Ranked) -> list[str]:
    return [found.drawing_id for found in ranked.found]


designs = st.lists(
    st.builds(
        lambda seeds, week, locarno: (
            tuple(unit(seed) for seed in seeds),
            None if week is None else day(week),
            locarno,
        ),
        st.lists(st.integers(0, 9), min_size=1, max_size=3),  # few vectors, so that many distances are equal
        st.none() | st.integers(0, 20),
        st.sampled_from(CLASSES),
    ),
    max_size=8,
)
scopes = st.builds(
    lambda before, after, basis, locarno, without: {
        "before": None if before is None else day(before),
        "after": None if after is None else day(after),
        "date_basis": basis,
        "locarno": tuple(locarno),
        "without": frozenset(f"USD{number:07d}" for number in without),
    },
    before=st.none() | st.integers(0, 21),
    after=st.none() | st.integers(0, 21),
    basis=st.sampled_from(["granted", "filed"]),
    locarno=st.lists(st.sampled_from(["14", "14-02", "02", "02-14"]), max_size=2),
    without=st.lists(st.integers(1, 14), max_size=2),
)


def by_numpy(session: Session, encoder: Encoder, scope: Scope, vectors: Any) -> list[tuple[float, str]]:
    """Distance and drawing id of all that pass, in order: filtered and compared without SQL."""
    found = []
    for row in session.scalars(select(Embedding).where(Embedding.encoder == encoder.number)):
        date, locarno = getattr(row, scope.date_basis), row.locarno or ""
        late = scope.before is not None and (date is None or date >= scope.before)
        early = scope.after is not None and (date is None or date < scope.after)
        other = scope.locarno and not any(locarno == one or locarno.startswith(f"{one}-") for one in scope.locarno)
        gone = row.added_in > scope.snapshot or (row.removed_in is not None and row.removed_in <= scope.snapshot)
        if not (late or early or other or gone or row.patent_id in scope.without):
            stored = np.asarray(row.vector, np.float64)
            asked = np.asarray(vectors, np.float16).astype(np.float64)
            cosines = asked @ stored / np.linalg.norm(asked, axis=1) / np.linalg.norm(stored)
            found.append((round(1.0 - float(cosines.max()), 6), row.drawing_id))
    return sorted(found)


@quick
@given(corpus=designs, filters=scopes, k=st.integers(1, 12), seeds=st.lists(st.integers(0, 12), min_size=1, max_size=3))
def test_an_exact_ranking_is_that_of_numpy_and_ties_come_by_drawing_id(
    empty_corpus: Session, encoder: Encoder, corpus: Any, filters: Any, k: int, seeds: list[int]
) -> None:
    wipe(empty_corpus)
    made = [Design(f"USD{n:07d}", v, granted=d, filed=d, locarno=c) for n, (v, d, c) in enumerate(corpus, start=1)]
    scope = Scope(load(empty_corpus, encoder, made), **filters)
    vectors = np.concatenate([query(seed) for seed in seeds])
    ranked = ranking.rank(empty_corpus, encoder, vectors, scope, k, mode="exact")
    truth = by_numpy(empty_corpus, encoder, scope, vectors)[:k]
    assert ids(ranked) == [drawing_id for _, drawing_id in truth]
    assert [found.score for found in ranked.found] == pytest.approx([1.0 - near for near, _ in truth], abs=1e-5)
    assert ranked.exact


@pytest.fixture
def indexed(engine: Engine, session: Session, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> int:
    """400 drawings under graphs, as a large corpus has them; returns the snapshot."""
    for name, value in (("SCANNED_ROWS", 60), ("COVERED_ROWS", 60), ("CLASS_ROWS", 60)):
        monkeypatch.setattr(vector_index, name, value)
    monkeypatch.setattr(vector_costs, "QUERIES", 10)
    snapshot = load(session, encoder, [design(number) for number in range(200)])
    session.commit()
    vector_costs.refresh(engine, encoder)
    let_times_follow_sizes(session, encoder)
    nearest.tune(engine)
    return snapshot


def let_times_follow_sizes(session: Session, encoder: Encoder) -> None:
    """What walks of graphs as small as these take is noise, and the planner would choose by it."""
    measured = vector_costs.load(session.connection(), encoder)
    assert measured is not None
    for graph in measured.graphs:
        for effort in graph.efforts:
            effort.ms = graph.rows / 1000
    session.get_one(VectorIndex, encoder.number).measured = measured.model_dump(mode="json")
    session.commit()


def design(number: int) -> Design:
    """Two views of a design; four in five of one class; dates in no order."""
    locarno = "02-14" if number % 5 == 0 else "14-02"
    vectors = [unit(2 * number), unit(2 * number + 1)]
    return Design(f"USD{number:07d}", vectors, granted=day(37 * number % 101), filed=None, locarno=locarno)


@quick
@given(filters=scopes, k=st.integers(1, 500), seed=st.integers(1000, 1100), mode=st.sampled_from(MODES))
def test_no_mode_returns_fewer_than_there_are(
    indexed: int, session: Session, encoder: Encoder, filters: Any, k: int, seed: int, mode: Any
) -> None:
    scope = Scope(indexed, **filters)
    ranked = ranking.rank(session, encoder, query(seed), scope, k, mode=mode)
    truth = by_numpy(session, encoder, scope, query(seed))
    assert len(ranked.found) == min(k, len(truth))
    assert set(ids(ranked)) <= {drawing_id for _, drawing_id in truth}
    assert [(-found.score, found.drawing_id) for found in ranked.found] == sorted(
        (-found.score, found.drawing_id) for found in ranked.found
    )
    if ranked.exact:  # among 400 vectors some lie as far as single precision can tell
        distances = {drawing_id: distance for distance, drawing_id in truth}
        nearest_first = [distance for distance, _ in truth[:k]]
        assert [distances[drawing_id] for drawing_id in ids(ranked)] == pytest.approx(nearest_first, abs=3e-6)


def test_a_walk_finds_nearly_all_and_uses_the_graph_of_the_region(
    indexed: int, session: Session, encoder: Encoder
) -> None:
    scope = Scope(indexed, before=day(45))
    found = wanted = 0
    for seed in range(1000, 1020):
        before = scans(session)
        ranked = ranking.rank(session, encoder, query(seed), scope, 10, mode="approximate")
        truth = {drawing_id for _, drawing_id in by_numpy(session, encoder, scope, query(seed))[:10]}
        found, wanted = found + len(truth & set(ids(ranked))), wanted + len(truth)
        assert not ranked.exact
        assert ranked.plan.graph is not None
        assert ranked.plan.graph.before is not None
        assert scans(session)[ranked.plan.graph.index] > before[ranked.plan.graph.index]
    assert found / wanted >= 0.99


def test_a_walk_that_ends_far_from_its_query_is_done_again_with_more_effort(
    indexed: int, session: Session, encoder: Encoder
) -> None:
    known = measured(session, encoder)
    graph, cursor, scope = known.graphs[0], nearest.cursor(session.connection()), Scope(indexed)

    def walked(seed: int, far: float) -> tuple[int, int]:
        """The row that is found with hardly any effort, and how often the graph was asked."""
        where, params, before = scope.sql("embeddings_1"), scope.params(), scans(session)[graph.index]
        [found] = nearest.walk(
            cursor, "embeddings_1", query(seed), 1, where, params, region=graph.condition, ef=1, far=far
        )
        return found.drawing_row, scans(session)[graph.index] - before

    for seed in range(1000, 1020):
        [truth] = nearest.scan(cursor, "embeddings_1", query(seed), 1)
        assert walked(seed, nearest.NOWHERE_FAR)[1] == 1
        assert walked(seed, truth.distance - 1e-3) == (truth.drawing_row, 2)


def test_a_picture_that_finds_nothing_like_it_is_noticed_beside_one_that_does(
    indexed: int, session: Session, encoder: Encoder
) -> None:
    known = measured(session, encoder)
    graph, cursor, scope = known.graphs[0], nearest.cursor(session.connection()), Scope(indexed)
    stored, strange = query(0), query(1000)
    [of_strange] = nearest.scan(cursor, "embeddings_1", strange, 1)

    def asked(far: float) -> int:
        where, params, before = scope.sql("embeddings_1"), scope.params(), scans(session)[graph.index]
        both = np.concatenate([stored, strange])
        [found] = nearest.walk(cursor, "embeddings_1", both, 1, where, params, region=graph.condition, ef=40, far=far)
        assert found.distance == pytest.approx(0, abs=1e-3)
        return scans(session)[graph.index] - before

    assert asked(of_strange.distance + 1e-3) == 2
    assert asked(of_strange.distance - 1e-3) == 4


def test_what_is_far_lies_beyond_nearly_all_that_is_found_and_below_what_has_nothing_in_common(
    indexed: int, session: Session, encoder: Encoder
) -> None:
    known = measured(session, encoder)
    cursor, far = nearest.cursor(session.connection()), known.graphs[0].efforts[0].far
    found = [nearest.scan(cursor, "embeddings_1", query(seed), 400) for seed in range(1000, 1040)]
    assert sum(near[0].distance <= far for near in found) >= 38
    assert all(near[-1].distance > far for near in found)


def test_the_graph_of_a_class_is_walked_and_no_other_that_holds_the_rows_too(
    indexed: int, session: Session, encoder: Encoder
) -> None:
    known = measured(session, encoder)
    graph = next(graph for graph in known.graphs if graph.locarno == "02-14")
    scope = Scope(indexed, before=day(10), locarno=("02-14",))  # all graphs by date hold what may be found, too
    before, cursor = scans(session), nearest.cursor(session.connection())
    where, params = scope.sql("embeddings_1"), scope.params()
    nearest.walk(cursor, "embeddings_1", query(1), 3, where, params, region=graph.condition, ef=40)
    assert {index for index, number in scans(session).items() if number > before[index]} == {graph.index}


def test_what_is_left_of_a_graph_whose_building_was_interrupted_is_cleared_away(
    indexed: int, engine: Engine, session: Session, encoder: Encoder
) -> None:
    session.execute(text("LOCK TABLE embeddings_1 IN ROW EXCLUSIVE MODE"))  # as who writes: building waits for its end
    ruin = "CREATE INDEX CONCURRENTLY embeddings_1_hnsw_before_19990101 ON embeddings_1 (drawing_row)"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET lock_timeout = '50ms'"))
        with pytest.raises(OperationalError):
            connection.execute(text(ruin))
        connection.invalidate()
    session.commit()
    assert graphs_of(session) > {"embeddings_1_hnsw", "embeddings_1_hnsw_before_19990101"}
    built = {graph.index for graph in vector_index.build(engine, encoder)}
    assert graphs_of(session) == built


def measured(session: Session, encoder: Encoder) -> Measured:
    known = vector_costs.load(session.connection(), encoder)
    assert known is not None
    return known


def graphs_of(session: Session) -> set[str]:
    """The graphs that Postgres has, whole or not."""
    named = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'embeddings_1'::regclass"
    return {name for name in session.scalars(text(named)) if "_hnsw" in name}


def test_a_scan_reads_the_index_by_date_or_by_class(indexed: int, session: Session, encoder: Encoder) -> None:
    session.execute(text("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"))  # so small is the table
    before = scans(session)
    ranking.rank(session, encoder, query(1), Scope(indexed, before=day(3)), 10, mode="exact")
    ranking.rank(session, encoder, query(1), Scope(indexed, before=day(50), locarno=("02-14",)), 10, mode="exact")
    grown = {index for index, number in scans(session).items() if number > before[index]}
    assert grown == {"embeddings_1_by_date", "embeddings_1_by_class"}


def scans(session: Session) -> Counter[str]:
    """How often each index of the vectors was read since this connection last told the statistics."""
    of_leaf = text(
        "SELECT indexrelid::regclass::text, pg_stat_get_xact_numscans(indexrelid) FROM pg_index"
        " WHERE indrelid = 'embeddings_1'::regclass"
    )
    return Counter({index: number for index, number in session.execute(of_leaf)})  # noqa: C416  # rows are no pairs


def test_costs_are_measured_as_searches_run_though_the_pool_was_open_before(
    engine: Engine, session: Session, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, str | None] = {}

    def measure(connection: Connection, *_: object) -> Measured:
        seen.update({name: connection.scalar(select(func.current_setting(name))) for name in nearest.SESSION})
        return Measured(at=dt.datetime.now(dt.UTC), rows=0, start_ms=0, visit_row_us=0, compare_row_us=0)

    for name in ("SCANNED_ROWS", "COVERED_ROWS"):
        monkeypatch.setattr(vector_index, name, 60)
    monkeypatch.setattr(vector_costs, "measure", measure)
    load(session, encoder, [design(number) for number in range(200)])
    session.commit()
    vector_costs.refresh(engine, encoder)
    assert seen == nearest.SESSION


def test_answers_stay_right_while_others_insert_and_withdraw(
    indexed: int, engine: Engine, session: Session, encoder: Encoder
) -> None:
    session.expunge(encoder)  # it goes between threads
    stop, failures = threading.Event(), list[BaseException]()

    def change() -> None:
        number = 1000
        try:
            with session_factory(engine)() as other:
                while not stop.is_set():
                    load(other, encoder, [design(number), design(number + 1)])
                    patent = open_patent(other, f"USD{number - 1000:07d}")
                    if patent is not None:
                        close_patent(other, patent, next_snapshot(other))
                    other.commit()
                    number += 2
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        while thread.is_alive() and current_snapshot(session) <= indexed:  # the first change may take its time
            session.rollback()
            time.sleep(0.01)
        answers = []
        for seed in range(1000, 1040):
            snapshot = current_snapshot(session)
            mode = MODES[seed % 3]
            scope = Scope(snapshot, before=day(60) if seed % 2 else None)
            answers.append((seed, scope, ranking.rank(session, encoder, query(seed), scope, 15, mode=mode)))
            session.rollback()
    finally:
        stop.set()
        thread.join()
    assert not failures
    assert answers[-1][1].snapshot > indexed
    for seed, scope, ranked in answers:
        truth = by_numpy(session, encoder, scope, query(seed))
        assert len(ranked.found) == min(15, len(truth))
        assert set(ids(ranked)) <= {drawing_id for _, drawing_id in truth}
        if ranked.exact:
            assert ids(ranked) == [drawing_id for _, drawing_id in truth[:15]]


@pytest.mark.parametrize("opened", [transaction, one_by_one])
def test_what_a_walk_sets_holds_for_it_alone(engine: Engine, opened: Any) -> None:
    names = ("enable_sort", "hnsw.ef_search", "hnsw.max_scan_tuples")
    asked = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    with opened(engine) as session:
        cursor = nearest.cursor(session.connection())
        cursor.execute("LOAD 'vector'")
        usual = cursor.execute(asked).fetchone()
        with nearest.walking(cursor.connection, ef=123, most=456):
            cursor.execute(asked)
        assert cursor.fetchone() == ("off", "123", "456")
        assert cursor.execute(asked).fetchone() == usual == ("on", "40", "20000")
