"""What docs/scaling.md rests on: `python -m benchmarks.scaling sizes|partitions|replicas [--rows 50000] [--folder …]`.

`sizes`       bytes on disk of vectors, their indexes and the corpus' rows, and of pictures in the object store
`partitions`  a leaf in partitions by date against one with graphs by region: building, recall, time, plans
`replicas`    a streaming standby, then made a logical subscriber: the same searches on both while rows are added; lag

Every part makes its servers in a new folder below `folder`, and writes benchmarks/results/scaling-<part>.json.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.scaling import partitions, replicas, sizes
from benchmarks.search import corpus as corpora

PARTS = {"sizes": sizes.measure, "partitions": partitions.measure, "replicas": replicas.measure}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="scaling-", dir=asked.folder))
    folder.chmod(0o755)  # Postgres may run under an account of its own
    try:
        told = PARTS[asked.part](folder, corpora.make(asked.rows, asked.dimension))
    finally:
        shutil.rmtree(folder)
    text = json.dumps(told, indent=1)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / f"scaling-{asked.part}.json").write_text(text + "\n")
    Console().print(text, markup=False)


if __name__ == "__main__":
    main()
