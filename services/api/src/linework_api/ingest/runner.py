"""The ingest job: read records, decode pictures in bounded children, write versions, set aside what is broken.

Reading, decoding and writing overlap: while children decode some records, earlier ones are written.
"""

import datetime as dt
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

import structlog
from obstore.store import ObjectStore
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError, StatementError
from sqlalchemy.orm import Session

from linework_api.ingest import sources, splitting, writer
from linework_api.ingest.formats import read_on
from linework_api.ingest.sources import Source
from linework_api.ingest.writer import Parts, Picture, Prepared
from linework_api.sheets.reading import SheetRead, read_sheet
from linework_core import corpus, encoders, erasures, store
from linework_core.bounded import Decoded, Decoder, result_of
from linework_core.db import transaction
from linework_core.errors import UnreadableImage, UnreadableSource
from linework_core.jobs import service as jobs
from linework_core.jobs.runner import Run
from linework_core.records import PackageRead, Passed, PatentRecord, ReadTo, Rejected
from linework_core.settings import Settings
from linework_core.tables import Package, Patent, SetAside

log = structlog.get_logger()
T = TypeVar("T")

BATCH = 16  # records a transaction: long enough to spare commits, short enough to keep other writers waiting little
AHEAD = 8  # records whose pictures are being decoded while the reader goes on, and that are looked up together


