"""What a person wants until the vehicle is unplugged: a mode, a departure, an energy."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "plug_in_wishes",
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("load_id", sa.String(length=320), nullable=False),
        sa.Column("mode", sa.String(length=32), nullable=True),
        sa.Column("manual", sa.JSON(), nullable=True),
        sa.Column("departs_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requested_wh", sa.Float(), nullable=True),
        sa.Column("was_plugged", sa.Boolean(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["site_id"], ["sites.id"], name=op.f("fk_plug_in_wishes_site_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("site_id", "load_id", name=op.f("pk_plug_in_wishes")),
    )


def downgrade() -> None:
    op.drop_table("plug_in_wishes")
