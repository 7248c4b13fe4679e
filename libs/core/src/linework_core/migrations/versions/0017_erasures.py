"""erasures"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    texts = ARRAY(sa.Text())
    op.create_table(
        "erasures",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), primary_key=True),
        sa.Column("patent_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("erased_by", sa.String(), nullable=False),
        sa.Column("erased_at", TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("snapshot", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.Uuid(), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("originals", texts, server_default="{}", nullable=False),
        sa.Column("derivatives", texts, server_default="{}", nullable=False),
        sa.Column("lifted_at", TIMESTAMP(timezone=True)),
        sa.Column("lifted_by", sa.String()),
    )
    op.create_index(
        "erasures_in_force", "erasures", ["patent_id"], unique=True, postgresql_where=sa.text("lifted_at IS NULL")
    )
    op.add_column("searches", sa.Column("erased", texts, server_default="{}", nullable=False))


def downgrade() -> None:
    op.drop_column("searches", "erased")
    op.drop_table("erasures")
