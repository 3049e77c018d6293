"""Plug in, sun, cloud, sun with a neighbour at the fuse, target reached, unplug; and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from simulation.charge_point import ProfileWrite
from tests.personalities.places import LEFT_BY_NEIGHBOUR_A, VOLTAGE_V, Place, Quarter, Sample, place

NEED_WH = 5_000.0
REACTION_S = 90.0
"""A minute until the control looks, and half of one until the car follows."""

SETTLED_AFTER_S = 60.0
FOLLOWS_SHARE = 0.95
LAST_SUN_MIN = 24
LEAST_START_W = 6.2 * VOLTAGE_V * 3
TOLERANCE_A = 0.6


@dataclass(frozen=True, slots=True)
class Row:
    """What a character came to.

    recorded_wh: of its transactions, as the server has it. excess_s: above the fuse, longer than the control
    needs to react. response_s: from a new setpoint to a current that fits it, the usual and the longest;
    None = never. rung: of the control profile that was accepted last. odd_limits: written limits that lie
    between 0 and the minimum. is_stranded: has not got its energy and takes nothing although the sun shines.
    is_left_free: the connector was available again at the end.
    """

    name: str
    delivered_wh: float
    recorded_wh: float
    needed_wh: float
    writes: int
    refused: int
    response_s: tuple[float, float] | None
    rung: str
    followed: float
    excess_s: float
    odd_limits: list[float]
    is_stranded: bool
    is_left_free: bool

    @property
    def follows(self) -> bool:
        return self.followed >= FOLLOWS_SHARE

    @property
    def is_recorded_right(self) -> bool:
        """To the watt hours that flow after the last sample."""
        return abs(self.recorded_wh - self.delivered_wh) < 50

    @property
    def gets_its_energy(self) -> bool:
        return self.delivered_wh >= 0.9 * self.needed_wh


async def play(names: Iterable[str], folder: Path) -> list[Row]:
    """In the order of the names."""
    quarter = Quarter([place(name, NEED_WH) for name in names], folder)
    await quarter.open()
    try:
        await tell(quarter)
        return [judge(one, await quarter.recorded_wh(one)) for one in quarter.places]
    finally:
        await quarter.close()


async def tell(quarter: Quarter) -> None:
    await quarter.minutes(1)
    for one in quarter.places:
        await quarter.arrive(one)
    await quarter.minutes(6)  # no sun yet
    shine(quarter, 8.2)
    await quarter.minutes(4)
    shine(quarter, 17.0)
    await quarter.minutes(4)
    for one in quarter.places:
        one.neighbour_a = one.fuse_a - LEFT_BY_NEIGHBOUR_A
        one.sun_w += one.neighbour_a * VOLTAGE_V  # there is sun for both: it is the fuse that counts
    await quarter.minutes(6)
    for one in quarter.places:
        one.neighbour_a = 0.0
    shine(quarter, 0.0)
    await quarter.minutes(12)
    shine(quarter, 7.4)
    await quarter.minutes(6)
    shine(quarter, 17.0)
    await quarter.minutes(LAST_SUN_MIN)
    for one in quarter.places:
        one.point.unplug(1)
    await quarter.minutes(2)


def shine(quarter: Quarter, amps: float) -> None:
    """Enough sun for so many amperes of this character's vehicle, and in any case enough to let a vehicle
    begin of which nobody knows yet that it uses one phase."""
    for one in quarter.places:
        wanted_w = max(amps * VOLTAGE_V * one.phase_count, LEAST_START_W)
        one.sun_w = one.house_w + wanted_w if amps else 0.0


# --- what came of it ---


def judge(one: Place, recorded_wh: float) -> Row:
    writes, outlet = list(one.point.profile_writes), one.point.outlets[1]
    delivered_wh = outlet.register_wh - one.station.model.meter_start_wh
    unplugged_s = one.samples[-1].at_s - 2 * 60
    late = [s for s in one.samples if unplugged_s - 5 * 60 < s.at_s < unplugged_s]
    needs_more = delivered_wh < 0.9 * one.need_wh
    return Row(
        name=one.name,
        delivered_wh=delivered_wh,
        recorded_wh=recorded_wh,
        needed_wh=one.need_wh,
        writes=len(writes),
        refused=sum(not w.accepted for w in writes),
        response_s=_response_s(one),
        rung=_rung([w for w in writes if w.accepted]),
        followed=_followed(one.samples),
        excess_s=_excess_s(one.samples),
        odd_limits=_odd_limits(one, writes),
        is_stranded=needs_more and max(max(s.drawn_a) for s in late) < 1.0,
        is_left_free=outlet.status == "Available" and outlet.transaction is None,
    )


def _changes(samples: list[Sample]) -> list[int]:
    """Where another setpoint holds than at the moment before."""
    return [n for n, (a, b) in enumerate(pairwise(samples), 1) if a.setpoint_a != b.setpoint_a]


def _followed(samples: list[Sample]) -> float:
    """The share of moments with a session at which no more was offered than the setpoint, in time."""
    since_s, good, all_ = 0.0, 0, 0
    for before, now in pairwise(samples):
        since_s = now.at_s if before.setpoint_a != now.setpoint_a else since_s
        has_session = now.pilot_a > 0 or (now.setpoint_a or 0) > 0
        if now.setpoint_a is None or not has_session or now.at_s - since_s < SETTLED_AFTER_S:
            continue
        all_ += 1
        good += now.pilot_a <= now.setpoint_a + TOLERANCE_A
    return good / all_ if all_ else 0.0


def _response_s(one: Place) -> tuple[float, float] | None:
    """Only changes that the vehicle can show: it does not sleep and is not full."""
    times: list[float] = []
    starts = [*_changes(one.samples), len(one.samples)]
    for start, end in pairwise(starts):
        part = one.samples[start:end]
        wanted_a = min(part[0].setpoint_a or 0.0, one.vehicle.model.max_a)
        was_a = max(one.samples[start - 1].drawn_a)
        if abs(wanted_a - was_a) < 2.0:
            continue
        fits = (s.at_s for s in part if wanted_a - 2.0 <= max(s.drawn_a) <= wanted_a + TOLERANCE_A)
        if (first_s := next(fits, None)) is not None:
            times.append(first_s - part[0].at_s)
    return (median(times), max(times)) if times else None


def _excess_s(samples: list[Sample]) -> float:
    """Of each stretch above the fuse, what goes beyond the time that the control needs."""
    total_s = run_s = 0.0
    for before, now in pairwise(samples):
        run_s = run_s + now.at_s - before.at_s if now.excess_a > TOLERANCE_A else 0.0
        total_s += now.at_s - before.at_s if run_s > REACTION_S else 0.0
    return total_s


def _rung(accepted: list[ProfileWrite]) -> str:
    if not accepted:
        return "none"
    control = [
        w
        for w in accepted
        if len(_periods(w)) > 1 or _profile(w)["chargingProfilePurpose"] != "TxDefaultProfile"
    ]
    last = (control or accepted)[-1]
    profile = _profile(last)
    unit = profile["chargingSchedule"]["chargingRateUnit"]
    where = f"{profile['chargingProfilePurpose'].removesuffix('Profile')} on {last.request['connectorId']}"
    return f"{where}, {profile['chargingProfileKind']}, level {profile['stackLevel']}, {unit}"


def _profile(write: ProfileWrite) -> dict[str, Any]:
    return write.request["csChargingProfiles"]  # type: ignore[no-any-return]


def _periods(write: ProfileWrite) -> list[dict[str, Any]]:
    return _profile(write)["chargingSchedule"]["chargingSchedulePeriod"]  # type: ignore[no-any-return]


def _odd_limits(one: Place, writes: list[ProfileWrite]) -> list[float]:
    least_a = one.config.charge_point[0].connectors[0].min_a
    odd = []
    for write in writes:
        is_current = _profile(write)["chargingSchedule"]["chargingRateUnit"] == "A"
        for period in _periods(write):
            watts_per_a = VOLTAGE_V * (period.get("numberPhases") or len(one.station.wiring))
            amps = period["limit"] if is_current else period["limit"] / watts_per_a
            if 0 < amps < least_a - 0.01:
                odd.append(amps)
    return odd
