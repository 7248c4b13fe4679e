"""how sheets were split"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("sheets", sa.Column("layout", JSONB(), server_default="{}", nullable=False))


def downgrade() -> None:
    op.drop_column("sheets", "layout")
