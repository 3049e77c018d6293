"""Which means of connecting each security profile lets in, as a table."""

from __future__ import annotations

import itertools

import pytest

from csms.domain.security_profile import PROFILES, Means, Refused, profile_used, refusal

NO_CERTIFICATE = "no client certificate was sent"

# (transport, password, certificate) -> by profile 0 to 3: in, 401 or 403
TABLE = [
    ("ws", None, False, "in  401 403 403"),
    ("ws", "right", False, "in  in  403 403"),
    ("ws", "wrong", False, "401 401 403 403"),
    ("ws", "unset", False, "in  401 403 403"),
    ("wss", None, False, "in  403 401 403"),
    ("wss", "right", False, "in  403 in  403"),
    ("wss", "wrong", False, "401 403 401 403"),
    ("wss", "unset", False, "in  403 401 403"),
    ("wss", None, True, "in  403 401 in"),
    ("wss", "right", True, "in  403 in  in"),
    ("wss", "wrong", True, "401 403 401 in"),
    ("wss", "unset", True, "in  403 401 in"),
]
CASES = [
    (transport, password, certificate, profile, outcome)
    for transport, password, certificate, outcomes in TABLE
    for profile, outcome in enumerate(outcomes.split())
]


def shown(refused: Refused | None) -> str:
    return "in" if refused is None else "401" if refused.needs_password else "403"


@pytest.mark.parametrize(("transport", "password", "certificate", "profile", "outcome"), CASES)
def test_who_is_let_in(transport, password, certificate, profile, outcome) -> None:
    means = Means(transport == "wss", password, None if certificate else NO_CERTIFICATE)
    assert shown(refusal(profile, means)) == outcome


def every_means() -> list[Means]:
    passwords, problems = ("right", "wrong", "unset", None), (None, NO_CERTIFICATE)
    return [Means(*parts) for parts in itertools.product((True, False), passwords, problems)]


@pytest.mark.parametrize("means", every_means())
def test_moving_up_both_profiles_are_good_and_the_new_one_counts_first(means: Means) -> None:
    for profile, pending in itertools.combinations(PROFILES, 2):
        used = profile_used(profile, pending, means)
        if refusal(pending, means) is None:
            assert used == pending
        elif refusal(profile, means) is None:
            assert used == profile
        else:
            assert used == refusal(profile, means)


@pytest.mark.parametrize("means", every_means())
def test_without_a_pending_profile_only_the_present_one_counts(means: Means) -> None:
    for profile in PROFILES:
        used = profile_used(profile, None, means)
        assert used == (refusal(profile, means) or profile)
