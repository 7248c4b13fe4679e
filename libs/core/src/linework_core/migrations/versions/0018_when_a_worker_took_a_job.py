"""when a worker took a job"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("taken_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.create_index("jobs_taken", "jobs", ["owner", "kind", "taken_at"])


def downgrade() -> None:
    op.drop_index("jobs_taken", table_name="jobs")
    op.drop_column("jobs", "taken_at")
