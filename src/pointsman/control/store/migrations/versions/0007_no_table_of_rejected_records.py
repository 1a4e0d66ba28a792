"""Move rejected records to a file: the table is dropped unless it holds some."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    bind = op.get_bind()
    if sa.inspect(bind).has_table("refused") and not bind.scalar(sa.text("SELECT count(*) FROM refused")):
        op.drop_table("refused")
