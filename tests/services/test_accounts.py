"""Tokens, users, keys and badges."""

from __future__ import annotations

from datetime import timedelta

import pytest
from central_backend import NOON, Backend

from csms.domain.id_tag import IdTag
from csms.errors import InvalidInput, NotFound
from csms.services.accounts import Accounts


@pytest.fixture
def accounts(backend: Backend) -> Accounts:
    return Accounts(backend.database, backend.clock)


async def test_a_token_opens_with_its_role_and_is_nowhere_stored(
    accounts: Accounts, backend: Backend
) -> None:
    token = await accounts.create_token("grafana", "viewer")
    assert token.startswith("hel_")
    assert len(token) == len("hel_") + 43
    assert await accounts.token_role(token) == "viewer"
    assert await accounts.token_role(token[:-1]) is None
    assert await accounts.token_role("") is None
    assert all(token not in str(row) for row in backend.rows("api_tokens"))


async def test_the_last_use_of_a_token_is_known_to_a_few_minutes(
    accounts: Accounts, backend: Backend
) -> None:
    token = await accounts.create_token("script", "admin")
    for minute in (0, 1, 7):
        backend.clock.at = NOON + timedelta(minutes=minute)
        await accounts.token_role(token)
    assert backend.rows("api_tokens")[0]["last_used_at"].startswith("2026-06-01 12:07")


async def test_a_user_logs_in_with_the_right_password_only(accounts: Accounts, backend: Backend) -> None:
    assert not await accounts.has_users()
    await accounts.add_user("anna", "sunflower seeds", "operator")
    assert await accounts.has_users()
    assert await accounts.check_user("anna", "sunflower seeds") == "operator"
    assert await accounts.check_user("anna", "Sunflower seeds") is None
    assert await accounts.check_user("berta", "sunflower seeds") is None
    (row,) = backend.rows("users")
    assert row["password_hash"].startswith("$argon2id$")


async def test_a_new_password_replaces_the_old_one(accounts: Accounts) -> None:
    await accounts.add_user("anna", "sunflower seeds", "operator")
    await accounts.add_user("anna", "moonflower seeds", "admin")
    assert await accounts.check_user("anna", "sunflower seeds") is None
    assert await accounts.check_user("anna", "moonflower seeds") == "admin"


@pytest.mark.parametrize(
    ("name", "password", "role", "field"),
    [
        ("anna", "sunflower seeds", "boss", "role"),
        ("anna", "short", "viewer", "password"),
        (" ", "sunflower seeds", "viewer", "name"),
    ],
)
async def test_a_user_that_cannot_be_is_refused(
    accounts: Accounts, name: str, password: str, role: str, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await accounts.add_user(name, password, role)
    assert refused.value.field == field
    assert password not in str(refused.value)
    assert not await accounts.has_users()


async def test_a_signing_key_is_made_once(accounts: Accounts, backend: Backend) -> None:
    key = await accounts.signing_key("page")
    await backend.restart()
    assert await Accounts(backend.database, backend.clock).signing_key("page") == key
    assert len(key) >= 32
    assert await accounts_of(backend).signing_key("other") != key


def accounts_of(backend: Backend) -> Accounts:
    return Accounts(backend.database, backend.clock)


async def test_badges_are_kept_without_regard_to_letter_case(accounts: Accounts) -> None:
    await accounts.save_id_tag(IdTag("Anna", parent_id_tag="FAMILY"), "Anna's card")
    await accounts.save_id_tag(IdTag("ANNA", blocked=True), "lost")
    (tag,) = await accounts.id_tags()
    assert tag == await accounts.id_tag("anna")
    assert (tag["id_tag"], tag["blocked"], tag["name"], tag["parent_id_tag"]) == ("ANNA", True, "lost", None)
    await accounts.remove_id_tag("anna")
    assert await accounts.id_tags() == []
    with pytest.raises(NotFound):
        await accounts.remove_id_tag("anna")
    with pytest.raises(NotFound):
        await accounts.id_tag("anna")


async def test_a_badge_longer_than_ocpp_allows_is_refused(accounts: Accounts) -> None:
    with pytest.raises(InvalidInput, match="id_tag"):
        await accounts.save_id_tag(IdTag("x" * 21))
