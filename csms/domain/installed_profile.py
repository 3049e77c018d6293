"""Charging profiles on a station: which of them replaces, clears or outranks which. Pure.

Source: OCPP 1.6 ed. 2, 3.13.2 (stacking), 5.5 (ClearChargingProfile), 5.16 (SetChargingProfile), 7.8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from csms.domain.charge_point import OpenTransaction
from csms.domain.charging_profile import ConnectorWiring
from csms.domain.normalise import parse_time

OURS = "setpoints"  # the origin of the profiles that control writes


@dataclass(frozen=True, slots=True)
class InstalledProfile:
    """request: the accepted SetChargingProfile. A TxProfile in it names its transaction, but for one that
    came with a RemoteStartTransaction. accepted_at: when that was sent, for which its times were
    meant: some stations answer late. origin: OURS, or "" = a person or a program."""

    request: dict[str, Any]
    accepted_at: datetime
    origin: str = ""

    @property
    def profile(self) -> dict[str, Any]:
        profile: dict[str, Any] = self.request["csChargingProfiles"]
        return profile

    @property
    def connector_id(self) -> int:
        return int(self.request["connectorId"])

    @property
    def purpose(self) -> str:
        return str(self.profile["chargingProfilePurpose"])

    @property
    def number(self) -> int:
        """Its chargingProfileId."""
        return int(self.profile["chargingProfileId"])

    @property
    def slot(self) -> tuple[int, str, int]:
        return self.connector_id, self.purpose, int(self.profile["stackLevel"])

    @property
    def is_ours(self) -> bool:
        return self.origin == OURS

    @property
    def is_floor(self) -> bool:
        """Of ours: floors have odd numbers, see `charging_profile`."""
        return self.is_ours and self.number % 2 == 1

    def is_replaced_by(self, other: InstalledProfile) -> bool:
        """By one of the same id, or on the same connector for the same purpose and stack level."""
        return self.slot == other.slot or self.number == other.number

    def is_cleared_by(self, request: Mapping[str, Any]) -> bool:
        """request: ClearChargingProfile. An id alone decides; of the rest all that is given must fit."""
        if "id" in request:
            return bool(self.number == request["id"])
        asked = (
            request.get("connectorId"),
            request.get("chargingProfilePurpose"),
            request.get("stackLevel"),
        )
        return all(wish in (None, value) for wish, value in zip(asked, self.slot, strict=True))

    def is_over(self, running: OpenTransaction | None, now: datetime) -> bool:
        """Its transaction has ended, or its time has. running: what runs on its connector."""
        transaction_id = self.profile.get("transactionId")
        is_of_other = transaction_id is not None and (running is None or running.id != transaction_id)
        if self.purpose == "TxProfile" and is_of_other:
            return True
        ends_at = _ends_at(self.profile)
        return ends_at is not None and now >= ends_at

    def outranks_ours(self, connector_id: int, purpose: str) -> bool:
        """Does it rule instead of the one that control writes there, at the lowest stack level?

        One that came with a RemoteStartTransaction does not: it makes way for ours.
        """
        if self.is_ours or (self.purpose == "TxProfile" and "transactionId" not in self.profile):
            return False
        return (self.connector_id, self.purpose) == (connector_id, purpose)

    def offers_a(self, wiring: ConnectorWiring, started_at: datetime, now: datetime) -> float | None:
        """What it offers a transaction that began then. [A per phase] None: cannot be told."""
        schedule = self.profile["chargingSchedule"]
        kind = self.profile["chargingProfileKind"]
        start = parse_time(schedule.get("startSchedule") or "") if kind == "Absolute" else started_at
        if kind == "Recurring" or start is None:
            return None
        elapsed_s = (now - start).total_seconds()
        rows = [row for row in schedule["chargingSchedulePeriod"] if row["startPeriod"] <= elapsed_s]
        if not rows:
            return None
        limit = float(rows[-1]["limit"])
        if schedule["chargingRateUnit"] == "A":
            return limit
        return round(limit / wiring.voltage_v / (rows[-1].get("numberPhases") or 3), 2)


def _ends_at(profile: Mapping[str, Any]) -> datetime | None:
    """By its validTo, or by the duration of a schedule that begins at a fixed time."""
    ends = [parse_time(profile["validTo"])] if profile.get("validTo") else []
    schedule = profile["chargingSchedule"]
    start, duration_s = schedule.get("startSchedule"), schedule.get("duration")
    if profile["chargingProfileKind"] == "Absolute" and start and duration_s is not None:
        start_at = parse_time(start)
        ends.append(start_at + timedelta(seconds=duration_s) if start_at is not None else None)
    return min((at for at in ends if at is not None), default=None)
