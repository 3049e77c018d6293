"""`csms doctor` as an installer types it: real processes, a simulated building on real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from csms.clock import SystemClock
from csms.doctor import check_machine, is_serving
from csms.settings import Settings
from csms.site_file import read_site
from simulation.building import Building, Physics
from simulation.modbus_devices import ModbusConverter, SimulatedMeter, SimulatedRelayModule

HOUSE = Path(__file__).parents[2] / "examples" / "house.toml"


def environment(folder: Path) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith("CSMS_")}
    own |= {"CSMS_DATA_DIR": str(folder / "var"), "CSMS_WEB_PORT": "0", "CSMS_OCPP_PORT": "0"}
    return own | {"NO_COLOR": "1", "COLUMNS": "240"}


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "csms", "doctor", *map(str, words)]


def csms(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words),
        env=environment(folder),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def house(folder: Path, ports: tuple[int, int, int]) -> Path:
    text = HOUSE.read_text(encoding="utf-8")
    for known, port in zip((15020, 15021, 15022), ports, strict=True):
        text = text.replace(f"port = {known}", f"port = {port}")
    file = folder / "house.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_loads_are_not_switched_unasked(tmp_path: Path) -> None:
    done = csms(tmp_path, HOUSE)
    assert done.returncode == 1
    assert "--yes or --no-switching where nobody can be asked" in done.stderr


def test_dead_devices_are_told_with_what_to_do_and_the_record_is_kept(tmp_path: Path) -> None:
    """An empty cabinet: nothing answers yet."""
    done = csms(
        tmp_path, house(tmp_path, (1, 2, 3)), "--no-switching", "--out", tmp_path / "record", "--json"
    )
    assert done.returncode == 2, done.stderr
    report = json.loads(done.stdout)
    faults = {f["subject"]: f for f in report["findings"] if f["status"] == "fault"}
    assert set(faults) == {"meter grid", "meter roof", "relay module io1"}
    assert "no connection. Check host and port" in faults["meter grid"]["text"]
    machine = {f["check"]: f["status"] for f in report["findings"] if f["subject"] == "machine"}
    assert machine["database"] == "note"
    assert set(machine) >= {"clock", "database", "disk", "port 0"}
    assert sorted(p.suffix for p in (tmp_path / "record").iterdir()) == [".html", ".json"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_broken_off_in_the_middle_no_load_stays_on(tmp_path: Path, how: signal.Signals) -> None:
    site = read_site(HOUSE.read_text(encoding="utf-8"))
    building = Building(site, Physics(), SystemClock(), "ws://127.0.0.1:9")
    building.step(SystemClock().now())
    converters = building.listeners()
    for converter in converters:
        converter.port = 0
        await converter.start()
    by_unit = {next(iter(c.units.values())): c.port for c in converters}
    devices = (building.meters["grid"], building.relay_modules["io1"], building.meters["roof"])
    file = house(tmp_path, tuple(by_unit[d] for d in devices))  # type: ignore[arg-type]
    closed = asyncio.Event()
    building.relay_modules["io1"].on_change = lambda number, on: closed.set() if on else None
    process = await asyncio.create_subprocess_exec(
        *command(file, "--yes"),
        env=environment(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        await asyncio.wait_for(closed.wait(), 90)
        process.send_signal(how)
        _, said = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
        for converter in converters:
            await converter.stop()
    assert process.returncode == 130, said
    assert b"brought back" in said
    assert not any(building.relay_modules["io1"].coils)


async def test_a_relay_is_switched_read_back_and_its_failsafe_told(tmp_path: Path) -> None:
    module = SimulatedRelayModule("wellpro_wp8024adam", SystemClock().now)
    converter = ModbusConverter("127.0.0.1", 0, "rtu_over_tcp", {1: module})
    await converter.start()
    device = ("--model", "wellpro_wp8024adam", "--port", converter.port)
    try:
        done = await asyncio.to_thread(device_command, tmp_path, "switch", "127.0.0.1", 2, "on", *device)
        read = await asyncio.to_thread(device_command, tmp_path, "read", "127.0.0.1", *device, "--json")
    finally:
        await converter.stop()
    assert done.returncode == 0, done.stderr
    assert "relay 2 is on, read back from the module" in done.stdout
    assert "stays as it is: this module has no fail-safe" in done.stdout
    told = json.loads(read.stdout)
    assert [told[f"relay {n}"] for n in (1, 2)] == ["off", "on"]
    assert told["input 8"] == "not active"


def device_command(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "csms", "device", *map(str, words)],
        env=environment(folder),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_scan_prints_what_it_found_and_a_piece_of_a_site_file(tmp_path: Path) -> None:
    converter = ModbusConverter("127.0.0.1", 0, "tcp", {3: SimulatedMeter("abb_a_b")})
    await converter.start()
    place = ("127.0.0.1", "--port", converter.port, "--framing", "tcp", "--units", "3")
    try:
        done = await asyncio.to_thread(device_command, tmp_path, "scan", *place)
    finally:
        await converter.stop()
    assert done.returncode == 0, done.stderr
    assert "ABB" in done.stdout
    (meter,) = tomllib.loads(done.stdout[done.stdout.index("[[meter]]") :])["meter"]
    assert (meter["model"], meter["unit"], meter["framing"]) == ("abb_a_b", 3, "tcp")


@pytest.mark.parametrize(("body", "said"), [(b'{"status":"ok","version":"1"}', "ok"), (b"hello", "fault")])
async def test_a_port_held_by_our_server_is_well_and_one_held_by_others_is_not(
    tmp_path: Path, body: bytes, said: str
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "0.0.0.0", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = Settings(data_dir=tmp_path, web_port=port, ocpp_port=0, _env_file=None)  # type: ignore[call-arg]
        serving = await asyncio.to_thread(is_serving, settings)
        findings = await check_machine(settings, SystemClock().now(), serving)
    assert {f.check: f.status for f in findings}[f"port {port}"] == said
