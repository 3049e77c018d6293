"""What stations make of charging profiles, where it is not what OCPP 1.6 section 3.13 says.

Rules for `StationModel.rejects` first: conditions of a profile, to be combined by `any_of`. Then deviations
that need to remember something, or that change what is offered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from simulation.charging_schedule import Profile, connector_limit_a
from simulation.deviations import Deviation, Payload
from simulation.station_link import Answer, CallRefused

if TYPE_CHECKING:
    from simulation.charge_point import SimulatedChargePoint
    from simulation.outlet import Outlet

Rule = Callable[[Profile], bool]
REJECTED = {"status": "Rejected"}
ACCEPTED = {"status": "Accepted"}


def any_of(*rules: Rule) -> Rule:
    return lambda profile: any(rule(profile) for rule in rules)


def stacked(profile: Profile) -> bool:
    return profile.stack_level > 0


def of_kind(kind: str) -> Rule:
    return lambda profile: profile.kind == kind


def of_purpose(*purposes: str) -> Rule:
    return lambda profile: profile.purpose in purposes


def for_nobody(profile: Profile) -> bool:
    """A TxProfile that does not name its transaction."""
    return profile.purpose == "TxProfile" and profile.transaction_id is None


def on_connector_zero(profile: Profile) -> bool:
    return profile.connector_id == 0


def relative_maximum(profile: Profile) -> bool:
    """A Relative ChargePointMaxProfile; refused with an error, not with a status."""
    if profile.purpose == "ChargePointMaxProfile" and profile.kind == "Relative":
        raise CallRefused("PropertyConstraintViolation", "chargingProfileKind")
    return False


class ProfileDeviation(Deviation):
    """`set_profile` decides about each SetChargingProfile."""

    def answer(
        self, station: SimulatedChargePoint, action: str, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        return self.set_profile(station, payload, usual) if action == "SetChargingProfile" else usual()

    def set_profile(
        self, station: SimulatedChargePoint, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        return usual()


class AcceptsAndIgnores(ProfileDeviation):
    """Says Accepted and does nothing."""

    def set_profile(
        self, station: SimulatedChargePoint, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        return Answer(ACCEPTED)


class NoDefaultWithoutVehicle(ProfileDeviation):
    """A TxDefaultProfile is rejected as long as nothing is plugged in."""

    def set_profile(
        self, station: SimulatedChargePoint, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        is_default = payload["csChargingProfiles"]["chargingProfilePurpose"] == "TxDefaultProfile"
        is_plugged = any(outlet.vehicle is not None for outlet in station.outlets.values())
        return Answer(REJECTED) if is_default and not is_plugged else usual()


class WritesPerDay(ProfileDeviation):
    """Takes so many schedules a day and no more: its flash memory wears out."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken: Counter[date] = Counter()

    def set_profile(
        self, station: SimulatedChargePoint, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        today = station.clock.now().date()
        if self.taken[today] >= self.most:
            return Answer(REJECTED)
        answer = usual()
        self.taken[today] += answer.payload == ACCEPTED
        return answer


class NotSoFast(ProfileDeviation):
    """Rejects a profile that comes sooner than least_s after the last one it took."""

    def __init__(self, least_s: float) -> None:
        self.least = timedelta(seconds=least_s)
        self.taken_at: datetime | None = None

    def set_profile(
        self, station: SimulatedChargePoint, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        now = station.clock.now()
        if self.taken_at is not None and now - self.taken_at < self.least:
            return Answer(REJECTED)
        answer = usual()
        self.taken_at = now if answer.payload == ACCEPTED else self.taken_at
        return answer


class SpikesAtEachSet(ProfileDeviation):
    """Offers its maximum for a moment whenever it has taken a profile."""

    def __init__(self, spike_s: float) -> None:
        self.spike = timedelta(seconds=spike_s)
        self.until: datetime | None = None

    def set_profile(
        self, station: SimulatedChargePoint, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        answer = usual()
        if answer.payload == ACCEPTED:
            self.until = station.clock.now() + self.spike
        return answer

    def offer(self, station: SimulatedChargePoint, outlet: Outlet, offered_a: float, at: datetime) -> float:
        return outlet.hardware.max_a if self.until is not None and at < self.until else offered_a


class ForgetsLimitAfterPause(ProfileDeviation):
    """The first time a limit follows a pause of 0 A it is not applied, until the next one is written."""

    def __init__(self) -> None:
        self.was_paused = self.is_open = self.has_happened = False

    def set_profile(
        self, station: SimulatedChargePoint, payload: Payload, usual: Callable[[], Answer]
    ) -> Answer:
        self.is_open = False
        return usual()

    def offer(self, station: SimulatedChargePoint, outlet: Outlet, offered_a: float, at: datetime) -> float:
        if self.was_paused and offered_a > 0 and not self.has_happened:
            self.is_open = self.has_happened = True
        self.was_paused = offered_a <= 0
        return outlet.hardware.max_a if self.is_open else offered_a


class Steps(Deviation):
    """Knows these currents only and rounds down. [A]"""

    def __init__(self, *amps: float) -> None:
        self.amps = amps

    def offer(self, station: SimulatedChargePoint, outlet: Outlet, offered_a: float, at: datetime) -> float:
        return max((a for a in self.amps if a <= offered_a), default=0.0)


class CannotPause(Deviation):
    """Takes 0 A for its least current."""

    def offer(self, station: SimulatedChargePoint, outlet: Outlet, offered_a: float, at: datetime) -> float:
        return max(6.0, offered_a)


class ZeroEndsTransaction(Deviation):
    """A limit of 0 ends the transaction; then it is stuck in Preparing until the cable is pulled."""

    def __init__(self) -> None:
        self.stuck: set[int] = set()

    def live(self, station: SimulatedChargePoint, now: datetime) -> None:
        for n, outlet in station.outlets.items():
            if outlet.transaction is not None and n not in self.stuck and station.limit_a(n) <= 0:
                self.stuck.add(n)  # first: ending it lives through this moment once more
                station.end(n, "Other")

    def lets_begin(self, outlet: Outlet) -> bool:
        return outlet.hardware.id not in self.stuck

    def status(self, outlet: Outlet, status: str) -> str:
        return "Preparing" if outlet.hardware.id in self.stuck and status == "Finishing" else status

    def unplugged(self, outlet: Outlet) -> None:
        self.stuck.discard(outlet.hardware.id)


class LowestWins(Deviation):
    """Of a TxProfile and the default beneath it the lower limit holds, not the TxProfile's."""

    def offer(self, station: SimulatedChargePoint, outlet: Outlet, offered_a: float, at: datetime) -> float:
        defaults = [profile for profile in station.profiles if profile.purpose == "TxDefaultProfile"]
        n, volts = outlet.hardware.id, outlet.voltage_v
        running = station.running_transaction(n)
        limit_a = connector_limit_a(defaults, n, station.own_time(at), running, volts)
        return offered_a if limit_a is None else min(offered_a, limit_a)


class StartsLate(Deviation):
    """Waits for delay_s before each charging that begins or goes on, as stations in Great Britain do."""

    def __init__(self, delay_s: float) -> None:
        self.delay = timedelta(seconds=delay_s)
        self.allowed_at: dict[int, datetime] = {}

    def offer(self, station: SimulatedChargePoint, outlet: Outlet, offered_a: float, at: datetime) -> float:
        n = outlet.hardware.id
        if offered_a <= 0:
            self.allowed_at.pop(n, None)
            return 0.0
        return offered_a if at >= self.allowed_at.setdefault(n, at + self.delay) else 0.0

    def ended(self, outlet: Outlet) -> None:
        self.allowed_at.pop(outlet.hardware.id, None)
