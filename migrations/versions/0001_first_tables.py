"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_tokens_token_hash")),
    )
    op.create_table(
        "charge_points",
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("registration", sa.String(length=16), nullable=False),
        sa.Column("vendor", sa.String(length=255), nullable=True),
        sa.Column("model", sa.String(length=255), nullable=True),
        sa.Column("serial_number", sa.String(length=255), nullable=True),
        sa.Column("firmware_version", sa.String(length=255), nullable=True),
        sa.Column("boot_info", sa.JSON(), nullable=True),
        sa.Column("booted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("configuration", sa.JSON(), nullable=True),
        sa.Column("diagnostics_status", sa.String(length=32), nullable=True),
        sa.Column("firmware_status", sa.String(length=32), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("identity", name=op.f("pk_charge_points")),
    )
    op.create_table(
        "charging_profiles",
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("connector_id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("stack_level", sa.Integer(), nullable=False),
        sa.Column("profile", sa.JSON(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "identity", "connector_id", "purpose", "stack_level", name=op.f("pk_charging_profiles")
        ),
    )
    op.create_table(
        "control_memory",
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("memory", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", name=op.f("pk_control_memory")),
    )
    op.create_table(
        "decisions",
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("surplus_w", sa.Float(), nullable=True),
        sa.Column("available_w", sa.Float(), nullable=True),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "at", name=op.f("pk_decisions")),
    )
    op.create_table(
        "frames",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("direction", sa.String(length=3), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=True),
        sa.Column("message_id", sa.String(length=64), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_frames")),
    )
    op.create_index("ix_frames_at", "frames", ["at"], unique=False)
    op.create_index("ix_frames_identity_at", "frames", ["identity", "at"], unique=False)
    op.create_table(
        "id_tags",
        sa.Column("id_tag", sa.String(length=64), nullable=False),
        sa.Column("shown_as", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("parent_id_tag", sa.String(length=64), nullable=True),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("max_transactions", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id_tag", name=op.f("pk_id_tags")),
    )
    op.create_table(
        "meter_values",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("connector_id", sa.Integer(), nullable=False),
        sa.Column("transaction_id", sa.Integer(), nullable=True),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("power_w", sa.Float(), nullable=True),
        sa.Column("current_l1_a", sa.Float(), nullable=True),
        sa.Column("current_l2_a", sa.Float(), nullable=True),
        sa.Column("current_l3_a", sa.Float(), nullable=True),
        sa.Column("energy_wh", sa.Float(), nullable=True),
        sa.Column("soc_percent", sa.Float(), nullable=True),
        sa.Column("context", sa.String(length=32), nullable=True),
        sa.Column("other", sa.JSON(), nullable=True),
        sa.Column("dedup_key", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meter_values")),
        sa.UniqueConstraint("dedup_key", name=op.f("uq_meter_values_dedup_key")),
    )
    op.create_index(
        "ix_meter_values_connector_time",
        "meter_values",
        ["identity", "connector_id", "measured_at"],
        unique=False,
    )
    op.create_table(
        "signing_keys",
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("purpose", name=op.f("pk_signing_keys")),
    )
    op.create_table(
        "site_minutes",
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("grid_w", sa.Float(), nullable=True),
        sa.Column("pv_w", sa.Float(), nullable=True),
        sa.Column("battery_w", sa.Float(), nullable=True),
        sa.Column("house_w", sa.Float(), nullable=True),
        sa.Column("controlled_w", sa.Float(), nullable=True),
        sa.Column("loads_w", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "at", name=op.f("pk_site_minutes")),
    )
    op.create_table(
        "site_hours",
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("grid_w", sa.Float(), nullable=True),
        sa.Column("pv_w", sa.Float(), nullable=True),
        sa.Column("battery_w", sa.Float(), nullable=True),
        sa.Column("house_w", sa.Float(), nullable=True),
        sa.Column("controlled_w", sa.Float(), nullable=True),
        sa.Column("loads_w", sa.JSON(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "at", name=op.f("pk_site_hours")),
    )
    op.create_table(
        "site_quarters",
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("grid_w", sa.Float(), nullable=True),
        sa.Column("pv_w", sa.Float(), nullable=True),
        sa.Column("battery_w", sa.Float(), nullable=True),
        sa.Column("house_w", sa.Float(), nullable=True),
        sa.Column("controlled_w", sa.Float(), nullable=True),
        sa.Column("loads_w", sa.JSON(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "at", name=op.f("pk_site_quarters")),
    )
    op.create_table(
        "sites",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sites")),
    )
    op.create_table(
        "unmatched_stops",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("transaction_id", sa.Integer(), nullable=True),
        sa.Column("dedup_key", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unmatched_stops")),
        sa.UniqueConstraint("dedup_key", name=op.f("uq_unmatched_stops_dedup_key")),
    )
    op.create_index(
        "ix_unmatched_stops_identity", "unmatched_stops", ["identity", "stopped_at"], unique=False
    )
    op.create_table(
        "users",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
    )
    op.create_table(
        "appliances",
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["site_id"], ["sites.id"], name=op.f("fk_appliances_site_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("site_id", "id", name=op.f("pk_appliances")),
    )
    op.create_table(
        "circuits",
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["site_id"], ["sites.id"], name=op.f("fk_circuits_site_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("site_id", "id", name=op.f("pk_circuits")),
    )
    op.create_table(
        "connector_status",
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("connector_id", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=False),
        sa.Column("info", sa.String(length=255), nullable=True),
        sa.Column("vendor_error_code", sa.String(length=255), nullable=True),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity"],
            ["charge_points.identity"],
            name=op.f("fk_connector_status_identity"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("identity", "connector_id", name=op.f("pk_connector_status")),
    )
    op.create_table(
        "load_modes",
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("load_id", sa.String(length=320), nullable=False),
        sa.Column("mode", sa.String(length=32), nullable=False),
        sa.Column("manual", sa.JSON(), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["site_id"], ["sites.id"], name=op.f("fk_load_modes_site_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("site_id", "load_id", name=op.f("pk_load_modes")),
    )
    op.create_table(
        "meters",
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["site_id"], ["sites.id"], name=op.f("fk_meters_site_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("site_id", "id", name=op.f("pk_meters")),
    )
    op.create_table(
        "relay_modules",
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["site_id"], ["sites.id"], name=op.f("fk_relay_modules_site_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("site_id", "id", name=op.f("pk_relay_modules")),
    )
    op.create_table(
        "site_charge_points",
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["site_id"], ["sites.id"], name=op.f("fk_site_charge_points_site_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("site_id", "id", name=op.f("pk_site_charge_points")),
    )
    op.create_table(
        "transactions",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("identity", sa.String(length=255), nullable=False),
        sa.Column("connector_id", sa.Integer(), nullable=False),
        sa.Column("id_tag", sa.String(length=255), nullable=False),
        sa.Column("start_status", sa.String(length=32), nullable=False),
        sa.Column("start_id_tag_info", sa.JSON(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("meter_start_wh", sa.Float(), nullable=False),
        sa.Column("start_received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reservation_id", sa.Integer(), nullable=True),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("meter_stop_wh", sa.Float(), nullable=True),
        sa.Column("stop_reason", sa.String(length=32), nullable=True),
        sa.Column("stop_id_tag", sa.String(length=255), nullable=True),
        sa.Column("stop_id_tag_info", sa.JSON(), nullable=True),
        sa.Column("stop_received_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_register_wh", sa.Float(), nullable=True),
        sa.Column("last_register_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["identity"], ["charge_points.identity"], name=op.f("fk_transactions_identity")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transactions")),
        sa.UniqueConstraint(
            "identity",
            "connector_id",
            "id_tag",
            "started_at",
            "meter_start_wh",
            name="uq_transactions_start",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_transactions_open", "transactions", ["identity", "connector_id", "stopped_at"], unique=False
    )
    op.create_index("ix_transactions_stopped_at", "transactions", ["stopped_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_transactions_stopped_at", table_name="transactions")
    op.drop_index("ix_transactions_open", table_name="transactions")
    op.drop_table("transactions")
    op.drop_table("site_charge_points")
    op.drop_table("relay_modules")
    op.drop_table("meters")
    op.drop_table("load_modes")
    op.drop_table("connector_status")
    op.drop_table("circuits")
    op.drop_table("appliances")
    op.drop_table("users")
    op.drop_index("ix_unmatched_stops_identity", table_name="unmatched_stops")
    op.drop_table("unmatched_stops")
    op.drop_table("sites")
    op.drop_table("site_quarters")
    op.drop_table("site_hours")
    op.drop_table("site_minutes")
    op.drop_table("signing_keys")
    op.drop_index("ix_meter_values_connector_time", table_name="meter_values")
    op.drop_table("meter_values")
    op.drop_table("id_tags")
    op.drop_index("ix_frames_identity_at", table_name="frames")
    op.drop_index("ix_frames_at", table_name="frames")
    op.drop_table("frames")
    op.drop_table("decisions")
    op.drop_table("control_memory")
    op.drop_table("charging_profiles")
    op.drop_table("charge_points")
    op.drop_table("api_tokens")
