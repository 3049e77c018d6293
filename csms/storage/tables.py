"""The database's tables, named as the domain names them. Schema changes are Alembic revisions in migrations/.

Times are stored as aware UTC (`UtcTime`), powers in W, energies in Wh, currents in A.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts only INTEGER PRIMARY KEY by itself; PostgreSQL wants 64 bits for rows that never stop coming.
RowId = BigInteger().with_variant(Integer, "sqlite")


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC in and out. SQLite has no time zone: there it is stored naive and made aware on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Any) -> Any:
        """For SQLite in one step; `sqlite_times` is for many."""
        return _sqlite_time if dialect.name == "sqlite" else super().bind_processor(dialect)

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else _utc(value)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("naive time given, aware UTC expected")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def sqlite_times(values: Sequence[datetime | None]) -> list[str | None]:
    """As each is written to SQLite, many at a fraction of the time."""
    if not all([value is not None and value.tzinfo is UTC for value in values]):  # noqa: C419 - many
        return [_sqlite_time(value) for value in values]
    texts = orjson.dumps(values).decode()[2:-2].replace("T", " ").split('","')
    return [text[:26] if text[19] == "." else f"{text[:19]}.000000" for text in texts]


def _sqlite_time(value: datetime | None) -> str | None:
    return None if value is None else _utc(value).isoformat(" ", "microseconds")[:26]  # without +00:00


# --- the site as described: one row a part; `config` holds the part's keys as in the site file ---

sites = Table(
    "sites",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("position", Integer, nullable=False, default=0),
    Column("config", JSON, nullable=False),
)


def _part(name: str, id_length: int = 64) -> Table:
    return Table(
        name,
        metadata,
        Column("site_id", ForeignKey("sites.id", ondelete="CASCADE"), primary_key=True),
        Column("id", String(id_length), primary_key=True),
        Column("position", Integer, nullable=False),
        Column("config", JSON, nullable=False),
    )


circuits = _part("circuits")
meters = _part("meters")
relay_modules = _part("relay_modules")
appliances = _part("appliances")
site_charge_points = _part("site_charge_points", 255)

# What a person set by hand since the site file was applied: wins over `config`. load_id: "boiler" or "CP1/1".
load_modes = Table(
    "load_modes",
    metadata,
    Column("site_id", ForeignKey("sites.id", ondelete="CASCADE"), primary_key=True),
    Column("load_id", String(320), primary_key=True),
    Column("mode", String(32), nullable=False),
    Column("manual", JSON, nullable=True),  # appliances: list of step ids; connectors: a current [A]
    Column("set_at", UtcTime, nullable=False),
)

# What holds at a connector for the vehicle that is there, or for the next one, until it is unplugged.
# mode: as in load_modes, null = none. was_plugged: a vehicle has been there since.
plug_in_wishes = Table(
    "plug_in_wishes",
    metadata,
    Column("site_id", ForeignKey("sites.id", ondelete="CASCADE"), primary_key=True),
    Column("load_id", String(320), primary_key=True),
    Column("mode", String(32), nullable=True),
    Column("manual", JSON, nullable=True),
    Column("departs_at", UtcTime, nullable=True),
    Column("requested_wh", Float, nullable=True),
    Column("was_plugged", Boolean, nullable=False),
    Column("set_at", UtcTime, nullable=False),
)

# --- charging stations as they present themselves ---

charge_points = Table(
    "charge_points",
    metadata,
    Column("identity", String(255), primary_key=True),
    Column("registration", String(16), nullable=False),  # Accepted, Pending, Rejected
    Column("vendor", String(255)),
    Column("model", String(255)),
    Column("serial_number", String(255)),
    Column("firmware_version", String(255)),
    Column("boot_info", JSON),
    Column("booted_at", UtcTime),
    Column("last_seen_at", UtcTime),
    Column("configuration", JSON),  # key -> {"value": …, "readonly": …} as last read
    Column("diagnostics_status", String(32)),
    Column("firmware_status", String(32)),
    Column("created_at", UtcTime, nullable=False),
    Column(
        "security_profile", Integer, nullable=False, server_default="0"
    ),  # 0 to 3: what it must connect by
    Column("options", JSON),  # set by an operator: {"conformance_mode": …, "assume_subprotocol": …}
)

# Deviations from OCPP that were repaired, since ever.
station_quirks = Table(
    "station_quirks",
    metadata,
    Column("identity", ForeignKey("charge_points.identity", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(255), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("last_at", UtcTime, nullable=False),
)

# Basic authentication. digest: keyed hash of the password's bytes; the password itself is nowhere.
# slot: "current", and "next 1", "next 2" … of new ones as long as it is not known which the station uses.
station_passwords = Table(
    "station_passwords",
    metadata,
    Column("identity", ForeignKey("charge_points.identity", ondelete="CASCADE"), primary_key=True),
    Column("slot", String(16), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

# Certificates that our own authority has signed for stations.
issued_certificates = Table(
    "issued_certificates",
    metadata,
    Column("serial_number", String(64), primary_key=True),  # hexadecimal
    Column("identity", String(255), nullable=False),
    Column("pem", Text, nullable=False),
    Column("not_after", UtcTime, nullable=False),
    Column("issued_at", UtcTime, nullable=False),
    Column("status", String(16), nullable=False),  # Sent, Accepted, Rejected, Failed (not delivered), Revoked
    Index("ix_issued_certificates_identity", "identity", "issued_at"),
)

# Root certificates on a station, as it last told or took them.
installed_certificates = Table(
    "installed_certificates",
    metadata,
    Column("identity", ForeignKey("charge_points.identity", ondelete="CASCADE"), primary_key=True),
    Column("certificate_type", String(64), primary_key=True),
    Column("issuer_key_hash", String(128), primary_key=True),
    Column("serial_number", String(64), primary_key=True),
    Column("hash_algorithm", String(16), nullable=False),
    Column("issuer_name_hash", String(128), nullable=False),
    Column("seen_at", UtcTime, nullable=False),
)

security_events = Table(
    "security_events",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("identity", String(255), nullable=False),
    Column("type", String(255), nullable=False),
    Column("happened_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("tech_info", Text),
    UniqueConstraint("identity", "type", "happened_at", name="uq_security_events_event"),
    Index("ix_security_events_received_at", "received_at"),
)

# The local authorisation list of a station. version, entries: as last accepted by it; a version of 0 =
# empty, −1 = it has none. wanted: what it should hold (id tag -> idTagInfo); None = not looked after.
local_lists = Table(
    "local_lists",
    metadata,
    Column("identity", ForeignKey("charge_points.identity", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("entries", JSON, nullable=False),
    Column("wanted", JSON),
    Column("status", String(32)),  # of the last SendLocalList
    Column("updated_at", UtcTime, nullable=False),
)

reservations = Table(
    "reservations",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("identity", ForeignKey("charge_points.identity", ondelete="CASCADE"), nullable=False),
    Column("reservation_id", Integer, nullable=False),  # the id, unless the station holds one of that number
    Column("connector_id", Integer, nullable=False),
    Column("id_tag", String(64), nullable=False),
    Column("parent_id_tag", String(64)),
    Column("expires_at", UtcTime, nullable=False),
    Column("status", String(16), nullable=False),  # Asked, Accepted, Refused, Cancelled, Used, Expired
    Column("answer", String(32)),  # the station's word
    Column("transaction_id", Integer),  # the transaction that used it
    Column("created_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Index("ix_reservations_identity", "identity", "status"),
    sqlite_autoincrement=True,
)

# Firmware updates and uploads of logs that a station was asked for. id: also our own requestIds.
station_jobs = Table(
    "station_jobs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("identity", ForeignKey("charge_points.identity", ondelete="CASCADE"), nullable=False),
    Column(
        "action", String(32), nullable=False
    ),  # UpdateFirmware, SignedUpdateFirmware, GetDiagnostics, GetLog
    Column("request", JSON, nullable=False),
    Column("answer", JSON),
    Column("status", String(32), nullable=False),  # as last reported
    Column("history", JSON, nullable=False),  # [{"status": …, "at": …}], oldest first
    Column("file_name", String(255)),  # announced or uploaded
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Index("ix_station_jobs_identity", "identity", "id"),
    sqlite_autoincrement=True,
)

# One-time addresses under which stations fetch firmware and leave logs.
file_addresses = Table(
    "file_addresses",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("identity", String(255), nullable=False),
    Column("direction", String(8), nullable=False),  # fetch, leave
    Column("file_name", String(255), nullable=False),
    Column("job_id", ForeignKey("station_jobs.id", ondelete="CASCADE")),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
)

connector_status = Table(
    "connector_status",
    metadata,
    Column("identity", ForeignKey("charge_points.identity", ondelete="CASCADE"), primary_key=True),
    Column("connector_id", Integer, primary_key=True),
    Column("status", String(32), nullable=False),
    Column("error_code", String(64), nullable=False),
    Column("info", String(255)),
    Column("vendor_error_code", String(255)),
    Column("status_at", UtcTime),  # by the station's clock
    Column("received_at", UtcTime, nullable=False),
)

# Of any tag that a vehicle came with, stored as a badge or not; in lower case.
tag_phases = Table(
    "tag_phases",
    metadata,
    Column("id_tag", String(64), primary_key=True),
    Column("phases", Integer, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
)

id_tags = Table(
    "id_tags",
    metadata,
    Column("id_tag", String(64), primary_key=True),  # stored in lower case: CiString
    Column("shown_as", String(64), nullable=False),
    Column("name", String(200)),
    Column("parent_id_tag", String(64)),
    Column("blocked", Boolean, nullable=False, default=False),
    Column("expires_at", UtcTime),
    Column("max_transactions", Integer),  # at once; None = no limit
    Column("charge_points", JSON),  # identities where it may charge; None = everywhere
    Column("min_a", Float),  # its vehicle needs at least this much [A per phase]
)

transactions = Table(
    "transactions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("identity", ForeignKey("charge_points.identity"), nullable=False),
    Column("connector_id", Integer, nullable=False),
    Column("id_tag", String(255), nullable=False),
    Column("start_status", String(32), nullable=False),  # AuthorizationStatus answered
    Column("start_id_tag_info", JSON, nullable=False),  # the whole answer: a retry gets the same
    Column("started_at", UtcTime, nullable=False),
    Column("meter_start_wh", Float, nullable=False),
    Column("start_received_at", UtcTime, nullable=False),
    Column("reservation_id", Integer),
    Column("stopped_at", UtcTime),
    Column("meter_stop_wh", Float),
    Column("stop_reason", String(32)),  # "Lost": closed by us, no StopTransaction came (yet)
    Column("stop_id_tag", String(255)),
    Column("stop_id_tag_info", JSON),
    Column("stop_received_at", UtcTime),
    Column("last_register_wh", Float),
    Column("last_register_at", UtcTime),
    Column("close_note", String(255)),  # who closed it as lost, and why; null = we did by ourselves
    UniqueConstraint(
        "identity", "connector_id", "id_tag", "started_at", "meter_start_wh", name="uq_transactions_start"
    ),
    Index("ix_transactions_open", "identity", "connector_id", "stopped_at"),
    Index("ix_transactions_stopped_at", "stopped_at"),
    sqlite_autoincrement=True,
)

# One row per MeterValue element. dedup_key: hash of station, connector, time and sampled values.
meter_values = Table(
    "meter_values",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("identity", String(255), nullable=False),
    Column("connector_id", Integer, nullable=False),
    Column("transaction_id", Integer),
    Column("measured_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("power_w", Float),
    Column("current_l1_a", Float),
    Column("current_l2_a", Float),
    Column("current_l3_a", Float),
    Column("energy_wh", Float),
    Column("soc_percent", Float),
    Column("context", String(32)),
    Column("other", JSON),  # sampled values not in the columns above, as received
    Column("dedup_key", String(40), nullable=False, unique=True),
    Index("ix_meter_values_connector_time", "identity", "connector_id", "measured_at"),
)

# Stops that belong to no transaction we know: kept as sent and answered; matched if their start still comes.
unmatched_stops = Table(
    "unmatched_stops",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("identity", String(255), nullable=False),
    Column("stopped_at", UtcTime, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("answer", JSON, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("transaction_id", Integer),  # the transaction it was matched to after all
    Column("dedup_key", String(40), nullable=False, unique=True),
    Index("ix_unmatched_stops_identity", "identity", "stopped_at"),
)

# Every frame in both directions, as text, and why something was refused or repaired.
frames = Table(
    "frames",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("identity", String(255), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("direction", String(3), nullable=False),  # in, out
    Column("action", String(64)),
    Column("message_id", String(64)),
    Column("text", Text, nullable=False),
    Column("note", Text),
    Index("ix_frames_identity_at", "identity", "at"),
    Index("ix_frames_at", "at"),
)

charging_profiles = Table(
    "charging_profiles",
    metadata,
    Column("identity", String(255), primary_key=True),
    Column("connector_id", Integer, primary_key=True),
    Column("purpose", String(32), primary_key=True),
    Column("stack_level", Integer, primary_key=True),
    Column("profile", JSON, nullable=False),  # the accepted SetChargingProfile request
    Column("accepted_at", UtcTime, nullable=False),
    Column("origin", String(16), nullable=False, server_default="setpoints"),  # "" = a person or a program
)

# How limits reach a station: the way it was seen to take them, and how often it was written to.
station_limits = Table(
    "station_limits",
    metadata,
    Column("identity", ForeignKey("charge_points.identity", ondelete="CASCADE"), primary_key=True),
    Column("learnt", JSON, nullable=False),  # domain.profile_ladder.LearntLimits
    Column("writes_day", Date),  # UTC
    Column("writes", Integer, nullable=False, server_default="0"),  # accepted on that day
    Column("last_write_at", UtcTime),
)

# --- what the controller saw and decided ---

decisions = Table(
    "decisions",
    metadata,
    Column("site_id", String(64), primary_key=True),
    Column("at", UtcTime, primary_key=True),
    Column("surplus_w", Float),
    Column("available_w", Float),
    Column("inputs", JSON, nullable=False),
    Column("outcome", JSON, nullable=False),
)

# What the next decision must remember, so that a restart changes nothing.
control_memory = Table(
    "control_memory",
    metadata,
    Column("site_id", String(64), primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("memory", JSON, nullable=False),
)


def _site_powers(name: str, *more: Column[Any]) -> Table:
    return Table(
        name,
        metadata,
        Column("site_id", String(64), primary_key=True),
        Column("at", UtcTime, primary_key=True),
        Column("grid_w", Float),
        Column("pv_w", Float),
        Column("battery_w", Float),
        Column("house_w", Float),
        Column("controlled_w", Float),
        Column("loads_w", JSON, nullable=False),  # load id -> W
        *more,
    )


site_minutes = _site_powers("site_minutes")

# Means of 15 and 60 minutes, so that a year is read as quickly as a week. minutes: how many were measured.
site_quarters = _site_powers("site_quarters", Column("minutes", Integer, nullable=False))
site_hours = _site_powers("site_hours", Column("minutes", Integer, nullable=False))

# --- who may do what ---

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(200), nullable=False),
    Column("role", String(16), nullable=False),  # admin, operator, viewer
    Column(
        "token_hash", String(64), nullable=False, unique=True
    ),  # SHA-256: tokens are random, not passwords
    Column("created_at", UtcTime, nullable=False),
    Column("last_used_at", UtcTime),
)

users = Table(
    "users",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("purpose", String(32), primary_key=True),
    Column("key", Text, nullable=False),
)
