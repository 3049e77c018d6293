"""An electric vehicle on an IEC 61851 cable: what it draws of the current it is offered."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from drivers.device import PhaseTriple

MAX_STEP_S = 1.0
WAKE_CURRENT_A = 10.0
WAKE_AFTER_S = 60.0
TAPER_END = 0.2
STARTS_WITHIN_S = 600.0
"""Starts further apart than this wear on no vehicle's patience."""
LEAST_PILOT_A = 6.0
OFFENDED_AFTER_S = 30.0


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
    sleep_unfed_after_s: the same as long as it has not charged at all since it was plugged in.
    wakes_by_pulse: whether an offer from 0 to 10 A wakes it; if not, only replugging does.
    shortfall_a: how much less than offered it draws. taper_from: state of charge where it slows down.
    trickle_a: what it goes on drawing when it is full. faults_below_min: whether an offer below min_a is an
    error to it. tolerated_starts: how many starts within ten minutes; one more is an error. Of errors it
    rids itself when it is replugged.
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
    sleep_unfed_after_s: float | None = None
    wakes_by_pulse: bool = True
    trickle_a: float = 0.0
    faults_below_min: bool = False
    tolerated_starts: int | None = None
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
        self.has_fault = False
        self.current_a = 0.0
        self._is_plugged = False
        self._unoffered_s = 0.0
        self._offered_s = 0.0
        self._saw_no_offer = False
        self._wake_offer_s = 0.0
        self._too_little_s = 0.0
        self._was_fed = False
        self._starts_s: deque[float] = deque()

    def plug(self) -> None:
        self._is_plugged, self.is_asleep, self.has_fault = True, False, False
        self._unoffered_s = self._offered_s = self._wake_offer_s = self._too_little_s = 0.0
        self._saw_no_offer = self._was_fed = False
        self._starts_s.clear()

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
        self._note_start(dt_s, wanted_a)
        self.current_a = min(wanted_a, self.current_a + self.model.ramp_a_per_s * dt_s)
        stored_wh = self.current_a * phases * voltage_v * dt_s / 3600 * self.model.efficiency
        self.soc = (
            min(self.target_soc, self.soc + stored_wh / self.model.battery_wh) if stored_wh else self.soc
        )

    def _note_offer(self, dt_s: float, offered_a: float) -> None:
        usable = offered_a >= self.model.min_a
        self._offered_s = self._offered_s + dt_s if usable else 0.0
        self._unoffered_s = 0.0 if usable else self._unoffered_s + dt_s
        is_too_little = LEAST_PILOT_A <= offered_a < self.model.min_a
        self._too_little_s = self._too_little_s + dt_s if is_too_little else 0.0
        if self.model.faults_below_min and self._too_little_s >= OFFENDED_AFTER_S:
            self.has_fault = True
        if self.is_asleep:
            self._note_wake_offer(dt_s, offered_a)
        elif self._is_tired():
            self.is_asleep, self._saw_no_offer, self._wake_offer_s = True, offered_a <= 0, 0.0

    def _is_tired(self) -> bool:
        patience_s = [self.model.sleep_after_s]
        if not self._was_fed:
            patience_s.append(self.model.sleep_unfed_after_s)
        return any(s is not None and self._unoffered_s >= s for s in patience_s)

    def _note_start(self, dt_s: float, wanted_a: float) -> None:
        """Starts are remembered by how long ago they were."""
        self._was_fed = self._was_fed or wanted_a > 0
        if self.model.tolerated_starts is None:
            return
        self._starts_s = deque(s + dt_s for s in self._starts_s if s + dt_s < STARTS_WITHIN_S)
        if wanted_a > 0 and self.current_a <= 0:
            self._starts_s.append(0.0)
            self.has_fault = self.has_fault or len(self._starts_s) > self.model.tolerated_starts

    def _note_wake_offer(self, dt_s: float, offered_a: float) -> None:
        if offered_a >= WAKE_CURRENT_A and self._saw_no_offer and self.model.wakes_by_pulse:
            self._wake_offer_s += dt_s
        else:
            self._wake_offer_s = 0.0
            self._saw_no_offer = offered_a <= 0
        if self._wake_offer_s >= WAKE_AFTER_S:
            self.is_asleep, self._offered_s = False, 0.0

    def _wanted_a(self, offered_a: float) -> float:
        if self.has_fault or self.is_asleep or self._offered_s < self.model.reaction_s:
            return 0.0
        if self.is_full:
            return self.model.trickle_a
        if not self.model.modulates:
            return self.model.max_a
        allowed_a = min(self.model.max_a, offered_a) - self.model.shortfall_a
        if self.soc <= self.model.taper_from:
            return allowed_a
        left = (1 - self.soc) / (1 - self.model.taper_from)
        return min(allowed_a, self.model.max_a * max(TAPER_END, left))
