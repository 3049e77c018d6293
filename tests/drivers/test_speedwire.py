"""SMA meters by multicast: packets of a real socket, cut, foreign and missing ones."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.device import DeviceConfigError, DeviceUnreachable, ImplausibleReading
from drivers.speedwire import SpeedwireListener, SpeedwireMeter, parse, reading_of
from simulation.speedwire_sender import SpeedwireSender, packet


@pytest.fixture
async def air(clock):
    """A listener and a sender on a multicast port of their own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    listener = SpeedwireListener(clock.now, port=port, interface="127.0.0.1")
    sender = SpeedwireSender(port=port)
    await listener.start()
    yield listener, sender
    await listener.stop()
    sender.close()


async def after(listener, sender, data):
    listener._first.clear()
    sender.send(data)
    await asyncio.wait_for(listener._first.wait(), 5)


async def test_a_meter_is_heard_by_its_address(air, clock):
    listener, sender = air
    await after(listener, sender, packet((-2300, 460, 1150), import_wh=12_345.5, export_wh=678))
    reading = await SpeedwireMeter(listener, "127.0.0.1", "grid").read()
    assert reading.power_w == -690
    assert reading.phase_power_w == (-2300, 460, 1150)
    assert reading.current_a == pytest.approx((-10, 2, 5))
    assert reading.voltage_v == (230, 230, 230)
    assert (reading.frequency_hz, reading.import_wh, reading.export_wh) == (50, 12_345.5, 678)
    assert reading.read_at == clock.now()


async def test_two_meters_behind_one_address_are_told_apart_by_serial_number(air):
    listener, sender = air
    await after(listener, sender, packet((100, 0, 0), serial=11))
    await after(listener, sender, packet((200, 0, 0), serial=22))
    with pytest.raises(DeviceConfigError, match=r"serial number of one of its meters \(11, 22\)"):
        await SpeedwireMeter(listener, "127.0.0.1", "m").read()
    assert (await SpeedwireMeter(listener, "22", "m").read()).power_w == 200


async def test_a_meter_that_falls_silent_is_no_longer_believed(air, clock):
    listener, sender = air
    meter = SpeedwireMeter(listener, "127.0.0.1", "m", timeout_s=0.05)
    with pytest.raises(DeviceUnreachable, match=r"not heard, but nobody\. Multicast must reach this machine"):
        await meter.read()
    await after(listener, sender, packet((100, 0, 0)))
    sender.send(packet((9, 9, 9))[:100])
    clock.time += timedelta(seconds=16)
    with pytest.raises(DeviceUnreachable, match="silent for 16 s"):
        await meter.read()
    await after(listener, sender, packet((300, 0, 0), serial=5))
    assert (await meter.read()).power_w == 300, "another meter took its place"


def test_packets_of_other_sma_devices_are_let_pass():
    assert parse(packet((1, 2, 3), protocol=0x6065)) is None
    assert parse(b"SMA\0" + bytes(40)) is None
    assert parse(b"") is None


@given(st.integers(28, 250))
def test_a_packet_that_was_cut_is_refused(length):
    whole = packet((1, 2, 3))
    if length < len(whole) - 4:
        with pytest.raises(ImplausibleReading, match="bytes"):
            parse(whole[:length])


@given(st.binary(max_size=400))
def test_nothing_that_arrives_breaks_the_listener(noise):
    assert parse(noise) is None or isinstance(parse(noise), tuple)


@given(st.tuples(*[st.integers(-60_000, 60_000)] * 3))
def test_what_is_sent_is_read(powers):
    serial, values = parse(packet(powers, serial=7))
    assert (serial, reading_of(values, datetime.now(UTC)).phase_power_w) == (7, powers)
