"""vectors of descriptions"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "description_vectors",
        sa.Column("encoder", sa.SmallInteger(), nullable=False),
        sa.Column("drawing_row", sa.BigInteger(), nullable=False),
        sa.Column("description", sa.BigInteger(), nullable=False),
        sa.Column("vector", HALFVEC(), nullable=False),
        sa.Column("added_in", sa.BigInteger(), nullable=False),
        sa.Column("removed_in", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["encoder"], ["encoders.number"]),
        sa.ForeignKeyConstraint(["description"], ["descriptions.id"]),
        sa.PrimaryKeyConstraint("encoder", "drawing_row", "description"),
    )
    op.execute("ALTER TABLE description_vectors ALTER COLUMN vector SET STORAGE PLAIN")
    op.create_index(
        "description_vectors_open", "description_vectors", ["drawing_row", "encoder"], unique=True,
        postgresql_where=sa.text("removed_in IS NULL"),
    )  # fmt: skip
    op.create_table(
        "description_vector_failures",
        sa.Column("encoder", sa.SmallInteger(), nullable=False),
        sa.Column("description", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("next_try_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["encoder"], ["encoders.number"]),
        sa.ForeignKeyConstraint(["description"], ["descriptions.id"]),
        sa.PrimaryKeyConstraint("encoder", "description"),
    )
    # A search by a frequent word ranks many descriptions: their words stay in the row, and the texts make room.
    op.execute("ALTER TABLE descriptions ALTER COLUMN words SET STORAGE MAIN")
    op.add_column("indexes", sa.Column("described_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("indexes", "described_at")
    op.execute("ALTER TABLE descriptions ALTER COLUMN words SET STORAGE EXTENDED")
    op.drop_table("description_vector_failures")
    op.drop_table("description_vectors")
