"""A corpus to train on: each patent's drawings are squares in one place, described by a word of their own."""

import datetime as dt

from obstore.store import ObjectStore
from PIL import Image, ImageDraw
from sqlalchemy.orm import Session

from linework_core import store
from linework_core.corpus import next_snapshot
from linework_core.imaging import derivative_hash, encode_png
from linework_core.tables import Description, Drawing, Figure, Job, Patent, Sheet

WORDS = ("lamp", "chair", "bottle", "shoe", "clock", "phone")


def add_designs(
    session: Session, objects: ObjectStore, count: int, *, first: int = 0, views: int = 3, year: int = 2015,
    described: bool = True, locarno: str | None = None,
) -> int:  # fmt: skip
    """Add patents granted on the first days of a year, and return the snapshot."""
    job = Job(kind="ingest", owner="test", state="succeeded")
    session.add(job)
    session.flush()
    snapshot = next_snapshot(session)
    for number in range(first, first + count):
        granted = dt.date(year, 1, 1) + dt.timedelta(days=number - first)
        _add(session, objects, number, views, granted, locarno or f"{14 + number % 2}-{1 + number % 3:02}", described,
             job, snapshot)  # fmt: skip
    session.commit()
    return snapshot


def _add(
    session: Session, objects: ObjectStore, number: int, views: int, granted: dt.date, locarno: str, described: bool,
    job: Job, snapshot: int,
) -> None:  # fmt: skip
    word = f"{WORDS[number % len(WORDS)]} {number}"
    facts = {"patent_id": f"USD{number:07}", "office": "US", "granted": granted, "locarno": locarno}
    patent = Patent(
        **facts, number=f"D{number}", title=word.capitalize(), source="uspto", digest=str(number), job_id=job.id,
        added_in=snapshot,
    )  # fmt: skip
    session.add(patent)
    session.flush()
    sheet = Sheet(
        sheet_id=f"USD{number:07}-S", patent_row=patent.row_id, number=1, role="drawings", original="0" * 64,
        width=64, height=64,
    )  # fmt: skip
    figure = Figure(patent_row=patent.row_id, ordinal=1, number="1", label="FIG. 1", caption=f"FIG. 1 shows the {word}")
    session.add_all([sheet, figure])
    session.flush()
    for view in range(1, views + 1):
        drawing = Drawing(
            **facts, drawing_id=f"USD{number:07}-S_{view}", patent_row=patent.row_id, sheet_row=sheet.row_id,
            figure_row=figure.row_id if view == 1 else None, number=view, original="0" * 64,
            derivative=_derivative(objects, number, view), width=64, height=64, added_in=snapshot,
        )  # fmt: skip
        session.add(drawing)
        session.flush()
        if described:
            session.add(
                Description(
                    drawing_row=drawing.row_id, drawing_id=drawing.drawing_id, patent_id=drawing.patent_id,
                    texts=[{"text": text, "language": "en"} for text in (word, f"an ornamental {word}")],
                    provider="template", prompt="p" * 64, facts="f" * 64, recipe="first", job_id=job.id,
                    added_in=snapshot,
                )
            )  # fmt: skip


def _derivative(objects: ObjectStore, number: int, view: int) -> str:
    picture = Image.new("L", (64, 64), 255)
    left, top = 4 + number * 7 % 30, 4 + number * 3 % 30
    ImageDraw.Draw(picture).rectangle((left, top, left + 10 + number % 3 * 8, top + 12 + view), outline=0, width=view)
    name = derivative_hash(picture)
    store.put_once(objects, store.derivative_key(name), encode_png(picture))
    return name
