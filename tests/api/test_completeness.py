"""`unindexed` is counted only while something may be missing, and is right all the same."""

import datetime as dt

from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from linework_core import encoders
from linework_core.corpus import close_patent, next_snapshot, open_patent
from linework_core.tables import Drawing, Embedding, Encoder
from tests.api.conftest import Design, load, unit, wipe
from tests.api.test_search import search

QUERY = Design("USD0000001", [unit(0)], granted=dt.date(2020, 1, 7))
Step = tuple[str, int]


@given(steps=st.lists(st.tuples(st.sampled_from(["indexed", "bare", "note", "embed", "withdraw"]), st.integers(2, 9))))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_unindexed_is_right_after_any_history(
    client: TestClient, session: Session, encoder: Encoder, steps: list[Step]
) -> None:
    wipe(session)
    load(session, encoder, [QUERY])
    vectors: dict[str, bool] = {}  # of the open patents: whether they have one
    for what, number in steps:
        name = f"USD{number:07}"
        if what in ("indexed", "bare") and name not in vectors:
            load(session, encoder, [Design(name, [unit(number) if what == "indexed" else None])])
            vectors[name] = what == "indexed"
        elif what == "note":
            noted = encoders.note_if_complete(session, encoder)
            session.commit()
            assert noted == all(vectors.values())
        elif what == "embed" and vectors.get(name) is False:
            embed(session, encoder, name, number)
            vectors[name] = True
        elif what == "withdraw" and name in vectors:
            patent = open_patent(session, name)
            assert patent is not None
            close_patent(session, patent, next_snapshot(session))
            session.commit()
            del vectors[name]
        answer = search(client, drawing="USD0000001-S_1")
        assert answer["eligible"] == sum(vectors.values())
        assert answer["unindexed"] == sum(not indexed for indexed in vectors.values())


def embed(session: Session, encoder: Encoder, patent: str, seed: int) -> None:
    drawing = session.scalars(select(Drawing).where(Drawing.patent_id == patent, Drawing.removed_in.is_(None))).one()
    snapshot = next_snapshot(session)
    session.add(
        Embedding(
            encoder=encoder.number,
            drawing_row=drawing.row_id,
            drawing_id=drawing.drawing_id,
            vector=list(unit(seed)),
            derivative=drawing.derivative,
            patent_id=patent,
            office="US",
            granted=drawing.granted,
            added_in=snapshot,
        )
    )
    session.commit()
