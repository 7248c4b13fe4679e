"""Sources mutated byte by byte and in their structure, and what the readers and the decoder make of them."""

import random
import re
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import obstore
from obstore.store import MemoryStore

from linework_api.ingest.formats import PASSED, REASONS, Limits, read
from linework_api.ingest.sources import in_store
from linework_core.bounded import Decoded, Decoder, result_of
from linework_core.errors import UnreadableImage
from linework_core.records import PatentRecord, Rejected
from tests.ingest.building import (
    as_json,
    as_lines,
    data_record,
    grant,
    package,
    png,
    tarred,
    tiff,
    weekly,
    zipped,
)  # fmt: skip
from tests.ingest.test_st32 import patdoc, sgml
from tests.ingest.test_tables import PLAIN, impact, table

Mutate = Callable[[random.Random, bytes], bytes]
LIMITS = Limits(member=8 << 20, package=16 << 20, xml=4 << 20, copied=16 << 20)


# ---- sources ---------------------------------------------------------------------------------------------


@cache
def seeds(data: Path | None = None) -> dict[str, bytes]:
    """Whole sources of every kind by a name that tells it; with `data` some real ones as well."""
    records = [data_record(f"LD{n}-20000101", figure_file="x.png", subfigure_file="x.png") for n in range(4)]
    rows = [PLAIN | {"id": f"X{n}"} for n in range(4)]
    pictures = {f"X{n}.png": png(n) for n in range(4)}
    row = impact("D0000001")
    sheets = {f"2021/USD0000001-20211207-D{n:05d}.TIF": tiff(n) for n in range(3)}
    old = {f"a/USD0435854-20010102-D{n:05d}.TIF": tiff(n) for n in range(3)}
    found = {
        "package.zip": zipped(package()),
        "nested.zip": zipped({f"DESIGN/{n}.ZIP": zipped(package(n)) for n in ("D0000001", "D0000002")}),
        "week.tar": weekly(["D0000001", "D0000002"]),
        "loose.tar": tarred(package()),
        "loose.tgz": tarred(package(), "w:gz"),
        "one.xml": grant(),
        "week.xml": grant("D0000001") + b"\n" + grant("D0000002"),
        "old.xml": patdoc().encode(),
        "old.sgm": (sgml() + sgml(number="D0435855")).encode(),
        "old.zip": zipped({**old, "a/USD0435854-20010102.XML": patdoc().encode()}),
        "set.tar": tarred({"data.json": as_json(records).encode(), "x.png": png()}),
        "set.tgz": tarred({"x.png": png(), "data.jsonl": as_lines(records).encode()}, "w:gz"),
        "set.zip": zipped({"data.json": as_json(records).encode(), "x.png": png()}),
        "set.json": as_json(records).encode(),
        "set.jsonl": as_lines(records).encode(),
        "impact.zip": zipped({"2021.csv": table([row]).encode(), **sheets}),
        "plain.tar": tarred({"register.csv": table(rows).encode(), **pictures}),
        "plain.csv": table(rows, ";").encode(),
    }
    return found | _real(data) if data else found


def _real(data: Path) -> dict[str, bytes]:
    packages = sorted((data / "uspto" / "impact30").glob("*.ZIP"), key=lambda path: path.stat().st_size)
    text = (data / "uspto" / "xml" / "ipg070102.small.xml").read_bytes()
    designs = [one for one in re.split(rb"(?=<\?xml version)", text) if b'appl-type="design"' in one]
    return {
        **{f"real-{n}.zip": path.read_bytes() for n, path in enumerate(packages[:3])},
        "real.xml": b"".join(designs),
        "real-old.xml": (data / "uspto" / "xml" / "USD435854S1.xml").read_bytes(),
    }


# ---- bytes -----------------------------------------------------------------------------------------------


def flip(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 8, 64])):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def overwrite(chance: random.Random, data: bytes) -> bytes:
    at, length = chance.randrange(len(data)), chance.choice([1, 2, 4, 16, 512])
    noise = chance.choice([bytes(length), b"\xff" * length, chance.randbytes(length)])
    return data[:at] + noise + data[at + length :]


def cut(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(1, len(data) + 1)]


def leave_out(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.choice([1, 3, 64, 512, 4096]) :]


def insert(chance: random.Random, data: bytes) -> bytes:
    at, source = chance.randrange(len(data)), chance.randrange(len(data))
    return data[:at] + data[source : source + chance.choice([1, 16, 512, 4096])] + data[at:]


def splice(chance: random.Random, data: bytes) -> bytes:
    other = chance.choice(sorted(seeds().items()))[1]
    return data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]


BYTES: tuple[Mutate, ...] = (flip, overwrite, cut, leave_out, insert, splice)

# ---- structure -------------------------------------------------------------------------------------------

