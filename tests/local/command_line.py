"""The command line as a person runs it, and what it leaves on the machine."""

import os
import subprocess
import sys
from pathlib import Path


def linework(*arguments: str, home: Path, port: int) -> subprocess.CompletedProcess[str]:
    """`python -m linework_local …` on a home and a port."""
    environment = {**os.environ, "LINEWORK_HOME": str(home), "LINEWORK_PORT": str(port), "COLUMNS": "200"}
    command = [sys.executable, "-m", "linework_local", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110)


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
