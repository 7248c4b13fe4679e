"""An evaluation job: reads a snapshot, ranks, judges, draws, and writes it down once."""

import csv
import io
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import structlog
import torch
from obstore.store import ObjectStore
from PIL import Image

from linework_core import encoders, store
from linework_core.db import transaction
from linework_core.errors import NotFound, Unprocessable
from linework_core.evaluations import EvaluationRequest
from linework_core.jobs.runner import Run
from linework_core.settings import Settings
from linework_core.tables import Encoder as EncoderRow
from linework_trainer.evaluation import pictures, repository, trials
from linework_trainer.evaluation.metrics import Judged, judge_ranking, summary
from linework_trainer.evaluation.pictures import Point, Shown
from linework_trainer.evaluation.protocols import Side
from linework_trainer.evaluation.ranking import Floats, Ints, Ranking
from linework_trainer.evaluation.repository import Drawings
from linework_trainer.evaluation.trials import Material, Prepared
from linework_trainer.registered import load_registered

log = structlog.get_logger()
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # of the distractors
GROWTH_QUERIES, SHOWN_QUERIES, SHOWN_HITS, MAPPED = 1000, 8, 10, 2000
TEXT_BATCH = 256


def evaluate(run: Run, settings: Settings, objects: ObjectStore) -> dict[str, Any]:
    """The handler of evaluate jobs. Raises NotFound, Unprocessable, and Stopped when the run should end."""
    return _Evaluation(run, settings, objects)()


class _Evaluation:
    def __init__(self, run: Run, settings: Settings, objects: ObjectStore) -> None:
        self._run, self._settings, self._objects = run, settings, objects
        self._request = EvaluationRequest.model_validate(run.params)
        self._dice = np.random.default_rng([self._request.seed, 1])  # what is drawn here changes no trial
        self._told = (time.monotonic(), 0)

    def __call__(self) -> dict[str, Any]:
        started, request = time.monotonic(), self._request
        encoder, snapshot, material = self._read()
        prepared = trials.prepare(request, material, lambda texts: self._encode(encoder, texts))
        task = prepared.trial.task
        self._run.start_counting(total=len(task.queries))
        ranking = Ranking(task, device=self._settings.device, memory=memory_of(self._settings.device))
        judged = judge_ranking(ranking, len(task.queries), progress=self._progress)
        self._tell_rest()
        results = _results(material, prepared, judged)
        artefacts = {"queries.csv": _table(prepared, material.drawings, judged)}
        if request.pictures and judged.counted.any():
            points = self._growth(ranking, judged)
            results["growth"] = [asdict(point) for point in points]
            artefacts |= self._pictures(prepared, material.drawings, ranking, judged, points)
        outcome = {
            "results": results,
            "artefacts": {name: self._store(data) for name, data in artefacts.items()},
            "seconds": time.monotonic() - started,
        }
        self._write(encoder, snapshot, outcome)
        everyone = results["all"]
        log.info("evaluated", protocol=request.protocol, encoder=encoder.encoder_id, **everyone["mean"])
        return {"evaluation": str(self._run.job_id), "judged": everyone["judged"], "map": everyone["mean"]["map"]}

    def _read(self) -> tuple[EncoderRow, int, Material]:
        request = self._request
        if request.encoder is None or request.snapshot is None:
            raise Unprocessable("An evaluation needs an encoder and a snapshot; the gateway names them.")
        with transaction(self._run.engine) as session:
            # all reads see one moment: vectors come in meanwhile
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            encoder = encoders.find_kept(session, request.encoder)
            material = trials.read(session, request, request.snapshot, encoder, self._run.checkpoint)
        return encoder, request.snapshot, material

    def _write(self, encoder: EncoderRow, snapshot: int, outcome: dict[str, Any]) -> None:
        request, device = self._request, device_name(self._settings.device)
        with self._run.transaction() as session:
            repository.add(
                session, self._run.job_id, encoder=encoder.number, protocol=request.protocol, snapshot=snapshot,
                seed=request.seed, request=request.model_dump(mode="json"), device=device, **outcome,
            )  # fmt: skip

    def _encode(self, row: EncoderRow, texts: Sequence[str]) -> Floats:
        encoder, rows = load_registered(row, self._settings), [np.empty((0, row.dimension), dtype=np.float32)]
        for start in range(0, len(texts), TEXT_BATCH):
            self._run.checkpoint()
            rows.append(encoder.encode_texts(texts[start : start + TEXT_BATCH]))
        return np.concatenate(rows)

    def _progress(self, count: int) -> None:
        self._run.checkpoint()
        since, waiting = self._told
        self._told = (since, waiting + count)
        if time.monotonic() - since > 1:
            self._tell_rest()

    def _tell_rest(self) -> None:
        with self._run.transaction() as session:
            self._run.tell(session, done=self._told[1])
        self._told = (time.monotonic(), 0)

    def _growth(self, ranking: Ranking, judged: Judged) -> list[Point]:
        """DeepPatent's figure 3: mAP while distractors, drawn at random, become more. What is relevant always stays."""
        queries = self._some(np.flatnonzero(judged.counted), GROWTH_QUERIES)
        lot = self._dice.random(ranking.items)
        points = []
        for share in SHARES:
            found = judge_ranking(
                ranking, len(judged.relevant), queries, keep=lot < share, progress=lambda _: self._run.checkpoint()
            )
            of = found.counted
            points.append(Point(share, float(found.eligible[of].mean()), float(found.values["map"][of].mean())))
        return points

    def _some(self, places: Ints, count: int) -> Ints:
        return places if len(places) <= count else np.sort(self._dice.choice(places, count, replace=False))

    def _pictures(
        self, prepared: Prepared, drawings: Drawings, ranking: Ranking, judged: Judged, points: Sequence[Point]
    ) -> dict[str, bytes]:
        title = f"{self._request.protocol}, {self._request.encoder}"
        self._run.checkpoint()
        found = {"database-size.png": pictures.growth_curve(points, title)}
        found["retrieval.png"] = self._sheet(prepared, drawings, ranking, judged)
        self._run.checkpoint()
        mapped = self._some(np.arange(len(drawings.ids)), MAPPED)
        classes = [drawings.classes[place] for place in mapped]
        drawn = pictures.vector_map(
            drawings.vectors[mapped], classes, seed=self._request.seed, title=f"{self._request.encoder}, t-SNE"
        )
        return found if drawn is None else {**found, "tsne.png": drawn}

    def _sheet(self, prepared: Prepared, drawings: Drawings, ranking: Ranking, judged: Judged) -> bytes:
        trial, rows = prepared.trial, []
        queries = self._some(np.flatnonzero(judged.counted), SHOWN_QUERIES)
        for query, hits in zip(queries, ranking.top(queries, SHOWN_HITS), strict=True):
            wanted = set(trial.task.wanted[query].tolist())
            shown = [Shown(self._look(drawings, trial.asking, int(query)))]
            for hit in hits:
                right = int(trial.task.groups[hit]) in wanted
                shown.append(Shown(self._look(drawings, trial.asked, int(hit)), right))
            rows.append(shown)
        return pictures.contact_sheet(rows)

    def _look(self, drawings: Drawings, side: Side, place: int) -> Image.Image | str:
        if side.texts is not None:
            return side.texts[place]
        drawing = int(side.drawings[place])
        try:
            png = store.get(self._objects, store.derivative_key(drawings.derivatives[drawing]))
            return Image.open(io.BytesIO(png), formats=("PNG",))
        except (NotFound, OSError):
            return drawings.ids[drawing]  # the picture is lost, its vector is not

    def _store(self, data: bytes) -> str:
        name = store.content_hash(data)
        store.put_once(self._objects, store.artefact_key(name), data)
        return name


