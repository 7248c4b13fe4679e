"""What a corpus says, whatever the way it came about."""

from pathlib import Path

from sqlalchemy import Engine, text

Contents = dict[str, list[str]]
# numbers of rows, snapshots, jobs and times differ between two ways to the same corpus
OF_A_RUN = [
    *("row_id", "id", "patent_row", "sheet_row", "figure_row", "drawing_row"),
    *("job_id", "added_in", "removed_in", "created_at"),
]
OF_PATENT = ("JOIN patents p ON p.row_id = t.patent_row", "'patent', p.patent_id")
TABLES = {  # how a row's neighbours are found, and what they are called
    "patents": ("", ""),
    "sheets": OF_PATENT,
    "figures": OF_PATENT,
    "citations": OF_PATENT,
    "drawings": (
        "JOIN sheets s ON s.row_id = t.sheet_row LEFT JOIN figures f ON f.row_id = t.figure_row",
        "'sheet', s.sheet_id, 'figure', f.ordinal",
    ),
    "embeddings": ("", ""),
    "packages": ("", ""),
    "set_aside": ("", ""),
}


def contents(engine: Engine, objects: Path) -> Contents:
    """The rows of each table as JSON, closed or not, in an order of their own; and the names of the objects."""
    found = {}
    with engine.connect() as connection:
        for table, (joins, neighbours) in TABLES.items():
            closed = "jsonb_build_object('closed', to_jsonb(t) ->> 'removed_in' IS NOT NULL)"
            says = f"(to_jsonb(t) - cast(:own AS text[]) || {closed} || jsonb_build_object({neighbours}))::text"
            statement = text(f"SELECT {says} AS said FROM {table} t {joins} ORDER BY said")
            found[table] = list(connection.scalars(statement, {"own": OF_A_RUN}))
    found["objects"] = sorted(str(one.relative_to(objects)) for one in objects.rglob("*") if one.is_file())
    return found
