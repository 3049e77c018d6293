"""Meters and relays over a real Mosquitto: topics of any shape, Tasmota, Zigbee2MQTT, Home Assistant."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import aiomqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from drivers.catalogue import Buses, failsafe, open_meter, open_relay_module
from drivers.device import (
    DeviceConfigError,
    DeviceRefused,
    DeviceUnreachable,
    ImplausibleReading,
    ReadbackMismatch,
)
from drivers.mqtt_meter import MqttTopic
from drivers.mqtt_relays import MqttSwitch, pulse_time
from simulation.mqtt_devices import SimulatedTasmota, SimulatedZigbee
from tests.drivers.mosquitto import Mosquitto

SENSOR = "tele/meter/SENSOR"
THREE_PHASES = {
    "power": MqttTopic(SENSOR, "ENERGY.Power"),
    **{f"power_l{n}": MqttTopic(SENSOR, f"ENERGY.Phases.{n - 1}") for n in (1, 2, 3)},
    "voltage_l1": MqttTopic(SENSOR, "ENERGY.Voltage", "V"),
    "import": MqttTopic(SENSOR, "ENERGY.Total", "kWh"),
    "soc": MqttTopic(SENSOR, "Battery", "%"),
}
TELEMETRY = {
    "ENERGY": {"Power": -600, "Phases": [-300, -200, -100], "Voltage": "231", "Total": 1.5},
    "Battery": 81,
}


@pytest.fixture
async def broker(bench, tmp_path):
    running = Mosquitto(tmp_path)
    await running.start()
    bench._stack.push_async_callback(running.stop)
    bench.buses = Buses(bench.clock.now, asyncio.sleep)
    bench._stack.push_async_callback(bench.buses.stop)
    return running


async def tell(broker, topic, payload, retain=False):
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.publish(topic, payload, qos=1, retain=retain)


async def read_after(broker, meter, topic, payload):
    """Subscribed first: a message before that is lost, as on any broker."""
    with pytest.raises(DeviceUnreachable, match=f"no message on {topic} yet"):
        await meter.read()
    link = meter.inner._broker
    heard = asyncio.ensure_future(link.first(topic))
    await tell(broker, topic, payload)
    await heard
    return await meter.read()


def topic_meter(bench, broker, topics, **more):
    return open_meter(
        bench.buses, id="m", driver="mqtt", host="127.0.0.1", port=broker.port, topics=topics, **more
    )


def relays(bench, broker, driver, **more):
    return open_relay_module(bench.buses, id="io1", driver=driver, host="127.0.0.1", port=broker.port, **more)


async def started(bench, device):
    await device.start()
    bench._stack.push_async_callback(device.stop)
    return device


async def test_a_reading_is_found_inside_a_json_message(bench, broker):
    meter = topic_meter(bench, broker, THREE_PHASES, phases=["L3", "L1", "L2"])
    reading = await read_after(broker, meter, SENSOR, json.dumps(TELEMETRY))
    assert reading.power_w == -600
    assert reading.phase_power_w == (-200, -100, -300), "its L1 hangs on the site's L3"
    assert (reading.import_wh, reading.soc_pct) == (1500, 81)
    assert reading.read_at == bench.clock.now()


@pytest.mark.parametrize(
    ("topics", "payload", "power_w"),
    [
        pytest.param({"power": MqttTopic("p")}, "-1234.5", -1234.5, id="a bare number"),
        pytest.param({"power": MqttTopic("p", unit="kW", scale=-1)}, "1.5", -1500, id="kW, other sign"),
        pytest.param(
            {"power_import": MqttTopic("p", "1.7.0", "kW"), "power_export": MqttTopic("p", "e", "kW")},
            '{"1": {"7": {"0": 0}}, "e": 2.25}', -2250, id="two registers of a utility meter",
        ),
        pytest.param(
            {f"power_l{n}": MqttTopic("p", f"{n - 1}") for n in (1, 2, 3)}, "[1, 2, 3]", 6, id="a list",
        ),
    ],
)  # fmt: skip
async def test_power_comes_in_many_shapes(bench, broker, topics, payload, power_w):
    reading = await read_after(broker, topic_meter(bench, broker, topics), "p", payload)
    assert reading.power_w == pytest.approx(power_w)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        pytest.param('{"ENERGY": {"Pow', "not whole JSON", id="half a message"),
        pytest.param('{"ENERGY": {}}', "has no ENERGY.Power", id="another message"),
        pytest.param('{"ENERGY": {"Power": "unavailable"}}', "a number expected", id="unavailable"),
        pytest.param('{"ENERGY": {"Power": null}}', "a number expected", id="null"),
        pytest.param('{"ENERGY": {"Power": NaN}}', "a number expected", id="NaN"),
        pytest.param('{"ENERGY": {"Power": true}}', "a number expected", id="true"),
    ],
)
async def test_a_message_that_is_no_reading_is_refused(bench, broker, payload, why):
    meter = topic_meter(bench, broker, {"power": MqttTopic(SENSOR, "ENERGY.Power")})
    with pytest.raises(ImplausibleReading, match=why):
        await read_after(broker, meter, SENSOR, payload)


async def test_old_power_is_no_power(bench, broker):
    """A sensor that fell silent, and a retained message of unknown age."""
    await tell(broker, "p", "5000", retain=True)
    meter = topic_meter(bench, broker, {"power": MqttTopic("p")}, max_age_s=30)
    assert (await read_after(broker, meter, "p", "-700")).power_w == -700
    bench.clock.time += timedelta(seconds=31)
    with pytest.raises(DeviceUnreachable, match="no message on p for 31 s"):
        await meter.read()


async def test_a_broker_that_restarts_is_found_again(bench, broker):
    meter = topic_meter(bench, broker, {"power": MqttTopic("p")})
    await read_after(broker, meter, "p", "100")
    await broker.stop()
    link = meter.inner._broker
    await link.first("never told")  # until the loss is noticed
    with pytest.raises(DeviceUnreachable, match="no connection"):
        await meter.read()
    await broker.start()
    async with asyncio.timeout(15):
        while link.connections < 2:
            await asyncio.sleep(0.05)
    assert (await read_after(broker, meter, "p", "200")).power_w == 200


async def test_a_wrong_password_is_told_apart_from_a_dead_broker(bench, tmp_path, monkeypatch):
    guarded = Mosquitto(tmp_path, "csms", "sunny side")
    await guarded.start()
    bench._stack.push_async_callback(guarded.stop)
    monkeypatch.setenv("DEVICE_MQTT", "sunny side")
    monkeypatch.setenv("DEVICE_WRONG", "cloudy side")
    buses = Buses(bench.clock.now, asyncio.sleep)
    bench._stack.push_async_callback(buses.stop)
    login = {"driver": "mqtt", "host": "127.0.0.1", "port": guarded.port, "user": "csms"}
    topics = {"power": MqttTopic("p")}
    wrong = open_meter(buses, id="m", password="env:DEVICE_WRONG", topics=topics, **login)
    with pytest.raises(DeviceRefused, match=r"login refused\. Check user and password"):
        await wrong.read()
    right = open_meter(buses, id="m", password="env:DEVICE_MQTT", topics=topics, **login)
    with pytest.raises(DeviceUnreachable, match="no message on p yet"):
        await right.read()


def self_signed(folder):
    """Certificate and key of 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "broker.pem"
    path.write_bytes(certificate.public_bytes(pem) + private)
    return path


