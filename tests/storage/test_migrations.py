"""A migrated database is the one that the code's tables describe."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

from sqlalchemy import create_engine

from csms.storage.database import Database, upgrade
from csms.storage.tables import metadata

PROJECT = Path(__file__).parents[2]


def schema(file: Path) -> dict[str, list[str]]:
    """Statement parts by table or index; the order of columns and constraints does not matter."""
    with sqlite3.connect(file) as conn:
        rows = conn.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: parts(sql) for name, sql in rows if not name.startswith(("alembic", "sqlite_"))}


def parts(sql: str) -> list[str]:
    head, _, rest = re.sub(r"\s+", " ", sql).partition("(")
    body, _, tail = rest.rpartition(")")
    return [head, *sorted(part.strip() for part in re.split(r",\s*(?![^()]*\))", body)), tail]


async def test_migrations_make_the_tables_of_the_code(url: str, tmp_path: Path) -> None:
    await upgrade(url)
    described = tmp_path / "described.db"
    engine = create_engine(f"sqlite:///{described}")
    metadata.create_all(engine)
    engine.dispose()
    assert schema(tmp_path / "csms.db") == schema(described)


async def test_upgrading_again_changes_nothing(url: str, tmp_path: Path) -> None:
    nested = f"sqlite+aiosqlite:///{tmp_path / 'new' / 'folder' / 'csms.db'}"
    await upgrade(nested)
    before = schema(tmp_path / "new" / "folder" / "csms.db")
    await upgrade(nested)
    assert schema(tmp_path / "new" / "folder" / "csms.db") == before
    database = Database(nested)
    await database.start()
    await database.stop()


def test_alembic_works_from_the_command_line(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'csms.db'}"
    alembic = [sys.executable, "-m", "alembic", "-c", "migrations/alembic.ini", "-x", f"url={url}"]

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*alembic, *arguments], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    run("upgrade", "head")
    assert "charge_points" in schema(tmp_path / "csms.db")
    assert "No new upgrade operations detected" in run("check")
    run("downgrade", "base")
    assert schema(tmp_path / "csms.db") == {}
    assert "CREATE TABLE transactions" in run("upgrade", "head", "--sql")


def test_an_installed_wheel_finds_its_migrations(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md"):
        (source / name).write_bytes((PROJECT / name).read_bytes())
    for package in ("csms", "optimizer", "drivers", "simulation", "migrations"):
        (source / package).symlink_to(PROJECT / package)
    build = "from setuptools.build_meta import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=source, check=True, capture_output=True, timeout=120
    )
    installed = tmp_path / "installed"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(installed)
    program = (
        "import asyncio, sys; from csms.storage import database; "
        "assert database.__file__.startswith(sys.argv[1]), database.__file__; "
        "asyncio.run(database.upgrade(sys.argv[2]))"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(installed), f"sqlite+aiosqlite:///{tmp_path / 'csms.db'}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        check=True,
        timeout=60,
    )
    assert "charge_points" in schema(tmp_path / "csms.db")
