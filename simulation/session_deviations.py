"""How stations begin and end charging, and what they let be set, where it is not what OCPP 1.6 says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from simulation.deviations import Deviation, Payload
from simulation.station_link import Answer

if TYPE_CHECKING:
    from simulation.charge_point import SimulatedChargePoint
    from simulation.outlet import Outlet


class NoRestartUntilUnplugged(Deviation):
    """Once a transaction has ended, the next needs the cable to be pulled first."""

    def __init__(self) -> None:
        self.spent: set[int] = set()

    def ended(self, outlet: Outlet) -> None:
        self.spent.add(outlet.hardware.id)

    def lets_begin(self, outlet: Outlet) -> bool:
        return outlet.hardware.id not in self.spent

    def unplugged(self, outlet: Outlet) -> None:
        self.spent.discard(outlet.hardware.id)


class FinishingNeedsReset(Deviation):
    """Stays in Finishing after a transaction, even unplugged, until it is reset."""

    def __init__(self) -> None:
        self.stuck: set[int] = set()

    def ended(self, outlet: Outlet) -> None:
        self.stuck.add(outlet.hardware.id)

    def lets_begin(self, outlet: Outlet) -> bool:
        return outlet.hardware.id not in self.stuck

    def status(self, outlet: Outlet, status: str) -> str:
        return "Finishing" if outlet.hardware.id in self.stuck else status

    def answer(
        self, station: SimulatedChargePoint, action: str, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        answer = usual()
        if action != "Reset":
            return answer

        async def restart() -> None:
            if answer.follow_up is not None:
                await answer.follow_up()
            self.stuck.clear()

        return Answer(answer.payload, restart)


class NoProfileAtRemoteStart(Deviation):
    """Refuses a RemoteStartTransaction that brings a charging profile."""

    def answer(
        self, station: SimulatedChargePoint, action: str, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        if action == "RemoteStartTransaction" and "chargingProfile" in payload:
            return Answer({"status": "Rejected"})
        return usual()


class SettingAtLeast(Deviation):
    """Rejects a number for this key that is smaller."""

    def __init__(self, key: str, least: int) -> None:
        self.key, self.least = key, least

    def answer(
        self, station: SimulatedChargePoint, action: str, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        concerns = action == "ChangeConfiguration" and payload["key"].lower() == self.key.lower()
        if concerns and payload["value"].isdigit() and int(payload["value"]) < self.least:
            return Answer({"status": "Rejected"})
        return usual()
