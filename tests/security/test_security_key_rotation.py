"""A station gets a new password: whatever becomes of the answer, it is not locked out, the old one goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from secure_system import KEY, Station, System, secure_system

OLD, NEW = bytes.fromhex(KEY), b"\x11" * 20
NO_TLS: dict[str, Any] = {"ocpp_tls_hostname": None, "ocpp_tls_port": None}


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    """The station CP1 connects by profile 1 with the key OLD."""
    async with secure_system(tmp_path, **NO_TLS) as running:
        await running.store(KEY, profile=1)
        yield running


def sending(system: System, key: bytes = NEW) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(system.put("authorization-key", {"key": key.hex(), "send": True}))


async def good(system: System, *keys: bytes) -> list[bool]:
    return [await system.status_of(system.station(key)) == 101 for key in keys]


async def told(station: Station) -> list[Any]:
    call = await station.hear()
    assert call[2:] == ["ChangeConfiguration", {"key": "AuthorizationKey", "value": NEW.hex().upper()}]
    return call


async def test_accepted_the_new_one_is_good_and_the_old_one_refused(system: System) -> None:
    station = await system.station(OLD)
    answer = sending(system)
    call = await told(station)
    await station.say([3, call[1], {"status": "Accepted"}])
    assert (await answer).json() == {"key": NEW.hex(), "status": "Accepted"}
    assert await good(system, OLD, NEW) == [False, True]


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
async def test_refused_the_old_one_stays_and_the_new_one_is_nothing(system: System, status: str) -> None:
    station = await system.station(OLD)
    answer = sending(system)
    await station.answer({"status": status})
    assert (await answer).json()["status"] == status
    assert await good(system, NEW, OLD) == [False, True]


async def test_a_callerror_is_a_refusal(system: System) -> None:
    station = await system.station(OLD)
    answer = sending(system)
    await station.refuse("InternalError")
    assert (await answer).status_code == 502
    assert await good(system, NEW, OLD) == [False, True]


async def test_after_a_reboot_means_both_until_the_new_one_is_used(system: System) -> None:
    station = await system.station(OLD)
    answer = sending(system)
    await station.answer({"status": "RebootRequired"})
    assert (await answer).json()["status"] == "RebootRequired"
    assert await good(system, OLD, OLD, NEW, OLD) == [True, True, True, False]


async def test_the_answer_is_lost_and_both_are_good_until_the_new_one_is_used(system: System) -> None:
    """Coming with the old one shows nothing: it may have taken the new one for its next boot."""
    station = await system.station(OLD)
    answer = sending(system)
    await told(station)
    await station.leave()
    assert (await answer).status_code == 409
    assert await good(system, OLD, NEW, OLD) == [True, True, False]


async def test_the_answer_is_lost_and_the_server_restarts(tmp_path: Path) -> None:
    async with secure_system(tmp_path, **NO_TLS) as system:
        await system.store(KEY, profile=1)
        station = await system.station(OLD)
        answer = sending(system)
        await told(station)
        await station.leave()
        await answer
    async with secure_system(tmp_path, **NO_TLS) as system:
        assert await good(system, NEW, OLD) == [True, False]


async def test_the_new_key_is_good_before_the_station_could_have_answered(system: System) -> None:
    """It takes the key, drops the connection and is back before its answer has been read."""
    station = await system.station(OLD)
    answer = sending(system)
    await told(station)
    back = await system.station(NEW)
    assert (await answer).status_code == 409
    await back.leave()
    assert await good(system, OLD, NEW) == [False, True]


async def test_an_answer_that_cannot_be_read_may_have_been_a_yes(system: System) -> None:
    station = await system.station(OLD)
    answer = sending(system)
    call = await told(station)
    await station.say([3, call[1], "ok"])
    await answer
    assert await good(system, NEW, OLD) == [True, False]


async def test_an_operator_s_raw_command_does_the_same(system: System) -> None:
    station = await system.station(OLD)
    payload = {"key": "authorizationKey", "value": NEW.hex()}
    path = "/api/v1/charge-points/CP1/ocpp/ChangeConfiguration"
    answer = asyncio.create_task(system.api.post(path, json=payload))
    await station.answer({"status": "Accepted"})
    assert (await answer).json() == {"status": "Accepted"}
    assert await good(system, OLD, NEW) == [False, True]


async def test_a_key_of_the_wrong_length_never_leaves(system: System) -> None:
    station = await system.station(OLD)
    path = "/api/v1/charge-points/CP1/ocpp/ChangeConfiguration"
    raw = await system.api.post(path, json={"key": "AuthorizationKey", "value": "short"})
    put = await system.put("authorization-key", {"key": "short", "send": True})
    for answer, name in ((raw, "value"), (put, "key")):
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, name)
        assert "short" not in answer.text
    answer = asyncio.create_task(system.api.post("/api/v1/charge-points/CP1/ocpp/ClearCache"))
    assert (await station.answer({"status": "Accepted"}))[0] == "ClearCache"
    await answer


async def test_a_second_key_while_the_first_is_unanswered(system: System) -> None:
    station = await system.station(OLD)
    first = sending(system)
    _, id, *_ = await station.hear()
    second = sending(system, b"\x22" * 20)
    await station.say([3, id, {"status": "Accepted"}])
    await station.answer({"status": "Rejected"})
    answers = [(await first).json()["status"], (await second).json()["status"]]
    assert answers == ["Accepted", "Rejected"]
    assert await good(system, b"\x22" * 20, OLD, NEW) == [False, False, True]


async def test_a_random_key_is_made_told_once_and_appears_nowhere_else(system: System) -> None:
    station = await system.station(OLD)
    answer = asyncio.create_task(system.put("authorization-key", {}))
    _, payload = await station.answer({"status": "Accepted"})
    key = (await answer).json()["key"]
    assert len(bytes.fromhex(key)) == 20
    assert payload["value"] == key.upper()
    await station.leave()
    shown = await system.api.get("/api/v1/charge-points/CP1/messages")
    assert any(frame["action"] == "ChangeConfiguration" for frame in shown.json())
    about = await system.api.get("/api/v1/charge-points/CP1")
    assert key.lower() not in (shown.text + about.text).lower()
    await system.app.frame_log.flush()
    on_disk = b"".join(file.read_bytes() for file in system.app.settings.data_dir.glob("csms.db*"))
    assert key.encode() not in on_disk
    assert key.upper().encode() not in on_disk
    assert bytes.fromhex(key) not in on_disk


async def test_recovery_by_hand_and_forgetting_the_key(system: System) -> None:
    await system.store(NEW.hex())
    assert await good(system, OLD, NEW) == [False, True]
    gone = await system.api.delete("/api/v1/charge-points/CP1/authorization-key")
    assert gone.status_code == 204
    assert await good(system, NEW) == [False]


async def test_a_station_with_a_password_of_its_own_gets_its_first_key(tmp_path: Path) -> None:
    async with secure_system(tmp_path, **NO_TLS) as system:
        station = await system.station("what the maker set")
        answer = sending(system)
        await station.answer({"status": "RebootRequired"})
        await answer
        assert await system.status_of(system.station("what the maker set")) == 101
        assert await good(system, NEW) == [True]
        assert await system.status_of(system.station("what the maker set")) == 401


async def test_the_same_key_is_another_secret_for_another_station(tmp_path: Path) -> None:
    async with secure_system(tmp_path, identities=("CP1", "CP2"), **NO_TLS) as system:
        await system.store(KEY, profile=1)
        await system.store(NEW.hex(), profile=1, identity="CP2")
        assert await system.status_of(system.station(OLD, identity="CP2")) == 401
        assert await system.status_of(system.station(OLD, identity="CP2", name="CP1")) == 401
        assert await system.status_of(system.station(NEW, identity="cp2")) == 101