ODD_TEXTS = (
    b"", b"0", b"-1", b"99999999999999999999", b"\xff\xfe", b"&#0;", b"&x;", b"&mdash;", b"<![CDATA[", b"]]>", b"\0",
    b"../../etc/passwd", b"a" * 70_000, b"\xed\xa0\x80", b"20210231", b"D0000000", b"'\"", b"=1+1", b"\xe2\x80\xae",
)  # fmt: skip


def xml(chance: random.Random, data: bytes) -> bytes:
    """An element left out, repeated, renamed, filled with odd text, buried deep, or a declaration put in."""
    tags = [match.span() for match in re.finditer(rb"<[^<>]+>", data)]
    if not tags:
        return flip(chance, data)
    start, end = chance.choice(tags)
    tag = data[start:end]
    deep = chance.choice([10, 300, 5000])
    return chance.choice([
        data[:start] + data[end:],
        data[:start] + tag * chance.choice([2, 200]) + data[end:],
        data[:end] + chance.choice(ODD_TEXTS) + data[end:],
        data[:start] + re.sub(rb"\w+", b"x", tag, count=1) + data[end:],
        data[:start] + re.sub(rb'"[^"]*"', lambda _: b'"' + chance.choice(ODD_TEXTS) + b'"', tag) + data[end:],
        data[:end] + b"<d>" * deep + b"</d>" * deep + data[end:],
        data[:start] + chance.choice(tags and [data[slice(*chance.choice(tags))]]) + data[start:],
        re.sub(rb"\[", b'[<!ENTITY x "y"><!ENTITY % z SYSTEM "file:///etc/passwd">', data, count=1),
        re.sub(rb"UTF-8", chance.choice([b"UTF-16", b"EBCDIC-CP-US", b"x", b"ISO-8859-1"]), data, count=1),
    ])  # fmt: skip


def text(chance: random.Random, data: bytes) -> bytes:
    """A value of JSON or CSV replaced by odd text, or brackets and quotation marks put in."""
    words = [match.span() for match in re.finditer(rb"[\w. -]+", data)]
    if not words:
        return flip(chance, data)
    start, end = chance.choice(words)
    noise = chance.choice(
        [*ODD_TEXTS, b"[" * 3000, b'{"a":' * 3000, b'"', b"\n", b"1e999", b"null", b"NaN", b";", b"\r"]
    )
    return data[:start] + noise + data[chance.choice([start, end]) :]


def tiff_tags(chance: random.Random, data: bytes) -> bytes:
    """Fields of a TIFF's directory changed: sizes, offsets, compression, counts."""
    if data[:4] != b"II*\0" or len(data) < 8:
        return flip(chance, data)
    changed = bytearray(data)
    (at,) = struct.unpack_from("<L", data, 4)
    if at + 2 > len(data):
        return flip(chance, data)
    (count,) = struct.unpack_from("<H", data, at)
    for _ in range(chance.choice([1, 2, 4])):
        entry = at + 2 + 12 * chance.randrange(max(count, 1))
        where, form = chance.choice([(0, "<H"), (2, "<H"), (4, "<L"), (8, "<L")])
        value = chance.choice([0, 1, 2, 7, 255, 65535, chance.randrange(65536)] + [2**31, 2**32 - 1] * (form == "<L"))
        if entry + where + 4 <= len(changed):
            struct.pack_into(form, changed, entry + where, value)
    return bytes(changed)


def zip_fields(chance: random.Random, data: bytes) -> bytes:
    """Fields of a ZIP's headers changed: sizes, checksums, flags, methods, offsets, lengths of names."""
    changed = bytearray(data)
    heads = [match.start() for match in re.finditer(rb"PK(?:\x01\x02|\x03\x04|\x05\x06)", data)]
    if not heads:
        return flip(chance, data)
    for _ in range(chance.choice([1, 1, 3])):
        at = chance.choice(heads) + chance.choice([4, 6, 8, 10, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 38, 42])
        value = chance.choice([0, 1, 8, 12, 0xFFFF, 0xFFFFFFFF, chance.randrange(1 << 32)])
        if at + 4 <= len(changed):
            struct.pack_into("<L", changed, at, value) if chance.random() < 0.5 else struct.pack_into(
                "<H", changed, at, value & 0xFFFF
            )
    return bytes(changed)


def tar_fields(chance: random.Random, data: bytes) -> bytes:
    """Fields of a tar's headers changed, mostly with a checksum that is right again."""
    changed = bytearray(data)
    heads = [match.start() - 257 for match in re.finditer(rb"ustar", data) if match.start() >= 257]
    if not heads:
        return flip(chance, data)
    at = chance.choice(heads)
    where, length = chance.choice(
        [(0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155)]
    )
    odd = [
        b"\0",
        b"\xff" * 12,
        b"77777777777\0",
        b"-1",
        b"../x",
        b"/x",
        b"\x80" + b"\xff" * 11,
        chance.randbytes(length),
    ]
    kinds = [b"0", b"1", b"2", b"5", b"L", b"x", b"g", b"S", b"K", b"\x01"]
    value = chance.choice(kinds if length == 1 else odd)[:length].ljust(length, b"\0")
    changed[at + where : at + where + length] = value
    if chance.random() < 0.9:
        changed[at + 148 : at + 156] = b" " * 8
        changed[at + 148 : at + 156] = b"%06o\0 " % sum(changed[at : at + 512])
    return bytes(changed)


