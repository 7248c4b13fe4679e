"""Under which account, and how tied to its starter, a server is run."""

import os
import pwd
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from linework_local.errors import StackError

ACCOUNT = "nobody"  # Postgres refuses to run as root; this account exists everywhere and owns nothing


def is_root() -> bool:
    return os.geteuid() == 0


def tied(command: Sequence[str], *, stop_signal: str = "TERM") -> list[str]:
    """`command`, told to stop when the process that started it is gone, so that nothing is ever orphaned."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:  # not Linux
        return list(command)
    return [setpriv, "--pdeathsig", stop_signal, "--", *command]


def unprivileged(command: Sequence[str], needs: Sequence[Path], *, stop_signal: str = "TERM") -> list[str]:
    """`command` as it is for an ordinary user; for root, run as `nobody` that can reach all of `needs`.

    A virtual environment or a home under /root is closed to every account but root. Rather than opening
    folders that are not ours, or copying binaries, the process then keeps one capability of root's: to pass
    file permissions. `no_setuid_fixup` lets access(2), too, honour it. Raises StackError without setpriv.
    """
    if not is_root():
        return tied(command, stop_signal=stop_signal)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StackError(
            "Postgres does not run as root, and setpriv (util-linux) is missing.", "Run as an ordinary user."
        )
    entry = pwd.getpwnam(ACCOUNT)
    options = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    if all(_open_to_others(folder) for folder in needs):
        options += ["--inh-caps=-all", "--bounding-set=-all"]
    else:
        only = "-all,+dac_override"
        options += ["--securebits=+no_setuid_fixup"]
        options += [f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}"]
    return [setpriv, *options, "--pdeathsig", stop_signal, "--", *command]


def give_folder(folder: Path) -> None:
    """Make `folder` (0700) and hand it to the account that `unprivileged` runs under."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if is_root():
        entry = pwd.getpwnam(ACCOUNT)
        os.chown(folder, entry.pw_uid, entry.pw_gid)


def _open_to_others(folder: Path) -> bool:
    """Whether any account can enter `folder`, by the permissions of all the folders above it."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in folder.resolve().parents)
