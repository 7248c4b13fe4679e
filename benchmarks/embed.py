"""How fast drawings become vectors, beside the bare model, and what batching does for callers who come together.

    python -m benchmarks.embed bulk [--encoder SPEC] [--device cuda:0 --precision bf16 --peak-tflops 989]
    python -m benchmarks.embed online [--encoder SPEC] [--clients 32] [--overload 400]

`bulk`: an embed job, run as a worker runs it (derivatives from a folder of objects, vectors into a Postgres that syncs
to disk), over the forward pass of the same model on prepared tensors, in turns, in one process. `online`: clients that
ask one after another by HTTP over a socket of the embedder's, with batching and without; then so many at once, with
four pictures in a request, that some are refused.
"""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from sqlalchemy import select, text
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.ingest import ingest, services
from linework_api.embedder_client import EmbedderClient
from linework_api.sheets.reading import read_sheet
from linework_core import encoders, store
from linework_core.bounded import Decoder
from linework_core.db import transaction
from linework_core.errors import Unavailable
from linework_core.jobs import runner
from linework_core.settings import get_settings
from linework_core.tables import Drawing, Encoder, Job
from linework_embedder.bulk import BulkEmbedder
from linework_embedder.roster import load_registered, manifest_of
from linework_embedder.served import open_derivative
from linework_office import publish
from linework_vision import load
from linework_vision.torch_encoder import TorchEncoder, normalise
from tests.waiting import until

app = typer.Typer(help=__doc__, add_completion=False)
VIT = "timm:vit_base_patch32_224;pretrained=false"  # its weights are random, which takes as long
Spec = Annotated[str, typer.Option("--encoder", help="as the setting DEFAULT_ENCODER")]


def derivatives(folder: Path, designs: int) -> list[bytes]:
    """The pictures of the sample office's drawings, after they were ingested."""
    decoder = Decoder(modules=[read_sheet.__module__])
    publish(folder / "inbox", designs, seed=3, workers=2)
    ingest(folder / "inbox", decoder)
    decoder.close()
    with transaction() as session:
        names = session.scalars(select(Drawing.derivative).distinct())
        return [store.get(store.get_store(), store.derivative_key(name)) for name in names]


@app.command()
def bulk(
    spec: Spec = VIT,
    device: str = "cpu",
    precision: str = "fp32",
    threads: int = 0,
    designs: int = 60,
    rounds: int = 3,
    peak_tflops: Annotated[float, typer.Option(help="of the device, to tell the share that is reached")] = 0,
) -> None:
    """Drawings a second of an embed job, and their share of the bare model's."""
    with services() as folder:
        more = {"device": device, "precision": precision, "cpu_threads": threads}
        settings = get_settings().model_copy(update=more)
        pictures = derivatives(folder, designs)
        with transaction() as session:
            row = encoders.ensure_active(session, load(spec, precision=settings.precision).manifest)
        encoder, embedder = load_registered(manifest_of(row), settings), BulkEmbedder(settings, store.get_store())
        assert isinstance(encoder, TorchEncoder)
        batches = prepared(encoder, pictures, settings.embed_batch_size)
        times = [(forward(encoder, batches), embed(embedder, row, len(pictures))) for _ in range(rounds + 1)][1:]
    bare, job = (len(pictures) / statistics.median(column) for column in zip(*times, strict=True))
    ratios = sorted(one[0] / one[1] for one in times)
    print(f"{spec}, {precision}, {device}, {torch.get_num_threads()} threads, batches of {settings.embed_batch_size}")
    print(f"{len(pictures)} drawings: bare model {bare:.1f}/s, embed job {job:.1f}/s")
    print(f"ratio {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")
    if peak_tflops:
        with FlopCounterMode(display=False) as counted:
            forward(encoder, batches[:1])
        each = counted.get_total_flops() / len(batches[0]) / 1e12
        shares = [f"{rate * each / peak_tflops:.0%}" for rate in (bare, job)]
        print(f"share of {peak_tflops} TFLOP/s: bare model {shares[0]}, embed job {shares[1]}")


def prepared(encoder: TorchEncoder, pictures: list[bytes], size: int) -> list[torch.Tensor]:
    """Batches as the model takes them, on its device."""
    greys = [encoder.preprocess(open_derivative(png)) for png in pictures]
    chunks = [torch.from_numpy(np.stack(greys[at : at + size])) for at in range(0, len(greys), size)]
    return [normalise(chunk.to(encoder.device), encoder.preprocessing) for chunk in chunks]


