"""words of drawings; searches that can be replayed"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("drawings", sa.Column("words", postgresql.TSVECTOR(), server_default="", nullable=False))
    op.create_index("drawings_words", "drawings", ["words"], postgresql_using="gin")
    op.execute("""
        UPDATE drawings d SET words =
            setweight(to_tsvector('english', coalesce(p.title, '')), 'A') ||
            setweight(to_tsvector('english', coalesce((
                SELECT string_agg(concat_ws(' ', f.object, f.caption), ' ') FROM figures f
                WHERE f.row_id = d.figure_row OR (d.figure_row IS NULL AND f.patent_row = d.patent_row)), '')), 'B')
        FROM patents p WHERE p.row_id = d.patent_row""")
    # a record from before cannot be replayed, so none is kept
    op.drop_table("searches")
    op.create_table(
        "searches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("request", postgresql.JSONB(), nullable=False),
        sa.Column("query", postgresql.JSONB(), nullable=False),
        sa.Column("vectors", sa.LargeBinary(), nullable=True),
        sa.Column("encoder", sa.SmallInteger(), nullable=False),
        sa.Column("snapshot", sa.BigInteger(), nullable=False),
        sa.Column("plan", postgresql.JSONB(), nullable=False),
        sa.Column("answer", postgresql.JSONB(), nullable=False),
        sa.Column("rows", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("scores", postgresql.JSONB(), nullable=False),
        sa.Column("took_ms", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["encoder"], ["encoders.number"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_searches_owner"), "searches", ["owner"])
    op.create_index(op.f("ix_searches_created_at"), "searches", ["created_at"])
    op.create_table(
        "unrecorded_searches",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("searches", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "owner"),
    )


def downgrade() -> None:
    op.drop_table("unrecorded_searches")
    op.drop_table("searches")
    op.create_table(
        "searches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("request", postgresql.JSONB(), nullable=False),
        sa.Column("encoder", sa.SmallInteger(), nullable=False),
        sa.Column("snapshot", sa.BigInteger(), nullable=False),
        sa.Column("answer", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["encoder"], ["encoders.number"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_searches_owner"), "searches", ["owner"])
    op.drop_index("drawings_words", table_name="drawings")
    op.drop_column("drawings", "words")
