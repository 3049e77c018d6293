"""Who may do what, and how a refusal looks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from api_builders import Api, house

ON = {"mode": "on"}


async def test_without_a_token_nothing_is_told(api: Api) -> None:
    refused = await api.nobody.get("/api/v1/sites")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["detail"] == "a bearer token is needed"


async def test_a_made_up_token_is_refused(api: Api) -> None:
    refused = await api.nobody.get("/api/v1/sites", headers={"Authorization": "Bearer hel_x"})
    assert (refused.status_code, refused.json()["detail"]) == (401, "this token is not known")


@pytest.mark.parametrize(
    ("method", "path", "body", "lowest"),
    [
        ("GET", "/sites/home", None, "viewer"),
        ("GET", "/sites/home/check", None, "viewer"),
        ("GET", "/sites/home/check/0a", None, "viewer"),
        ("GET", "/sites/home/check/0a/events", None, "viewer"),
        ("GET", "/sites/home/check/0a/record", None, "viewer"),
        ("POST", "/sites/home/check", {"switching": False}, "operator"),
        ("DELETE", "/sites/home/check/0a", None, "operator"),
        ("GET", "/charge-points", None, "viewer"),
        ("GET", "/id-tags", None, "viewer"),
        ("PUT", "/appliances/boiler/mode", ON, "operator"),
        ("PUT", "/charge-points/CP1/connectors/1/mode", ON, "operator"),
        ("GET", "/transactions", None, "operator"),
        ("POST", "/charge-points/CP1/ocpp/Reset", {"type": "Soft"}, "operator"),
        ("PUT", "/sites/home", house(), "admin"),
        ("PUT", "/sites/home/circuits/main", {"id": "main", "limit_a": [40, 40, 40]}, "admin"),
        ("PUT", "/id-tags/04AB", {}, "admin"),
        ("POST", "/id-tags/import", None, "admin"),
        ("POST", "/tokens", {"name": "script", "role": "viewer"}, "admin"),
        ("POST", "/charge-points/CP1/accept", None, "admin"),
        ("POST", "/charge-points/CP1/reject", None, "admin"),
        ("PATCH", "/charge-points/CP1", {"conformance_mode": True}, "admin"),
        ("PUT", "/charge-points/CP1/authorization-key", {"send": False}, "admin"),
        ("DELETE", "/charge-points/CP1/authorization-key", None, "admin"),
        ("PUT", "/charge-points/CP1/security-profile", {"profile": 0, "send": False}, "admin"),
        ("GET", "/charge-points/CP1/certificates", None, "viewer"),
        ("GET", "/certificates/authority.pem", None, "viewer"),
        ("POST", "/charge-points/CP1/certificates/renew", None, "operator"),
        ("POST", "/charge-points/CP1/certificates/install-root", {}, "operator"),
        ("DELETE", "/charge-points/CP1/certificates/12ab", None, "admin"),
    ],
)
async def test_each_role_may_do_what_it_is_for(
    api: Api, method: str, path: str, body: object, lowest: str
) -> None:
    allowed = False
    for role in ("viewer", "operator", "admin"):
        allowed = allowed or role == lowest
        client: httpx.AsyncClient = getattr(api, role)
        answer = await client.request(method, f"/api/v1{path}", json=body)
        assert (answer.status_code == 403) is not allowed, (role, answer.text)
        assert answer.status_code != 401


async def test_a_refusal_names_the_role_that_is_needed(api: Api) -> None:
    refused = await api.viewer.put("/api/v1/appliances/boiler/mode", json=ON)
    assert refused.json()["detail"] == "a token of role operator is needed, this one is viewer"


async def test_a_new_token_works_at_once(api: Api) -> None:
    created = await api.admin.post("/api/v1/tokens", json={"name": "wallboard", "role": "viewer"})
    assert created.status_code == 201
    headers = {"Authorization": f"Bearer {created.json()['token']}"}
    assert (await api.nobody.get("/api/v1/sites", headers=headers)).status_code == 200


async def test_unknown_paths_and_methods_are_problems_too(api: Api) -> None:
    nothing = await api.admin.get("/api/v1/towers")
    assert (nothing.status_code, nothing.json()["detail"]) == (404, "there is nothing at /api/v1/towers")
    wrong = await api.admin.post("/api/v1/sites/home/live")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")
    assert wrong.json()["detail"] == "POST is not possible at /api/v1/sites/home/live"
    for answer in (nothing, wrong):
        assert answer.headers["content-type"] == "application/problem+json"


async def _in_pieces() -> AsyncIterator[bytes]:
    for _ in range(50):
        yield b" " * 100_000


@pytest.mark.parametrize("announced", [True, False])
async def test_a_huge_body_is_refused(api: Api, announced: bool) -> None:
    content = b" " * 5_000_000 if announced else _in_pieces()
    headers = {"Content-Type": "application/json"}
    refused = await api.admin.put("/api/v1/sites/home", content=content, headers=headers)
    assert refused.status_code == 413
    assert refused.headers["content-type"] == "application/problem+json"


async def test_a_body_not_said_to_be_json_is_told_what_is_missing(api: Api) -> None:
    """`curl -d` alone sends a form."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    refused = await api.operator.put(
        "/api/v1/appliances/boiler/mode", content='{"mode": "on"}', headers=headers
    )
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["expected"].endswith("`Content-Type: application/json`")
