"""The command line: up, down, status, logs, demo."""

import datetime as dt
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import structlog
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from linework_local import demo as sample
from linework_local.errors import StackError
from linework_local.home import Home
from linework_local.stack import Stack

app = typer.Typer(help="Linework on this machine.", no_args_is_help=True, add_completion=False)
console = Console()
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # people read this output

HomeOption = Annotated[Path, typer.Option("--home", envvar="LINEWORK_HOME", help="Where all state is kept.")]
PortOption = Annotated[int, typer.Option("--port", envvar="LINEWORK_PORT", min=1, max=65535)]
T = TypeVar("T")
DEFAULT_HOME = Path("var")
DEFAULT_PORT = 8000


@app.command()
def up(
    home: HomeOption = DEFAULT_HOME,
    port: PortOption = DEFAULT_PORT,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until it is ready.")] = 120.0,
) -> None:
    """Start the stack and return when it is ready."""
    stack = Stack(Home.at(home), port)
    _told(stack, lambda: stack.up(timeout))
    address = stack.gateway.address
    console.print(f"Linework is ready: [bold]{address}[/] (the API's pages: {address}/docs)", soft_wrap=True)


@app.command()
def down(home: HomeOption = DEFAULT_HOME, port: PortOption = DEFAULT_PORT) -> None:
    """Stop the stack. Its data stays."""
    stack = Stack(Home.at(home), port)
    stopped = _told(stack, stack.down)
    console.print("Stopped." if stopped else "Nothing was running.")


@app.command()
def status(home: HomeOption = DEFAULT_HOME, port: PortOption = DEFAULT_PORT) -> None:
    """Show the processes and whether the gateway is ready. The exit status is 0 when it is."""
    stack = Stack(Home.at(home), port)
    table = Table("process", "state", "pid", "running for", "trouble")
    for process in stack.processes():
        lasted = str(dt.timedelta(seconds=process.seconds)) if process.seconds else ""
        table.add_row(process.name, process.state, str(process.pid or ""), lasted, process.trouble)
    if not table.row_count:
        console.print("Nothing is running.")
        raise typer.Exit(1)
    console.print(table)
    if reason := stack.gateway.not_ready():
        console.print(f"[red]Not ready:[/] {escape(reason)}", soft_wrap=True)
        raise typer.Exit(1)
    console.print(f"Ready: [bold]{stack.gateway.address}[/]")


@app.command()
def logs(
    home: HomeOption = DEFAULT_HOME,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they grow.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Lines of each file.")] = 20,
) -> None:
    """Show the end of every process's log."""
    files = sorted(Home.at(home).logs.glob("*.log"))
    tail = shutil.which("tail")
    if not files or tail is None:
        console.print("There are no logs.")
        raise typer.Exit(1)
    os.execv(tail, [tail, "-n", str(lines), *(["-F"] if follow else []), *map(str, files)])


@app.command()
def demo(home: HomeOption = DEFAULT_HOME, port: PortOption = DEFAULT_PORT) -> None:
    """Start the stack, load a sample corpus, and search it. The stack stays up."""
    stack = Stack(Home.at(home), port)
    _told(stack, stack.up)
    _told(stack, lambda: sample.write_corpus(stack.home.demo), "Drawing a sample corpus")
    with _complaints():
        sample.load(stack.gateway, stack.home.demo, console)
        query = sample.newest_query(stack.home.demo)
        patent = stack.gateway.patent(query.patent)
        drawing = patent["drawings"][0]  # the whole design seen at an angle; side views of most things look alike
        answer = stack.gateway.search(drawing=drawing, before=query.before, limit=10)
    asked = f"What looks like the first drawing of {query.patent} ({patent['title']})"
    console.print(f"{asked} and was granted before {query.before}?", soft_wrap=True)
    console.print(sample.table_of(answer))
    address = stack.gateway.address
    console.print(f"Linework goes on at [bold]{address}[/] (the API's pages: {address}/docs). Try:", soft_wrap=True)
    console.print(f"  curl '{address}/search?drawing={drawing}&before={query.before}'", soft_wrap=True)
    console.print("make down stops it.")


def _told(stack: Stack, act: Callable[[], T], first: str = "…") -> T:
    """Do it while a spinner tells what goes on; without a terminal, each step is a line."""
    with _complaints(), console.status(first) as spinner:
        stack.say = spinner.update if console.is_terminal else partial(console.print, soft_wrap=True)
        return act()


@contextmanager
def _complaints() -> Iterator[None]:
    """What goes wrong is said in a sentence, without a traceback."""
    try:
        yield
    except StackError as error:
        console.print(f"[red]{escape(str(error))}[/]", highlight=False, soft_wrap=True)
        if error.hint:
            console.print(error.hint, highlight=False)
        raise typer.Exit(1) from error
