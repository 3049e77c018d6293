"""The commands as people type them: real processes, exit codes, one clear line when something is wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2] / "examples" / "house.toml"
TIME_LIMIT_S = 60


def environment(data_dir: Path, **settings: object) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith("CSMS_")}
    own |= {"CSMS_DATA_DIR": str(data_dir), "NO_COLOR": "1", "COLUMNS": "300"}
    return own | {f"CSMS_{name.upper()}": str(value) for name, value in settings.items()}


def csms(data_dir: Path, *words: object, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "csms", *map(str, words)],
        env=environment(data_dir, **settings),
        cwd=data_dir.parent,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], *parts: str) -> str:
    """Exit code 1, nothing but one line on stderr."""
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("csms: ")
    for part in parts:
        assert part in line
    return line


@contextlib.contextmanager
def serving(data_dir: Path, **settings: object) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The running server and its web port."""
    web_port, ocpp_port = free_port(), free_port()
    ports = {"web_host": "127.0.0.1", "ocpp_host": "127.0.0.1", "web_port": web_port, "ocpp_port": ocpp_port}
    with subprocess.Popen(
        [sys.executable, "-m", "csms", "serve"],
        env=environment(data_dir, **{**ports, **settings}),
        cwd=data_dir.parent,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            lines = []
            for line in process.stderr:
                lines.append(line)
                if "ready" in line:
                    break
            else:
                pytest.fail("".join(lines))
            yield process, web_port
        finally:
            process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def status_of(port: int, path: str, token: str | None = None) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "var"


def test_settings_are_shown_without_secrets(data: Path) -> None:
    done = csms(data, "settings", database_url="postgresql+asyncpg://csms:hunter2@db/csms", ocpp_port=9001)
    assert done.returncode == 0
    assert "CSMS_OCPP_PORT" in done.stdout
    assert "9001" in done.stdout
    assert "hunter2" not in done.stdout


def test_settings_tell_where_the_database_is_if_nobody_said_so(data: Path) -> None:
    assert f"sqlite+aiosqlite:///{data}/csms.db" in csms(data, "settings", log_level="ERROR").stdout


def test_a_wrong_setting_is_named(data: Path) -> None:
    refused(csms(data, "settings", ocpp_port="many"), "CSMS_OCPP_PORT", "'many'")


def test_a_good_site_file_is_summed_up(data: Path) -> None:
    done = csms(data, "site", "check", HOUSE)
    assert done.returncode == 0, done.stderr
    assert "site 'home', 2 meters, 1 relay modules, 1 appliances, 1 charge points" in done.stdout
    assert "CP1/1: 6 A while the central system is silent" in done.stdout
    assert "io1: its relays stay as they are" in done.stdout


def test_every_fault_of_a_site_file_is_told_with_its_line(data: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(HOUSE.read_text().replace("min_a = 6", "min_a = 5").replace('"L1"]}', '"L9"]}'))
    done = csms(data, "site", "check", bad)
    assert done.returncode == 1
    assert done.stderr.count("line ") == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "part"), [(None, "No such file"), (b"[site\n", "not readable"), (b"\xff\xfe", "decode")]
)
def test_a_site_file_that_cannot_be_read(
    data: Path, tmp_path: Path, content: bytes | None, part: str
) -> None:
    file = tmp_path / "site.toml"
    if content is not None:
        file.write_bytes(content)
    for command in ("check", "apply"):
        refused(csms(data, "site", command, file), str(file), part)


def test_an_export_before_anything_was_described(data: Path) -> None:
    refused(csms(data, "site", "export"), "no site is described yet: csms site apply FILE")


def test_a_site_goes_into_the_database_and_out_again(data: Path, tmp_path: Path) -> None:
    assert csms(data, "site", "apply", HOUSE).returncode == 0
    exported = csms(data, "site", "export")
    again = tmp_path / "again.toml"
    again.write_text(exported.stdout)
    assert csms(data, "site", "check", again).returncode == 0
    refused(csms(data, "site", "export", "elsewhere"), "elsewhere", "does not exist")


