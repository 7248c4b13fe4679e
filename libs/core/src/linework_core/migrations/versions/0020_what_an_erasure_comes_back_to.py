"""what an erasure comes back to"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("erasures", sa.Column("pictures_deleted_at", TIMESTAMP(timezone=True)))
    op.add_column("erasures", sa.Column("drawing_rows", ARRAY(sa.BigInteger()), server_default="{}", nullable=False))
    op.add_column("erasures", sa.Column("drawing_ids", ARRAY(sa.Text()), server_default="{}", nullable=False))


def downgrade() -> None:
    for name in ("drawing_ids", "drawing_rows", "pictures_deleted_at"):
        op.drop_column("erasures", name)