ODD_NAMES = ("../x.TIF", "/x.xml", "a\0b.xml", "A.XML", "a.xml", "x" * 5000, "\udcff.TIF", "C:\\x", "a/b/../c.TIF", "")


def repacked(chance: random.Random, data: bytes) -> bytes:
    """A package whose members are renamed, repeated, swapped, left out or themselves mutated."""
    files = list(package().items())
    chosen = chance.randrange(len(files))
    name, content = files[chosen]
    inner = xml if name.endswith(".XML") else tiff_tags
    files[chosen] = chance.choice([
        (chance.choice(ODD_NAMES), content),
        (name, chance.choice(files)[1]),
        (name, mutated_by(chance, (inner, inner, *BYTES), content)),
        (name, mutated_by(chance, (inner, inner, *BYTES), content)),
        (name, b""),
        (name, data[: 1 << 16]),
    ])  # fmt: skip
    try:
        return chance.choice([zipped, tarred])(dict(files))
    except (UnicodeError, ValueError, IndexError):  # a name that cannot be written
        return zipped(dict(files[:chosen]))


STRUCTURE: dict[str, tuple[Mutate, ...]] = {
    "zip": (zip_fields, repacked), "tar": (tar_fields, repacked), "tgz": (repacked,), "xml": (xml,), "sgm": (xml,),
    "json": (text,), "jsonl": (text,), "csv": (text,),
}  # fmt: skip


def mutated_by(chance: random.Random, ways: tuple[Mutate, ...], data: bytes) -> bytes:
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        data = chance.choice(ways)(chance, data) if data else b"\0"
    return data


def mutated(chance: random.Random, name: str, data: bytes) -> bytes:
    """A source changed in its structure as often as byte by byte."""
    structure = STRUCTURE[name.rpartition(".")[2]]
    return mutated_by(chance, structure if chance.random() < 0.5 else BYTES, data)


# ---- a case ----------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What became of a source: records, pictures and reasons counted, and the reader's most CPU for a record."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    wrong: str | None = None  # what should not have happened


def case(seed: int, number: int, data: Path | None = None) -> tuple[str, bytes]:
    """The source of a case, the same whenever it is asked for."""
    chance = random.Random(f"{seed}-{number}")
    name, whole = chance.choice(sorted(seeds(data).items()))
    return name, mutated(chance, name, whole)


def run(name: str, source: bytes, decoder: Decoder) -> Outcome:
    """Read a source to its end, as ingest does, with all pictures decoded in the bounded child."""
    outcome = Outcome(name)
    store = MemoryStore()
    obstore.put(store, name, source)
    began = time.process_time()
    try:
        for found in read(in_store(store, name, name), limits=LIMITS):
            for what in _taken(found, decoder) if isinstance(found, PatentRecord) else [_reason(found)]:
                outcome.counts[what] += 1
            began, outcome.seconds = time.process_time(), max(outcome.seconds, time.process_time() - began)
    except Exception as error:
        outcome.wrong = f"{type(error).__name__}: {error}"
    outcome.seconds = max(outcome.seconds, time.process_time() - began)
    unknown = {what.removeprefix("set aside: ") for what in outcome.counts if what.startswith("set aside: ")}
    unknown -= set(REASONS) | {"unreadable-image"}
    if unknown or "set aside: unreadable-record" in outcome.counts:
        outcome.wrong = outcome.wrong or f"set aside without a reason of the table: {dict(outcome.counts)}"
    if not outcome.counts:
        outcome.wrong = outcome.wrong or "nothing was told of it"
    return outcome


def _reason(found: object) -> str:
    if isinstance(found, Rejected):
        return f"set aside: {found.reason}"
    reason = getattr(found, "reason", None)
    return f"passed over: {reason}" if reason in PASSED else "a week was read"


def _taken(record: PatentRecord, decoder: Decoder) -> Iterator[str]:
    """The record is taken, and each of its pictures decoded or set aside."""
    yield "taken: patents"
    waiting: list[Future[Decoded]] = []
    for one in (*record.sheets, *record.drawings):
        if one.read is not None:
            try:
                waiting.append(decoder.submit(one.read()))
            except UnreadableImage:
                yield "set aside: unreadable-image"
    for future in waiting:
        try:
            result_of(future)
            yield "taken: pictures"
        except UnreadableImage:
            yield "set aside: unreadable-image"
