"""What a station makes of its charging profiles: the limit at an instant, and the composite schedule.

Source: OCPP 1.6 edition 2 sections 3.13, 5.2, 5.16, 7.8-7.14 with errata 3.8, 3.34. Within a purpose the
highest stack level that says something now wins; a TxProfile overrules the TxDefaultProfiles; one of the
connector overrules those of connector 0; the ChargePointMaxProfile caps all connectors together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

PILOT_MIN_A = 6.0
ASSUMED_PHASES = 3
RECURRENCE_S = {"Daily": 86_400, "Weekly": 604_800}

Purpose = Literal["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"]
Unit = Literal["A", "W"]


@dataclass(frozen=True, slots=True)
class Period:
    """limit in the schedule's unit. phases: numberPhases as given."""

    start_s: int
    limit: float
    phases: int | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A charging profile as installed. start_at: startSchedule; None = from the transaction's start."""

    connector_id: int
    id: int
    stack_level: int
    purpose: Purpose
    kind: Literal["Absolute", "Recurring", "Relative"]
    unit: Unit
    periods: tuple[Period, ...]
    recurrence: Literal["Daily", "Weekly"] | None = None
    start_at: datetime | None = None
    duration_s: int | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    transaction_id: int | None = None
    min_rate: float | None = None


@dataclass(frozen=True, slots=True)
class RunningTransaction:
    id: int | None
    started_at: datetime


def parse_time(text: str) -> datetime:
    """An OCPP timestamp; without an offset it is UTC."""
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def read_profile(connector_id: int, payload: Mapping[str, Any]) -> Profile:
    """Build from `csChargingProfiles` or `chargingProfile`, already checked against the schema.

    Raises:
        ValueError: periods do not begin at 0 or do not ascend, a recurring profile has no start, a bad time.
    """
    schedule = payload["chargingSchedule"]
    periods = tuple(
        Period(p["startPeriod"], float(p["limit"]), p.get("numberPhases"))
        for p in schedule["chargingSchedulePeriod"]
    )
    starts = [p.start_s for p in periods]
    if not starts or starts[0] != 0 or any(b <= a for a, b in pairwise(starts)):
        raise ValueError("periods that begin at 0 and ascend expected")
    times = {k: parse_time(payload[k]) if payload.get(k) else None for k in ("validFrom", "validTo")}
    kind, start = payload["chargingProfileKind"], schedule.get("startSchedule")
    if kind == "Recurring" and (start is None or "recurrencyKind" not in payload):
        raise ValueError("a recurring profile needs startSchedule and recurrencyKind")
    return Profile(
        connector_id=connector_id,
        id=payload["chargingProfileId"],
        stack_level=payload["stackLevel"],
        purpose=payload["chargingProfilePurpose"],
        kind=kind,
        unit=schedule["chargingRateUnit"],
        periods=periods,
        recurrence=payload["recurrencyKind"] if kind == "Recurring" else None,
        start_at=parse_time(start) if start and kind != "Relative" else None,
        duration_s=schedule.get("duration"),
        valid_from=times["validFrom"],
        valid_to=times["validTo"],
        transaction_id=payload.get("transactionId"),
        min_rate=schedule.get("minChargingRate"),
    )


def install(installed: Sequence[Profile], new: Profile) -> tuple[Profile, ...]:
    """The same id, or the same purpose and stack level on the same connector, is replaced."""
    slot = (new.connector_id, new.purpose, new.stack_level)
    kept = (p for p in installed if p.id != new.id and (p.connector_id, p.purpose, p.stack_level) != slot)
    return (*kept, new)


def clear(installed: Sequence[Profile], request: Mapping[str, Any]) -> tuple[Profile, ...]:
    """What is left after ClearChargingProfile: an id alone decides, else all given fields must fit."""
    if "id" in request:
        return tuple(p for p in installed if p.id != request["id"])
    wanted = (
        request.get("connectorId"),
        request.get("chargingProfilePurpose"),
        request.get("stackLevel"),
    )

    def fits(p: Profile) -> bool:
        own = (p.connector_id, p.purpose, p.stack_level)
        return all(w is None or w == o for w, o in zip(wanted, own, strict=True))

    return tuple(p for p in installed if not fits(p))


def period_at(profile: Profile, at: datetime, transaction: RunningTransaction | None) -> Period | None:
    """The period in force; None where the profile says nothing: not valid, not begun, past its duration."""
    if profile.valid_from is not None and at < profile.valid_from:
        return None
    if profile.valid_to is not None and at >= profile.valid_to:
        return None
    elapsed_s = _elapsed_s(profile, at, transaction)
    if elapsed_s < 0 or (profile.duration_s is not None and elapsed_s >= profile.duration_s):
        return None
    return [p for p in profile.periods if p.start_s <= elapsed_s][-1]


def _elapsed_s(profile: Profile, at: datetime, transaction: RunningTransaction | None) -> float:
    start = profile.start_at or (transaction.started_at if transaction else at)
    elapsed_s = (at - start).total_seconds()
    if profile.recurrence is not None and elapsed_s >= 0:
        return elapsed_s % RECURRENCE_S[profile.recurrence]
    return elapsed_s