def forward(encoder: TorchEncoder, batches: list[torch.Tensor]) -> float:
    """Seconds of the model alone."""
    began = time.perf_counter()
    bf16 = encoder.precision == "bf16"
    with torch.inference_mode(), torch.autocast(encoder.device.type, torch.bfloat16, enabled=bf16):
        features = [encoder.net(batch) for batch in batches]
    assert bool(torch.isfinite(torch.cat(features)).all())  # waits for the device
    return time.perf_counter() - began


def embed(embedder: BulkEmbedder, row: Encoder, drawings: int) -> float:
    """Seconds of an embed job that begins without any vector."""
    with transaction() as session:
        session.execute(text("TRUNCATE embeddings"))
        job = Job(kind="embed", params={"encoder": row.encoder_id}, owner="benchmark")
        session.add(job)
    began = time.perf_counter()
    runner.run_job(job.id, embedder)
    seconds = time.perf_counter() - began
    with transaction() as session:
        ended = session.get_one(Job, job.id)
        assert (ended.state, ended.failed) == ("succeeded", 0), ended.error
        assert ended.done >= drawings
    return seconds


@dataclass
class Answers:
    """Seconds of the requests that were answered, and how many were told to come again."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    elapsed: float = 0.0  # until the last answer

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.elapsed

    def line(self, what: str) -> str:
        p50, p95, p99 = 1000 * np.percentile(self.seconds, (50, 95, 99))
        return f"| {what} | {self.rate:.1f} | {p50:.0f} | {p95:.0f} | {p99:.0f} | {self.refused} |"


@app.command()
def online(
    spec: Spec = "linework-mini", clients: int = 32, overload: int = 400, seconds: float = 15, rounds: int = 3
) -> None:
    """Requests a second with batching and without, and what becomes of too many."""
    with services() as folder, ExitStack() as stack:
        pictures = derivatives(folder, designs=10)
        settings = get_settings()
        sizes = (1, settings.embed_batch_size)
        urls = [stack.enter_context(server(folder, spec, size)) for size in sizes]
        with transaction() as session:
            encoder = encoders.active(session).encoder_id
        ask(urls[1], encoder, pictures, clients, 2)
        both = [[ask(url, encoder, pictures, clients, seconds) for url in urls] for _ in range(rounds)]
        flood = ask(urls[1], encoder, pictures, overload, seconds, at_once=4)
    print(f"{spec}: {clients} clients, one picture a request; queue limit {settings.embed_queue_limit}\n")
    print("| | requests/s | p50 ms | p95 ms | p99 ms | refused |\n|---|---|---|---|---|---|")
    for size, answers in zip(sizes, zip(*both, strict=True), strict=True):
        print(together(answers).line(f"batches of at most {size}"))
    print(flood.line(f"{overload} clients, 4 pictures a request"))
    ratios = sorted(many.rate / one.rate for one, many in both)
    print(f"\nwith batching over without: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


@contextmanager
def server(folder: Path, spec: str, batch: int) -> Iterator[str]:
    """An embedder in a process of its own, ready; its URL."""
    socket = folder / f"embedder-{batch}.sock"
    command = [sys.executable, "-m", "uvicorn", "--factory", "linework_embedder.app:create_app", "--uds", str(socket)]
    environment = os.environ | {"DEFAULT_ENCODER": spec, "EMBED_BATCH_SIZE": str(batch)}
    environment.pop("OMP_NUM_THREADS")  # it has the machine for itself
    with (folder / f"embedder-{batch}.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        until(socket.exists)
        until(EmbedderClient(f"unix://{socket}").ready, despite=(Unavailable,))
        yield f"unix://{socket}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def ask(url: str, encoder: str, pictures: list[bytes], clients: int, seconds: float, at_once: int = 1) -> Answers:
    """What clients are answered who ask again as soon as they have an answer, or as soon as they are told to."""
    answers, lock, ends = Answers(), threading.Lock(), time.perf_counter() + seconds

    def one(number: int) -> None:
        client, mine = EmbedderClient(url, timeout=120), cycle(pictures[number % len(pictures) :] + pictures)
        while (began := time.perf_counter()) < ends:
            try:
                client.embed_drawings([next(mine) for _ in range(at_once)], encoder)
                took = time.perf_counter() - began
                with lock:
                    answers.seconds.append(took)
            except Unavailable as error:
                with lock:
                    answers.refused += 1
                time.sleep(int(error.headers["Retry-After"]))
        client.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(clients)))
    answers.elapsed = time.perf_counter() - began
    return answers


def together(rounds: Iterable[Answers]) -> Answers:
    """Of several rounds."""
    every = list(rounds)
    seconds = [one for each in every for one in each.seconds]
    return Answers(seconds, sum(each.refused for each in every), sum(each.elapsed for each in every))


if __name__ == "__main__":
    app()
