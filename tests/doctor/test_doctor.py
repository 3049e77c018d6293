"""The doctor at a building with planted faults, over real sockets."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from planted import apartments, living
from rich.console import Console

from csms.doctor import DoctorRefused, check_site, doctor
from csms.domain.check_report import CheckReport, findings_to_read, report_to_dict, report_to_html
from csms.settings import Settings
from csms.site_check import SiteCheck
from csms.site_devices import SiteDevices
from simulation.building import WiringFaults
from simulation.weather import DayType

THREE_FAULTS = WiringFaults(
    reversed_meters=frozenset({"grid"}),
    meter_phases={"grid": (1, 2, 0)},
    relays={"io2/1": "io2/2", "io2/2": "io2/1"},
)


def settings(folder: Path) -> Settings:
    return Settings(data_dir=folder, ocpp_port=0, web_port=0, _env_file=None)


async def examined(folder: Path, faults: WiringFaults | None = None, day=DayType.CLEAR) -> CheckReport:
    config = apartments()
    async with living(config, faults, day) as (_, clock):
        return await check_site(config, settings(folder), clock, switching=True, progress=lambda step: None)


async def test_three_planted_faults_are_found_and_named(tmp_path):
    """The grid meter is turned round, its phases are rotated, and two boilers hang on each other's relay."""
    report = await examined(tmp_path, THREE_FAULTS)
    faults = {(f.subject, f.check): f.text for f in report.findings if f.status == "fault"}
    assert set(faults) == {
        ("meter grid", "direction"),
        ("meter grid", "phases"),
        ("relay io2/1", "load"),
        ("relay io2/2", "load"),
    }
    assert "the direction is reversed" in faults["meter grid", "direction"]
    rotated = "rotated: L1 shows as L3, L2 shows as L1, L3 shows as L2"
    assert rotated in faults["meter grid", "phases"]
    assert "switches Boiler east" in faults["relay io2/1", "load"]
    assert "instead of Boiler west" in faults["relay io2/1", "load"]
    assert "switches Boiler west" in faults["relay io2/2", "load"]


async def test_a_building_wired_well_has_no_fault_under_passing_clouds(tmp_path):
    report = await examined(tmp_path, day=DayType.MIXED)
    assert report.faults == 0
    seen = {(f.subject, f.check): f.status for f in report.findings}
    assert seen["meter grid", "direction"] == "ok"
    assert seen["meter roof", "direction"] == "ok"
    assert seen["relay module io2", "fail-safe"] == "ok", "a Waveshare opens by itself"
    assert seen["relay module io1", "fail-safe"] == "warning", "a Wellpro does not"
    assert seen["relay io1/1", "load"] == "note", "a heat pump is not switched"


async def test_every_relay_is_left_as_it_was_even_when_the_check_is_broken_off(tmp_path):
    config = apartments()
    async with living(config) as (building, clock):
        devices = SiteDevices(config, clock.now, clock.sleep)
        await devices.switch_relay("io1/4", True)
        halfway = asyncio.Event()

        def tell(progress):
            if progress.doing.startswith("switching Boiler west"):
                halfway.set()

        checking = asyncio.create_task(SiteCheck(config, devices, clock.now, clock.sleep, tell).run(True))
        await asyncio.wait_for(halfway.wait(), 30)
        assert not building.is_closed("io1/4"), "off while others are looked at"
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking
        closed = {
            r
            for m, s in building.relay_modules.items()
            for r in (f"{m}/{n}" for n, on in enumerate(s.coils, 1) if on)
        }
        assert closed == {"io1/4"}
        await devices.stop()


async def test_a_dead_module_and_a_dead_meter_are_told_and_the_rest_is_checked(tmp_path):
    config = apartments()
    async with living(config) as (building, clock):
        building.relay_modules["io2"].unreachable = True
        building.meters["roof"].unreachable = True
        report = await check_site(
            config, settings(tmp_path), clock, switching=True, progress=lambda step: None
        )
    faults = {f.subject: f.text for f in report.findings if f.status == "fault"}
    assert set(faults) == {"relay module io2", "meter roof"}
    assert "unit 11: no answer" in faults["relay module io2"]
    assert any(f.subject == "relay io1/4" and f.status == "ok" for f in report.findings)


