"""What happens is told to those who asked for it."""

from __future__ import annotations

from central_backend import NOON, Backend, later, values

from csms.services.events import QUEUE_LIMIT, EventBus


async def test_a_flood_of_readings_does_not_push_out_what_another_listens_for() -> None:
    events = EventBus()
    async with events.subscribe("station.") as stations, events.subscribe() as everything:
        events.publish("station.booted", NOON, identity="CP1")
        for _ in range(QUEUE_LIMIT):
            events.publish("connector.metered", NOON)
        assert stations.get_nowait().kind == "station.booted"
        assert stations.empty()
        assert everything.get_nowait().kind == "connector.metered"


async def test_a_reading_is_told_to_those_who_listen(backend: Backend) -> None:
    async with backend.events.subscribe("connector.metered") as heard:
        await backend.say("MeterValues", values(None, NOON, 1000, power_w=2300))
        told = heard.get_nowait().data
    assert (told["identity"], told["connector_id"], told["measured_at"]) == ("CP1", 1, NOON)
    assert (told["power_w"], told["energy_wh"], told["soc_percent"]) == (2300, 1000, None)
    assert not backend.events.is_heard("connector.metered")
    await backend.say("MeterValues", values(None, later(seconds=30), 2000), later(seconds=30))
    assert len(backend.rows("meter_values")) == 2
