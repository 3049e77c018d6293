"""Servers and clients of other hands, on the far side of our Modbus drivers and our simulated devices."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket

import pytest
from pyModbusTCP.server import DataBank, ModbusServer

from drivers.catalogue import meter_models, open_meter, open_relay_module, relay_models
from drivers.registers import encode
from simulation.modbus_devices import SimulatedMeter, SimulatedRelayModule

VALUES = {"v1": 230.0, "v2": 231.0, "v3": 229.0, "i1": 4.5, "i2": 3.0, "i3": 1.5, "p1": 1000.0, "p2": 700.0,
          "p3": -300.0, "p_tot": 1400.0, "p_import": 1400.0, "p_export": 0.0, "f": 50.0, "e_imp": 12_000.0,
          "e_exp": 7000.0}  # fmt: skip


class ForeignServer:
    """pyModbusTCP's server: plain registers and coils, no knowledge of any model."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.bank = DataBank()
        self._server = ModbusServer("127.0.0.1", self.port, no_block=True, data_bank=self.bank)

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop()


@pytest.fixture
def foreign():
    with ForeignServer() as server:
        yield server


async def test_every_meter_of_the_tables_is_read_from_a_foreign_server(foreign, bench):
    """All models and points, encoded by their tables into a server that knows nothing of them."""
    for key, model in meter_models().items():
        values = dict(VALUES)
        if model.phases("p") == 1:
            values["p1"] = values["p_tot"]
        for point in model.points:
            signed = model.sign if point.key[0] == "p" else 1
            words = encode(point, values[point.key] * signed)
            fill = (
                foreign.bank.set_input_registers
                if point.function == 4
                else foreign.bank.set_holding_registers
            )
            fill(point.address, words)
        meter = open_meter(
            bench.buses,
            id="m",
            driver="modbus",
            model=key,
            host="127.0.0.1",
            port=foreign.port,
            framing="tcp",
        )
        reading = await meter.inner.read()
        assert reading.power_w == pytest.approx(1400, abs=10), key
        if model.point("e_imp"):
            assert reading.import_wh == pytest.approx(12_000, abs=100), key
        if model.phases("p") == 3:
            assert reading.phase_power_w == pytest.approx((1000, 700, -300), abs=10), key


@pytest.mark.parametrize("model", sorted(k for k, m in relay_models().items() if "tcp" in m.wiring.framings))
async def test_every_relay_module_is_switched_in_a_foreign_server(foreign, bench, model):
    module = open_relay_module(
        bench.buses,
        id="io1",
        driver="modbus",
        model=model,
        host="127.0.0.1",
        port=foreign.port,
        framing="tcp",
    )
    last = relay_models()[model].relays
    await module.switch(last, True)
    assert foreign.bank.get_coils(relay_models()[model].coil + last - 1) == [True]
    assert await module.read_all() == (False,) * (last - 1) + (True,)
    await module.switch(last, False)
    assert await module.read_all() == (False,) * last


async def mbpoll(*arguments):
    found = shutil.which("mbpoll")
    if found is None:
        if os.environ.get("HELIANTHUS_REQUIRE_ALL"):
            pytest.fail("mbpoll is not installed (Debian package mbpoll)")
        pytest.skip("mbpoll is not installed (Debian package mbpoll)")
    process = await asyncio.create_subprocess_exec(
        found, "-1", "-0", "-q", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    return out.decode()


async def test_mbpoll_reads_our_simulated_meter_and_switches_our_simulated_relay(bench):
    """libmodbus' command line, the tool that an installer has at hand."""
    meter = SimulatedMeter("eastron_sdm630")
    meter.set(phase_power_w=(1000, 700, -300))
    relays = SimulatedRelayModule("wellpro_wp8024adam", bench.clock.now)
    converter = await bench.converter("tcp", {1: meter, 2: relays})
    at = ("-p", str(converter.port), "127.0.0.1")
    shown = await mbpoll("-a", "1", "-t", "3:float", "-B", "-r", "12", "-c", "3", *at)
    assert [line.split()[-1] for line in shown.splitlines() if line.startswith("[")] == [
        "1000",
        "700",
        "-300",
    ]
    await mbpoll("-a", "2", "-t", "0", "-r", "3", *at, "1")
    assert relays.coils == (False, False, False, True)
    shown = await mbpoll("-a", "2", "-t", "0", "-r", "0", "-c", "4", *at)
    assert [line.split()[-1] for line in shown.splitlines() if line.startswith("[")] == ["0", "0", "0", "1"]
    assert "Illegal data address" in await mbpoll("-a", "2", "-t", "0", "-r", "400", "-c", "4", *at)
