"""Same-patent retrieval over a running installation: do a patent's other sheets come first?

    python benchmarks/same_patent.py --base-url http://127.0.0.1:8000 --packages FOLDER [--sheets]

Protocol (DeepPatent, Kucer et al. 2022): each drawing of a patent that has at least two is a query; all other
drawings in the corpus are ranked; relevant are those of the same patent. The folder's packages are ingested
through the public API first (again, if need be: nothing is added twice), and every query is a `POST /search` with the
drawing's picture; the query itself is taken out of its ranking. Load nothing else into the installation:
whatever it holds is ranked. Judged by pytrec-eval-terrier. The interval is a percentile bootstrap that draws
patents, not queries, since the queries of one patent are alike.

With `--sheets` the queries are the sheets as filed, with `split=no` and with `split=auto`; relevant are the patent's
drawings on its other sheets, and those of the query's sheet are taken out. `itself` judges before that: which share of
the drawings on the query's own sheet comes first, before all others.
"""

import argparse
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytrec_eval

MEASURES = {"map": "mAP", "success_1": "Acc@1", "success_5": "Acc@5", "success_20": "Acc@20"}


def ingest(client: httpx.Client, folder: Path) -> None:
    for package in sorted(folder.glob("*.[zZ][iI][pP]")):
        with package.open("rb") as data:
            job = client.post("/ingest", files={"file": (package.name, data)}).raise_for_status().json()
        while job["state"] in ("queued", "running"):
            time.sleep(0.1)
            job = client.get(f"/jobs/{job['id']}").raise_for_status().json()
        if job["state"] != "succeeded":
            raise SystemExit(f"{package.name}: {job['error']}")


def wait_until_indexed(client: httpx.Client) -> dict[str, Any]:
    while True:
        corpus: dict[str, Any] = client.get("/corpus").raise_for_status().json()
        active = next((index for index in corpus["indexes"] if index["state"] == "active"), None)
        if active and active["indexed"] == active["drawings"]:
            return corpus
        time.sleep(0.5)


def patents_of(folder: Path) -> list[str]:
    return sorted({package.name.split("-")[0] for package in folder.glob("*.[zZ][iI][pP]")})


def rank(client: httpx.Client, drawing: str) -> dict[str, float]:
    """Scores of all other drawings."""
    picture = client.get(f"/drawings/{drawing}/image").raise_for_status().content
    answer = client.post("/search", params={"limit": 1000}, files={"image": ("query.png", picture)})
    hits = answer.raise_for_status().json()["hits"]
    return {hit["drawing"]["id"]: hit["score"] for hit in hits if hit["drawing"]["id"] != drawing}


Patents = dict[str, list[str]]  # the drawings of each patent
Judged = dict[str, dict[str, float]]  # the measures of each query


def sheets_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Each sheet with drawings, as 'USD0907292-20210105-D00001' and its TIFF; the first shows the title page."""
    for package in sorted(folder.glob("*.[zZ][iI][pP]")):
        with zipfile.ZipFile(package) as archive:
            for name in sorted(archive.namelist()):
                if name.upper().endswith(".TIF") and not name.upper().endswith("D00000.TIF"):
                    yield Path(name).stem, archive.read(name)


def rank_sheets(client: httpx.Client, folder: Path, drawings: Patents, split: str) -> tuple[Judged, list[float]]:
    """How well each sheet finds itself and its patent's other sheets, and the seconds that each search took."""
    owner = {drawing: patent for patent, own in drawings.items() for drawing in own}
    runs, qrels, itself, seconds = {}, {}, {}, []
    for sheet, picture in sheets_of(folder):
        mine = {drawing for drawing in owner if drawing.rpartition("_")[0] == sheet}
        relevant = {d: 1 for d in drawings.get(sheet.split("-")[0], []) if d not in mine}
        if not mine or not relevant:
            continue
        began = time.perf_counter()
        answer = client.post("/search", params={"limit": 1000}, files={"image": picture}, data={"split": split})
        seconds.append(time.perf_counter() - began)
        hits = answer.raise_for_status().json()["hits"]
        itself[sheet] = len(mine & {hit["drawing"]["id"] for hit in hits[: len(mine)]}) / len(mine)
        runs[sheet] = {hit["drawing"]["id"]: hit["score"] for hit in hits if hit["drawing"]["id"] not in mine}
        qrels[sheet] = relevant
    judged = pytrec_eval.RelevanceEvaluator(qrels, set(MEASURES)).evaluate(runs)
    return {sheet: {**values, "itself": itself[sheet]} for sheet, values in judged.items()}, seconds


