"""What stations tell of themselves, where it is not what OCPP 1.6 says or what is so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from simulation.deviations import Deviation, Payload, Samples
from simulation.station_configuration import split_list
from simulation.station_link import Answer, Unanswered

if TYPE_CHECKING:
    from simulation.charge_point import SimulatedChargePoint
    from simulation.outlet import Outlet

POWER, CURRENT, ENERGY = "Power.Active.Import", "Current.Import", "Energy.Active.Import.Register"
UNKNOWN_REGISTER = 2**31 - 1


class TotalsAndPhases(Deviation):
    """The power of each phase beside their total."""

    def sample(self, outlet: Outlet, values: Samples) -> Samples:
        told: Samples = []
        for value in values:
            told.append(value)
            if value["measurand"] == POWER and "phase" not in value:
                for n, amps in enumerate(outlet.current_a[: outlet.hardware.phases]):
                    told.append(value | {"value": f"{amps * outlet.voltage_v:.1f}", "phase": f"L{n + 1}"})
        return told


class OnePhaseTold(Deviation):
    """Currents of the first phase only, whatever flows on the others."""

    def sample(self, outlet: Outlet, values: Samples) -> Samples:
        return [v for v in values if v["measurand"] != CURRENT or v.get("phase") == "L1"]


class Kilowatts(Deviation):
    """kW and kWh instead of W and Wh, padded with blanks."""

    def sample(self, outlet: Outlet, values: Samples) -> Samples:
        kilo = {"W": "kW", "Wh": "kWh"}
        return [
            v | {"value": f" {float(v['value']) / 1000:.3f} ", "unit": kilo[v["unit"]]}
            if v.get("unit") in kilo
            else v
            for v in values
        ]


class EmptyValues(Deviation):
    """Values that are empty texts, of these measurands."""

    def __init__(self, *measurands: str) -> None:
        self.measurands = measurands

    def sample(self, outlet: Outlet, values: Samples) -> Samples:
        return [v | {"value": ""} if v["measurand"] in self.measurands else v for v in values]


class SessionRegister(Deviation):
    """Meter values tell the energy of the session where the lifetime's register belongs; start and stop do
    not."""

    def sample(self, outlet: Outlet, values: Samples) -> Samples:
        if outlet.transaction is None:
            return values
        session = str(int(outlet.register_wh) - outlet.transaction.meter_start_wh)
        return [v | {"value": session} if v["measurand"] == ENERGY else v for v in values]


class StaleOffer(Deviation):
    """Current.Offered stays what it was when the transaction began."""

    def __init__(self) -> None:
        self.first: dict[int, str] = {}

    def sample(self, outlet: Outlet, values: Samples) -> Samples:
        told: Samples = []
        for value in values:
            if value["measurand"] == "Current.Offered" and outlet.transaction is not None:
                value = value | {"value": self.first.setdefault(outlet.hardware.id, value["value"])}
            told.append(value)
        return told

    def ended(self, outlet: Outlet) -> None:
        self.first.pop(outlet.hardware.id, None)


class AlwaysCharging(Deviation):
    """Status Charging although nothing is offered."""

    def status(self, outlet: Outlet, status: str) -> str:
        return "Charging" if status == "SuspendedEVSE" else status


class ErrorCode(Deviation):
    """An error code with every status of a connector, while all works."""

    def __init__(self, code: str) -> None:
        self.code = code

    def say(self, station: SimulatedChargePoint, action: str, payload: Payload) -> Payload:
        concerns = action == "StatusNotification" and payload["connectorId"] != 0
        return payload | {"errorCode": self.code} if concerns else payload


class UnknownMeterStart(Deviation):
    """The largest 32-bit number for meterStart."""

    def say(self, station: SimulatedChargePoint, action: str, payload: Payload) -> Payload:
        return payload | {"meterStart": UNKNOWN_REGISTER} if action == "StartTransaction" else payload


class AnswersLate(Deviation):
    """Every answer comes after so many seconds; what it says is done at once."""

    def __init__(self, after_s: float) -> None:
        self.after_s = after_s

    def answer(
        self, station: SimulatedChargePoint, action: str, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        answer = usual()
        return Answer(answer.payload, answer.follow_up, self.after_s)


class LosesLink(Deviation):
    """Breaks the connection every so many seconds and is back ten seconds later, without booting."""

    def __init__(self, every_s: float, away_s: float = 10.0) -> None:
        self.every, self.away_s = timedelta(seconds=every_s), away_s
        self.next_at: datetime | None = None

    def live(self, station: SimulatedChargePoint, now: datetime) -> None:
        if self.next_at is not None and now >= self.next_at:
            station.drop_link(self.away_s)
            self.next_at = None
        if self.next_at is None:
            self.next_at = now + self.every


class CrashesWhenAskedForAll(Deviation):
    """Restarts instead of answering a GetConfiguration without keys."""

    def answer(
        self, station: SimulatedChargePoint, action: str, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        if action != "GetConfiguration" or payload.get("key"):
            return usual()
        station.power_cycle()
        raise Unanswered(action)


class BootLoop(Deviation):
    """Accepts measurands that it does not know, then restarts again and again until it has others."""

    KEYS = ("metervaluessampleddata", "metervaluesaligneddata")

    def __init__(self, *known: str, every_s: float = 45.0) -> None:
        self.known, self.every = known, timedelta(seconds=every_s)
        self.next_at: datetime | None = None

    def answer(
        self, station: SimulatedChargePoint, action: str, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        answer = usual()
        if action == "ChangeConfiguration" and payload["key"].lower() in self.KEYS:
            is_bad = any(name not in self.known for name in split_list(payload["value"]))
            self.next_at = station.clock.now() + self.every if is_bad else None
        return answer

    def live(self, station: SimulatedChargePoint, now: datetime) -> None:
        if self.next_at is not None and now >= self.next_at:
            self.next_at = now + self.every
            station.power_cycle()
