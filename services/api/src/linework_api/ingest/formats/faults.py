"""Why a record is set aside or passed over. The words are stable: people count by them."""

from linework_core.records import PackageRead, Passed, PatentRecord, Rejected

Found = PatentRecord | Rejected | Passed | PackageRead
"""What a reader yields, one after another."""

REASONS = {
    # the archive or file
    "unknown-format": "neither a package of an office nor a data set that Linework reads",
    "bad-archive": "the ZIP or tar is damaged",
    "truncated-archive": "the tar ends before its end marker; what came before is taken",
    "compressed-archive": "images are wanted in any order, which a compressed tar does not allow: unpack it first",
    "nested-archive": "an archive within an archive, deeper than allowed or of a kind not read there",
    "encrypted": "a member needs a password",
    "unsafe-path": "a member's name is absolute or leads upwards",
    "link": "a member is a link or a device, not a file",
    "duplicate-member": "two members have one name, so it is unclear which is meant",
    "too-large": "a member, a package or a document is larger than allowed",
    "too-many-files": "a package has more files than allowed",
    "bomb": "it would unpack to far more than its size",
    "unreadable": "the source does not let us read it",
    # the record
    "no-xml": "a package without an XML document",
    "bad-xml": "the XML is not well-formed",
    "xml-entities": "the XML declares entities, which could read files or swell up",
    "unsupported-xml": "not a `us-patent-grant` of version 4",
    "bad-id": "the patent's number is missing or not of a known form",
    "bad-json": "the JSON is not well-formed; in an array what follows is lost, in JSON lines that line only",
    "bad-record": "a JSON value that is no record, or one whose fields cannot be understood",
    "missing-image": "an image that the record names is not there; its other drawings are taken",
    "ambiguous-image": "several images have the name that the record gives",
    "duplicate-drawing": "two images claim the same drawing number",
    "no-images": "no folder or tar of images was found; the texts are taken alone",
    "unreadable-record": "the reader failed on it; the log has the details",
}

PASSED = {
    "not-a-design": "a utility, plant or reissue patent, or another kind of publication",
    "not-a-package": "a file that is no part of any record (a README, say)",
}


class Fault(Exception):
    """A fault of a record or an archive: it becomes a Rejected, and the rest goes on."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail

    def of(self, name: str) -> Rejected:
        return Rejected(name, self.reason, self.detail)
