"""descriptions, the calls that made them, and titles of clusters"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

OPEN = sa.text("removed_in IS NULL")


def moment(name: str, *, now: bool = False, nullable: bool = False) -> "sa.Column[object]":
    default = sa.text("now()") if now else None
    return sa.Column(name, postgresql.TIMESTAMP(timezone=True), server_default=default, nullable=nullable)


def upgrade() -> None:
    create_descriptions()
    op.create_table(
        "enrich_failures",
        sa.Column("drawing_row", sa.BigInteger(), nullable=False),
        sa.Column("recipe", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        moment("next_try_at"),
        sa.ForeignKeyConstraint(["drawing_row"], ["drawings.row_id"]),
        sa.PrimaryKeyConstraint("drawing_row", "recipe"),
    )
    create_calls()
    op.create_table(
        "cluster_titles",
        sa.Column("key", sa.CHAR(64), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("summary", sa.String(), nullable=False),
        sa.Column("provenance", postgresql.JSONB(), nullable=False),
        moment("created_at", now=True),
        sa.PrimaryKeyConstraint("key"),
    )


def create_descriptions() -> None:
    op.create_table(
        "descriptions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("drawing_row", sa.BigInteger(), nullable=False),
        sa.Column("drawing_id", sa.String(), nullable=False),
        sa.Column("patent_id", sa.String(), nullable=False),
        sa.Column("texts", postgresql.JSONB(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("captioner", sa.String(), nullable=True),
        sa.Column("prompt", sa.String(), nullable=False),
        sa.Column("facts", sa.String(), nullable=False),
        sa.Column("recipe", sa.String(), nullable=False),
        sa.Column("tokens_in", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tokens_out", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cost", sa.Numeric(), server_default="0", nullable=False),
        sa.Column("latency_ms", sa.Float(), server_default="0", nullable=False),
        sa.Column("calls", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        moment("created_at", now=True),
        sa.Column("words", postgresql.TSVECTOR(), server_default="", nullable=False),
        sa.Column("added_in", sa.BigInteger(), nullable=False),
        sa.Column("removed_in", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["drawing_row"], ["drawings.row_id"]),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("descriptions_open", "descriptions", ["drawing_row"], unique=True, postgresql_where=OPEN)
    op.create_index("descriptions_once", "descriptions", ["drawing_row", "recipe", "facts"], unique=True)
    op.create_index("descriptions_words", "descriptions", ["words"], postgresql_using="gin")
    for column in ("drawing_id", "patent_id", "added_in"):
        op.create_index(op.f(f"ix_descriptions_{column}"), "descriptions", [column])


def create_calls() -> None:
    op.create_table(
        "llm_calls",
        sa.Column("key", sa.CHAR(64), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("provider_url", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("prompt", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column("fault", sa.String(), nullable=True),
        sa.Column("tokens_in", sa.Integer(), nullable=True),
        sa.Column("tokens_out", sa.Integer(), nullable=True),
        sa.Column("cost", sa.Numeric(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("claimed_by", sa.String(), nullable=True),
        moment("claimed_until", nullable=True),
        moment("created_at", now=True),
        moment("answered_at", nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )


def downgrade() -> None:
    for table in ("cluster_titles", "llm_calls", "enrich_failures", "descriptions"):
        op.drop_table(table)
