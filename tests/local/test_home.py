import os
from pathlib import Path

import pytest

from linework_local.errors import StackError
from linework_local.home import LONGEST_SOCKET_NAME, SOCKET_PATH_LIMIT, Home


def test_the_sockets_of_a_short_home_lie_in_it(server_folder: Path) -> None:
    home = Home.at(server_folder / "home")
    assert home.run == home.root / "run"


@pytest.mark.parametrize("name", ["h" * 120, "a home with spaces", "büro", "per%cent"])
def test_a_home_whose_path_suits_no_socket_gets_a_short_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    home, same, other = Home.at(tmp_path / name), Home.at(tmp_path / name), Home.at(tmp_path / name / "2")
    assert len(os.fsencode(home.run)) + len(LONGEST_SOCKET_NAME) <= SOCKET_PATH_LIMIT
    assert home.run == same.run != other.run
    home.create()
    assert home.run.stat().st_mode & 0o777 == 0o700
    home.remove_run()
    assert not home.run.exists()


def test_a_short_folder_that_somebody_else_laid_out_is_refused(tmp_path: Path) -> None:
    home = Home.at(tmp_path / ("h" * 120))
    home.run.symlink_to(tmp_path)
    try:
        with pytest.raises(StackError, match="belongs to somebody else"):
            home.create()
    finally:
        home.run.unlink()


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="cannot be made"):
        Home.at(tmp_path / "file" / "home").create()
