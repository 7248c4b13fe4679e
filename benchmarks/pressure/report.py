"""Tables of a run, or of two side by side."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

Run = dict[str, Any]  # {"commit", "scenarios": [{"title", "calls": [...], "memory": {...}, "settled": s}]}
HEAD = ("calls", "answered", "p50 s", "p99 s", "max s", "429", "503", "refused after s", "no Retry-After", "other")
MEMORY = (
    "api", "api children", "embedder", "ingest", "ingest children", "search", "search children", "embed", "postgres",
    "redis", "all together",
)  # fmt: skip


def figures(calls: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The columns of a row, by HEAD's names. Times are of answered calls, but for that of the slowest refusal."""
    answered = [call["seconds"] for call in calls if _answered(call)]
    refused = [call for call in calls if call["outcome"] in ("429", "503")]
    outcomes = Counter(call["outcome"] for call in calls if not _answered(call) and call not in refused)
    p50, p99, most = np.percentile(answered, [50, 99, 100]) if answered else (None, None, None)
    return {
        "calls": len(calls),
        "answered": len(answered),
        "p50 s": p50,
        "p99 s": p99,
        "max s": most,
        "429": sum(call["outcome"] == "429" for call in refused),
        "503": sum(call["outcome"] == "503" for call in refused),
        "refused after s": max((call["seconds"] for call in refused), default=None),
        "no Retry-After": sum(not call["retry_after"] for call in refused),
        "other": ", ".join(f"{outcome}: {number}" for outcome, number in sorted(outcomes.items())),
    }


def latencies(run: Run) -> str:
    """A row for each caller of each scenario."""
    lines = [_line(["", "caller", *HEAD]), _line(["---"] * (len(HEAD) + 2))]
    return "\n".join([*lines, *map(rows_of, run["scenarios"])])


def rows_of(scenario: dict[str, Any]) -> str:
    """The rows of one scenario."""
    callers = _by_caller(scenario).items()
    return "\n".join(_line([scenario["title"], name, *map(_told, figures(calls).values())]) for name, calls in callers)


def memory(run: Run) -> str:
    """Peaks of each process in MB, a row for each scenario."""
    rows = [
        [scenario["title"], *(_told(scenario["memory"].get(name)) for name in MEMORY)] for scenario in run["scenarios"]
    ]
    return _table(["", *MEMORY], rows)


def problems(run: Run) -> str:
    """What refusals and errors said, each once with its number."""
    lines = []
    for scenario in run["scenarios"]:
        said = Counter((call["caller"], call["problem"]) for call in scenario["calls"] if call["problem"])
        kinds: Counter[tuple[str, str]] = Counter()
        for (caller, problem), number in said.items():
            kinds[caller, _without_id(problem)] += number
        lines += [f"{scenario['title']}, {caller}, {number}: {text}" for (caller, text), number in kinds.items()]
    return "\n".join(lines)


def comparison(before: Run, after: Run) -> str:
    """Both runs side by side: p50, p99, refusals and the peak of all memory, with after over before."""
    earlier = {scenario["title"]: scenario for scenario in before["scenarios"]}
    rows = []
    for scenario in after["scenarios"]:
        if (other := earlier.get(scenario["title"])) is None:
            continue
        former = _by_caller(other)
        for caller, calls in _by_caller(scenario).items():
            pair = figures(former.get(caller, [])), figures(calls)
            cells = [_both(*(one[name] for one in pair)) for name in ("p50 s", "p99 s", "max s")]
            rows.append([scenario["title"], caller, *cells, *(_counts(one) for one in pair)])
        peaks = (other["memory"].get("all together"), scenario["memory"].get("all together"))
        rows.append([scenario["title"], "memory of all, MB", "", "", _both(*peaks), "", ""])
    columns = ["p50 s", "p99 s", "max s"]
    return _table(["", "caller", *columns, "answered, refused, other: before", "after"], rows)


def _both(before: float | None, after: float | None) -> str:
    ratio = f" (× {after / before:.2f})" if before and after is not None else ""
    return f"{_told(before) or '–'} → {_told(after) or '–'}{ratio}"


def _counts(row: dict[str, Any]) -> str:
    refused = row["429"] + row["503"]
    return f"{row['answered']}, {refused}, {row['calls'] - row['answered'] - refused}"


def _by_caller(scenario: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    sorted_calls: dict[str, list[dict[str, Any]]] = {}
    for call in scenario["calls"]:
        sorted_calls.setdefault(call["caller"], []).append(call)
    return sorted_calls


def _answered(call: dict[str, Any]) -> bool:
    return call["outcome"].startswith("2") or call["outcome"] in ("succeeded", "closed")


def _without_id(problem: str) -> str:
    return problem.partition('"request_id"')[0]


def _told(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:.3f}" if value < 1 else f"{value:.1f}"
        case _:
            return str(value)


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    names = list(head)
    return "\n".join(map(_line, [names, ["---"] * len(names), *rows]))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
