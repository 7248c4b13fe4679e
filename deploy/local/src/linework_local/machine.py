"""How large this machine is, as far as the stack's tuning cares."""

import os
from dataclasses import dataclass
from pathlib import Path

MB = 2**20
GB = 2**30

# A container's limit is lower than the memory of its host; cgroup v2 and v1 name it differently
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory (bytes that we may use), cores (that we may run on) and the size of /dev/shm (bytes)."""

    memory: int
    cores: int
    shared_memory: int

    @classmethod
    def here(cls) -> "Machine":
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        limits = [limit for path in _CGROUP_LIMITS if (limit := _read_limit(Path(path))) is not None]
        return cls(min([physical, *limits]), _cores(), _shared_memory())


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux only; knows of taskset and of a container's cpuset
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shared_memory() -> int:
    try:
        stat = os.statvfs("/dev/shm")
    except OSError:  # not every system has it
        return 0
    return stat.f_frsize * stat.f_bavail


def _read_limit(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None  # 'max' means no limit
