"""Why an operator closed a transaction that no stop ended.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("transactions", sa.Column("close_note", sa.String(255)))


def downgrade() -> None:
    op.drop_column("transactions", "close_note")
