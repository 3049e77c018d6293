"""What stations report of their security is kept once, and the worst of it is told at once."""

from __future__ import annotations

from datetime import timedelta

from operated_station import CP1, House, Station

from csms.services.retention import Retention
from csms.storage import security_events
from tests.services_on_file import NOON

EVENTS = f"{CP1}/security-events"


async def test_events_are_kept_once_whatever_their_type(house: House, station: Station) -> None:
    known = {
        "type": "InvalidChargePointCertificate",
        "timestamp": "2026-06-01T11:59:00Z",
        "techInfo": "expired",
    }
    for event in (known, known, {"type": "CoverOpened", "timestamp": "2026-06-01T11:59:00.5+02:00"}):
        assert await station.say("SecurityEventNotification", event) == {}
    events = (await house.operator.get(EVENTS)).json()
    assert [(e["type"], e["tech_info"], e["critical"]) for e in events] == [
        ("CoverOpened", None, False),
        ("InvalidChargePointCertificate", "expired", False),
    ]
    assert events[0]["happened_at"] == "2026-06-01T09:59:00.500000Z"
    chosen = await house.operator.get(EVENTS, params={"type": "CoverOpened"})
    assert len(chosen.json()) == 1
    later = await house.operator.get(EVENTS, params={"from": "2026-06-01T12:00:01Z"})
    assert later.json() == []


async def test_critical_events_are_published_once(house: House, station: Station) -> None:
    async with house.services.events.subscribe("station.security_event") as events:
        tampered = {"type": "TamperDetectionActivated", "timestamp": "2026-06-01T11:59:00Z"}
        for _ in range(2):
            await station.say("SecurityEventNotification", tampered)
        await station.say(
            "SecurityEventNotification", {"type": "InvalidMessages", "timestamp": "2026-06-01T11:59:00Z"}
        )
        event = events.get_nowait()
        assert (event.data["identity"], event.data["type"]) == ("CP1", "TamperDetectionActivated")
        assert events.empty()


async def test_old_events_go(house: House, station: Station) -> None:
    event = {"type": "StartupOfTheDevice", "timestamp": "2026-06-01T11:59:00Z"}
    await station.say("SecurityEventNotification", event)
    house.clock.at = NOON + timedelta(days=401)
    await Retention(house.services.database, house.clock, house.services.files).tidy()
    async with house.services.database.read() as conn:
        assert await security_events.load(conn, "CP1", None, None, None, 10) == []
