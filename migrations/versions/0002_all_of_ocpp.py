"""What all of OCPP 1.6 needs behind it: passwords, certificates, local lists, reservations, jobs, quirks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "issued_certificates",
        sa.Column("serial_number", sa.String(length=64), nullable=False),
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("pem", sa.Text(), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("serial_number", name=op.f("pk_issued_certificates")),
    )
    op.create_index("ix_issued_certificates_identity", "issued_certificates", ["identity", "issued_at"])
    op.create_table(
        "security_events",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=255), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tech_info", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_events")),
        sa.UniqueConstraint("identity", "type", "happened_at", name="uq_security_events_event"),
    )
    op.create_index("ix_security_events_received_at", "security_events", ["received_at"])
    op.create_table(
        "installed_certificates",
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("certificate_type", sa.String(length=64), nullable=False),
        sa.Column("issuer_key_hash", sa.String(length=128), nullable=False),
        sa.Column("serial_number", sa.String(length=64), nullable=False),
        sa.Column("hash_algorithm", sa.String(length=16), nullable=False),
        sa.Column("issuer_name_hash", sa.String(length=128), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity"],
            ["charge_points.identity"],
            name=op.f("fk_installed_certificates_identity"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "identity",
            "certificate_type",
            "issuer_key_hash",
            "serial_number",
            name=op.f("pk_installed_certificates"),
        ),
    )
    op.create_table(
        "local_lists",
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("entries", sa.JSON(), nullable=False),
        sa.Column("wanted", sa.JSON(), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity"], ["charge_points.identity"], name=op.f("fk_local_lists_identity"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("identity", name=op.f("pk_local_lists")),
    )
    op.create_table(
        "reservations",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("reservation_id", sa.Integer(), nullable=False),
        sa.Column("connector_id", sa.Integer(), nullable=False),
        sa.Column("id_tag", sa.String(length=64), nullable=False),
        sa.Column("parent_id_tag", sa.String(length=64), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("answer", sa.String(length=32), nullable=True),
        sa.Column("transaction_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["identity"],
            ["charge_points.identity"],
            name=op.f("fk_reservations_identity"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservations")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reservations_identity", "reservations", ["identity", "status"])
    op.create_table(
        "station_jobs",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("history", sa.JSON(), nullable=False),
        sa.Column("file_name", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["identity"],
            ["charge_points.identity"],
            name=op.f("fk_station_jobs_identity"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_station_jobs")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_station_jobs_identity", "station_jobs", ["identity", "id"])
    op.create_table(
        "station_passwords",
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("slot", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity"],
            ["charge_points.identity"],
            name=op.f("fk_station_passwords_identity"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("identity", "slot", name=op.f("pk_station_passwords")),
    )
    op.create_table(
        "station_quirks",
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=255), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity"],
            ["charge_points.identity"],
            name=op.f("fk_station_quirks_identity"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("identity", "kind", name=op.f("pk_station_quirks")),
    )
    op.create_table(
        "file_addresses",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("file_name", sa.String(length=255), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["station_jobs.id"], name=op.f("fk_file_addresses_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_file_addresses")),
    )
    op.add_column(
        "charge_points", sa.Column("security_profile", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column(
        "charging_profiles",
        sa.Column("origin", sa.String(length=16), server_default="setpoints", nullable=False),
    )
    op.add_column("charge_points", sa.Column("options", sa.JSON(), nullable=True))
    op.add_column("id_tags", sa.Column("charge_points", sa.JSON(), nullable=True))
    op.add_column("id_tags", sa.Column("min_a", sa.Float(), nullable=True))


def downgrade() -> None:
    op.drop_column("id_tags", "min_a")
    op.drop_column("id_tags", "charge_points")
    op.drop_column("charging_profiles", "origin")
    op.drop_column("charge_points", "options")
    op.drop_column("charge_points", "security_profile")
    op.drop_table("file_addresses")
    op.drop_table("station_quirks")
    op.drop_table("station_passwords")
    op.drop_table("station_jobs")
    op.drop_table("reservations")
    op.drop_table("local_lists")
    op.drop_table("installed_certificates")
    op.drop_table("security_events")
    op.drop_table("issued_certificates")
