"""What is loaded: 'nothing found' is worth only as much as this."""

import datetime as dt
import itertools
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from linework_api.auth import Caller, KeyFirst, needs
from linework_api.state import WithSession
from linework_core import encoders
from linework_core.corpus import current_snapshot
from linework_core.http import problems
from linework_core.tables import Drawing, EmbedFailure, Encoder, Package, Patent, SetAside, VectorIndex

router = APIRouter(tags=["corpus"], route_class=KeyFirst)
WEEK = dt.timedelta(days=7)


class OfficeCount(BaseModel):
    office: str
    patents: int
    undated: int
    first_granted: dt.date | None
    last_granted: dt.date | None


class Gap(BaseModel):
    """Weeks without a weekly package between two that are there."""

    first: dt.date
    last: dt.date
    weeks: int


class IndexCoverage(BaseModel):
    encoder: str
    name: str
    state: str
    drawings: int
    indexed: int
    failed: int = Field(description="Drawings that could not be embedded; tried again after a growing pause.")


class CorpusView(BaseModel):
    snapshot: int
    patents: int
    drawings: int
    offices: list[OfficeCount]
    weeks: list[dt.date] = Field(description="Weekly packages that were ingested to their end.")
    gaps: list[Gap]
    set_aside: dict[str, int] = Field(description="Records that could not be taken, by reason.")
    indexes: list[IndexCoverage]


@router.get("/corpus", responses=problems(400, 401, 403, 422, 503))
def read_corpus(session: WithSession, _: Annotated[Caller, Depends(needs("search"))]) -> CorpusView:
    """What is loaded, which weeks are missing, what was set aside, and how much of it each index holds."""
    weeks = list(session.scalars(select(Package.week).where(Package.week.is_not(None)).distinct().order_by("week")))
    reasons = select(SetAside.reason, func.count()).group_by(SetAside.reason).order_by(SetAside.reason)
    offices = _offices(session)
    return CorpusView(
        snapshot=current_snapshot(session),
        patents=sum(office.patents for office in offices),
        drawings=session.scalar(select(func.count()).where(Drawing.removed_in.is_(None))) or 0,
        offices=offices,
        weeks=[week for week in weeks if week is not None],
        gaps=gaps([week for week in weeks if week is not None]),
        set_aside={reason: number for reason, number in session.execute(reasons)},  # noqa: C416  # rows are no pairs to mypy
        indexes=_indexes(session),
    )


def gaps(weeks: list[dt.date]) -> list[Gap]:
    """Runs of missing weeks in a sorted list of weekly dates."""
    found = []
    for before, after in itertools.pairwise(weeks):
        missing = (after - before).days // 7 - 1
        if missing > 0:
            found.append(Gap(first=before + WEEK, last=before + WEEK * missing, weeks=missing))
    return found


def _offices(session: Session) -> list[OfficeCount]:
    statement = (
        select(
            Patent.office,
            func.count(),
            func.count().filter(Patent.granted.is_(None)),
            func.min(Patent.granted),
            func.max(Patent.granted),
        )
        .where(Patent.removed_in.is_(None))
        .group_by(Patent.office)
        .order_by(Patent.office)
    )
    names = list(OfficeCount.model_fields)
    return [OfficeCount(**dict(zip(names, row, strict=True))) for row in session.execute(statement)]


def _indexes(session: Session) -> list[IndexCoverage]:
    failures = select(func.count()).where(EmbedFailure.encoder == Encoder.number).scalar_subquery()
    statement = select(Encoder, VectorIndex.state, failures).join(VectorIndex, VectorIndex.encoder == Encoder.number)
    found = []
    statement = statement.where(VectorIndex.removed_at.is_(None))
    for encoder, state, failed in session.execute(statement.order_by(Encoder.number)):
        coverage = encoders.coverage(session, encoder)
        found.append(
            IndexCoverage(
                encoder=encoder.encoder_id,
                name=encoder.name,
                state=state,
                drawings=coverage.drawings,
                indexed=coverage.indexed,
                failed=failed,
            )
        )
    return found
