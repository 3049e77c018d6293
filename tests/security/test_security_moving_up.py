"""A station is moved up to a higher security profile, and never comes down again by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from secure_system import KEY, Station, System, certificate_of, certified, secure_system, trusting

RAW = bytes.fromhex(KEY)


async def moved(system: System, station: Station, profile: int, answer: dict[str, Any]) -> dict[str, Any]:
    asked = asyncio.create_task(system.put("security-profile", {"profile": profile, "send": True}))
    _, payload = await station.answer(answer)
    assert payload == {"key": "SecurityProfile", "value": str(profile)}
    told: dict[str, Any] = (await asked).json()
    return told


async def test_from_none_to_a_password_to_tls_to_a_certificate(system: System, tmp_path: Path) -> None:
    """The whole way, as an installer goes it."""
    trusted = await system.app.certificates.root_pem()
    station = await system.station()
    keyed = asyncio.create_task(system.put("authorization-key", {"key": KEY}))
    await station.answer({"status": "Accepted"})
    assert (await keyed).json() == {"key": KEY, "status": "Accepted"}

    told = await moved(system, station, 1, {"status": "RebootRequired"})
    assert told == {"profile": 0, "pending": 1, "status": "RebootRequired", "warnings": []}
    assert await system.status_of(system.station()) == 101  # it has not booted yet
    station = await system.station(RAW)
    assert await system.profile() == 1
    assert await system.status_of(system.station()) == 401

    told = await moved(system, station, 2, {"status": "Accepted"})
    assert (told["profile"], told["pending"]) == (1, 2)
    assert "no root certificate" in told["warnings"][0]
    assert await system.status_of(system.station(RAW)) == 101
    station = await system.station(RAW, tls=trusting(trusted))
    assert await system.profile() == 2
    assert await system.status_of(system.station(RAW)) == 403

    await moved(system, station, 3, {"status": "Accepted"})
    roots = await system.app.certificates.roots()
    certificate, key = certificate_of(roots["rsa"], "CP1", kind="rsa")
    mine = certified(trusting(trusted), tmp_path, certificate, key)
    assert await system.status_of(system.station(tls=mine)) == 101
    assert await system.profile() == 3
    assert await system.status_of(system.station(RAW, tls=trusting(trusted))) == 403
    assert await system.status_of(system.station(RAW)) == 403


async def test_once_moved_up_it_stays_so_after_a_restart(tmp_path: Path) -> None:
    async with secure_system(tmp_path) as system:
        await system.store(KEY)
        await moved(system, await system.station(), 1, {"status": "Accepted"})
    async with secure_system(tmp_path) as system:
        assert await system.status_of(system.station()) == 101  # still on its way
        assert await system.status_of(system.station(RAW)) == 101
    async with secure_system(tmp_path) as system:
        assert await system.status_of(system.station()) == 401
        assert await system.profile() == 1


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
async def test_a_station_that_refuses_stays_where_it_is(system: System, status: str) -> None:
    await system.store(KEY)
    told = await moved(system, await system.station(), 1, {"status": status})
    assert (told["profile"], told["pending"], told["status"]) == (0, None, status)
    assert await system.status_of(system.station(RAW)) == 101
    assert await system.profile() == 0


async def test_its_answer_is_lost_and_it_comes_back_by_either(system: System) -> None:
    await system.store(KEY)
    station = await system.station()
    asked = asyncio.create_task(system.put("security-profile", {"profile": 1, "send": True}))
    await station.hear()
    await station.leave()
    assert (await asked).status_code == 409
    assert await system.status_of(system.station()) == 101
    assert await system.status_of(system.station(RAW)) == 101
    assert await system.status_of(system.station()) == 401


async def raw(system: System, value: str) -> httpx.Response:
    path = "/api/v1/charge-points/CP1/ocpp/ChangeConfiguration"
    return await system.api.post(path, json={"key": "SecurityProfile", "value": value})


async def test_it_is_never_lowered_by_ocpp(system: System) -> None:
    await system.store(KEY, profile=2)
    station = await system.station(RAW, tls=trusting(await system.app.certificates.root_pem()))
    for value in ("0", "1", "2", "-1", "4", "two", ""):
        answer = await raw(system, value)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "value")
    answer = await system.put("security-profile", {"profile": 1, "send": True})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "profile")
    asked = asyncio.create_task(raw(system, "3"))
    await station.answer({"status": "Accepted"})  # nothing else had been sent
    assert (await asked).status_code == 200


async def test_an_operator_lets_a_locked_out_station_in_by_hand(system: System) -> None:
    await system.store(KEY, profile=2)
    assert await system.status_of(system.station(RAW)) == 403
    await system.store(profile=0)
    assert await system.status_of(system.station()) == 101


async def test_what_a_profile_needs_is_asked_for_before_anything_is_sent(tmp_path: Path) -> None:
    async with secure_system(tmp_path, ocpp_tls_hostname=None, ocpp_tls_port=None) as system:
        await system.station()
        for send in (True, False):
            answer = await system.put("security-profile", {"profile": 1, "send": send})
            assert "authorization key" in answer.json()["errors"][0]["expected"]
        await system.store(KEY)
        for profile in (2, 3):
            answer = await system.put("security-profile", {"profile": profile, "send": True})
            assert "TLS certificate" in answer.json()["errors"][0]["expected"]
        answer = await system.put("security-profile", {"profile": 4, "send": True})
        assert answer.status_code == 422
    # and nothing was remembered
    async with secure_system(tmp_path) as system:
        assert system.app.charge_points.station("CP1").options == {}


async def test_other_options_of_the_station_stay(system: System) -> None:
    answer = await system.api.patch("/api/v1/charge-points/CP1", json={"assume_subprotocol": True})
    assert answer.status_code == 200
    await system.store(KEY)
    await moved(system, await system.station(), 1, {"status": "Accepted"})
    await system.api.patch("/api/v1/charge-points/CP1", json={"assume_subprotocol": False})
    assert await system.status_of(system.station(RAW)) == 101
    assert await system.profile() == 1
    assert system.app.charge_points.station("CP1").options == {"assume_subprotocol": False}
