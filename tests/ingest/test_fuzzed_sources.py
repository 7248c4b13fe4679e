"""Some hundreds of mutated sources; `python -m benchmarks.soak` runs tens of thousands."""

from collections import Counter
from collections.abc import Iterator

import pytest

from linework_core.bounded import Decoder
from tests.ingest import fuzzing

CASES = 300
SECONDS = 10  # of CPU, for a record


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder(workers=1)
    yield made
    made.close()


def test_whole_sources_are_taken_whole(decoder: Decoder) -> None:
    """Without this, the test below could pass on sources that nobody can read."""
    for name, source in fuzzing.seeds().items():
        outcome = fuzzing.run(name, source, decoder)
        assert outcome.wrong is None
        assert outcome.counts["taken: patents"] > 0
        reasons = {what for what in outcome.counts if what.startswith("set aside")}
        assert reasons <= {"set aside: no-images"}, name


def test_a_mutated_source_is_read_or_set_aside_with_a_reason(decoder: Decoder) -> None:
    counted: Counter[str] = Counter()
    for number in range(CASES):
        outcome = fuzzing.run(*fuzzing.case(1, number), decoder)
        assert outcome.wrong is None, (number, outcome)
        assert outcome.seconds < SECONDS, (number, outcome)
        counted += outcome.counts
    assert counted["taken: patents"] > CASES / 10  # most damage is local
    assert sum(what.startswith("set aside: ") for what in counted) > 10
