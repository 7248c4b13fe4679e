"""Why a record is set aside or passed over. The words are stable: people count by them."""

from linework_core.records import PackageRead, Passed, PatentRecord, Rejected

Found = PatentRecord | Rejected | Passed | PackageRead
"""What a reader yields, one after another."""

REASONS = {
    # the archive or file
    "unknown-format": "neither a package of an office nor a data set that Linework reads: look at what it is",
    "bad-archive": "the ZIP or tar is damaged or empty: fetch it again",
    "truncated-archive": "the tar ends before its end marker; what came before is taken: fetch it again",
    "nested-archive": "an archive within an archive, deeper than allowed or of a kind not read there: unpack it",
    "encrypted": "a member needs a password: unpack it and ingest the folder",
    "unsafe-path": "a member's name is absolute or leads upwards: do not trust its source",
    "link": "a member is a link or a device, not a file: pack it with what it leads to",
    "duplicate-member": "two members have one name, so it is unclear which is meant: remove one",
    "too-large": "a member, a package or a document is larger than allowed: see the limits",
    "too-many-files": "a package has more files than allowed: see the limits",
    "bomb": "it would unpack to far more than its size: do not trust its source",
    "unreadable": "the source does not let us read it: mend its permissions",
    # the record
    "no-xml": "a package without an XML document: fetch it again, or ingest the full text of its week",
    "bad-xml": "the XML is not well-formed: fetch it again",
    "xml-entities": "the XML declares entities, which could read files or swell up: do not trust its source",
    "unsupported-xml": "neither a `us-patent-grant` of version 4 nor a `PATDOC` of version 2",
    "bad-id": "the patent's number is missing or not of a known form: see which ids are legal",
    "bad-json": "the JSON is not well-formed; in an array what follows is lost, in JSON lines that line only: mend it",
    "too-deep": "a JSON value within more brackets than any record has: do not trust its source",
    "bad-record": "a row or a JSON value that is no record, or whose fields cannot be understood: mend it",
    "missing-image": "an image that the record names is not there; its others are taken: add it and ingest again",
    "ambiguous-image": "several images have the name that the record gives: name it with its folder",
    "duplicate-drawing": "two images claim the same drawing number; the first is taken: mend the records",
    "no-images": "no folder, tar or ZIP of images was found; the texts are taken alone: put it beside, or name it",
    "erased": "the patent was erased, by a court's order say: only an admin can lift that",
    "unreadable-record": "the reader failed on it, which is a fault of ours: the log has the details",
}

PASSED = {
    "not-a-design": "a utility or plant patent, the reissue of one, or another kind of publication",
    "not-a-package": "a file that is no part of any record (a README), and has no package's name",
}


# What a file's name promises, and the fault of one that is nothing of the kind: empty, damaged, or something else.
# A CSV promises nothing: most tables are no patents.
PROMISES = {
    **dict.fromkeys((".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"), "bad-archive"),
    **dict.fromkeys((".xml", ".sgm", ".sgml"), "bad-xml"),
    **dict.fromkeys((".json", ".jsonl"), "bad-json"),
}


def not_what_it_is_named(name: str, file: str) -> Rejected | None:
    """Sets aside, under `name`, a file of unknown content whose own name is a package's; None for any other."""
    reason = next((reason for ending, reason in PROMISES.items() if file.lower().endswith(ending)), None)
    detail = "By its content it is not what its name says: it is empty, damaged or incomplete."
    return Rejected(name, reason, detail) if reason else None


class Fault(Exception):
    """A fault of a record or an archive: it becomes a Rejected, and the rest goes on."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail

    def of(self, name: str) -> Rejected:
        return Rejected(name, self.reason, self.detail)
