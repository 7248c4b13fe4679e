"""supervisord: its configuration, its start, and talking with it."""

import hashlib
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from linework_local.errors import StackError
from linework_local.home import Home

UP = ("STARTING", "RUNNING")


@dataclass(frozen=True, slots=True)
class Program:
    """One process that is kept running.

    The servers (`early`) start with the supervisor; the services start when asked and stop before the servers.
    """

    name: str
    command: Sequence[str]
    early: bool = False
    stop_signal: str = "TERM"
    stop_seconds: int = 20
    environment: Mapping[str, str] = field(default_factory=dict)  # plain words and numbers only

    @property
    def group(self) -> str:
        return "servers" if self.early else "services"

    def section(self, home: Home) -> str:
        lines = {
            "command": shlex.join(self.command),
            "autostart": str(self.early).lower(),
            "autorestart": "true",
            "startsecs": 1,
            "startretries": 1_000_000,  # with growing pauses: a full disk may be emptied an hour later
            "stopsignal": self.stop_signal,
            "stopwaitsecs": self.stop_seconds,
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": home.logs / f"{self.name}.log",
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": 2,
            "environment": ",".join(f'{name}="{value}"' for name, value in self.environment.items()),
        }
        return _section(f"program:{self.name}", lines)


@dataclass(frozen=True, slots=True)
class Process:
    """What supervisord says of one program. `seconds` is how long it has been running."""

    name: str
    group: str
    state: str
    pid: int | None
    seconds: int
    trouble: str


def configuration(home: Home, programs: Sequence[Program], fingerprint: str) -> str:
    """supervisord.conf. `fingerprint` stands for what the processes get by their environment."""
    sections = [
        f"# settings {fingerprint}\n",
        _section(
            "supervisord",
            {
                "logfile": home.logs / "supervisord.log",
                "logfile_maxbytes": "10MB",
                "logfile_backups": 2,
                "pidfile": home.supervisor_pid,
                "childlogdir": home.logs,
                "umask": "077",  # of all programs: logs, objects and sockets are read by their owner only
            }
            | ({"user": "root"} if os.geteuid() == 0 else {}),  # said outright, it does not warn
        ),
        _section("unix_http_server", {"file": home.supervisor_socket, "chmod": "0700"}),
        _section(
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
        *_groups(programs),
        *(program.section(home) for program in programs),
    ]
    return "\n".join(sections)


def fingerprint_of(settings: str) -> str:
    return hashlib.sha256(settings.encode()).hexdigest()


class Supervisor:
    """The supervisord of one home."""

    def __init__(self, home: Home) -> None:
        self.home = home

    @property
    def running(self) -> bool:
        """Whether somebody answers on its socket."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.home.supervisor_socket))
            except OSError:
                return False
            return True

    def start(self, environment: Mapping[str, str], seconds: float = 20.0) -> None:
        """Start it as a daemon, with the environment that its programs inherit. Raises StackError."""
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.home.supervisor_conf)]
        done = subprocess.run(command, env=dict(environment), capture_output=True, text=True)
        if done.returncode != 0:
            raise StackError(f"supervisord did not start:\n{done.stdout}{done.stderr}")
        _wait(lambda: self.running, seconds, "supervisord does not answer.")

    def processes(self) -> list[Process]:
        return [
            Process(
                name=info["name"],
                group=info["group"],
                state=info["statename"],
                pid=info["pid"] or None,
                seconds=max(info["now"] - info["start"], 0) if info["statename"] == "RUNNING" else 0,
                trouble=info["spawnerr"] or ("" if info["statename"] in UP else info["description"]),
            )
            for info in self._call("getAllProcessInfo")
        ]

    def start_programs(self) -> None:
        """Start what is not running, without waiting for it."""
        for process in self.processes():
            if process.state not in (*UP, "BACKOFF"):
                try:
                    self._call("startProcess", f"{process.group}:{process.name}", False)
                except Fault as fault:
                    if fault.faultCode != Faults.ALREADY_STARTED:
                        raise

    def stop(self, seconds: float = 120.0) -> None:
        """Stop every program; return when all are gone, supervisord being on its way out. Raises StackError."""
        self._call("shutdown")
        pid_file = self.home.supervisor_pid  # its removal is the last thing that supervisord does
        _wait(lambda: not pid_file.exists(), seconds, "supervisord does not stop.")

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self.home.supervisor_socket}")
        with ServerProxy("http://127.0.0.1", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)


def _groups(programs: Sequence[Program]) -> Iterator[str]:
    """A group stops as one, the group with the highest priority first."""
    for priority, group in enumerate(("servers", "services"), start=1):
        if names := [program.name for program in programs if program.group == group]:
            yield _section(f"group:{group}", {"programs": ",".join(names), "priority": priority})


def _section(name: str, lines: Mapping[str, object]) -> str:
    # '%' begins an expansion in supervisord's files
    body = "".join(f"{key} = {str(value).replace('%', '%%')}\n" for key, value in lines.items() if value != "")
    return f"[{name}]\n{body}"


def _wait(condition: Callable[[], bool], seconds: float, complaint: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise StackError(complaint, "make logs may tell why.")
        time.sleep(0.05)
