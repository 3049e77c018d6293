"""How many phases the vehicle that comes with an id tag was seen to use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tag_phases",
        sa.Column("id_tag", sa.String(length=64), nullable=False),
        sa.Column("phases", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id_tag", name=op.f("pk_tag_phases")),
    )


def downgrade() -> None:
    op.drop_table("tag_phases")
