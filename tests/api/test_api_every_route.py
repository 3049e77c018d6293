"""Every operation of the OpenAPI document, by every role: who adds one says here who may use it."""

from __future__ import annotations

import re

import httpx
from api_builders import Api

ROLES = ("nobody", "viewer", "operator", "admin")
STATION, SITE = "/charge-points/{identity}", "/sites/{site_id}"

# path: the least role for each method
LOWEST: dict[str, dict[str, str]] = {
    "/healthz": {"GET": "nobody"},
    "/readyz": {"GET": "nobody"},
    "/metrics": {"GET": "nobody"},
    "/tokens": {"POST": "admin"},
    "/events": {"GET": "viewer"},
    "/transactions": {"GET": "operator"},
    "/transactions/{id}/close": {"POST": "operator"},
    "/certificates/authority.pem": {"GET": "viewer"},
    "/files": {"GET": "operator"},
    "/files/{name}": {"GET": "operator", "PUT": "admin", "DELETE": "admin"},
    "/id-tags": {"GET": "viewer"},
    "/id-tags/import": {"POST": "admin"},
    "/id-tags/{id_tag}": {"GET": "viewer", "PUT": "admin", "DELETE": "admin"},
    "/appliances/{appliance_id}/mode": {"PUT": "operator"},
    "/charge-points": {"GET": "viewer"},
    STATION: {"GET": "viewer", "PATCH": "admin"},
    f"{STATION}/accept": {"POST": "admin"},
    f"{STATION}/reject": {"POST": "admin"},
    f"{STATION}/authorization-key": {"PUT": "admin", "DELETE": "admin"},
    f"{STATION}/security-profile": {"PUT": "admin"},
    f"{STATION}/security-events": {"GET": "viewer"},
    f"{STATION}/certificates": {"GET": "viewer"},
    f"{STATION}/certificates/install-root": {"POST": "operator"},
    f"{STATION}/certificates/renew": {"POST": "operator"},
    f"{STATION}/certificates/{{serial_number}}": {"DELETE": "admin"},
    f"{STATION}/charging-profiles": {"GET": "viewer"},
    f"{STATION}/connectors/{{connector_id}}/mode": {"PUT": "operator"},
    f"{STATION}/connectors/{{connector_id}}/target": {"GET": "viewer", "PUT": "operator"},
    f"{STATION}/jobs": {"GET": "viewer"},
    f"{STATION}/jobs/diagnostics": {"POST": "operator"},
    f"{STATION}/jobs/firmware": {"POST": "operator"},
    f"{STATION}/jobs/log": {"POST": "operator"},
    f"{STATION}/jobs/{{id}}": {"GET": "viewer"},
    f"{STATION}/jobs/{{id}}/file": {"GET": "operator"},
    f"{STATION}/limits": {"GET": "viewer"},
    f"{STATION}/limits/forget": {"POST": "operator"},
    f"{STATION}/local-list": {"GET": "viewer", "PUT": "operator"},
    f"{STATION}/messages": {"GET": "operator"},
    f"{STATION}/ocpp/{{action}}": {"POST": "operator"},
    f"{STATION}/quirks": {"GET": "viewer"},
    f"{STATION}/reservations": {"GET": "viewer", "POST": "operator"},
    f"{STATION}/reservations/{{reservation_id}}": {"DELETE": "operator"},
    "/sites": {"GET": "viewer"},
    SITE: {"GET": "viewer", "PUT": "admin", "DELETE": "admin"},
    f"{SITE}/live": {"GET": "viewer"},
    f"{SITE}/history": {"GET": "viewer"},
    f"{SITE}/decisions": {"GET": "viewer"},
    f"{SITE}/check": {"GET": "viewer", "POST": "operator"},
    f"{SITE}/check/{{check_id}}": {"GET": "viewer", "DELETE": "operator"},
    f"{SITE}/check/{{check_id}}/events": {"GET": "viewer"},
    f"{SITE}/check/{{check_id}}/record": {"GET": "viewer"},
    f"{SITE}/charge-points/{{identity}}/connectors": {"GET": "viewer"},
    f"{SITE}/charge-points/{{identity}}/connectors/{{connector_id}}": {
        "GET": "viewer", "PUT": "admin", "DELETE": "admin",
    },
}  # fmt: skip
for _kind in ("circuits", "meters", "relay-modules", "appliances", "charge-points"):
    LOWEST[f"{SITE}/{_kind}"] = {"GET": "viewer"}
    LOWEST[f"{SITE}/{_kind}/{{part_id}}"] = {"GET": "viewer", "PUT": "admin", "DELETE": "admin"}
for _kind in ("battery", "load-shedding"):
    LOWEST[f"{SITE}/{_kind}"] = {"GET": "viewer", "PUT": "admin", "DELETE": "admin"}


async def test_every_operation_is_in_the_table(api: Api) -> None:
    document = (await api.nobody.get("/api/v1/openapi.json")).json()
    told = {
        path.removeprefix("/api/v1"): {method.upper() for method in operations}
        for path, operations in document["paths"].items()
    }
    assert told == {path: set(methods) for path, methods in LOWEST.items()}


async def status(client: httpx.AsyncClient, method: str, path: str) -> int:
    """Of the answer's first line: the stream of events has no end."""
    filled = re.sub(r"\{(\w+)\}", lambda name: "7" if "id" in name[1] else "nothing", path)
    prefix = "" if path in ("/healthz", "/readyz", "/metrics") else "/api/v1"
    async with client.stream(method, f"{prefix}{filled}") as answer:
        return answer.status_code


async def test_each_operation_lets_through_its_roles_and_no_other(api: Api) -> None:
    wrong = []
    for path, methods in LOWEST.items():
        for method, lowest in methods.items():
            for role in ROLES:
                code = await status(getattr(api, role), method, path)
                may = ROLES.index(role) >= ROLES.index(lowest)
                refusal = 401 if role == "nobody" else 403
                if (code not in (401, 403)) if may else (code == refusal):
                    continue
                wrong.append((method, path, role, code))
    assert wrong == []