def test_a_simulation_without_its_series(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    missing = tmp_path / "missing.csv"
    refused(csms(data, "simulate", HOUSE, "--series", missing, "--out", out), "missing.csv")
    empty = tmp_path / "empty.csv"
    empty.write_text("timestamp_utc,pv_w\n")
    refused(csms(data, "simulate", HOUSE, "--series", empty, "--out", out), "load_w")


def five_minutes(folder: Path) -> Path:
    series = folder / "minutes.csv"
    minutes = "".join(f"2024-06-03T10:0{minute}:00Z,3000,400\n" for minute in range(5))
    series.write_text(f"timestamp_utc,pv_w,load_w\n{minutes}")
    return series


def test_a_simulation_whose_result_has_nowhere_to_go_is_refused_before_the_work(
    data: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "notes.txt"
    taken.write_text("a file, no folder")
    missing = tmp_path / "missing.csv"
    refused(csms(data, "simulate", HOUSE, "--series", missing, "--out", taken), "--out", str(taken), "folder")


def test_words_in_brackets_are_told_as_they_are(data: Path, tmp_path: Path) -> None:
    """The name of a table was taken for a colour: "a site file with  expected"."""
    words = ("--series", five_minutes(tmp_path), "--out", tmp_path / "out", "--load-shedding", "17:00-18:30")
    refused(csms(data, "simulate", HOUSE, *words), "a site file with [load_shedding] expected")


def test_what_a_compose_file_leaves_empty_is_as_if_unset(data: Path) -> None:
    """`CSMS_SITE_FILE: ${SITE}` without SITE is an empty variable."""
    done = csms(data, "settings", web_port="", site_file="", ocpp_tls_hostname="", database_url="")
    assert done.returncode == 0, done.stderr
    assert "8080" in done.stdout


@pytest.mark.parametrize("setting", ["ocpp_port", "web_port"])
def test_a_port_in_use(data: Path, setting: str) -> None:
    others = {"ocpp_host": "127.0.0.1", "web_host": "127.0.0.1", "ocpp_port": 0, "web_port": 0}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = csms(data, "serve", log_level="ERROR", **{**others, setting: port})
    refused(done, str(port), "in use")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_certificate_of_the_page_that_is_none(data: Path, tmp_path: Path, content: str | None) -> None:
    chain = tmp_path / "page.pem"
    if content is not None:
        chain.write_text(content)
    ports = {"ocpp_host": "127.0.0.1", "web_host": "127.0.0.1", "ocpp_port": 0, "web_port": 0}
    done = csms(data, "serve", log_level="ERROR", web_tls_cert=chain, web_tls_key=chain, **ports)
    refused(done, "CSMS_WEB_TLS_CERT", str(chain))


@pytest.mark.parametrize("command", [["serve"], ["site", "export"], ["token", "create", "--role", "admin"]])
def test_a_data_folder_that_is_a_file(data: Path, command: list[str]) -> None:
    data.write_text("not a folder")
    refused(csms(data, *command, log_level="ERROR"), str(data))


@pytest.mark.parametrize("command", [["serve"], ["db", "upgrade"], ["db", "backup", "copy.db"]])
def test_a_database_that_is_none(data: Path, command: list[str]) -> None:
    data.mkdir()
    (data / "csms.db").write_bytes(b"this is no database at all " * 100)
    refused(csms(data, *command, log_level="ERROR"), "not a database")


def test_a_printed_token_opens_the_api_and_a_stopped_server_says_nothing_odd(data: Path) -> None:
    created = csms(data, "token", "create", "--role", "viewer")
    token = created.stdout.strip()
    assert csms(data, "site", "apply", HOUSE).returncode == 0
    with serving(data) as (process, port):
        assert status_of(port, "/healthz") == 200
        assert status_of(port, "/api/v1/sites", token) == 200
        assert status_of(port, "/api/v1/sites", token + "x") == 401
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=TIME_LIMIT_S)
        assert process.returncode == 0
        assert "Traceback" not in said
        assert "[error" not in said  # the level; "no connection" to the example's devices is a warning


def test_a_token_that_was_lost_is_taken_back_while_the_server_runs(data: Path) -> None:
    assert csms(data, "site", "apply", HOUSE).returncode == 0
    kept = csms(data, "token", "create", "--role", "viewer", "--name", "wall [hall]").stdout.strip()
    lost = csms(data, "token", "create", "--role", "admin", "--name", "laptop").stdout.strip()
    with serving(data) as (_, port):
        assert status_of(port, "/api/v1/sites", lost) == 200
        listed = csms(data, "token", "list").stdout
        assert "wall [hall]" in listed
        assert lost not in listed
        token_id = next(line.split()[0] for line in listed.splitlines() if "laptop" in line)
        assert csms(data, "token", "remove", token_id).returncode == 0
        assert status_of(port, "/api/v1/sites", lost) == 401
        assert status_of(port, "/api/v1/sites", kept) == 200
    refused(csms(data, "token", "remove", token_id), f"token '{token_id}' does not exist")


def test_people_are_listed_and_removed(data: Path) -> None:
    assert csms(data, "user", "add", "anna", "--role", "admin", new_password="sunflower").returncode == 0
    assert csms(data, "user", "list").stdout.split("\n")[1].split()[:2] == ["anna", "admin"]
    assert csms(data, "user", "remove", "anna").returncode == 0
    refused(csms(data, "user", "remove", "anna"), "user 'anna' does not exist")


def test_a_backup_brings_back_what_was_there(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    assert csms(data, "site", "apply", HOUSE).returncode == 0
    assert csms(data, "db", "backup", copy).returncode == 0
    refused(csms(data, "db", "backup", copy), "exists already")
    with contextlib.closing(sqlite3.connect(data / "csms.db")) as conn:
        conn.execute("DELETE FROM sites")
        conn.commit()
    assert csms(data, "site", "export").returncode == 1
    restored = csms(data, "db", "restore", copy)
    assert restored.returncode == 0, restored.stderr
    assert "is kept as" in restored.stdout
    assert 'id = "home"' in csms(data, "site", "export").stdout


def test_a_broken_database_can_be_restored_too(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    csms(data, "site", "apply", HOUSE)
    csms(data, "db", "backup", copy)
    (data / "csms.db").write_bytes(b"torn" * 5000)
    (data / "csms.db-wal").write_bytes(b"torn" * 50)
    assert csms(data, "db", "restore", copy).returncode == 0
    assert 'id = "home"' in csms(data, "site", "export").stdout


def test_what_is_no_backup_is_not_restored(data: Path, tmp_path: Path) -> None:
    csms(data, "site", "apply", HOUSE)
    other = tmp_path / "other.db"
    other.write_text("hello")
    refused(csms(data, "db", "restore", other), "not a database")
    refused(csms(data, "db", "restore", tmp_path / "nothing.db"), "there is no file")
    refused(csms(data, "db", "restore", data / "csms.db"), "is the database itself")
    refused(csms(data, "db", "backup", tmp_path / "no" / "folder" / "copy.db"), "backup to")
    assert 'id = "home"' in csms(data, "site", "export").stdout


def test_a_database_in_use_is_not_restored(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    csms(data, "site", "apply", HOUSE)
    csms(data, "db", "backup", copy)
    with serving(data):
        refused(csms(data, "db", "restore", copy), "stop the server first")


def test_a_device_that_does_not_answer(data: Path) -> None:
    port = free_port()
    done = csms(data, "device", "read", "127.0.0.1", "--model", "eastron_sdm630", "--port", port)
    refused(done, f"127.0.0.1:{port}", "no connection")
    refused(csms(data, "device", "read", "127.0.0.1", "--model", "sdm"), "--model", "eastron_sdm630")
    switch = ("device", "switch", "127.0.0.1", 99, "on", "--model", "wellpro_wp8024adam")
    refused(csms(data, *switch), "relay", "99")
