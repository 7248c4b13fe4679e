"""What a process logs: JSON lines, whoever writes them."""

import json
import subprocess
import sys
from typing import Any

PROGRAM = """
import logging
import structlog
from linework_core import logs

log = structlog.get_logger()  # as modules do it, before anything is configured
logs.configure("api", "{level}")
structlog.contextvars.bind_contextvars(request_id="r-1")
log.debug("quiet")
log.info("ours", rows=3)
logging.getLogger("celery").info("%d tasks", 2)
logging.getLogger("httpx").info("too much of a library's")
try:
    raise ValueError("told")
except ValueError as error:
    log.error("crashed", exc_info=error)
"""


def logged(level: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(level=level)], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_each_line_is_an_object_that_names_the_service_the_level_the_time_and_what_is_bound() -> None:
    ours, others, crashed = logged("INFO")
    assert (ours["event"], ours["rows"], ours["level"]) == ("ours", 3, "info")
    assert (others["event"], others["logger"]) == ("2 tasks", "celery")
    assert "ValueError: told" in crashed["exception"]
    for line in (ours, others, crashed):
        assert line["service"] == "api"
        assert line["request_id"] == "r-1"
        assert line["timestamp"].endswith("Z")


def test_what_is_below_the_level_is_not_written() -> None:
    assert [line["event"] for line in logged("ERROR")] == ["crashed"]
    assert [line["event"] for line in logged("DEBUG")] == ["quiet", "ours", "2 tasks", "crashed"]
