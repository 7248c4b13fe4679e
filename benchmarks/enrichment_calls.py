"""The calls that an enrichment makes, counted by the server that answers them, over a running installation.

    python -m tests.enricher.stub --port 8188 &
    LLM='{"url": "http://127.0.0.1:8188/v1", "model": "stub"}' CAPTIONER='{… "model": "stub-vision"}' make up
    python -m benchmarks.enrichment_calls --stub http://127.0.0.1:8188 --packages FOLDER

The folder's packages are loaded and enriched: by the language model alone, by captioner and language model, and both
again as they were; each time beside what the job says of itself. The stub's tokens are characters, a quarter of them,
pictures in base64 included: they show that the books are right, and nothing about a price (enrichment_tokens.py does).
"""

import argparse
import json
from pathlib import Path
from typing import Any

import httpx

from benchmarks.enrichment_search import finished
from benchmarks.same_patent import ingest, wait_until_indexed

RUNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("language model", {}),
    ("the same again", {}),
    ("captioner and language model", {"captioner": True}),
    ("the same again", {"captioner": True}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", default="http://127.0.0.1:8000")
    parser.add_argument("--stub", default="http://127.0.0.1:8188")
    parser.add_argument("--packages", type=Path, required=True)
    options = parser.parse_args()
    print("| run | drawings | calls | cache hits | received by the server | distinct | tokens in / out |")
    print("|---|---|---|---|---|---|---|")
    with httpx.Client(base_url=options.base_url, timeout=60) as client:
        ingest(client, options.packages)
        wait_until_indexed(client)
        for name, told in RUNS:
            before = httpx.get(f"{options.stub}/log").json()
            asked = client.post("/enrich", json={"provider": "openai", **told}).raise_for_status().json()
            result = finished(client, asked)["result"]
            after = httpx.get(f"{options.stub}/log").json()
            cells = [name, result["described"], result["calls"], result["cache_hits"],
                     after["calls"] - before["calls"], after["distinct"] - before["distinct"],
                     f"{result['tokens_in']:,} / {result['tokens_out']:,}"]  # fmt: skip
            print(f"| {' | '.join(str(cell) for cell in cells)} |")
    print(json.dumps(after["purposes"]))


if __name__ == "__main__":
    main()
