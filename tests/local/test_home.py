import os
from pathlib import Path

import pytest

from linework_local.errors import StackError
from linework_local.home import LONGEST_SOCKET_NAME, SOCKET_PATH_LIMIT, Home

from .command_line import open_to_others


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


def test_a_home_is_closed_to_others_also_one_that_stood_open(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    for folder in (home.root, home.objects, home.logs, home.demo):
        folder.mkdir(mode=0o755, exist_ok=True)
    home.supervisor_conf.touch(mode=0o644)
    (home.logs / "api.log").touch(mode=0o644)
    elsewhere = tmp_path / "packages"
    elsewhere.mkdir(mode=0o755)
    home.inbox.symlink_to(elsewhere)
    home.create()
    assert open_to_others(home.root) == []
    assert home.root.stat().st_mode & 0o066 == 0
    assert elsewhere.stat().st_mode & 0o777 == 0o755


def test_a_folder_that_all_accounts_share_is_no_home(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(StackError, match="shared with others"):
        Home.at(shared).create()
    assert list(shared.iterdir()) == []
