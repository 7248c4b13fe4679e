"""The command line as a person runs it, and what it leaves on the machine."""

import os
import subprocess
import sys
from pathlib import Path

from linework_core.settings import Settings
from tests.waiting import PATIENCE


def linework(*arguments: str, home: Path, port: int) -> subprocess.CompletedProcess[str]:
    """`python -m linework_local …` on a home and a port, whatever settings our own environment has."""
    ours = {name.upper() for name in Settings.model_fields}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"LINEWORK_HOME": str(home), "LINEWORK_PORT": str(port), "COLUMNS": "200"}
    command = [sys.executable, "-m", "linework_local", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)


def processes_that_name(text: str) -> list[str]:
    """The command lines of all processes that hold `text`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in command:
            found.append(command)
    return found


def open_to_others(folder: Path) -> list[Path]:
    """What other accounts may read, write or list in a folder, going by the folders that they may pass through."""
    found = []
    for path in folder.iterdir():
        mode = path.lstat().st_mode
        if path.is_symlink():
            continue
        if mode & 0o066:
            found.append(path)
        if path.is_dir() and mode & 0o011:
            found += open_to_others(path)
    return found
