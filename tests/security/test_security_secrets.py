"""What must not be written down: keys of stations and of the authority."""

from __future__ import annotations

import io
import logging
import stat
import sys
from pathlib import Path

import pytest
import structlog
from sqlalchemy.exc import StatementError

from csms.logs import set_up_logging
from csms.ocpp.server import _without_secrets
from csms.storage import access
from csms.storage.backup import backup, restore
from csms.storage.database import Database

SECRET = "0123456789ABCDEF0123"


@pytest.mark.parametrize(
    "frame",
    [
        '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"%s"}]',
        '[2,"1","ChangeConfiguration",{"value" : "%s", "key" : "authorizationkey"}]',
        '[3,"1",{"configurationKey":[{"key":"A","readonly":true,"value":"1"},'
        '{"key":"AuthorizationKey","readonly":false,"value":"%s"}]}]',
        '[4,"1","InternalError","",{"key":"AuthorizationKey","value":"a\\"%s"}]',
        '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":%s}]',
        '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"%s',
    ],
    ids=["as it should be", "other way round", "read", "in an error", "no string", "cut off"],
)
def test_a_key_is_blotted_out_of_a_frame(frame: str) -> None:
    logged = _without_secrets(frame % SECRET)
    assert SECRET not in logged
    assert '"***"' in logged


def test_other_values_stay() -> None:
    frame = '[3,"1",{"configurationKey":[{"key":"A","value":"1"},{"key":"AuthorizationKey","value":"x"}]}]'
    assert '{"key":"A","value":"1"}' in _without_secrets(frame)


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_in_the_log_shows_no_variables(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, level = logging.getLogger().handlers[:], logging.getLogger().level
    monkeypatch.setattr(sys, "stderr", io.StringIO())

    def broken(key: str) -> None:
        raise RuntimeError("out of order")

    try:
        set_up_logging("INFO", form)
        try:
            broken("".join(reversed(SECRET)))
        except RuntimeError:
            structlog.get_logger().exception("failed")
        logged = sys.stderr.getvalue()
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers[:] = before
        logging.getLogger().setLevel(level)
    assert "out of order" in logged
    assert SECRET[::-1] not in logged


def modes_in(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir() if file.is_file()}


async def test_new_databases_and_backups_are_their_owner_s(database: Database, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    backup(database.url, copy)
    restored = tmp_path / "elsewhere" / "csms.db"
    restore(copy, f"sqlite+aiosqlite:///{restored}")
    assert modes_in(tmp_path) == {
        "csms.db": 0o600,
        "csms.db-wal": 0o600,
        "csms.db-shm": 0o600,
        "copy.db": 0o600,
    }
    assert modes_in(restored.parent) == {"csms.db": 0o600}


async def test_a_key_that_cannot_be_stored_is_not_in_the_complaint(database: Database) -> None:
    with pytest.raises(StatementError) as fault:
        await database.write(lambda conn: access.keep_key(conn, None, SECRET))
    assert SECRET not in str(fault.value)
