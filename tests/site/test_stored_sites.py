"""A site that an older version stored and this one does not take: told in words, and replaced by its file."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from csms.app import App
from csms.errors import StartupError
from csms.settings import Settings
from tests.empty_database import migrated

SITE = """
[site]
id = "home"
name = "Home"
timezone = "Europe/Berlin"
control_interval_s = 60

[[circuit]]
id = "main"
limit_a = [25, 25, 25]

[[charge_point]]
id = "CP1"
circuit = "main"

[[charge_point.connectors]]
id = 1
phases = ["L1"]
max_a = 16
mode = "solar_only"
"""


def settings(folder: Path, **more: Path) -> Settings:
    return Settings(_env_file=None, data_dir=folder, web_port=0, ocpp_port=0, **more)  # type: ignore[call-arg, arg-type]


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Its database has the site as a version stored it that allowed decisions every five minutes."""
    migrated(f"sqlite+aiosqlite:///{tmp_path / 'csms.db'}")
    file = tmp_path / "site.toml"
    file.write_text(SITE, encoding="utf-8")
    app = App(settings(tmp_path, site_file=file))
    await app.start(control=False, web=False)
    await app.stop()
    with closing(sqlite3.connect(tmp_path / "csms.db")) as database, database:
        (text,) = database.execute("SELECT config FROM sites").fetchone()
        config = json.dumps({**json.loads(text), "control_interval_s": 300})
        database.execute("UPDATE sites SET config = ?", (config,))
    return tmp_path


async def test_what_is_wrong_is_told_with_the_way_out(folder: Path) -> None:
    app = App(settings(folder))
    with pytest.raises(StartupError) as told:
        await app.start(control=False, web=False)
    await app.stop()
    first, second = str(told.value).splitlines()
    assert first.startswith("stored site home: site.control_interval_s = 300: at most 225 s expected")
    assert "CSMS_SITE_FILE" in second


async def test_its_corrected_file_replaces_it(folder: Path) -> None:
    app = App(settings(folder, site_file=folder / "site.toml"))
    await app.start(control=False, web=False)
    try:
        assert app.sites.get("home").site.control_interval_s == 60
    finally:
        await app.stop()


async def test_another_sites_file_is_no_way_out(folder: Path) -> None:
    other = folder / "other.toml"
    other.write_text(SITE.replace('"home"', '"barn"').replace('"CP1"', '"CP2"'), encoding="utf-8")
    app = App(settings(folder, site_file=other))
    with pytest.raises(StartupError, match="stored site home"):
        await app.start(control=False, web=False)
    await app.stop()
