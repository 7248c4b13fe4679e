"""Text search before and after enrichment, over a running installation that is otherwise empty.

    LINEWORK_DATA=… python -m benchmarks.enrichment_search --base-url http://127.0.0.1:8000

The drawings of `ldraw-views` are loaded without their `keywords`, so that neither ingest nor any prompt knows them.
Each object that has keywords is then looked for by them: `GET /search?q=…&group_by=patent&limit=10`, once before and
once after `POST /enrich` by `template`. Two kinds of queries:

- all keywords of an object in one query; recall@10 is the share of queries whose object is among the first ten;
- each keyword by itself, with all the objects that have it as relevant; recall@10 is the share of them among the
  first ten, out of ten at most.

Intervals are percentile bootstraps over queries, paired for the gain.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.packages import tar_of

TOP = 10
LONGEST = 2000  # characters of a query
Queries = list[tuple[str, frozenset[str]]]  # words, and the patents that are relevant
DRAWS = 10_000


def package(source: Path, most: int | None) -> tuple[bytes, dict[str, list[str]]]:
    """The records without keywords, with their pictures, as a tar; and the keywords by patent."""
    records = json.loads((source / "records.json").read_text(encoding="utf-8"))
    wanted = set(list(dict.fromkeys(record["patentID"] for record in records))[:most])
    kept = [record for record in records if record["patentID"] in wanted]
    keywords = {record["patentID"].rsplit("-", 1)[0]: record["keywords"] for record in kept if record.get("keywords")}
    bare = [{name: value for name, value in record.items() if name != "keywords"} for record in kept]
    return tar_of(bare, source / "images.tar"), keywords


def finished(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    while job["state"] in ("queued", "running"):
        time.sleep(1)
        job = client.get(f"/jobs/{job['id']}").raise_for_status().json()
    if job["state"] != "succeeded":
        raise SystemExit(f"{job['kind']}: {job['error']}")
    return job


def wait_until_indexed(client: httpx.Client) -> int:
    while True:
        corpus = client.get("/corpus").raise_for_status().json()
        active = next((index for index in corpus["indexes"] if index["state"] == "active"), None)
        if active and active["indexed"] == active["drawings"] > 0:
            return int(active["drawings"])
        time.sleep(2)


def by_object(keywords: dict[str, list[str]]) -> Queries:
    return [(" ".join(words)[:LONGEST], frozenset({patent})) for patent, words in sorted(keywords.items())]


def by_keyword(keywords: dict[str, list[str]]) -> Queries:
    having = defaultdict(set)
    for patent, words in keywords.items():
        for word in words:
            having[" ".join(word.casefold().split())].add(patent)
    return [(word[:LONGEST], frozenset(patents)) for word, patents in sorted(having.items()) if word]


def recalls(client: httpx.Client, queries: Queries) -> np.ndarray:
    return np.array([recall(client, words, relevant) for words, relevant in queries])


def recall(client: httpx.Client, words: str, relevant: frozenset[str]) -> float:
    """Hits that have none of the words do not count, though a search returns them: they come in the order of ids."""
    asked = {"q": words, "group_by": "patent", "limit": TOP, "record": "false"}
    hits = client.get("/search", params=asked).raise_for_status().json()["hits"]
    found = {hit["patent"]["id"] for hit in hits if hit["score"] > 0}
    return len(found & relevant) / min(TOP, len(relevant))


def interval(values: np.ndarray) -> str:
    chosen = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    low, high = np.percentile(values[chosen].mean(axis=1), [2.5, 97.5])
    return f"{values.mean():.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", default="http://127.0.0.1:8000")
    parser.add_argument("--objects", type=int, help="only the first so many, for a quick look")
    options = parser.parse_args()
    data, keywords = package(Path(os.environ["LINEWORK_DATA"]) / "ldraw-views", options.objects)
    kinds: dict[str, Callable[[dict[str, list[str]]], Queries]] = {
        "all keywords of an object": by_object, "each keyword": by_keyword,
    }  # fmt: skip
    with httpx.Client(base_url=options.base_url, timeout=600) as client:
        finished(client, client.post("/ingest", files={"file": ("ldraw.tar", data)}).raise_for_status().json())
        drawings = wait_until_indexed(client)
        queries = {kind: make(keywords) for kind, make in kinds.items()}
        before = {kind: recalls(client, asked) for kind, asked in queries.items()}
        began = time.perf_counter()
        job = finished(client, client.post("/enrich", json={"provider": "template"}).raise_for_status().json())
        took = time.perf_counter() - began
        after = {kind: recalls(client, asked) for kind, asked in queries.items()}
    print(json.dumps({"drawings": drawings, "described": job["result"]["described"], "seconds": round(took)}))
    print("| queries | number | recall@10 before | after | gain | better / worse |\n|---|---|---|---|---|---|")
    for kind in kinds:
        gain = after[kind] - before[kind]
        moved = f"{(gain > 0).sum()} / {(gain < 0).sum()}"
        cells = [kind, len(gain), interval(before[kind]), interval(after[kind]), interval(gain), moved]
        print(f"| {' | '.join(str(cell) for cell in cells)} |")


if __name__ == "__main__":
    main()
