"""How each station takes limits, and how often it was written to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "station_limits",
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("learnt", sa.JSON(), nullable=False),
        sa.Column("writes_day", sa.Date(), nullable=True),
        sa.Column("writes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_write_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["identity"],
            ["charge_points.identity"],
            name=op.f("fk_station_limits_identity"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("identity", name=op.f("pk_station_limits")),
    )


def downgrade() -> None:
    op.drop_table("station_limits")
