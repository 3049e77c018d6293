"""Who may charge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from csms.domain.id_tag import IdTag, UnknownTags, authorize, same_tag

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)

STORIES: dict[str, tuple[IdTag, int | None, dict[str, Any]]] = {
    "a good badge": (IdTag("A"), 0, {"status": "Accepted"}),
    "one of a family": (
        IdTag("A", parent_id_tag="F"),
        None,
        {"status": "Accepted", "parentIdTag": "F"},
    ),
    "good for another hour": (
        IdTag("A", expires_at=NOON + timedelta(hours=1)),
        None,
        {"status": "Accepted", "expiryDate": "2026-06-01T13:00:00Z"},
    ),
    "expired this second": (
        IdTag("A", expires_at=NOON),
        None,
        {"status": "Expired", "expiryDate": "2026-06-01T12:00:00Z"},
    ),
    "blocked, and in use": (IdTag("A", blocked=True, max_transactions=1), 1, {"status": "Blocked"}),
    "in use once of once": (IdTag("A", max_transactions=1), 1, {"status": "ConcurrentTx"}),
    "in use once of twice": (IdTag("A", max_transactions=2), 1, {"status": "Accepted"}),
    "in use, without limit": (IdTag("A"), 9, {"status": "Accepted"}),
    "in use, but only asked for": (IdTag("A", max_transactions=1), None, {"status": "Accepted"}),
    "never to charge": (IdTag("A", max_transactions=0), 0, {"status": "Blocked"}),
    "never to charge, only asked for": (IdTag("A", max_transactions=0), None, {"status": "Blocked"}),
    "at home": (IdTag("A", charge_points=("cp1", "cp2")), 0, {"status": "Accepted"}),
    "somewhere else": (IdTag("A", charge_points=("CP2",)), 0, {"status": "Invalid"}),
    "nowhere": (IdTag("A", charge_points=()), 0, {"status": "Invalid"}),
    "somewhere else, and blocked": (IdTag("A", blocked=True, charge_points=()), 0, {"status": "Blocked"}),
}


@pytest.mark.parametrize("story", STORIES)
def test_a_known_badge(story: str) -> None:
    tag, running, expected = STORIES[story]
    assert authorize(tag, NOON, "reject", running, identity="CP1") == expected


HOUR = timedelta(hours=1)
FAMILIES: dict[str, tuple[IdTag, IdTag, dict[str, Any]]] = {
    "all is well": (IdTag("A", "F"), IdTag("F"), {"status": "Accepted"}),
    "the family is blocked": (IdTag("A", "F"), IdTag("F", blocked=True), {"status": "Blocked"}),
    "the family has moved out": (
        IdTag("A", "F", expires_at=NOON + HOUR),
        IdTag("F", expires_at=NOON - HOUR),
        {"status": "Expired", "expiryDate": "2026-06-01T11:00:00Z"},
    ),
    "the family stays longer": (
        IdTag("A", "F", expires_at=NOON + HOUR),
        IdTag("F", expires_at=NOON + 2 * HOUR),
        {"status": "Accepted", "expiryDate": "2026-06-01T13:00:00Z"},
    ),
    "what the family may do at once is its own matter": (
        IdTag("A", "F"),
        IdTag("F", max_transactions=0),
        {"status": "Accepted"},
    ),
}


@pytest.mark.parametrize("story", FAMILIES)
def test_a_badge_of_a_family(story: str) -> None:
    tag, parent, expected = FAMILIES[story]
    assert authorize(tag, NOON, "reject", 0, parent=parent) == {**expected, "parentIdTag": "F"}


@pytest.mark.parametrize(("policy", "told"), [("accept", "Accepted"), ("reject", "Invalid")])
def test_an_unknown_badge(policy: UnknownTags, told: str) -> None:
    assert authorize(None, NOON, policy) == {"status": told}


def test_letter_case_and_blanks_do_not_distinguish_badges() -> None:
    assert same_tag("aB12 ", "Ab12")
    assert not same_tag("AB12", "AB123")
