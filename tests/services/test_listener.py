"""Services hear what happens one event after the other, and survive trouble with any of them."""

from __future__ import annotations

from datetime import UTC, datetime

from csms.services.events import QUEUE_LIMIT, Event, EventBus, Listener

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


async def test_trouble_with_one_station_leaves_the_next_ones_heard() -> None:
    heard: list[str] = []

    async def hear(event: Event) -> None:
        heard.append({"CP1": "first", "CP3": "third"}[event.data["identity"]])

    events = EventBus()
    listener = Listener(events, "test", ("station.",), hear)
    listener.start()
    for identity in ("CP1", "CP2", "CP3"):
        events.publish("station.booted", NOW, identity=identity)
    events.publish("connector.status", NOW, identity="CP1")
    await listener.settle()
    await listener.stop()

    assert heard == ["first", "third"]


async def test_nothing_is_heard_after_the_stop_and_nobody_listens_any_more() -> None:
    heard: list[Event] = []

    async def hear(event: Event) -> None:
        heard.append(event)

    events = EventBus()
    listener = Listener(events, "test", (), hear)
    await listener.stop()  # it was never started
    listener.start()
    assert events.is_heard("station.booted")
    await listener.stop()
    events.publish("station.booted", NOW)

    assert not heard
    assert not events.is_heard("station.booted")


async def test_a_listener_that_fell_behind_loses_the_oldest_and_still_settles() -> None:
    heard: list[int] = []

    async def hear(event: Event) -> None:
        heard.append(event.data["number"])

    events = EventBus()
    listener = Listener(events, "test", (), hear)
    listener.start()
    for number in range(QUEUE_LIMIT + 5):
        events.publish("station.booted", NOW, number=number)
    await listener.settle()
    await listener.stop()

    assert heard == list(range(5, QUEUE_LIMIT + 5))