@dataclass(slots=True)
class Pending:
    """A record whose pictures are on their way through the decoder."""

    record: PatentRecord
    parts: Parts
    broken: list[Rejected]
    skip: str | None = None  # why it adds nothing; then its pictures are not decoded
    sheets: dict[int, tuple[str, "Future[Decoded]"]] = field(default_factory=dict)
    cuts: dict[int, tuple[str, "Future[Decoded]"]] = field(default_factory=dict)
    splits: dict[int, tuple[str, "Future[SheetRead]"]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Original:
    data: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A record whose originals were read: by number of sheet and of drawing. `figures` are looked for on its sheets."""

    pending: Pending
    sheets: dict[int, Original]
    cuts: dict[int, Original]
    figures: tuple[str, ...]


def _originals(
    record: PatentRecord, readers: dict[int, Callable[[], bytes]], broken: list[Rejected]
) -> dict[int, Original]:
    """The pictures of a record by number; one that its archive has damaged is noted as broken."""
    found = {}
    for number, read_picture in readers.items():
        try:
            data = read_picture()
        except UnreadableImage as error:
            broken.append(Rejected(f"{record.id}, picture {number}", "unreadable-image", error.detail))
        else:
            found[number] = Original(data, store.content_hash(data))
    return found


def _results(futures: dict[int, tuple[str, "Future[T]"]], prepared: Prepared) -> dict[int, tuple[str, T]]:
    """What children made of the pictures, by number; those that cannot be decoded are noted as broken."""
    found = {}
    for number, (original, future) in futures.items():
        try:
            found[number] = (original, result_of(future))
        except UnreadableImage as error:
            name = f"{prepared.record.id}, picture {number}"
            prepared.broken.append(Rejected(name, "unreadable-image", error.detail))
    return found


Other = Rejected | Passed | PackageRead | ReadTo
Item = Pending | Other
Ready = Prepared | Other


def _counts(outcome: Counter[str]) -> dict[str, int]:
    """What became of records, in the words of a job."""
    done = outcome["added"] + outcome["corrected"]
    failed = sum(count for what, count in outcome.items() if what.startswith("set aside"))
    return {"done": done, "skipped": outcome.total() - done - failed, "failed": failed}


def _without_repetition(versions: list[Prepared]) -> Iterator[list[Prepared]]:
    """In their order, in lists in which no patent occurs twice: what counts depends on what was written before."""
    group: dict[str, Prepared] = {}
    for version in versions:
        if version.record.id in group:
            yield list(group.values())
            group = {}
        group[version.record.id] = version
    yield list(group.values())


def _is_in_the_data(error: Exception) -> bool:
    """Whether the database refuses what was to be written (a NUL, half a surrogate pair), rather than being away."""
    cause = getattr(error, "orig", None)
    return isinstance(error, UnicodeError | DataError) or isinstance(cause, UnicodeError)


def _erased(patent_id: str) -> Rejected:
    return Rejected(patent_id, "erased", "It was erased, and may not be loaded again unless an admin lifts that.")


class Ingest:
    """One run of one ingest job."""

    def __init__(self, run: Run, settings: Settings, objects: ObjectStore, decoder: Decoder) -> None:
        self.run = run
        self.settings = settings
        self.objects = objects
        self.decoder = decoder
        self.restores = bool(run.params.get("restore_withdrawn"))
        self.began = dt.datetime.now(dt.UTC)  # by the database's clock once it runs; no picture was stored before
        self.seen = 0  # records, by earlier runs, too
        self.outcome: Counter[str] = Counter()  # what became of them

    def __call__(self) -> dict[str, Any]:
        """Ingest all of the source and return what became of its records. Raises Stopped between records."""
        source, images = self._sources()
        with transaction(self.run.engine) as session:
            self.began = session.scalars(select(func.clock_timestamp())).one()
        after = self._count_on(self.run.result)
        batch: list[Item] = []
        for item in self._look_ahead(read_on(source, images=images, after=after, every=BATCH)):
            self.run.checkpoint()
            if isinstance(item, ReadTo) and not item.packages:
                self._count_on({})
            batch.append(item)
            self.seen += not isinstance(item, PackageRead | ReadTo)
            if len(batch) >= BATCH or isinstance(item, ReadTo):
                self._write(source, batch)
                batch = []
        self._write(source, batch, ended=True)
        return self._result()

    def _result(self) -> dict[str, Any]:
        """What became of the records. Raises UnreadableSource where all of them were set aside."""
        result = {"records": self.seen, **dict(sorted(self.outcome.items()))}
        counts = _counts(self.outcome)
        if counts["failed"] and not counts["done"] and not counts["skipped"]:
            with self.run.transaction() as session:
                session.execute(self.run.mine().values(result=result))
            reasons = ", ".join(f"{count} {what}" for what, count in sorted(self.outcome.items()))
            raise UnreadableSource(f"Nothing of the source could be read: {reasons}.")
        return result

    def _count_on(self, before: dict[str, Any]) -> ReadTo | None:
        """Count on from where an earlier run of this job wrote that it had come to."""
        self.seen, self.outcome = before.get("records", 0), Counter(before.get("outcome", {}))
        self.run.start_counting(**_counts(self.outcome))
        return ReadTo(**before["read_to"]) if "read_to" in before else None

    def _sources(self) -> tuple[Source, Source | None]:
        params = self.run.params
        if "uploads" in params:
            uploads = params["uploads"]
            opened = {name: sources.in_store(self.objects, up["key"], up["name"]) for name, up in uploads.items()}
            return opened["file"], opened.get("images")
        roots = None if params.get("trusted") else self.settings.ingest_roots
        images = params.get("images")
        return sources.resolve(params["uri"], roots), sources.resolve(images, roots) if images else None

    def _look_ahead(self, items: Iterator[PatentRecord | Other]) -> Iterator[Item]:
        """The items in order, with the pictures of the next few already being decoded."""
        waiting: deque[Item] = deque()
        group: list[Opened | Other] = []
        for item in items:
            group.append(self._open(item) if isinstance(item, PatentRecord) else item)
            if len(group) == AHEAD:
                waiting.extend(self._begin(group))
                group = []
            while len(waiting) > AHEAD:
                yield waiting.popleft()
        waiting.extend(self._begin(group))
        yield from waiting

    def _open(self, record: PatentRecord) -> Opened | Rejected:
        """A record with its originals: its readers work only now."""
        broken: list[Rejected] = []
        try:
            sheets = _originals(record, {sheet.number: sheet.read for sheet in record.sheets}, broken)
            cuts = _originals(record, {cut.number: cut.read for cut in record.drawings if cut.read}, broken)
        except Exception as error:  # whatever a damaged archive raises: this record is broken, the next may not be
            return Rejected(record.id, "unreadable-original", f"{type(error).__name__}: {error}")
        hashes = [original.sha256 for original in (*sheets.values(), *cuts.values())]
        figures = splitting.figures_to_find(record) if self.settings.split_sheets else ()
        hashes += [splitting.RECIPE] if figures else []
        return Opened(Pending(record, Parts.of(record, hashes), broken), sheets, cuts, figures)

    def _begin(self, group: list[Opened | Other]) -> list[Item]:
        """Send the originals of those records that are new to be decoded."""
        ids = [item.pending.record.id for item in group if isinstance(item, Opened)]
        known: dict[str, Patent] = {}
        erased: Collection[str] = ()
        if ids:
            with transaction(self.run.engine) as session:
                known, erased = writer.newest_versions(session, ids), erasures.in_force(session, ids)
        return [self._begun(item, known, erased) if isinstance(item, Opened) else item for item in group]

    def _begun(self, opened: Opened, known: dict[str, Patent], erased: Collection[str]) -> Item:
        """Nothing of an erased patent is stored, and nothing decoded of a record that adds nothing."""
        pending = opened.pending
        if pending.record.id in erased:
            return _erased(pending.record.id)
        pending.skip = writer.choose(pending.parts, known.get(pending.record.id), restore=self.restores).reason
        if pending.skip is None:
            self._decode(opened)
        return pending

    def _decode(self, opened: Opened) -> None:
        pending, owner = opened.pending, self.run.owner
        shown = {drawing.sheet for drawing in pending.record.drawings} if opened.figures else set()
        for number, original in opened.sheets.items():
            if number in shown:
                read = self.decoder.run(read_sheet, self._kept(original), opened.figures, caller=owner)
                pending.splits[number] = (original.sha256, read)
            else:
                pending.sheets[number] = (original.sha256, self.decoder.submit(self._kept(original), caller=owner))
        for number, original in opened.cuts.items():
            pending.cuts[number] = (original.sha256, self.decoder.submit(self._kept(original), caller=owner))

    def _kept(self, original: Original) -> bytes:
        store.put_once(self.objects, store.original_key(original.sha256), original.data)
        return original.data

    def _prepare(self, pending: Pending) -> Prepared:
        """Wait for the pictures and store their derivatives; what cannot be decoded is noted as broken."""
        prepared = Prepared(pending.record, pending.parts, pending.skip, broken=list(pending.broken))
        drawn = {drawing.sheet for drawing in pending.record.drawings if drawing.read is None}
        for number, (original, decoded) in _results(pending.sheets, prepared).items():
            if number in drawn:
                prepared.sheets[number] = self._picture(original, decoded, decoded.original_size)
            else:  # a front page, or a sheet whose drawings have pictures of their own: no row names its derivative
                prepared.sheets[number] = Picture(original, decoded.hash, decoded.original_size, decoded.size)
        for number, (original, decoded) in _results(pending.cuts, prepared).items():
            prepared.cuts[number] = self._picture(original, decoded, decoded.original_size)
        return self._split(prepared, _results(pending.splits, prepared)) if pending.splits else prepared

    def _split(self, prepared: Prepared, reads: dict[int, tuple[str, SheetRead]]) -> Prepared:
        """With the drawings that the sheets come apart into."""
        split = splitting.resolve(prepared.record, {number: read for number, (_, read) in reads.items()})
        for drawing in split.drawings:
            if drawing.number in split.pieces:
                original, read = reads[drawing.sheet]
                picture = self._picture(original, split.pieces[drawing.number].decoded, read.size)
                prepared.cuts[drawing.number] = prepared.sheets[drawing.sheet] = picture
        record = replace(prepared.record, drawings=tuple(split.drawings))
        return replace(prepared, record=record, layouts=split.layouts)

    def _picture(self, original: str, decoded: Decoded, original_size: tuple[int, int]) -> Picture:
        """With its derivative stored."""
        store.put_once(self.objects, store.derivative_key(decoded.hash), decoded.png)
        return Picture(original, decoded.hash, original_size, decoded.size)

    def _write(self, source: Source, batch: list[Item], *, ended: bool = False) -> None:
        """Write a batch. If the database refuses it for what is in it, its records are written one by one, and the
        one that is to blame is set aside.
        """
        ready = [self._prepare(item) if isinstance(item, Pending) else item for item in batch]
        try:
            self._write_together(source, ready, ended)
        except (StatementError, UnicodeError) as error:
            if not _is_in_the_data(error):
                raise
            for item in ready:
                self._write_alone(source, item)
            if ended:
                self._write_together(source, [], ended)

    def _write_alone(self, source: Source, item: Ready) -> None:
        try:
            self._write_together(source, [item])
        except (StatementError, UnicodeError) as error:
            if not _is_in_the_data(error) or not isinstance(item, Prepared):
                raise
            cause = getattr(error, "orig", None) or error
            refused = Rejected(item.record.id, "unstorable", f"The database refuses it: {cause}")
            self._write_together(source, [refused])

    def _write_together(self, source: Source, ready: list[Ready], ended: bool = False) -> None:
        """One transaction: versions, what was set aside, packages read, and the job's progress."""
        outcome: Counter[str] = Counter()
        with self.run.transaction() as session:
            versions = [item for item in ready if isinstance(item, Prepared)]
            wrote = self._write_versions(session, source, versions, outcome)
            broken = [rejected for version in versions for rejected in version.broken]
            for item in (*ready, *broken):
                if isinstance(item, Rejected):
                    self._set_aside(session, source, item)
                    outcome[f"set aside: {item.reason}"] += 1
                elif isinstance(item, Passed):
                    outcome[f"passed over: {item.reason}"] += 1
                elif isinstance(item, PackageRead):
                    self._note_package(session, item)
            self.run.tell(session, total=self.seen if ended else None, **_counts(outcome))
            if ready and isinstance(ready[-1], ReadTo):
                so_far = {"records": self.seen, "outcome": self.outcome + outcome, "read_to": asdict(ready[-1])}
                session.execute(self.run.mine().values(result=so_far))
            if wrote:
                for encoder in encoders.current(session):
                    jobs.ensure_embed_job(session, encoder)
        self.outcome += outcome

    def _not_erased(
        self, session: Session, source: Source, versions: list[Prepared], outcome: Counter[str]
    ) -> list[Prepared]:
        """Without those that were erased while their pictures were decoded; these are left to the sweep."""
        erased = erasures.in_force(session, [version.record.id for version in versions])
        for version in versions:
            if (erasure := erased.get(version.record.id)) is not None:
                pictures = [*version.sheets.values(), *version.cuts.values()]
                erasure.originals = sorted({*erasure.originals, *(one.original for one in pictures)})
                erasure.derivatives = sorted({*erasure.derivatives, *(one.derivative for one in pictures)})
                self._set_aside(session, source, _erased(version.record.id))
                outcome["set aside: erased"] += 1
        return [version for version in versions if version.record.id not in erased]

    def _write_versions(
        self, session: Session, source: Source, versions: list[Prepared], outcome: Counter[str]
    ) -> bool:
        if not versions:
            return False
        corpus.lock(session)
        versions = self._not_erased(session, source, versions, outcome)
        newest = writer.newest_versions(session, [version.record.id for version in versions])
        snapshot: int | None = None
        for group in _without_repetition(versions):
            new = [(one, newest.get(one.record.id)) for one in group if self._is_new(one, newest, outcome)]
            if new:
                snapshot = snapshot or corpus.next_snapshot(session)
                written = writer.add_versions(session, new, self.run.job_id, snapshot)
                erasures.check_pictures(session, self.objects, [one.row_id for one in written], self.began)
                newest |= {patent.patent_id: patent for patent in written}
        return snapshot is not None

    def _is_new(self, version: Prepared, newest: dict[str, Patent], outcome: Counter[str]) -> bool:
        """Whether a record makes a version; counted either way."""
        known = newest.get(version.record.id)
        reason = version.skip or self._choose(version, known).reason
        if reason is None:
            outcome["corrected" if known is not None and known.removed_in is None else "added"] += 1
            return True
        again = known is not None and known.job_id == self.run.job_id and reason == "unchanged"
        outcome["added" if again else reason] += 1  # 'again': by this job, before it was interrupted
        return False

    def _choose(self, version: Prepared, known: Patent | None) -> writer.Choice:
        return writer.choose(version.parts, known, damaged=bool(version.broken), restore=self.restores)

    def _set_aside(self, session: Session, source: Source, rejected: Rejected) -> None:
        row = insert(SetAside).values(
            job_id=self.run.job_id, package=source.name, record=rejected.name, reason=rejected.reason,
            detail=rejected.detail[:2000],
        )  # fmt: skip
        session.execute(row.on_conflict_do_nothing())

    def _note_package(self, session: Session, package: PackageRead) -> None:
        row = insert(Package).values(name=package.name, week=package.week, source="uspto", job_id=self.run.job_id)
        session.execute(row.on_conflict_do_nothing())
