"""From a setpoint in ampere to the charging profile that a charge point accepts. Pure.

Two profiles per connector, both Absolute at stack level 0, which every station takes:

- the floor, a TxDefaultProfile without end: what a transaction gets while the central system is silent;
- the control profile, a TxProfile of the running transaction: the setpoint, then, after the dead-man
  time, the floor's value again. A central system that dies is harmless without the station having to notice.

Source: OCPP 1.6 edition 2, sections 3.13 and 7.8 to 7.14.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Literal

RateUnit = Literal["A", "W"]
STACK_LEVEL = 0
START_IN_THE_PAST = timedelta(seconds=60)  # a validFrom or startSchedule ahead of a slow clock leaves a gap
TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class ProfileAbilities:
    """What a station says it takes. max_periods: None = it does not say."""

    unit: RateUnit = "A"
    max_periods: int | None = None

    @property
    def takes_dead_man(self) -> bool:
        return self.max_periods is None or self.max_periods >= 2


def profile_abilities(configuration: Mapping[str, str | None]) -> ProfileAbilities:
    """Read ChargingScheduleAllowedChargingRateUnit and ChargingScheduleMaxPeriods.

    W is used only where the station takes nothing else; "Current", "A" and both mean A.
    """
    units = (configuration.get("ChargingScheduleAllowedChargingRateUnit") or "").lower()
    takes_power_only = any(w in units for w in ("power", "w")) and not _names_current(units)
    periods = configuration.get("ChargingScheduleMaxPeriods") or ""
    return ProfileAbilities(
        unit="W" if takes_power_only else "A",
        max_periods=int(periods) if periods.isdigit() and int(periods) > 0 else None,
    )


def _names_current(units: str) -> bool:
    return any(part.strip() in ("a", "amp", "amps", "current") for part in units.split(","))


def wire_limit(limit_a: float, unit: RateUnit, phases: int, voltage_v: float) -> float:
    """The limit as it goes on the wire: A per phase, or W in total; one decimal, rounded down."""
    value = Decimal(str(limit_a))
    if unit == "W":
        value *= Decimal(str(voltage_v)) * phases
    return float(value.quantize(TENTH, rounding=ROUND_FLOOR))


@dataclass(frozen=True, slots=True)
class ConnectorWiring:
    """phases: how many the connector is wired to. voltage_v: line to neutral."""

    connector_id: int
    phases: int
    voltage_v: float


def floor_profile(safe_a: float, wiring: ConnectorWiring, abilities: ProfileAbilities) -> dict[str, Any]:
    """SetChargingProfile request for the floor. [A] The same arguments give the same request.

    The schedule starts long ago, so that it needs no rewriting when clocks or dates change.
    """
    schedule = _schedule([(0, safe_a)], datetime(2020, 1, 1, tzinfo=UTC), wiring, abilities)
    return {
        "connectorId": wiring.connector_id,
        "csChargingProfiles": {
            "chargingProfileId": 2 * wiring.connector_id - 1,
            "stackLevel": STACK_LEVEL,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": schedule,
        },
    }


def control_profile(
    limit_a: float,
    safe_a: float,
    transaction_id: int,
    wiring: ConnectorWiring,
    abilities: ProfileAbilities,
    now: datetime,
    dead_man_s: int,
) -> dict[str, Any]:
    """SetChargingProfile request that offers `limit_a` [A] for `dead_man_s`, then `safe_a`.

    A station that takes one period only gets a schedule that ends instead: the floor rules after it.
    """
    start = (now - START_IN_THE_PAST).astimezone(UTC)
    until_s = dead_man_s + int(START_IN_THE_PAST.total_seconds())
    periods = [(0, limit_a)]
    if limit_a != safe_a and abilities.takes_dead_man:
        periods.append((until_s, safe_a))
    schedule = _schedule(periods, start, wiring, abilities)
    if limit_a != safe_a and not abilities.takes_dead_man:
        schedule["duration"] = until_s
    return {
        "connectorId": wiring.connector_id,
        "csChargingProfiles": {
            "chargingProfileId": 2 * wiring.connector_id,
            "transactionId": transaction_id,
            "stackLevel": STACK_LEVEL,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": schedule,
        },
    }


def _schedule(
    periods: list[tuple[int, float]], start: datetime, wiring: ConnectorWiring, abilities: ProfileAbilities
) -> dict[str, Any]:
    unit = abilities.unit
    rows: list[dict[str, Any]] = [
        {"startPeriod": at_s, "limit": wire_limit(amps, unit, wiring.phases, wiring.voltage_v)}
        for at_s, amps in periods
    ]
    if unit == "W" and wiring.phases != 3:  # watts are shared over numberPhases, 3 where it is absent
        for row in rows:
            row["numberPhases"] = wiring.phases
    return {
        "startSchedule": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": rows,
    }


def offered_now(request: Mapping[str, Any], wiring: ConnectorWiring, now: datetime) -> float:
    """What a SetChargingProfile request written by this module offers at `now`. [A per phase]"""
    schedule = request["csChargingProfiles"]["chargingSchedule"]
    start = datetime.strptime(schedule["startSchedule"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    elapsed_s = (now - start).total_seconds()
    rows = [row for row in schedule["chargingSchedulePeriod"] if row["startPeriod"] <= elapsed_s]
    limit = float((rows or schedule["chargingSchedulePeriod"])[-1 if rows else 0]["limit"])
    if schedule["chargingRateUnit"] == "A":
        return limit
    phases = number_phases(request) or wiring.phases
    return round(limit / wiring.voltage_v / phases, 2)  # a tenth of a watt was cut off on the wire


def with_number_phases(
    request: Mapping[str, Any], count: int | None, wiring: ConnectorWiring
) -> dict[str, Any]:
    """The same SetChargingProfile request for `count` phases of a station that can choose; None = all.

    Watts are those of all phases together, so that they change with the number; amperes are per phase.
    """
    if count is None:
        return dict(request)
    profile = request["csChargingProfiles"]
    schedule = profile["chargingSchedule"]
    rows = [{**row, "numberPhases": count} for row in schedule["chargingSchedulePeriod"]]
    if schedule["chargingRateUnit"] == "W":
        for row in rows:
            watts = Decimal(str(row["limit"])) * count / wiring.phases
            row["limit"] = float(watts.quantize(TENTH, rounding=ROUND_FLOOR))
    schedule = {**schedule, "chargingSchedulePeriod": rows}
    return {**request, "csChargingProfiles": {**profile, "chargingSchedule": schedule}}


def number_phases(request: Mapping[str, Any]) -> int | None:
    """The numberPhases of a SetChargingProfile request's first period; None = not told."""
    periods = request["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"]
    count = periods[0].get("numberPhases")
    return None if count is None else int(count)
