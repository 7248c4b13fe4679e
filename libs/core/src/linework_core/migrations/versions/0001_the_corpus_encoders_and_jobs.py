"""the corpus, encoders and jobs"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.create_table(
        "corpus",
        sa.Column("id", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("snapshot", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("id = 1", name="corpus_is_one_row"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute("INSERT INTO corpus DEFAULT VALUES")
    op.create_table(
        "embeddings",
        sa.Column("encoder", sa.SmallInteger(), nullable=False),
        sa.Column("drawing_row", sa.BigInteger(), nullable=False),
        sa.Column("drawing_id", sa.String(), nullable=False),
        sa.Column("derivative", sa.String(), nullable=False),
        sa.Column("vector", HALFVEC(), nullable=False),
        sa.Column("patent_id", sa.String(), nullable=False),
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("granted", sa.Date(), nullable=True),
        sa.Column("filed", sa.Date(), nullable=True),
        sa.Column("priority", sa.Date(), nullable=True),
        sa.Column("locarno", sa.String(), nullable=True),
        sa.Column("view", sa.String(), nullable=True),
        sa.Column("added_in", sa.BigInteger(), nullable=False),
        sa.Column("removed_in", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("encoder", "drawing_row"),
        postgresql_partition_by="LIST (encoder)",
    )
    # A vector above 2 kB would be moved out of its row, and every scan would fetch it from there.
    op.execute("ALTER TABLE embeddings ALTER COLUMN vector SET STORAGE PLAIN")
    op.create_table(
        "encoders",
        sa.Column("number", sa.SmallInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("encoder_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("spec", sa.String(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("has_text", sa.Boolean(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("content_hash"),
        sa.UniqueConstraint("encoder_id"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("state", sa.String(), server_default="queued", nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("skipped", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_before", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("lease_holder", sa.String(), nullable=True),
        sa.Column("lease_until", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("finished_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="job_state"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("jobs_by_time", "jobs", ["created_at", "id"], unique=False)
    op.create_index(
        "jobs_one_embed_per_encoder",
        "jobs",
        [sa.literal_column("(params ->> 'encoder')")],
        unique=True,
        postgresql_where=sa.text("kind = 'embed' AND state IN ('queued', 'running')"),
    )
    op.create_index(
        "jobs_undone",
        "jobs",
        ["kind", "created_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request", sa.String(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
        ),
        sa.PrimaryKeyConstraint("caller", "key"),
    )
    op.create_table(
        "indexes",
        sa.Column("encoder", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(), server_default="building", nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("activated_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("retired_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('building', 'ready', 'active', 'retired')", name="index_state"),
        sa.ForeignKeyConstraint(
            ["encoder"],
            ["encoders.number"],
        ),
        sa.PrimaryKeyConstraint("encoder"),
    )
    op.create_index(
        "indexes_one_active", "indexes", ["state"], unique=True, postgresql_where=sa.text("state = 'active'")
    )
    op.create_table(
        "packages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("office", sa.String(), nullable=True),
        sa.Column("week", sa.Date(), nullable=True),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_packages_name"), "packages", ["name"], unique=False)
    op.create_index("packages_once_a_job", "packages", ["job_id", "name"], unique=True)
    op.create_table(
        "patents",
        sa.Column("row_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("patent_id", sa.String(), nullable=False),
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("title", sa.String(), nullable=True),
        sa.Column("granted", sa.Date(), nullable=True),
        sa.Column("filed", sa.Date(), nullable=True),
        sa.Column("priority", sa.Date(), nullable=True),
        sa.Column("locarno", sa.String(), nullable=True),
        sa.Column("locarno_edition", sa.String(), nullable=True),
        sa.Column("locarno_further", sa.ARRAY(sa.String()), server_default="{}", nullable=False),
        sa.Column("claim", sa.String(), nullable=True),
        sa.Column("application", sa.String(), nullable=True),
        sa.Column("hague", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("family", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("family_keys", sa.ARRAY(sa.String()), server_default="{}", nullable=False),
        sa.Column("extra", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("added_in", sa.BigInteger(), nullable=False),
        sa.Column("removed_in", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
        ),
        sa.PrimaryKeyConstraint("row_id"),
    )
    op.create_index(op.f("ix_patents_added_in"), "patents", ["added_in"], unique=False)
    op.create_index(op.f("ix_patents_granted"), "patents", ["granted"], unique=False)
    op.create_index(op.f("ix_patents_patent_id"), "patents", ["patent_id"], unique=False)
    op.create_index("patents_family", "patents", ["family_keys"], unique=False, postgresql_using="gin")
    op.create_index(
        "patents_open", "patents", ["patent_id"], unique=True, postgresql_where=sa.text("removed_in IS NULL")
    )
    op.create_table(
        "searches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("encoder", sa.SmallInteger(), nullable=False),
        sa.Column("snapshot", sa.BigInteger(), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["encoder"],
            ["encoders.number"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_searches_owner"), "searches", ["owner"], unique=False)
    op.create_table(
        "set_aside",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("package", sa.String(), nullable=False),
        sa.Column("record", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_set_aside_job_id"), "set_aside", ["job_id"], unique=False)
    op.create_index("set_aside_once", "set_aside", ["package", "record", "reason"], unique=True)
    op.create_table(
        "citations",
        sa.Column("row_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("patent_row", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("raw_number", sa.String(), nullable=False),
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("date", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("category", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["patent_row"],
            ["patents.row_id"],
        ),
        sa.PrimaryKeyConstraint("row_id"),
    )
    op.create_index(op.f("ix_citations_number"), "citations", ["number"], unique=False)
    op.create_index(op.f("ix_citations_patent_row"), "citations", ["patent_row"], unique=False)
    op.create_table(
        "figures",
        sa.Column("row_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("patent_row", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("caption", sa.String(), nullable=False),
        sa.Column("view", sa.String(), nullable=True),
        sa.Column("object", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["patent_row"],
            ["patents.row_id"],
        ),
        sa.PrimaryKeyConstraint("row_id"),
    )
    op.create_index(op.f("ix_figures_patent_row"), "figures", ["patent_row"], unique=False)
    op.create_table(
        "sheets",
        sa.Column("row_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("sheet_id", sa.String(), nullable=False),
        sa.Column("patent_row", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("original", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["patent_row"],
            ["patents.row_id"],
        ),
        sa.PrimaryKeyConstraint("row_id"),
    )
    op.create_index(op.f("ix_sheets_patent_row"), "sheets", ["patent_row"], unique=False)
    op.create_index(op.f("ix_sheets_sheet_id"), "sheets", ["sheet_id"], unique=False)
    op.create_table(
        "drawings",
        sa.Column("row_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("drawing_id", sa.String(), nullable=False),
        sa.Column("patent_row", sa.BigInteger(), nullable=False),
        sa.Column("sheet_row", sa.BigInteger(), nullable=False),
        sa.Column("figure_row", sa.BigInteger(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("box", sa.ARRAY(sa.BigInteger()), nullable=True),
        sa.Column("original", sa.String(), nullable=False),
        sa.Column("derivative", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("patent_id", sa.String(), nullable=False),
        sa.Column("office", sa.String(), nullable=False),
        sa.Column("granted", sa.Date(), nullable=True),
        sa.Column("filed", sa.Date(), nullable=True),
        sa.Column("priority", sa.Date(), nullable=True),
        sa.Column("locarno", sa.String(), nullable=True),
        sa.Column("view", sa.String(), nullable=True),
        sa.Column("added_in", sa.BigInteger(), nullable=False),
        sa.Column("removed_in", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["figure_row"],
            ["figures.row_id"],
        ),
        sa.ForeignKeyConstraint(
            ["patent_row"],
            ["patents.row_id"],
        ),
        sa.ForeignKeyConstraint(
            ["sheet_row"],
            ["sheets.row_id"],
        ),
        sa.PrimaryKeyConstraint("row_id"),
    )
    op.create_index("drawings_granted", "drawings", ["granted"], unique=False)
    op.create_index(
        "drawings_open",
        "drawings",
        ["drawing_id"],
        unique=True,
        postgresql_where=sa.text("removed_in IS NULL"),
    )
    op.create_index("drawings_patent", "drawings", ["patent_id"], unique=False)
    op.create_index(op.f("ix_drawings_derivative"), "drawings", ["derivative"], unique=False)
    op.create_index(op.f("ix_drawings_drawing_id"), "drawings", ["drawing_id"], unique=False)
    op.create_index(op.f("ix_drawings_patent_row"), "drawings", ["patent_row"], unique=False)
    op.create_table(
        "embed_failures",
        sa.Column("encoder", sa.SmallInteger(), nullable=False),
        sa.Column("drawing_row", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("next_try_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["drawing_row"],
            ["drawings.row_id"],
        ),
        sa.ForeignKeyConstraint(
            ["encoder"],
            ["encoders.number"],
        ),
        sa.PrimaryKeyConstraint("encoder", "drawing_row"),
    )


def downgrade() -> None:
    op.drop_table("embed_failures")
    op.drop_index(op.f("ix_drawings_patent_row"), table_name="drawings")
    op.drop_index(op.f("ix_drawings_drawing_id"), table_name="drawings")
    op.drop_index(op.f("ix_drawings_derivative"), table_name="drawings")
    op.drop_index("drawings_patent", table_name="drawings")
    op.drop_index("drawings_open", table_name="drawings", postgresql_where=sa.text("removed_in IS NULL"))
    op.drop_index("drawings_granted", table_name="drawings")
    op.drop_table("drawings")
    op.drop_index(op.f("ix_sheets_sheet_id"), table_name="sheets")
    op.drop_index(op.f("ix_sheets_patent_row"), table_name="sheets")
    op.drop_table("sheets")
    op.drop_index(op.f("ix_figures_patent_row"), table_name="figures")
    op.drop_table("figures")
    op.drop_index(op.f("ix_citations_patent_row"), table_name="citations")
    op.drop_index(op.f("ix_citations_number"), table_name="citations")
    op.drop_table("citations")
    op.drop_index("set_aside_once", table_name="set_aside")
    op.drop_index(op.f("ix_set_aside_job_id"), table_name="set_aside")
    op.drop_table("set_aside")
    op.drop_index(op.f("ix_searches_owner"), table_name="searches")
    op.drop_table("searches")
    op.drop_index("patents_open", table_name="patents", postgresql_where=sa.text("removed_in IS NULL"))
    op.drop_index("patents_family", table_name="patents", postgresql_using="gin")
    op.drop_index(op.f("ix_patents_patent_id"), table_name="patents")
    op.drop_index(op.f("ix_patents_granted"), table_name="patents")
    op.drop_index(op.f("ix_patents_added_in"), table_name="patents")
    op.drop_table("patents")
    op.drop_index("packages_once_a_job", table_name="packages")
    op.drop_index(op.f("ix_packages_name"), table_name="packages")
    op.drop_table("packages")
    op.drop_index("indexes_one_active", table_name="indexes", postgresql_where=sa.text("state = 'active'"))
    op.drop_table("indexes")
    op.drop_table("idempotency_keys")
    op.drop_index("jobs_undone", table_name="jobs", postgresql_where=sa.text("state IN ('queued', 'running')"))
    op.drop_index(
        "jobs_one_embed_per_encoder",
        table_name="jobs",
        postgresql_where=sa.text("kind = 'embed' AND state IN ('queued', 'running')"),
    )
    op.drop_index("jobs_by_time", table_name="jobs")
    op.drop_table("jobs")
    op.drop_table("encoders")
    op.drop_table("embeddings")
    op.drop_table("corpus")
