"""The table, from what was measured."""

from typing import Any

COLUMNS = [
    ("kept", "same-patent", "map"), ("kept", "class-temporal", "map"), ("kept", "text-to-drawing", "map"),
    ("office", "same-patent", "map"), ("office", "class-temporal", "map"), ("office", "citation-temporal", "map"),
    ("patents", "same-patent", "map"), ("patents", "text-to-drawing", "map"),
]  # fmt: skip


def markdown(rows: dict[str, Any]) -> str:
    """One line a row, mAP as mean over queries."""
    lines = ["| | images seen | minutes | " + " | ".join(f"{corpus}, {what}" for corpus, what, _ in COLUMNS) + " |"]
    lines.append("|---" * (3 + len(COLUMNS)) + "|")
    for name, told in rows.items():
        cells = [_value(told["judged"], *column) for column in COLUMNS]
        cost = [f"{told['images']:,}", f"{told['seconds'] / 60:.1f}"] if "images" in told else ["–", "–"]
        lines.append(f"| {name} | " + " | ".join([*cost, *cells]) + " |")
    return "\n".join(lines)


def _value(judged: dict[str, Any], corpus: str, protocol: str, measure: str) -> str:
    found = judged.get(corpus, {}).get(protocol)
    return "–" if found is None else f"{found['all']['mean'][measure]:.3f}"
