"""One connector of a simulated station: its cable, contactor, meter and transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from drivers.device import PhaseTriple
from simulation.charging_schedule import Profile
from simulation.deviations import Deviations
from simulation.vehicle import Vehicle

FLOWING_A = 0.5
NOTHING: PhaseTriple = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class ConnectorHardware:
    """phases: how many are wired; currents are told in the station's own order of them. [A]

    phase_switching: it obeys a profile's numberPhases.
    """

    id: int
    phases: int = 3
    max_a: float = 32.0
    step_a: float = 0.1
    phase_switching: bool = False


@dataclass(slots=True)
class Transaction:
    """id is None until the central system has given it. is_refused: the id tag was not accepted after all."""

    connector_id: int
    id_tag: str
    started_at: datetime
    meter_start_wh: int
    id: int | None = None
    is_refused: bool = False


class Outlet:
    """is_free: charges whatever is plugged in, without a transaction."""

    def __init__(
        self,
        hardware: ConnectorHardware,
        voltage_v: float,
        deviations: Deviations,
        *,
        register_wh: float = 0.0,
        is_free: bool = False,
    ) -> None:
        self.hardware = hardware
        self.phases = hardware.phases
        self.voltage_v = voltage_v
        self.phases = hardware.phases
        self.is_free = is_free
        self._deviations = deviations
        self.next_sample_at: datetime | None = None
        self.vehicle: Vehicle | None = None
        self.transaction: Transaction | None = None
        self.register_wh = register_wh
        self.offered_a = 0.0
        self.current_a: PhaseTriple = NOTHING
        self.is_operative = True
        self.becomes_inoperative = False
        self.is_finished = False
        self.awaited_id_tag: str | None = None
        self.awaited_until: datetime | None = None
        self.awaited_profile: Profile | None = None

    @property
    def power_w(self) -> float:
        return sum(self.current_a) * self.voltage_v

    @property
    def has_session(self) -> bool:
        return self.transaction is not None or (self.is_free and self.vehicle is not None)

    @property
    def status(self) -> str:
        """The ChargePointStatus as the station reports it."""
        return self._deviations.status(self, self._status)

    @property
    def error_code(self) -> str:
        has_fault = self.vehicle is not None and self.vehicle.has_fault
        return "EVCommunicationError" if has_fault else "NoError"

    @property
    def _status(self) -> str:
        """Source: OCPP 1.6 section 4.9."""
        if self.has_session:
            if self.offered_a <= 0:
                return "SuspendedEVSE"
            return "Charging" if max(self.current_a) > FLOWING_A else "SuspendedEV"
        if not self.is_operative:
            return "Unavailable"
        if self.vehicle is not None:
            return "Finishing" if self.is_finished else "Preparing"
        return "Preparing" if self.awaited_id_tag is not None else "Available"

    def flow(self, dt_s: float, offered_a: float, phases: int) -> None:
        """Let the vehicle live through dt_s with this pilot signal, and count what it draws.

        While the station changes over to another number of phases it offers nothing.
        """
        if phases != self.phases:
            self.phases, offered_a = phases, 0.0
        self.offered_a = offered_a
        if self.vehicle is None:
            self.current_a = NOTHING
            return
        self.current_a = self.vehicle.step(dt_s, offered_a, self.phases, self.voltage_v)
        self.register_wh += self.power_w * dt_s / 3600

    def open_contactor(self) -> None:
        self.offered_a, self.current_a = 0.0, NOTHING
        if self.vehicle is not None:
            self.vehicle.current_a = 0.0

    def await_vehicle(self, id_tag: str, until: datetime, profile: Profile | None) -> None:
        self.awaited_id_tag, self.awaited_until, self.awaited_profile = id_tag, until, profile

    def stop_awaiting(self) -> None:
        self.awaited_id_tag = self.awaited_until = self.awaited_profile = None

    def sampled_values(self, measurands: list[str], context: str) -> list[dict[str, str]]:
        """The `sampledValue` list of a MeterValues. Source: OCPP 1.6 sections 7.31, 7.43."""
        values: list[dict[str, str]] = []
        for measurand in measurands:
            for reading in self._readings(measurand):
                values.append({"context": context, "measurand": measurand, "location": "Outlet"} | reading)
        return self._deviations.sample(self, values)

    def _readings(self, measurand: str) -> list[dict[str, str]]:
        phases = [f"L{n + 1}" for n in range(self.hardware.phases)]
        match measurand:
            case "Energy.Active.Import.Register":
                return [{"value": str(int(self.register_wh)), "unit": "Wh"}]
            case "Power.Active.Import":
                return [{"value": f"{self.power_w:.1f}", "unit": "W"}]
            case "Power.Offered":
                return [{"value": f"{self.offered_a * self.voltage_v * len(phases):.1f}", "unit": "W"}]
            case "Current.Import":
                return [
                    {"value": f"{a:.2f}", "unit": "A", "phase": p}
                    for p, a in zip(phases, self.current_a, strict=False)
                ]
            case "Current.Offered":
                return [{"value": f"{self.offered_a:.1f}", "unit": "A"}]
            case "Voltage":
                return [{"value": f"{self.voltage_v:.1f}", "unit": "V", "phase": f"{p}-N"} for p in phases]
            case "SoC" if self.vehicle is not None:
                return [{"value": f"{self.vehicle.soc * 100:.0f}", "unit": "Percent", "location": "EV"}]
        return []