async def test_over_tls_only_a_broker_with_a_known_certificate_is_believed(bench, tmp_path, monkeypatch):
    certificate = self_signed(tmp_path)
    secured = Mosquitto(tmp_path, certificate=certificate)
    await secured.start()
    bench._stack.push_async_callback(secured.stop)
    topics = {"power": MqttTopic("p")}
    for known, told in ((False, "certificate verify failed"), (True, "no message on p yet")):
        buses = Buses(bench.clock.now, asyncio.sleep)
        bench._stack.push_async_callback(buses.stop)
        if known:
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        meter = open_meter(
            buses, id="m", driver="mqtt", host="127.0.0.1", port=secured.port, tls=True, topics=topics
        )
        with pytest.raises(DeviceUnreachable, match=told):
            await meter.read()


@pytest.mark.parametrize("count", [1, 4])
async def test_a_tasmota_opens_by_itself_unless_it_is_told_again(bench, broker, count):
    device = await started(
        bench, SimulatedTasmota("127.0.0.1", broker.port, "boiler", count, bench.clock.now)
    )
    module = relays(bench, broker, "tasmota", topic="boiler", relays=count, pulse_s=180)
    assert await module.read_all() == (False,) * count
    for _ in range(3):
        await module.switch(count, True)
        bench.clock.time += timedelta(seconds=60)
    assert device.coils[-1]
    written = [p for topic, p in device.commands if "PulseTime" in topic and p]
    assert written == ["280"], "kept in the device's flash, so written once"
    bench.clock.time += timedelta(seconds=121)
    assert await module.read_all() == (False,) * count
    await module.switch(count, True)
    await module.switch(count, False)
    assert device.coils == (False,) * count


