"""What stations are asked and told when they come: everything needed, nothing twice, nothing that harms."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from station_being_asked import GOOD, PATIENCE_S, AskedStation, Server, running_server

from csms.domain.site import SiteConfig
from csms.domain.station_vendors import make_of
from csms.services.command_effects import KEYS_KEPT, LONGEST_VALUE, MORE_KEYS
from csms.services.provisioning import KEYS, split_list

FULL = "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage,Current.Offered,SoC"
WITHOUT_SOC = FULL.removesuffix(",SoC")
WITHOUT_OFFER = WITHOUT_SOC.removesuffix(",Current.Offered")
NEEDED = "Energy.Active.Import.Register,Power.Active.Import,Current.Import"


async def booted(server: Server, station: AskedStation, id: str = "CP1", **boot: str) -> AskedStation:
    await server.connect(station, id)
    await server.boot(station, **boot)
    return station


async def test_a_station_that_is_as_it_should_be_is_only_asked(server: Server) -> None:
    station = await booted(server, AskedStation())
    assert station.heard == [
        ("GetConfiguration", {"key": list(KEYS)}),
        ("TriggerMessage", {"requestedMessage": "StatusNotification"}),
        ("TriggerMessage", {"requestedMessage": "MeterValues"}),
        ("GetConfiguration", {}),
    ]
    assert server.station().configuration == GOOD


@pytest.mark.parametrize(
    ("key", "value", "written"),
    [
        ("MeterValuesSampledData", "", FULL),
        ("MeterValuesSampledData", "Energy.Active.Import.Register", FULL),
        (
            "MeterValuesSampledData",
            "'current.import', POWER.active.import ,Energy.Active.Import.Register",
            None,
        ),
        ("MeterValuesSampledData", f"{NEEDED},Frequency", None),
        ("MeterValueSampleInterval", "0", "30"),
        ("MeterValueSampleInterval", "300", "30"),
        ("MeterValueSampleInterval", "often", "30"),
        ("MeterValueSampleInterval", " 30 ", None),
        ("WebSocketPingInterval", "240", "30"),
        ("WebSocketPingInterval", "60", None),
        ("WebSocketPingInterval", "0", None),
    ],
)
@pytest.mark.parametrize("is_read_only", [False, True])
async def test_a_setting_is_written_only_where_it_does_not_do(
    server: Server, key: str, value: str, written: str | None, is_read_only: bool
) -> None:
    station = AskedStation(GOOD | {key: value}, read_only={key} if is_read_only else set())
    await booted(server, station)
    assert station.written == ({key: written} if written and not is_read_only else {})


async def test_after_a_boot_or_a_reconnect_nothing_is_written_again(server: Server) -> None:
    station = AskedStation(GOOD | {"MeterValuesSampledData": "", "MeterValueSampleInterval": "900"})
    await booted(server, station)
    assert len(station.heard_of("ChangeConfiguration")) == 2
    await server.boot(station)
    assert len(station.heard_of("ChangeConfiguration")) == 2
    assert len(station.heard_of("GetConfiguration")) == 3  # the whole of it not so soon again
    before = len(station.heard)
    await server.connect(station)
    await server.settle()
    assert len(station.heard) == before


async def test_after_a_restart_of_the_server_what_is_stored_counts(tmp_path: Path) -> None:
    station = AskedStation(GOOD | {"MeterValuesSampledData": ""})
    async with running_server(tmp_path) as server:
        await booted(server, station)
    station.heard.clear()
    async with running_server(tmp_path) as server:
        await server.connect(station)
        await server.clock.advance(30)
        await server.settle()
        assert (await station.say("Heartbeat", {}))[0] == 3
        assert station.heard == []


async def test_a_list_that_is_refused_is_made_shorter_and_not_tried_again(server: Server) -> None:
    refused = {FULL, WITHOUT_SOC, WITHOUT_OFFER}
    station = AskedStation(GOOD | {"MeterValuesSampledData": "SoC"}, refused=refused)
    await booted(server, station)
    assert station.keys["MeterValuesSampledData"] == NEEDED
    station.keys["MeterValuesSampledData"] = "SoC"  # forgotten over a restart
    await server.boot(station)
    values = [payload["value"] for payload in station.heard_of("ChangeConfiguration")]
    assert values == [FULL, WITHOUT_SOC, WITHOUT_OFFER, NEEDED, NEEDED]


@pytest.mark.parametrize(
    ("longest", "written"), [("4", WITHOUT_OFFER), ("5", WITHOUT_SOC), ("2", NEEDED[:49])]
)
async def test_a_list_is_not_longer_than_the_station_takes(
    server: Server, longest: str, written: str
) -> None:
    keys = GOOD | {"MeterValuesSampledData": "SoC", "MeterValuesSampledDataMaxLength": longest}
    station = await booted(server, AskedStation(keys))
    assert station.written == {"MeterValuesSampledData": written}
    await server.boot(station)
    assert len(station.heard_of("ChangeConfiguration")) == 1


async def test_a_make_that_does_not_bear_it_is_not_asked_for_all_nor_given_unknown_measurands(
    server: Server,
) -> None:
    station = AskedStation(GOOD | {"MeterValuesSampledData": ""})
    await booted(server, station, chargePointVendor="ABB", chargePointModel="Terra AC W22")
    assert {} not in station.heard_of("GetConfiguration")
    assert "SoC" not in station.written["MeterValuesSampledData"]
    assert split_list(NEEDED) <= split_list(station.written["MeterValuesSampledData"])
    assert make_of(" abb ", None) is make_of("ABB", "TAC-W11")
    assert make_of("Vestel", "EVC04-AC22").most_measurands == 4
    assert make_of(None, None).may_ask_all


@pytest.mark.parametrize("vendor", ["Wall Box Chargers", "Amperfied", "EVBox", "ABB"])
async def test_a_make_is_not_asked_for_what_it_tells_wrongly(server: Server, vendor: str) -> None:
    station = AskedStation(GOOD | {"MeterValuesSampledData": ""})
    await booted(server, station, chargePointVendor=vendor)
    asked = split_list(station.written["MeterValuesSampledData"])
    assert ("current.offered" in asked, "soc" in asked) == {
        "Wall Box Chargers": (False, True),
        "Amperfied": (False, True),
        "EVBox": (False, False),
        "ABB": (True, False),
    }[vendor]


async def test_a_station_of_a_site_is_given_its_floor_before_anything_is_decided(server: Server) -> None:
    """Its site may not be controlled yet, or not at all because a device of it is described wrongly."""
    connectors = [{"id": 1, "safe_a": 8}, {"id": 2, "phases": ["L1"]}]
    plan = {
        "site": {"id": "home", "name": "Home", "timezone": "Europe/Zurich"},
        "circuit": [{"id": "main", "limit_a": [40, 40, 40]}],
        "charge_point": [{"id": "cp1", "circuit": "main", "connectors": connectors}],
    }
    await server.app.sites.apply(SiteConfig.model_validate(plan))
    station = await booted(
        server, AskedStation(GOOD | {"ChargingScheduleAllowedChargingRateUnit": "Power"}), id="cp1"
    )
    floors = [payload["csChargingProfiles"] for payload in station.heard_of("SetChargingProfile")]
    assert {profile["chargingProfilePurpose"] for profile in floors} == {"TxDefaultProfile"}
    rows = [profile["chargingSchedule"]["chargingSchedulePeriod"][0] for profile in floors]
    assert [(row["limit"], row.get("numberPhases")) for row in rows] == [(8 * 690, None), (6 * 230, 1)]
    await server.boot(station)
    assert len(station.heard_of("SetChargingProfile")) == 4  # not every station keeps them over a restart


async def test_a_station_that_hangs_up_when_asked_for_all_is_not_asked_again(server: Server) -> None:
    station = AskedStation(hangs_up_on_all=True)
    async with server.app.events.subscribe("station.disconnected") as left:
        await booted(server, station)
        await asyncio.wait_for(left.get(), PATIENCE_S)
    station.hangs_up_on_all = False
    await booted(server, station)
    assert station.heard_of("GetConfiguration").count({}) == 1
    assert server.station().configuration["MeterValueSampleInterval"] == "10"


@pytest.mark.parametrize("most", [4, 1])
async def test_keys_beyond_what_it_takes_at_once_are_asked_for_again(server: Server, most: int) -> None:
    station = AskedStation(GOOD | {"GetConfigurationMaxKeys": str(most)}, most_keys=most)
    station.keys = {"GetConfigurationMaxKeys": str(most)} | station.keys
    await booted(server, station)
    assert {key for key in GOOD if key in KEYS} <= set(server.station().configuration)
    by_name = [len(payload["key"]) for payload in station.heard_of("GetConfiguration") if payload]
    assert by_name[0] == len(KEYS)
    assert max(by_name[1:]) <= most
    assert station.written == {}


@pytest.mark.parametrize(
    ("profiles", "triggered"), [("Core", False), ("", True), ("CORE,remotetrigger", True)]
)
async def test_only_a_station_that_knows_triggers_is_triggered(
    server: Server, profiles: str, triggered: bool
) -> None:
    station = await booted(server, AskedStation(GOOD | {"SupportedFeatureProfiles": profiles}))
    assert bool(station.triggered) is triggered
    assert "BootNotification" not in station.triggered


async def test_a_station_that_never_introduces_itself_is_asked_to_once(server: Server) -> None:
    station = AskedStation()
    await server.connect(station)
    await server.clock.advance(4)
    assert station.heard == []
    await server.clock.advance(2)
    await server.settle()
    assert station.triggered == ["BootNotification", "StatusNotification", "MeterValues"]
    await server.connect(station)
    await server.clock.advance(10)
    await server.settle()
    assert station.triggered.count("BootNotification") == 1


async def test_key_names_in_another_letter_case_are_the_same(server: Server) -> None:
    station = AskedStation({key.upper(): value for key, value in GOOD.items()})
    station.keys["METERVALUESAMPLEINTERVAL"] = "900"
    station.read_only = {"WEBSOCKETPINGINTERVAL"}
    station.keys["WEBSOCKETPINGINTERVAL"] = "900"
    await booted(server, station)
    assert station.written == {"MeterValueSampleInterval": "30"}
    assert server.station().configuration["METERVALUESAMPLEINTERVAL"] == "30"


# --- conformance mode ---


@pytest.mark.parametrize("for_all", [True, False])
async def test_in_conformance_mode_a_station_is_sent_nothing_unasked(tmp_path: Path, for_all: bool) -> None:
    station = AskedStation(GOOD | {"MeterValuesSampledData": "", "MeterValueSampleInterval": "900"})
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_server(tmp_path, conformance_mode=for_all))
        if not for_all:
            await server.connect(AskedStation())  # so that it is known
            await server.app.charge_points.set_options("CP1", {"conformance_mode": True})
        await server.connect(station)
        assert (await server.boot(station))["status"] == "Accepted"
        await station.say("StartTransaction", START)
        await server.clock.advance(600)
        await server.settle()
        assert station.heard == []
        await server.app.commands.send("CP1", "ClearCache", {})
        assert station.heard == [("ClearCache", {})]
        if not for_all:
            await server.app.charge_points.set_options("CP1", {"conformance_mode": False})
            await server.settle()


START = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2026-06-01T12:00:00Z"}


async def test_a_station_taken_out_of_conformance_mode_is_provisioned(server: Server) -> None:
    station = AskedStation()
    await server.connect(station)
    await server.app.charge_points.set_options("CP1", {"conformance_mode": True})
    await server.boot(station)
    assert station.heard == []
    async with server.app.events.subscribe("station.options") as changed:
        await server.app.charge_points.set_options("CP1", {"conformance_mode": False})
        await asyncio.wait_for(changed.get(), PATIENCE_S)
    await server.settle()
    assert station.heard[0] == ("GetConfiguration", {"key": list(KEYS)})


class InventiveStation(AskedStation):
    """Whatever it is asked, it tells 300 keys it never had before, and knows nothing of those before."""

    def configuration(self, asked: list[str]) -> dict[str, Any]:
        n = len(self.heard)
        told = [{"key": f"Made up {n} {i}", "readonly": True, "value": "x" * 3000} for i in range(300)]
        return {"configurationKey": told, "unknownKey": []}


async def test_a_station_that_makes_up_settings_for_ever_does_not_fill_the_memory(server: Server) -> None:
    station = InventiveStation()
    await server.connect(station)
    for _ in range(5):
        await server.app.commands.send("CP1", "GetConfiguration", {"key": ["NumberOfConnectors"]})
    live = server.station()
    assert len(live.configuration) == len(live.read_only_keys) == KEYS_KEPT
    assert {len(value or "") for value in live.configuration.values()} == {LONGEST_VALUE}
    assert live.quirks[MORE_KEYS] == 2


async def test_what_it_no_longer_knows_is_not_remembered_as_read_only(server: Server) -> None:
    station = AskedStation(keys={"Colour": "green"}, read_only={"Colour"})
    await server.connect(station)
    await server.app.commands.send("CP1", "GetConfiguration", {"key": ["Colour"]})
    assert server.station().read_only_keys == {"Colour"}
    del station.keys["Colour"]
    await server.app.commands.send("CP1", "GetConfiguration", {"key": ["Colour"]})
    assert (server.station().configuration, server.station().read_only_keys) == ({}, set())
