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
    "never to charge": (IdTag("A", max_transactions=0), 0, {"status": "ConcurrentTx"}),
}


@pytest.mark.parametrize("story", STORIES)
def test_a_known_badge(story: str) -> None:
    tag, running, expected = STORIES[story]
    assert authorize(tag, NOON, "reject", running) == expected


@pytest.mark.parametrize(("policy", "told"), [("accept", "Accepted"), ("reject", "Invalid")])
def test_an_unknown_badge(policy: UnknownTags, told: str) -> None:
    assert authorize(None, NOON, policy) == {"status": told}


def test_letter_case_and_blanks_do_not_distinguish_badges() -> None:
    assert same_tag("aB12 ", "Ab12")
    assert not same_tag("AB12", "AB123")