async def test_a_tasmota_without_supply_is_offline_at_once_by_its_will(bench, broker):
    device = await started(bench, SimulatedTasmota("127.0.0.1", broker.port, "boiler", 1, bench.clock.now))
    module = relays(bench, broker, "tasmota", topic="boiler")
    await module.read_all()
    await tell(broker, "tele/boiler/LWT", "Offline", retain=True)
    with pytest.raises(DeviceUnreachable, match="has it as offline"):
        await module.switch(1, True)
    assert device.coils == (False,)


async def test_a_device_that_answers_but_does_not_obey_is_noticed(bench, broker):
    device = await started(bench, SimulatedTasmota("127.0.0.1", broker.port, "boiler", 2, bench.clock.now))
    module = relays(bench, broker, "tasmota", topic="boiler", relays=2)
    device.deaf = True
    with pytest.raises(ReadbackMismatch, match="relay 2 was switched on but reads off"):
        await module.switch(2, True)


async def test_a_topic_that_nobody_answers_is_unreachable(bench, broker):
    module = relays(bench, broker, "tasmota", topic="misspelt")
    with pytest.raises(DeviceUnreachable, match="Tasmota misspelt: no answer"):
        await module.read_all()


@pytest.mark.parametrize("count", [1, 2])
async def test_a_zigbee_plug_is_switched_for_a_time(bench, broker, count):
    name = "zigbee2mqtt/pool pump"
    device = await started(bench, SimulatedZigbee("127.0.0.1", broker.port, name, count, bench.clock.now))
    module = relays(bench, broker, "zigbee2mqtt", topic=name, relays=count, pulse_s=180)
    await module.switch(count, True)
    assert (await module.read_all())[-1]
    bench.clock.time += timedelta(seconds=181)
    assert not (await module.read_all())[-1]
    device.deaf = True
    with pytest.raises(ReadbackMismatch, match=f"relay {count} was switched on but reads off"):
        await module.switch(count, True)
    await tell(broker, f"{name}/availability", '{"state": "offline"}', retain=True)
    with pytest.raises(DeviceUnreachable, match="has it as offline"):
        await module.read_all()


async def test_switches_of_home_assistant_by_their_topics(bench, broker):
    """A home automation repeats each command as the retained state of its switch."""
    lamp = MqttSwitch("ha/heater/set", "ha/heater/state")
    json_lamp = MqttSwitch("ha/pump/set", "ha/pump/state", on="true", off="false", path="on")
    await tell(broker, lamp.state, "OFF", retain=True)
    await tell(broker, json_lamp.state, '{"on": true}', retain=True)
    module = relays(bench, broker, "mqtt", switches=[lamp, json_lamp])
    assert (module.failsafe, module.needs_rearming) == ("none", False)
    assert await module.read_all() == (False, True)
    async with aiomqtt.Client("127.0.0.1", broker.port) as home:
        await home.subscribe(lamp.command)

        async def obey():
            async for message in home.messages:
                await home.publish(lamp.state, message.payload, qos=1, retain=True)

        automation = asyncio.create_task(obey())
        await module.switch(1, True)
        automation.cancel()
    assert await module.read_all() == (True, True)
    with pytest.raises(ReadbackMismatch, match="relay 2 was switched off but reads on"):
        await module.switch(2, False)
    await tell(broker, lamp.state, "unavailable", retain=True)
    with pytest.raises(ImplausibleReading, match="'unavailable' on ha/heater/state, ON or OFF expected"):
        await module.read_all()


@pytest.mark.parametrize(("seconds", "raw"), [(0.1, 1), (11, 110), (12, 112), (180, 280), (64_800, 64_900)])
def test_the_pulse_time_of_tasmota(seconds, raw):
    assert pulse_time(seconds) == raw


async def test_what_cannot_be_a_meter_is_refused(bench):
    with pytest.raises(DeviceConfigError, match="power_import and power_export"):
        open_meter(bench.buses, id="m", driver="mqtt", host="h", topics={"frequency": MqttTopic("f")})
    assert [failsafe(d) for d in ("shelly", "tasmota", "zigbee2mqtt", "mqtt")] == ["pulse"] * 3 + ["none"]