def amps(period: Period, unit: Unit, voltage_v: float) -> float:
    """Per phase. W is the total of numberPhases, three if it is not given."""
    return period.limit if unit == "A" else period.limit / (voltage_v * (period.phases or ASSUMED_PHASES))


def connector_limit_a(
    profiles: Sequence[Profile],
    connector_id: int,
    at: datetime,
    transaction: RunningTransaction | None,
    voltage_v: float,
) -> float | None:
    """What TxProfile and TxDefaultProfile allow per phase; None = they say nothing: unlimited."""
    ruling = ruling_period(profiles, connector_id, at, transaction)
    return None if ruling is None else amps(*ruling, voltage_v)


def ruling_period(
    profiles: Sequence[Profile], connector_id: int, at: datetime, transaction: RunningTransaction | None
) -> tuple[Period, Unit] | None:
    """The one period of a TxProfile or TxDefaultProfile that holds for this connector now, and its unit."""

    def applies(p: Profile) -> bool:
        return transaction is not None and (p.transaction_id is None or p.transaction_id == transaction.id)

    own = [p for p in profiles if p.connector_id == connector_id]
    layers = (
        [p for p in own if p.purpose == "TxProfile" and applies(p)],
        [p for p in own if p.purpose == "TxDefaultProfile"],
        [p for p in profiles if p.purpose == "TxDefaultProfile" and p.connector_id == 0],
    )
    for layer in layers:
        if (top := _top_of_stack(layer, at, transaction)) is not None:
            return top
    return None


def station_limit_a(profiles: Sequence[Profile], at: datetime, voltage_v: float) -> float | None:
    """What ChargePointMaxProfile allows for all connectors together, per phase; None = unlimited."""
    caps = [p for p in profiles if p.purpose == "ChargePointMaxProfile"]
    top = _top_of_stack(caps, at, None)
    return None if top is None else amps(*top, voltage_v)


def _top_of_stack(
    profiles: Iterable[Profile], at: datetime, transaction: RunningTransaction | None
) -> tuple[Period, Unit] | None:
    for profile in sorted(profiles, key=lambda p: p.stack_level, reverse=True):
        period = period_at(profile, at, transaction)
        if period is not None:
            return period, profile.unit
    return None


def pilot_a(limit_a: float | None, max_a: float, step_a: float) -> float:
    """The current the pilot signal can show: 0, or at least 6 A, in the station's steps, rounded down."""
    allowed_a = max_a if limit_a is None else min(limit_a, max_a)
    # 1e-9: 7.2 / 0.1 is a hair below 72
    stepped_a = round(int(allowed_a / step_a + 1e-9) * step_a, 3)
    return stepped_a if stepped_a >= PILOT_MIN_A else 0.0


def share_station_limit(wanted_a: Mapping[int, float], cap_a: float) -> dict[int, float]:
    """Share a station's limit between its connectors: first come first served down to 6 A, then evenly."""
    served = [c for c, a in wanted_a.items() if a >= PILOT_MIN_A][: max(0, int(cap_a / PILOT_MIN_A + 1e-9))]
    shares = dict.fromkeys(wanted_a, 0.0)
    left_a = cap_a
    for position, connector_id in enumerate(sorted(served, key=lambda c: wanted_a[c])):
        shares[connector_id] = min(wanted_a[connector_id], left_a / (len(served) - position))
        left_a -= shares[connector_id]
    return shares


def boundaries(profile: Profile, start: datetime, end: datetime, origin: datetime) -> Iterator[datetime]:
    """The instants inside (start, end) at which this profile may change. origin: the transaction's start."""
    edges = [t for t in (profile.valid_from, profile.valid_to) if t is not None]
    offsets = [p.start_s for p in profile.periods]
    if profile.duration_s is not None:
        offsets.append(profile.duration_s)
    base = profile.start_at or origin
    if profile.recurrence is None:
        edges += [base + timedelta(seconds=s) for s in offsets]
    else:
        cycle_s = RECURRENCE_S[profile.recurrence]
        first = int((start - base).total_seconds() // cycle_s)
        last = int((end - base).total_seconds() // cycle_s)
        for turn in range(max(0, first), last + 1):
            edges += [base + timedelta(seconds=turn * cycle_s + s) for s in offsets if s <= cycle_s]
    yield from (edge for edge in edges if start < edge < end)


def composite_periods(
    profiles: Sequence[Profile],
    connector_id: int,
    start: datetime,
    duration_s: int,
    transaction: RunningTransaction | None,
    voltage_v: float,
    max_a: float,
) -> tuple[Period, ...]:
    """The expected limits [A per phase] from `start` on; connector 0 = the station as a whole."""
    end = start + timedelta(seconds=duration_s)
    assumed = transaction or RunningTransaction(None, start)
    instants = {start}.union(*(boundaries(p, start, end, assumed.started_at) for p in profiles))
    periods: list[Period] = []
    for at in sorted(instants):
        limits = [max_a, station_limit_a(profiles, at, voltage_v)]
        if connector_id != 0:
            limits.append(connector_limit_a(profiles, connector_id, at, assumed, voltage_v))
        period = Period(int((at - start).total_seconds()), min(x for x in limits if x is not None))
        if not periods or periods[-1].limit != period.limit:
            periods.append(period)
    return tuple(periods)
