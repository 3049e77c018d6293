"""What a station got wrong is still known after a restart."""

from __future__ import annotations

from central_backend import NOON, Backend, later, start, status

from csms.services.quirk_records import QuirkRecords

PADDED = "MeterValues.meterValue.sampledValue.value: padded"


async def records(backend: Backend) -> QuirkRecords:
    loaded = QuirkRecords(backend.database, backend.charge_points)
    await loaded.start()
    return loaded


async def test_counts_go_on_after_a_restart(backend: Backend) -> None:
    await backend.say("StatusNotification", status("Available"))
    before = await records(backend)
    backend.charge_points.mended("CP1", [PADDED, PADDED, "Heartbeat.no payload"])
    await before.stop()
    await backend.restart()
    after = await records(backend)
    backend.clock.at = later(hours=1)
    backend.charge_points.mended("cp1", [PADDED])
    await after.stop()
    await backend.restart()
    again = await records(backend)
    station = backend.charge_points.station("CP1")
    assert dict(station.quirks) == {PADDED: 3, "Heartbeat.no payload": 1}
    assert station.quirks_at == {PADDED: later(hours=1), "Heartbeat.no payload": NOON}
    await again.stop()
    assert sorted((row["kind"], row["count"]) for row in backend.rows("station_quirks")) == [
        ("Heartbeat.no payload", 1),
        (PADDED, 3),
    ]


async def test_what_cannot_be_stored_now_is_stored_later(backend: Backend) -> None:
    await backend.say("StatusNotification", status("Available"))
    kept = QuirkRecords(backend.database, backend.charge_points)
    backend.charge_points.mended("CP1", [PADDED])
    await backend.database.stop()
    await kept.save()
    await backend.database.start()
    backend.charge_points.mended("CP1", [PADDED])
    await kept.save()
    await kept.save()
    assert [row["count"] for row in backend.rows("station_quirks")] == [2]
    assert backend.charge_points.station("CP1").quirks[PADDED] == 2


async def test_a_name_without_end_is_cut_where_it_is_counted(backend: Backend) -> None:
    await backend.say("StartTransaction", start())
    kept = QuirkRecords(backend.database, backend.charge_points)
    backend.charge_points.mended("CP1", ["x" * 10_000])
    await kept.save()
    assert [len(row["kind"]) for row in backend.rows("station_quirks")] == [255]
