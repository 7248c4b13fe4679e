"""which job paid for a call"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("llm_calls", sa.Column("job_id", sa.Uuid(), sa.ForeignKey("jobs.id"), nullable=True))
    op.create_index("ix_llm_calls_job_id", "llm_calls", ["job_id"])


def downgrade() -> None:
    op.drop_index("ix_llm_calls_job_id", table_name="llm_calls")
    op.drop_column("llm_calls", "job_id")
