"""How Alembic reaches the database: on the connection it is given, or, from the command line, on
CSMS_DATABASE_URL (or `-x url=…`)."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from csms.storage.tables import UtcTime, metadata

DEFAULT_URL = "sqlite+aiosqlite:///./var/csms.db"


def render_type(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """A revision names plain SQL types: it must not change when the code's own types do."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcTime) else False


def migrate(connection: Connection) -> None:
    # SQLite alters a table by copying it: batch operations.
    context.configure(
        connection=connection, target_metadata=metadata, render_as_batch=True, render_item=render_type
    )
    with context.begin_transaction():
        context.run_migrations()


async def migrate_from_command_line(url: str) -> None:
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


def command_line_url() -> str:
    given = context.get_x_argument(as_dictionary=True).get("url")
    return given if isinstance(given, str) else os.environ.get("CSMS_DATABASE_URL", DEFAULT_URL)


given_connection = context.config.attributes.get("connection")
if given_connection is not None:
    migrate(given_connection)
elif context.is_offline_mode():
    context.configure(url=command_line_url(), target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(migrate_from_command_line(command_line_url()))
