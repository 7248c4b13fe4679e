import re
from pathlib import Path

from linework_api.ingest.formats import PASSED, REASONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "formats.md").read_text()
SOURCES = sorted((ROOT / "services/api/src/linework_api/ingest/formats").glob("*.py"))


def test_the_page_lists_every_reason_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", PAGE, re.MULTILINE))
    assert rows == REASONS | PASSED


def test_readers_give_no_reason_that_is_not_listed() -> None:
    code = "\n".join(path.read_text() for path in SOURCES)
    given = set(re.findall(r"(?:Fault|Rejected|Passed)\((?:[^\"()]*,\s*|f\"[^\"]*\",\s*)?\"([a-z-]+)\"", code))
    assert given <= set(REASONS | PASSED)
    assert len(given) > 20
