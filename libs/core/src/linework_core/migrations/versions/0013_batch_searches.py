"""batch searches"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "batch_queries",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("query", sa.String(), nullable=False),
        sa.Column("searched_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("search_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("detail", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"]),
        sa.ForeignKeyConstraint(["search_id"], ["searches.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "ordinal"),
    )
    op.create_index(op.f("ix_batch_queries_searched_at"), "batch_queries", ["searched_at"])
    op.create_index(op.f("ix_batch_queries_search_id"), "batch_queries", ["search_id"])
    op.create_index(
        "batch_queries_waiting", "batch_queries", ["job_id", "ordinal"], postgresql_where=sa.text("searched_at IS NULL")
    )


def downgrade() -> None:
    op.drop_table("batch_queries")
