"""indexes that are paused or removed, and how far they were tried"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "tried_at": sa.BigInteger(),
    "texts_tried_at": sa.BigInteger(),
    "paused_at": sa.DateTime(timezone=True),
    "removed_at": sa.DateTime(timezone=True),
    "emptied_in": sa.BigInteger(),
}


def upgrade() -> None:
    for name, kind in COLUMNS.items():
        op.add_column("indexes", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("indexes", name)
