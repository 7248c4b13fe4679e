"""What is known of a drawing before anybody describes it."""

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from linework_core.tables import Drawing, Figure, Job, Patent, Sheet
from linework_enricher.facts import load
from tests.enricher.describing import bare, facts


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    engine = create_engine(database_url)
    with Session(engine) as session:
        yield session
    engine.dispose()


def add(session: Session, figures: list[Figure], certain: bool = True, **told: str | None) -> list[Drawing]:
    """A patent with a drawing of each figure, linked to it when that is certain."""
    job = Job(kind="ingest", owner="test", state="succeeded")
    session.add(job)
    session.flush()
    patent = Patent(
        patent_id="USD1", office="US", number="D1", source="uspto", digest="d", job_id=job.id, added_in=1, **told
    )
    session.add(patent)
    session.flush()
    sheet = Sheet(
        sheet_id="USD1-S", patent_row=patent.row_id, number=1, role="drawings", original="0" * 64, width=4, height=3
    )
    for figure in figures:
        figure.patent_row = patent.row_id
    session.add_all([sheet, *figures])
    session.flush()
    drawings = [
        Drawing(
            drawing_id=f"USD1-S_{number}",
            patent_id="USD1",
            office="US",
            patent_row=patent.row_id,
            sheet_row=sheet.row_id,
            figure_row=figure.row_id if certain else None,
            number=number,
            original="0" * 64,
            derivative=f"{number}" * 64,
            width=4,
            height=3,
            added_in=1,
        )
        for number, figure in enumerate(figures, start=1)
    ]
    session.add_all(drawings)
    session.flush()
    return drawings


def figure(number: int, view: str, shown: str | None = "desk lamp") -> Figure:
    caption = f"FIG. {number} is a {view} of a {shown}"
    return Figure(ordinal=number, number=str(number), label=f"FIG. {number}", caption=caption, view=view, object=shown)


def test_facts_come_in_the_order_they_were_asked_for(session: Session) -> None:
    drawings = add(session, [figure(1, "front view"), figure(2, "rear view")], title="Lamp", locarno="26-05")
    rows = [drawings[1].row_id, drawings[0].row_id, 999_999]
    assert [told.view for told in load(session, rows)] == ["rear view", "front view"]


def test_a_drawing_of_a_certain_figure_has_its_caption_and_headings(session: Session) -> None:
    (drawing,) = add(session, [figure(1, "front  view")], title="Desk\n lamp", locarno="26-05", claim="A lamp.")
    (told,) = load(session, [drawing.row_id])
    assert (told.title, told.object, told.view, told.label) == ("Desk lamp", "desk lamp", "front view", "FIG. 1")
    assert (told.locarno, told.locarno_class) == ("26-05", "Lighting apparatus")
    assert told.locarno_subclass is not None
    assert told.locarno_subclass.startswith("Lamps")
    assert told.captions == ()


def test_nobody_guesses_the_view_of_a_drawing_whose_figure_is_not_certain(session: Session) -> None:
    drawings = add(session, [figure(1, "front view"), figure(2, "rear view")], certain=False, title="Lamp")
    told = load(session, [drawings[0].row_id])[0]
    assert (told.view, told.caption, told.label) == (None, None, None)
    assert len(told.captions) == 2


def test_an_object_that_all_figures_name_is_certain_without_knowing_the_figure(session: Session) -> None:
    same = add(session, [figure(1, "front view", "Lamp"), figure(2, "rear view", "lamp")], certain=False)
    assert load(session, [same[0].row_id])[0].object == "lamp"


def test_an_object_on_which_figures_differ_is_not_certain(session: Session) -> None:
    differ = add(session, [figure(1, "front view", "lamp"), figure(2, "rear view", "lid")], certain=False)
    assert load(session, [differ[0].row_id])[0].object is None


def test_the_heading_miscellaneous_is_no_fact(session: Session) -> None:
    (drawing,) = add(session, [figure(1, "front view")], locarno="26-99")
    assert load(session, [drawing.row_id])[0].locarno_subclass is None


def test_a_class_of_another_source_stays_as_it_is(session: Session) -> None:
    (drawing,) = add(session, [figure(1, "front view", None)], locarno="Baseplate")
    (told,) = load(session, [drawing.row_id])
    assert (told.locarno, told.locarno_class, told.name) == ("Baseplate", None, "Baseplate")


def test_the_specific_name_comes_before_the_title_and_the_title_before_a_class() -> None:
    assert facts(object="shade", title="Desk lamp").name == "shade"
    assert facts(object=None, title="Desk lamp").name == "Desk lamp"
    assert bare(locarno="26-05", locarno_class="Lighting apparatus").name == "article"


def test_what_is_shared_holds_nothing_of_the_view() -> None:
    assert facts(view="front view", caption="a").shared() == facts(view="rear view", caption="b").shared()
    assert not {"view", "caption", "label", "derivative"} & set(facts().shared())


def test_the_digest_depends_on_the_facts_and_not_on_the_numbers_of_rows_and_patents() -> None:
    assert facts(drawing_row=7, patent_id="USD2").digest() == facts().digest()
    assert facts(view="rear view").digest() != facts().digest()
    assert facts(derivative="cd" * 32).digest() != facts().digest()
