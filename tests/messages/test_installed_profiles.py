"""Which charging profile replaces, clears or outranks which."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from csms.domain.charge_point import OpenTransaction
from csms.domain.charging_profile import ConnectorWiring
from csms.domain.installed_profile import OURS, InstalledProfile

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
RUNNING = OpenTransaction(5, "A", NOON - timedelta(minutes=10), 0)
WIRING = ConnectorWiring(1, 3, 230)


def installed(
    purpose: str = "TxDefaultProfile",
    connector_id: int = 1,
    number: int = 9,
    stack_level: int = 0,
    origin: str = "",
    schedule: dict[str, Any] | None = None,
    **more: Any,
) -> InstalledProfile:
    profile = {
        "chargingProfileId": number,
        "stackLevel": stack_level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {
            "startSchedule": "2026-06-01T12:00:00Z",
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 600, "limit": 8.0}],
            **(schedule or {}),
        },
        **more,
    }
    return InstalledProfile({"connectorId": connector_id, "csChargingProfiles": profile}, NOON, origin)


@pytest.mark.parametrize(
    ("other", "replaces"),
    [
        (installed(number=8), True),
        (installed(number=8, stack_level=1), False),
        (installed(number=8, connector_id=2), False),
        (installed("TxProfile", number=8), False),
        (installed("TxProfile", connector_id=2, stack_level=3), True),
    ],
)
def test_the_same_place_or_the_same_number_replaces(other: InstalledProfile, replaces: bool) -> None:
    assert installed().is_replaced_by(other) is replaces


@pytest.mark.parametrize(
    ("request_", "clears"),
    [
        ({}, True),
        ({"id": 9}, True),
        ({"id": 9, "connectorId": 7}, True),
        ({"id": 8, "connectorId": 1}, False),
        ({"connectorId": 1}, True),
        ({"connectorId": 0}, False),
        ({"connectorId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0}, True),
        ({"chargingProfilePurpose": "TxProfile"}, False),
        ({"stackLevel": 1}, False),
    ],
)
def test_clearing_is_by_number_or_by_all_that_is_given(request_: dict[str, Any], clears: bool) -> None:
    assert installed().is_cleared_by(request_) is clears


@pytest.mark.parametrize(
    ("profile", "outranks"),
    [
        (installed(), True),
        (installed(stack_level=3), True),
        (installed(origin=OURS), False),
        (installed(connector_id=0), False),
        (installed("ChargePointMaxProfile", connector_id=0), False),
    ],
)
def test_what_is_written_for_a_connector_rules_instead_of_the_floor(
    profile: InstalledProfile, outranks: bool
) -> None:
    assert profile.outranks_ours(1, "TxDefaultProfile") is outranks


def test_a_profile_of_a_remote_start_makes_way_for_control() -> None:
    assert installed("TxProfile", transactionId=5).outranks_ours(1, "TxProfile")
    assert not installed("TxProfile").outranks_ours(1, "TxProfile")


@pytest.mark.parametrize(
    ("profile", "running", "is_over"),
    [
        (installed("TxProfile", transactionId=5), RUNNING, False),
        (installed("TxProfile", transactionId=4), RUNNING, True),
        (installed("TxProfile", transactionId=5), None, True),
        (installed(), None, False),
        (installed(validTo="2026-06-01T12:00:00Z"), None, True),
        (installed(validTo="2026-06-01T12:00:01Z"), None, False),
        (installed(schedule={"duration": 1}), None, False),
        (installed(schedule={"duration": 0}), None, True),
    ],
)
def test_a_profile_ends_with_its_transaction_or_its_time(
    profile: InstalledProfile, running: OpenTransaction | None, is_over: bool
) -> None:
    assert profile.is_over(running, NOON) is is_over


@pytest.mark.parametrize(
    ("profile", "minutes", "offered_a"),
    [
        (installed(), 1, 16),
        (installed(), 10, 8),
        (installed(), -1, None),
        (installed(chargingProfileKind="Relative"), 1, 8),
        (installed(chargingProfileKind="Recurring"), 1, None),
        (
            installed(
                schedule={
                    "chargingRateUnit": "W",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6900.0}],
                }
            ),
            1,
            10,
        ),
    ],
)
def test_what_an_operators_profile_offers_is_known_where_it_can_be(
    profile: InstalledProfile, minutes: int, offered_a: float | None
) -> None:
    assert profile.offers_a(WIRING, RUNNING.started_at, NOON + timedelta(minutes=minutes)) == offered_a
