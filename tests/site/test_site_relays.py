"""Contacts and what hangs behind them: SG-Ready's order, and switches that people turned in the cabinet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest

from csms.domain.site import ApplianceConfig, SiteConfig
from csms.site_devices import SiteDevices
from simulation.clock import VirtualClock
from simulation.modbus_devices import ModbusConverter, SimulatedMeter, SimulatedRelayModule

NOON = datetime(2026, 6, 21, 10, 30, tzinfo=UTC)
BLOCKED = (False, True)  # recommendation open, forced closed: the utility's lock


class Cabinet:
    """A module with a heat pump on relays 1 and 2, a boiler on 3, and the boiler's own meter."""

    def __init__(self, model: str, clock: VirtualClock) -> None:
        self.clock = clock
        self.seen: list[tuple[bool, bool]] = []
        self.relays = SimulatedRelayModule(model, clock.now, lambda *_: self._look())
        self.meter = SimulatedMeter("eastron_sdm120_230")
        self.converter = ModbusConverter("127.0.0.1", 0, "rtu_over_tcp", {1: self.relays, 2: self.meter})

    def _look(self) -> None:
        self.seen.append((self.relays._coils[0], self.relays._coils[1]))

    def open(self, model: str) -> SiteDevices:
        wire = {
            "driver": "modbus",
            "host": "127.0.0.1",
            "port": self.converter.port,
            "framing": "rtu_over_tcp",
        }
        self.config = SiteConfig.model_validate(
            {
                "site": {"id": "home", "name": "Home", "timezone": "Europe/Zurich"},
                "circuit": [{"id": "main", "limit_a": [40, 40, 40]}],
                "meter": [wire | {"id": "bm", "role": "load", "model": "eastron_sdm120_230", "unit": 2}],
                "relay_module": [wire | {"id": "io1", "model": model, "unit": 1}],
                "appliance": [
                    {"id": "pump", "kind": "sg_ready", "circuit": "main", "relays": ["io1/1", "io1/2"],
                     "power_w": 3000},
                    {"id": "boiler", "kind": "water_heater", "circuit": "main", "meter": "bm",
                     "steps": [{"relays": ["io1/3"], "power_w": 2000}]},
                ],
            }
        )  # fmt: skip
        return SiteDevices(self.config, self.clock.now, self.clock.sleep)

    def appliance(self, id: str) -> dict[str, ApplianceConfig]:
        return {a.id: a for a in self.config.appliance if a.id == id}


@pytest.fixture
async def cabinet(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Cabinet, SiteDevices]]:
    model = request.param
    async with AsyncExitStack() as stack:
        cabinet = Cabinet(model, VirtualClock(NOON))
        await cabinet.converter.start()
        stack.push_async_callback(cabinet.converter.stop)
        devices = cabinet.open(model)
        stack.push_async_callback(devices.stop)
        await devices.poll()
        yield cabinet, devices


@pytest.mark.parametrize("cabinet", ["wellpro_wp8024adam", "waveshare_modbus_relay"], indirect=True)
async def test_sg_ready_never_passes_through_the_blocked_state(
    cabinet: tuple[Cabinet, SiteDevices],
) -> None:
    """From any state to any other, and when the server dies with both contacts closed for a time."""
    stage, devices = cabinet
    states = [frozenset[str](), frozenset({"1"}), frozenset({"1", "2"})]
    for wanted in [b for a in states for b in (a, *states)] + [states[2], states[2]]:
        assert await devices.switch(stage.appliance("pump"), {"pump": wanted}, (), stage.clock.now()) == []
        assert stage.relays.coils[:2] == ("1" in wanted, "2" in wanted)
    await stage.clock.advance(600)
    stays = stage.relays.model.failsafe == "none"
    assert stage.relays.coils[:2] == (stays, stays)
    assert stage.seen
    assert BLOCKED not in stage.seen


@pytest.mark.parametrize("cabinet", ["waveshare_modbus_relay"], indirect=True)
async def test_contacts_closed_for_a_time_that_were_closed_one_after_the_other_open_in_the_right_order(
    cabinet: tuple[Cabinet, SiteDevices],
) -> None:
    stage, devices = cabinet
    for wanted in (frozenset({"1"}), frozenset({"1", "2"})):
        await devices.switch(stage.appliance("pump"), {"pump": wanted}, (), stage.clock.now())
    opens_at = stage.relays._opens_at
    assert opens_at[2] <= opens_at[1]
    await stage.clock.advance(600)
    assert stage.relays.coils[:2] == (False, False)
    assert BLOCKED not in stage.seen


@pytest.mark.parametrize("cabinet", ["wellpro_wp8024adam"], indirect=True)
async def test_a_switch_that_somebody_turned_in_the_cabinet_is_told(
    cabinet: tuple[Cabinet, SiteDevices],
) -> None:
    """The relay obeys and reads open, the boiler heats all the same: the three-position switch is on "1"."""
    stage, devices = cabinet

    async def problem_after(minutes: int) -> str | None:
        for _ in range(minutes):
            await stage.clock.advance(60)
            await devices.poll()
            (told,) = (d.problem for d in devices.snapshots(stage.clock.now()) if d.id == "bm")
        return told

    boiler = stage.appliance("boiler")
    await devices.switch(boiler, {"boiler": frozenset({"1"})}, (), stage.clock.now())
    stage.meter.set(power_w=1950)
    assert await problem_after(5) is None
    await devices.switch(boiler, {"boiler": frozenset()}, (), stage.clock.now())
    assert await problem_after(1) is None, "its meter may be a moment behind"
    told = await problem_after(3)
    assert told is not None
    assert told.startswith(
        "boiler draws 1950 W although its relays are open: look for a switch in the cabinet"
    )
    stage.meter.set(power_w=0)
    assert await problem_after(2) is None
