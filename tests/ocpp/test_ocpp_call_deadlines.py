"""Deadlines of our calls on the event loop the server runs on, whose clock counts whole milliseconds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from central_system_under_test import BOOT, PATIENCE_S, central_system

from csms.errors import CallTimeout

uvloop = pytest.importorskip("uvloop", reason="uvloop is not made for this system")


def test_no_call_waits_for_ever_whatever_its_time_limit(tmp_path: Path) -> None:
    async def story() -> None:
        async with central_system(tmp_path) as system:
            station = await system.station()
            await station.ask([2, "boot", "BootNotification", BOOT])
            async with asyncio.timeout(PATIENCE_S):
                for limit_ms in range(10, 60):
                    with pytest.raises(CallTimeout):
                        await system.commands.send("CP1", "ClearCache", {}, timeout_s=limit_ms / 1000)
                    await station.hear()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())
