"""An electric vehicle on an IEC 61851 cable: what it draws of the current it is offered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drivers.device import PhaseTriple

MAX_STEP_S = 1.0
WAKE_CURRENT_A = 10.0
WAKE_AFTER_S = 60.0
TAPER_END = 0.2


class PilotState(StrEnum):
    """The control pilot as the station sees it (IEC 61851-1, annex A)."""

    A = "no vehicle"
    B = "vehicle connected, not ready"
    C = "vehicle charging"


@dataclass(frozen=True, slots=True)
class VehicleModel:
    """A kind of vehicle. [Wh, A, s]

    phases: how many its on-board charger uses. min_a: it refuses less (6, 8 or 10). modulates: False
    for an old vehicle that takes max_a whenever anything of at least min_a is offered. reaction_s: from
    offer to first current. sleep_after_s: without an offer for so long it sleeps; None = never.
    shortfall_a: how much less than offered it draws. taper_from: state of charge where it slows down.
    """

    name: str
    battery_wh: float
    phases: int = 3
    min_a: float = 6.0
    max_a: float = 16.0
    modulates: bool = True
    ramp_a_per_s: float = 2.0
    reaction_s: float = 8.0
    sleep_after_s: float | None = None
    shortfall_a: float = 0.3
    taper_from: float = 0.8
    efficiency: float = 0.9


class Vehicle:
    """One vehicle's battery and charger. State of charge and target are 0..1.

    Asleep it takes nothing, whatever is offered, until it is replugged or the offer goes from 0 to
    at least 10 A and stays there for a minute.
    """

    def __init__(self, model: VehicleModel, soc: float, target_soc: float = 1.0) -> None:
        self.model = model
        self.soc = soc
        self.target_soc = target_soc
        self.is_asleep = False
        self.current_a = 0.0
        self._is_plugged = False
        self._unoffered_s = 0.0
        self._offered_s = 0.0
        self._saw_no_offer = False
        self._wake_offer_s = 0.0

    def plug(self) -> None:
        self._is_plugged, self.is_asleep = True, False
        self._unoffered_s = self._offered_s = self._wake_offer_s = 0.0
        self._saw_no_offer = False

    def unplug(self) -> None:
        self._is_plugged = False
        self.current_a = 0.0

    @property
    def pilot_state(self) -> PilotState:
        if not self._is_plugged:
            return PilotState.A
        return PilotState.C if self.current_a > 0 else PilotState.B

    @property
    def is_full(self) -> bool:
        return self.soc >= self.target_soc - 1e-9

    def step(
        self, dt_s: float, offered_a: float, station_phases: int = 3, voltage_v: float = 230
    ) -> PhaseTriple:
        """Live through dt_s with this offer (0 = no pilot); then the current on the station's phases."""
        phases = min(self.model.phases, station_phases)
        if self._is_plugged:
            remaining_s = dt_s
            while remaining_s > 0:
                self._advance(min(MAX_STEP_S, remaining_s), offered_a, phases, voltage_v)
                remaining_s -= MAX_STEP_S
        l1, l2, l3 = (self.current_a if i < phases else 0.0 for i in range(3))
        return l1, l2, l3

    def _advance(self, dt_s: float, offered_a: float, phases: int, voltage_v: float) -> None:
        self._note_offer(dt_s, offered_a)
        wanted_a = self._wanted_a(offered_a)
        self.current_a = min(wanted_a, self.current_a + self.model.ramp_a_per_s * dt_s)
        stored_wh = self.current_a * phases * voltage_v * dt_s / 3600 * self.model.efficiency
        self.soc = (
            min(self.target_soc, self.soc + stored_wh / self.model.battery_wh) if stored_wh else self.soc
        )

    def _note_offer(self, dt_s: float, offered_a: float) -> None:
        usable = offered_a >= self.model.min_a
        self._offered_s = self._offered_s + dt_s if usable else 0.0
        self._unoffered_s = 0.0 if usable else self._unoffered_s + dt_s
        if self.is_asleep:
            self._note_wake_offer(dt_s, offered_a)
        elif self.model.sleep_after_s is not None and self._unoffered_s >= self.model.sleep_after_s:
            self.is_asleep, self._saw_no_offer, self._wake_offer_s = True, offered_a <= 0, 0.0

    def _note_wake_offer(self, dt_s: float, offered_a: float) -> None:
        if offered_a >= WAKE_CURRENT_A and self._saw_no_offer:
            self._wake_offer_s += dt_s
        else:
            self._wake_offer_s = 0.0
            self._saw_no_offer = offered_a <= 0
        if self._wake_offer_s >= WAKE_AFTER_S:
            self.is_asleep, self._offered_s = False, 0.0

    def _wanted_a(self, offered_a: float) -> float:
        if self.is_asleep or self.is_full or self._offered_s < self.model.reaction_s:
            return 0.0
        if not self.model.modulates:
            return self.model.max_a
        allowed_a = min(self.model.max_a, offered_a) - self.model.shortfall_a
        if self.soc <= self.model.taper_from:
            return allowed_a
        left = (1 - self.soc) / (1 - self.model.taper_from)
        return min(allowed_a, self.model.max_a * max(TAPER_END, left))
