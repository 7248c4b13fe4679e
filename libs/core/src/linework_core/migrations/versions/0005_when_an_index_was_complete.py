"""when an index was complete; drawings without dates"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BASES = ("granted", "filed", "priority")


def upgrade() -> None:
    op.add_column("indexes", sa.Column("complete_at", sa.BigInteger(), nullable=True))
    op.create_index("drawings_added", "drawings", ["added_in"])
    for basis in BASES:
        without = sa.text(f"{basis} IS NULL")
        op.create_index(f"drawings_without_{basis}", "drawings", ["row_id"], postgresql_where=without)


def downgrade() -> None:
    for basis in BASES:
        op.drop_index(f"drawings_without_{basis}", table_name="drawings")
    op.drop_index("drawings_added", table_name="drawings")
    op.drop_column("indexes", "complete_at")
