"""Frames and counts of deviations over days and restarts of the whole server."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from quirk_stage import NOW, Quirk, open_stage

PADDED = (
    '[2,"1","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-06-01T09:59:50Z",'
    '"sampledValue":[{"value":" 1400","measurand":"Power.Active.Import","unit":"W"}]}]}]'
)
CP1 = Quirk("kept", "CP1", {})


async def test_frames_are_kept_as_long_as_the_setting_says(tmp_path: Path) -> None:
    async with open_stage(tmp_path, frames_kept_days=2) as stage:
        for days in (3, 1):
            stage.app.frame_log.add(
                "CP1", NOW - timedelta(days=days), "in", "Heartbeat", f"{days}", "[]", None
            )
        await stage.app.frame_log.flush()
        await stage.app.retention.tidy()
        assert [frame["message_id"] for frame in await stage.app.frame_log.messages("CP1")] == ["1"]


async def test_counts_and_frames_are_there_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        async with open_stage(tmp_path) as stage, stage.station(CP1) as station:
            await station.say(PADDED)
            assert (await station.hear())[:2] == [3, "1"]
    async with open_stage(tmp_path) as stage:
        known = stage.app.charge_points.station(CP1.identity)
        assert dict(known.quirks) == {"MeterValues.meterValue.sampledValue.value: padded": 2}
        assert list(known.quirks_at.values()) == [NOW]
        messages = await stage.app.frame_log.messages(CP1.identity)
        assert sum(message["action"] == "MeterValues" for message in messages) == 4
