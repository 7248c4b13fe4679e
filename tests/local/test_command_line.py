import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from .command_line import linework


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_in_use_is_told_before_anything_starts(server_folder: Path, taken_port: int) -> None:
    home = server_folder / "taken"
    done = linework("up", home=home, port=taken_port)
    assert done.returncode == 1
    assert f"Port {taken_port} cannot be used: Address already in use." in done.stdout
    assert f"LINEWORK_PORT={taken_port + 1} make up" in done.stdout
    assert "Traceback" not in done.stderr
    assert not (home / "pg").exists()


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [("status", 1, "Nothing is running"), ("down", 0, "Nothing was running"), ("logs", 1, "There are no logs")],
)
def test_a_stack_that_was_never_started_says_so(tmp_path: Path, command: str, status: int, words: str) -> None:
    done = linework(command, home=tmp_path / "none", port=8000)
    assert (done.returncode, words in done.stdout) == (status, True)