def _results(material: Material, prepared: Prepared, judged: Judged) -> dict[str, Any]:
    return {
        "drawings": material.total,
        "without_vector": material.total - len(material.drawings.ids),
        "undated": prepared.undated,
        "items": len(prepared.trial.task.database),
        "head_classes": sorted(prepared.head),
        **summary(judged, prepared.trial.classes, prepared.head_numbers),
    }


def _table(prepared: Prepared, drawings: Drawings, judged: Judged) -> bytes:
    """A CSV of every query's measures, to compare encoders with query by query."""
    written, trial = io.StringIO(), prepared.trial
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["drawing", "class", "eligible", "relevant", *judged.values])
    for place, drawing in enumerate(trial.asking.drawings):
        values = [f"{column[place]:.6g}" if judged.counted[place] else "" for column in judged.values.values()]
        number = trial.classes[place]
        name = prepared.class_names[number] if number >= 0 else ""
        table.writerow([drawings.ids[drawing], name, judged.eligible[place], judged.relevant[place], *values])
    return written.getvalue().encode()


def memory_of(device: str) -> int:
    """What one chunk's scores may take: 1 GiB on a CPU, half of what is free on a GPU."""
    if not device.startswith("cuda"):
        return 2**30
    free, _ = torch.cuda.mem_get_info(torch.device(device))
    return int(free) // 2


def device_name(device: str) -> str:
    return torch.cuda.get_device_name(torch.device(device)) if device.startswith("cuda") else "cpu"
