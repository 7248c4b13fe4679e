"""Where a stack keeps its state: one folder, so that two stacks differ in nothing else but their port."""

import hashlib
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from linework_local.account import is_root
from linework_local.errors import StackError

SOCKET_PATH_LIMIT = 107  # bytes that sockaddr_un.sun_path holds on Linux, less the closing zero
LONGEST_SOCKET_NAME = "/supervisor.sock.4194304"  # supervisord binds under its process id and then renames
PLAIN_PATH = re.compile(r"[\w/.+-]+", re.ASCII)  # needs no quoting in a URL or a list of folders


@dataclass(frozen=True, slots=True)
class Home:
    """The folders and files of one stack. `run` holds the sockets, and may lie outside `root`."""

    root: Path
    run: Path

    @classmethod
    def at(cls, folder: Path) -> "Home":
        root = folder.expanduser().resolve()
        run = root / "run"
        return cls(root, run if _fits_sockets(run) else _short_folder(root))

    @property
    def postgres_data(self) -> Path:
        return self.root / "pg"

    @property
    def postgres_socket_folder(self) -> Path:
        """The data folder itself where that is short enough: the server's account owns it, and it alone."""
        return self.postgres_data if self.run.parent == self.root else self.run / "pg"

    @property
    def redis_data(self) -> Path:
        return self.root / "redis"

    @property
    def redis_socket(self) -> Path:
        return self.run / "redis.sock"

    @property
    def embedder_socket(self) -> Path:
        return self.run / "embedder.sock"

    @property
    def supervisor_socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def supervisor_pid(self) -> Path:
        return self.run / "supervisord.pid"

    @property
    def supervisor_conf(self) -> Path:
        return self.root / "supervisord.conf"

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def inbox(self) -> Path:
        """Packages laid here may be named by `POST /ingest {"uri": …}`."""
        return self.root / "inbox"

    @property
    def cache(self) -> Path:
        """Weights of encoders, and what trainings keep while they run."""
        return self.root / "cache"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    @property
    def demo(self) -> Path:
        return self.root / "demo"

    def create(self) -> None:
        """Make the folders, for nobody else to read. Raises StackError where that is not possible."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if self.root.stat().st_mode & stat.S_ISVTX:  # such as /tmp
                raise StackError(f"{self.root} is shared with others.", "Set LINEWORK_HOME to a folder of its own.")
            for folder in (self.redis_data, self.objects, self.logs, self.inbox):
                folder.mkdir(mode=0o700, exist_ok=True)
            self._close_to_others()
        except OSError as error:
            raise StackError(
                f"{self.root} cannot be made: {error}", "Set LINEWORK_HOME to a folder you own."
            ) from error
        _make_private(self.run)

    def _close_to_others(self) -> None:
        """Only the owner reads what lies here, in a home of an earlier release, too. Links are left as they are."""
        # Postgres of root's home runs under another account, and must be able to pass through to its own folder
        self.root.chmod(0o711 if is_root() else 0o700)
        folders = (self.redis_data, self.objects, self.logs, self.inbox, self.demo, self.cache)
        for path in (*folders, self.supervisor_conf, self.lock):
            if path.exists() and not path.is_symlink():
                path.chmod(0o700 if path.is_dir() else 0o600)

    def remove_run(self) -> None:
        """Take away what a running stack leaves in `run`; a short folder outside the home goes altogether."""
        for path in (self.redis_socket, self.embedder_socket, self.supervisor_socket, self.supervisor_pid):
            path.unlink(missing_ok=True)
        if self.run.parent != self.root and self.run.is_dir():
            for folder in (self.postgres_socket_folder, self.run):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()


def _fits_sockets(run: Path) -> bool:
    short_enough = len(os.fsencode(run)) + len(LONGEST_SOCKET_NAME) <= SOCKET_PATH_LIMIT
    return short_enough and PLAIN_PATH.fullmatch(str(run)) is not None


def _short_folder(root: Path) -> Path:
    """A folder for the sockets of a home whose own path is too long, the same for every command on it."""
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:10]
    return Path(tempfile.gettempdir()).resolve() / f"linework-{os.getuid()}-{name}"


def _make_private(folder: Path) -> None:
    """Everybody can make folders in the temporary one: take only our own, so that nobody lends us theirs."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise StackError(f"{folder} belongs to somebody else.", "Remove it, or set LINEWORK_HOME to another folder.")
    folder.chmod(0o700)
