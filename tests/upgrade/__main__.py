"""Runs the previous release's suite on databases that this release has migrated: `make test-upgrade`.

While a cluster is upgraded, the old processes go on at the new schema. So whatever a migration does, the release before
it must work with it: it adds (expand), and only a later release takes away what nobody uses any more (contract).

The previous release is the newest tag; where there is none, the commit before the newest migration. `--from` names
another. What follows goes to pytest; by default the tests of the gateway run.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
MIGRATIONS = "libs/core/src/linework_core/migrations/versions"


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def previous() -> str:
    """The release before this one. A migration that is not committed yet makes that the last commit."""
    if tags := git("tag", "--merged", "HEAD~1", "--sort=-creatordate").splitlines():
        return tags[0]
    if git("status", "--porcelain", "--", MIGRATIONS):
        return "HEAD"
    return git("log", "--diff-filter=A", "--format=%H", "-1", "--", f"{MIGRATIONS}/*.py") + "^"


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="linework-previous-") as folder:
        tree = Path(folder) / "tree"
        git("worktree", "add", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree))


def sources(tree: Path) -> str:
    """For PYTHONPATH, which goes before what is installed."""
    return os.pathsep.join(str(path) for path in sorted(tree.glob("*/*/src")))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description=__doc__)
    parser.add_argument("--from", dest="commit", help="a tag or a commit")
    asked, more = parser.parse_known_args()
    commit = asked.commit or previous()
    sys.stderr.write(f"The tests of {git('log', '-1', '--format=%h %s', commit)}\n")
    with checked_out(commit) as tree:
        plugins = str(Path(__file__).parent)
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join((sources(tree), plugins)),
            "NEWER_SOURCES": sources(ROOT),
        }
        tests = [sys.executable, "-m", "pytest", "-p", "newer_schema", "-p", "no:cacheprovider"]
        return subprocess.run([*tests, *(more or ["tests/api"])], cwd=tree, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
