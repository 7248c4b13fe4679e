"""The stack as a whole: up, down, and how it is."""

import fcntl
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from linework_local.errors import StackError
from linework_local.gateway import Gateway
from linework_local.home import Home
from linework_local.machine import Machine
from linework_local.programs import Plan
from linework_local.supervision import Process, Supervisor, configuration, fingerprint_of

Say = Callable[[str], None]


class Stack:
    """One home and one port. `say` is told what goes on, a few words at a time."""

    def __init__(self, home: Home, port: int, say: Say = lambda _: None) -> None:
        self.home = home
        self.port = port
        self.say = say
        self.supervisor = Supervisor(home)
        self.gateway = Gateway(f"http://127.0.0.1:{port}")

    def up(self, seconds: float = 120.0) -> None:
        """Start what is not running and return when the gateway says that it is ready.

        Again, it changes nothing, unless settings differ: then everything is restarted. Raises StackError.
        """
        self.home.create()
        with self._alone():
            plan = Plan.make(self.home, self.port)
            machine = Machine.here()
            conf = configuration(self.home, plan.programs(machine), fingerprint_of(plan.identity))
            if self.supervisor.running and conf != self._running_conf():
                self.say("The settings have changed: restarting")
                self.supervisor.stop()
            if not self.supervisor.running:
                self._start(plan, machine, conf)
            elif self.gateway.not_ready() is None:
                return
            self._prepare_servers(plan)
            self.supervisor.start_programs()
            self._wait_until_ready(seconds)

    def down(self) -> bool:
        """Stop everything; False if nothing was running. Raises StackError if something does not stop."""
        if not self.home.root.is_dir():
            return False
        with self._alone():
            was_running = self.supervisor.running
            if was_running:
                self.supervisor.stop()
            self.home.remove_run()
        return was_running

    def processes(self) -> list[Process]:
        return self.supervisor.processes() if self.supervisor.running else []

    def _start(self, plan: Plan, machine: Machine, conf: str) -> None:
        _check_port(self.port)
        self.say("Starting the servers")
        self.home.remove_run()  # what a crash has left
        self.home.create()
        if plan.postgres:
            plan.postgres.prepare(machine)
        self.home.supervisor_conf.touch(mode=0o600)
        self.home.supervisor_conf.write_text(conf)
        self.supervisor.start(plan.environment)

    def _prepare_servers(self, plan: Plan) -> None:
        if plan.postgres:
            plan.postgres.wait_until_ready()
            plan.postgres.create_database()
        if plan.redis:
            plan.redis.wait_until_ready()
        self.say("Migrating the database")
        command = [sys.executable, "-m", "linework_core.db", "upgrade", "head"]
        done = subprocess.run(command, env=plan.environment, capture_output=True, text=True)
        if done.returncode != 0:
            reason = "\n".join(done.stderr.strip().splitlines()[-4:])  # the exception, without its traceback
            raise StackError(f"The database could not be migrated:\n{reason}")

    def _wait_until_ready(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        reason, fallen = "", set[str]()
        while (now := self.gateway.not_ready()) is not None:
            if now != reason:
                self.say(f"Waiting: {now}")
                reason = now
            for name in self._fallen() - fallen:
                self.say(f"{name} has ended and is started again")
                fallen.add(name)
            if time.monotonic() > deadline:
                evidence = "".join(self._last_words(name) for name in sorted(fallen))
                raise StackError(f"Not ready after {seconds:.0f} s: {reason}{evidence}", "See make logs.")
            time.sleep(0.2)

    def _fallen(self) -> set[str]:
        return {process.name for process in self.processes() if process.trouble}

    def _last_words(self, name: str) -> str:
        with (self.home.logs / f"{name}.log").open(errors="replace") as log:
            return f"\n\n{name}:\n" + "".join(deque(log, maxlen=8)).rstrip()

    def _running_conf(self) -> str:
        return self.home.supervisor_conf.read_text()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One `up` or `down` at a time on a home; the others wait."""
        with self.home.lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StackError(
                f"Port {port} cannot be used: {error.strerror}.",
                f"Choose another: LINEWORK_PORT={port + 1} make up",
            ) from error
