"""`python -m linework_office --out DIR --designs 60 --seed 1`: publish a sample corpus."""

import argparse
import os
from pathlib import Path

from rich.console import Console

from .office import publish


def main() -> None:
    """Read the command line and publish."""
    parser = argparse.ArgumentParser(prog="python -m linework_office", description="Publish a sample corpus.")
    parser.add_argument("--out", type=Path, required=True, help="directory for the weekly tars")
    parser.add_argument("--designs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=float, default=1.0, help="share of the full page size")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    paths = publish(options.out, options.designs, options.seed, size=options.size, workers=options.workers)
    Console().print(f"{options.designs} designs in {len(paths)} weekly tars: {options.out}")


if __name__ == "__main__":
    main()
