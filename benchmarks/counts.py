"""What the exact count of eligible drawings costs, before and after a process remembers a snapshot's counts by day.

    python -m benchmarks.counts [--folder /tmp/linework-bench]

On the corpora that `python -m benchmarks.search` leaves in its folder. Milliseconds, medians over 25 searches for what
lies before the middle day, one patent left out.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from benchmarks.search import postgres
from linework_api.search import counts
from linework_api.search.counts import Tally
from linework_core import db, encoders, nearest
from linework_core.scope import Scope
from linework_core.tables import Encoder, VectorIndex


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/linework-bench"))
    asked = parser.parse_args()
    with postgres.server(asked.folder) as url:
        engine = db.make_engine(url)
        nearest.tune(engine)
        print("| rows | counted | before the middle day | all, by day | remembered |\n|---|---|---|---|---|")
        with Session(engine) as session:
            for encoder in session.scalars(select(Encoder).order_by(Encoder.number)).all():
                _measure(session, encoder)
            session.rollback()


def _measure(session: Session, encoder: Encoder) -> None:
    leaf = encoders.partition(encoder)
    rows, middle, patent = session.execute(
        text(f"SELECT count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY granted), min(patent_id) FROM {leaf}")
    ).one()
    session.get_one(VectorIndex, encoder.number).complete_at = 1  # there are no drawings that could lack a vector
    session.flush()
    scope = Scope(1, before=middle, without=frozenset({patent}))
    for what, unit in (("drawings", "count(*)"), ("patents", "count(DISTINCT patent_id)")):
        count = partial(Tally.count, session=session, encoder=encoder, scope=scope, patents=what == "patents")
        alone = _median(lambda count=count: count(Tally()))  # type: ignore[misc]  # each time as if for the first time
        by_day = _median(partial(counts._count_by_day, session, leaf, Scope(1), unit))
        known = _median(partial(count, Tally()))
        print(f"| {rows:,} | {what} | {alone:.2f} | {by_day:.2f} | {known:.2f} |")


def _median(count: Callable[[], object], times: int = 25) -> float:
    """Milliseconds, after three that do not count."""
    taken = []
    for _ in range(3 + times):
        began = time.perf_counter()
        count()
        taken.append(1_000 * (time.perf_counter() - began))
    return statistics.median(taken[3:])


if __name__ == "__main__":
    main()
