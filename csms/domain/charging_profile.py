"""From a setpoint in ampere to the charging profile that a charge point accepts. Pure.

Two profiles per connector:

- the floor, a TxDefaultProfile without end at stack level 0: what a transaction gets while the central
  system is silent;
- the control profile, in the way that the station takes (`profile_ladder`), at first a TxProfile of the
  running transaction: the setpoint, then, after the dead-man time, the floor's value again. A central
  system that dies is harmless without the station having to notice.

Source: OCPP 1.6 edition 2, sections 3.13 and 7.8 to 7.14.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from csms.domain.profile_ladder import Rung

RateUnit = Literal["A", "W"]
CURRENT_WORDS, POWER_WORDS = {"a", "amp", "amps", "current"}, {"w", "watt", "watts", "power"}
PHASE_SWITCH_KEYS = ("connectorswitch3to1phasesupported", "acphaseswitchingsupported")
STATION_PROFILE_ID = 5000  # beyond those of any connector
PILOT_MIN_A = 6.0
WIRE_TIME = "%Y-%m-%dT%H:%M:%SZ"
START_IN_THE_PAST = timedelta(seconds=60)  # a validFrom or startSchedule ahead of a slow clock leaves a gap
TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class ProfileAbilities:
    """What a station says it takes. None = it does not say. only_unit: the one it names, if it is only one.
    switches_phases: numberPhases means something to it."""

    only_unit: RateUnit | None = None
    max_periods: int | None = None
    max_stack_level: int | None = None
    switches_phases: bool = False

    @property
    def takes_dead_man(self) -> bool:
        return self.max_periods is None or self.max_periods >= 2


def profile_abilities(configuration: Mapping[str, str | None]) -> ProfileAbilities:
    """Read the keys about smart charging; stations write them in any letter case."""
    told = {key.casefold(): (value or "").strip().casefold() for key, value in configuration.items()}
    units = {
        part.strip(" '\"") for part in told.get("chargingscheduleallowedchargingrateunit", "").split(",")
    }
    takes_a, takes_w = bool(units & CURRENT_WORDS), bool(units & POWER_WORDS)
    return ProfileAbilities(
        only_unit=None if takes_a == takes_w else "A" if takes_a else "W",
        max_periods=_number(told.get("chargingschedulemaxperiods")) or None,
        max_stack_level=_number(told.get("chargeprofilemaxstacklevel")),
        switches_phases=any(told.get(key) == "true" for key in PHASE_SWITCH_KEYS),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


def offerable_a(limit_a: float) -> float:
    """0, or at least what the pilot signal can show: never between. [IEC 61851]"""
    return limit_a if limit_a >= PILOT_MIN_A else 0.0


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


@dataclass(frozen=True, slots=True)
class ControlLimit:
    """What a control profile is to say. [A per phase] limit_a holds for dead_man_s, then safe_a.

    transaction_id, began_at: of the transaction that runs, None = none. number_phases: 1 or 3 for a station
    that switches. phases_used: by the vehicle, as far as seen.
    """

    limit_a: float
    safe_a: float
    dead_man_s: int
    transaction_id: int | None = None
    began_at: datetime | None = None
    number_phases: int | None = None
    phases_used: int | None = None


def floor_profile(
    safe_a: float, wiring: ConnectorWiring, rung: Rung, abilities: ProfileAbilities
) -> dict[str, Any]:
    """SetChargingProfile request for the floor. [A] The same arguments give the same request.

    The schedule starts long ago, so that it needs no rewriting when clocks or dates change.
    """
    floor = replace(rung, purpose="TxDefaultProfile", on_station=False, stack_level=0)
    schedule = _schedule([(0, safe_a)], wiring, floor, abilities, ControlLimit(safe_a, safe_a, 0))
    if floor.kind == "Absolute":
        schedule = {"startSchedule": "2020-01-01T00:00:00Z", **schedule}
    return _request(wiring.connector_id, 2 * wiring.connector_id - 1, floor, schedule)


def control_profile(
    control: ControlLimit, wiring: ConnectorWiring, rung: Rung, abilities: ProfileAbilities, now: datetime
) -> dict[str, Any]:
    """SetChargingProfile request that offers the limit for the dead-man time, then the safe value.

    now: by the station's clock. A station that takes one period only gets a schedule that ends instead, if
    a floor lies beneath. A Relative schedule counts from a moment that the station picks, on most the
    transaction's start: its dead-man comes in time there, later on others.
    """
    limit_a, safe_a = offerable_a(control.limit_a), offerable_a(control.safe_a)
    passed = START_IN_THE_PAST
    if rung.kind == "Relative":
        passed = max(timedelta(0), now - (control.began_at or now))
    until_s = control.dead_man_s + int(passed.total_seconds())
    periods = [(0, limit_a)]
    falls_back = limit_a != safe_a
    if falls_back and abilities.takes_dead_man:
        periods.append((until_s, safe_a))
    schedule = _schedule(periods, wiring, rung, abilities, control)
    if rung.kind == "Absolute":
        start = (now - START_IN_THE_PAST).astimezone(UTC)
        schedule = {"startSchedule": start.strftime(WIRE_TIME), **schedule}
    if falls_back and not abilities.takes_dead_man and rung.has_floor_beneath:
        schedule["duration"] = until_s
    connector_id = 0 if rung.on_station else wiring.connector_id
    number = STATION_PROFILE_ID if rung.on_station else 2 * wiring.connector_id
    request = _request(connector_id, number, rung, schedule)
    if rung.needs_transaction:
        request["csChargingProfiles"]["transactionId"] = control.transaction_id
    return request


def _request(connector_id: int, number: int, rung: Rung, schedule: dict[str, Any]) -> dict[str, Any]:
    return {
        "connectorId": connector_id,
        "csChargingProfiles": {
            "chargingProfileId": number,
            "stackLevel": rung.stack_level,
            "chargingProfilePurpose": rung.purpose,
            "chargingProfileKind": rung.kind,
            "chargingSchedule": schedule,
        },
    }


def _schedule(
    periods: list[tuple[int, float]],
    wiring: ConnectorWiring,
    rung: Rung,
    abilities: ProfileAbilities,
    control: ControlLimit,
) -> dict[str, Any]:
    """numberPhases goes with it for a station that switches, and where watts are not for three phases."""
    counted = rung.spread_over(wiring.phases, control.phases_used)
    switched = control.number_phases  # told for connectors of which the site says that they switch
    if switched is not None:
        counted = switched
    rows: list[dict[str, Any]] = [
        {"startPeriod": at_s, "limit": wire_limit(offerable_a(amps), rung.unit, counted, wiring.voltage_v)}
        for at_s, amps in periods
    ]
    if switched is not None or (rung.unit == "W" and rung.counts == "wired" and counted != 3):
        for row in rows:
            row["numberPhases"] = counted
    return {"chargingRateUnit": rung.unit, "chargingSchedulePeriod": rows}


def offered_now(
    request: Mapping[str, Any],
    wiring: ConnectorWiring,
    now: datetime,
    began_at: datetime | None = None,
    phases: int | None = None,
) -> float:
    """What a SetChargingProfile request written by this module offers at `now`. [A per phase]

    now: by the station's clock. began_at: the transaction's start, for a Relative schedule. phases: over
    how many its watts are spread (`Rung.spread_over`), if not over the wired ones.
    """
    profile = request["csChargingProfiles"]
    schedule = profile["chargingSchedule"]
    start = began_at or now
    if "startSchedule" in schedule:
        start = datetime.strptime(schedule["startSchedule"], WIRE_TIME).replace(tzinfo=UTC)
    elapsed_s = (now - start).total_seconds()
    rows = [row for row in schedule["chargingSchedulePeriod"] if row["startPeriod"] <= elapsed_s]
    row = (rows or schedule["chargingSchedulePeriod"])[-1 if rows else 0]
    if schedule["chargingRateUnit"] == "A":
        return float(row["limit"])
    spread = row.get("numberPhases") or phases or wiring.phases
    return round(
        float(row["limit"]) / wiring.voltage_v / spread, 2
    )  # a tenth of a watt was cut off on the wire