def report_sheets(client: httpx.Client, folder: Path, drawings: Patents) -> None:
    """A table for all sheets, and one for those with several drawings."""
    several = {d.rpartition("_")[0] for own in drawings.values() for d in own}
    on = {sheet: sum(d.startswith(f"{sheet}_") for own in drawings.values() for d in own) for sheet in several}
    judged = {split: rank_sheets(client, folder, drawings, split) for split in ("no", "auto")}
    columns = {"itself": "itself", **MEASURES}
    print("| sheets | split | queries | " + " | ".join(columns.values()) + " | mAP, 95% interval | p50 |")
    print("|---|---|---|" + "---|" * len(columns) + "---|---|")
    for name, least in (("all", 1), ("several drawings", 2)):
        for split, (measures, seconds) in judged.items():
            chosen = {sheet: values for sheet, values in measures.items() if on[sheet] >= least}
            means = [float(np.mean([values[measure] for values in chosen.values()])) for measure in columns]
            patents = sorted({sheet.split("-")[0] for sheet in chosen})
            low, high = interval([[v["map"] for s, v in chosen.items() if s.startswith(p)] for p in patents])
            cells = " | ".join(f"{mean:.3f}" for mean in means)
            p50 = f"{np.median(seconds) * 1000:.0f} ms"
            print(f"| {name} | {split} | {len(chosen)} | {cells} | {low:.3f} to {high:.3f} | {p50} |")


def judge(drawings: dict[str, list[str]], runs: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    owner = {drawing: patent for patent, own in drawings.items() for drawing in own}
    qrels = {query: {d: 1 for d in drawings[owner[query]] if d != query} for query in runs}
    return dict(pytrec_eval.RelevanceEvaluator(qrels, set(MEASURES)).evaluate(runs))


def interval(by_patent: list[list[float]], *, draws: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """The 95% percentile interval of the mean over queries when patents are drawn with replacement."""
    sums = np.array([sum(values) for values in by_patent])
    sizes = np.array([len(values) for values in by_patent])
    chosen = np.random.default_rng(seed).integers(0, len(sums), (draws, len(sums)))
    means = sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", default="http://127.0.0.1:8000")
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--sheets", action="store_true", help="query by sheets as filed, split and not")
    options = parser.parse_args()
    with httpx.Client(base_url=options.base_url, timeout=60) as client:
        ingest(client, options.packages)
        corpus = wait_until_indexed(client)
        loaded = {
            name: client.get(f"/patents/{name}").raise_for_status().json() for name in patents_of(options.packages)
        }
        drawings = {name: patent["drawings"] for name, patent in loaded.items()}
        if options.sheets:
            report_sheets(client, options.packages, drawings)
            return
        queries = [drawing for own in drawings.values() if len(own) >= 2 for drawing in own]
        runs = {query: rank(client, query) for query in queries}
    judged = judge(drawings, runs)
    active = next(index for index in corpus["indexes"] if index["state"] == "active")
    print(json.dumps({"encoder": active["encoder"], "drawings": corpus["drawings"], "queries": len(queries)}))
    print("| measure | mean | 95% interval |\n|---|---|---|")
    for measure, name in MEASURES.items():
        grouped = [[judged[d][measure] for d in own] for own in drawings.values() if len(own) >= 2]
        mean = float(np.mean([value for values in grouped for value in values]))
        low, high = interval(grouped)
        print(f"| {name} | {mean:.3f} | {low:.3f} to {high:.3f} |")


if __name__ == "__main__":
    main()