async def test_without_switching_nothing_moves_and_the_record_says_so(tmp_path):
    config = apartments()
    moved = []
    text = io.StringIO()
    async with living(config) as (building, clock):
        for module in building.relay_modules.values():
            module.on_change = lambda number, on: moved.append(number)
        faults = await doctor(
            config,
            settings(tmp_path),
            clock,
            Console(file=text, width=200),
            switching=False,
            folder=tmp_path / "record",
        )
    assert (faults, moved) == (0, [])
    assert "directions, phases and relays are unchecked" in text.getvalue()
    record = {p.suffix: p.read_text(encoding="utf-8") for p in (tmp_path / "record").iterdir()}
    assert json.loads(record[".json"])["switched"] is False
    assert "Nothing was switched: the wiring is unchecked." in record[".html"]
    assert "Lindenhof 12" in record[".html"]


async def test_nothing_is_switched_for_a_record_that_could_not_be_written(tmp_path):
    """Twenty loads clicked, and only then it was said that the folder is a file."""
    config = apartments()
    moved = []
    (tmp_path / "record").write_text("a file, no folder")
    async with living(config) as (building, clock):
        for module in building.relay_modules.values():
            module.on_change = lambda number, on: moved.append(number)
        console = Console(file=io.StringIO())
        with pytest.raises(DoctorRefused, match="record"):
            await doctor(
                config, settings(tmp_path), clock, console, switching=True, folder=tmp_path / "record"
            )
    assert moved == []


async def test_the_record_lists_the_site_and_tells_its_own_time(tmp_path):
    """Who opens the cabinet in ten years sees what was installed, and when by the clock on the wall."""
    report = await examined(tmp_path)
    page, data = report_to_html(report), report_to_dict(report)
    assert "2026-06-21 10:30 to" in page
    assert "(Europe/Zurich)" in page
    listed = {f"{part['kind']} {part['id']}": part["described"] for part in data["installation"]}
    assert listed["circuit garage-west"] == "3 × 63 A, behind main"
    assert listed["meter grid"] == f"grid; abb_a_b, 127.0.0.1:{report.config.meter[0].port} unit 1"
    assert listed["appliance boiler-east"] == "io2/2: 3000 W on L3; behind main; solar only"
    assert listed["appliance boiler"].startswith("io1/2 L1 to L2, io1/3 L1 to L3, 6000 W in all")
    silent = "6 A while the central system is silent"
    assert listed["station CP8"] == f"behind garage-east; connector 1: L2, 6 to 32 A, {silent}; solar only"
    assert all(words in page for words in listed.values())


async def test_what_is_said_alike_of_eight_stations_is_one_line_to_read(tmp_path):
    """Eight times the same line would hide what matters; programs get each."""
    report = await examined(tmp_path)
    stations = [f"station CP{n}" for n in range(1, 9)]
    assert [f.subject for f in report.findings if f.check == "connected"] == stations
    assert [f.subject for f in findings_to_read(report.findings) if f.check == "connected"] == [
        "station CP1, CP2, CP3, CP4, CP5, CP6, CP7, CP8"
    ]


async def test_no_load_is_switched_onto_a_fuse_that_is_full(tmp_path):
    config = apartments()
    tight = config.model_copy(
        update={"circuit": [c.model_copy(update={"limit_a": [30, 30, 30]}) for c in config.circuit]}
    )
    async with living(tight) as (building, clock):
        report = await check_site(
            tight, settings(tmp_path), clock, switching=True, progress=lambda step: None
        )
        flowing_a = max(abs(w) for w in building.grid_w()) / 230
    assert flowing_a > 20
    refused = [f for f in report.findings if "not switched, since" in f.text and "allows 30 A" in f.text]
    assert "relay io2/2" in {f.subject for f in refused}
