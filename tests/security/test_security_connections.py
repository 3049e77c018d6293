"""Each station connects by the means of its security profile, and by no other."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from secure_system import KEY, System, basic, certificate_of, certified, secure_system, trusting
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage, InvalidStatus

from csms.clock import SystemClock
from csms.domain.certificate_authority import new_root

RAW = bytes.fromhex(KEY)


async def test_a_new_station_needs_no_password(system: System) -> None:
    assert await system.status_of(system.station()) == 101
    assert await system.status_of(system.station("whatever it was set to")) == 101
    tls = trusting(await system.app.certificates.root_pem())
    assert await system.status_of(system.station(tls=tls)) == 101


async def test_without_a_profile_a_password_that_is_sent_must_match_the_one_kept(system: System) -> None:
    await system.store(KEY)
    assert await system.status_of(system.station(RAW)) == 101
    assert await system.status_of(system.station(b"wrong password 123")) == 401
    assert await system.status_of(system.station()) == 101  # between being given a key and its profile


@pytest.mark.parametrize("sent", [RAW, KEY, KEY.lower()], ids=["raw bytes", "hex digits", "lower case hex"])
async def test_profile_1_takes_the_key_in_each_form_that_stations_send(
    system: System, sent: str | bytes
) -> None:
    await system.store(KEY, profile=1)
    assert await system.status_of(system.station(sent)) == 101


async def test_profile_1_takes_a_plain_text(system: System) -> None:
    await system.store("a plain password 20c", profile=1)
    assert await system.status_of(system.station("a plain password 20c")) == 101


async def test_the_example_of_the_whitepaper(tmp_path: Path) -> None:
    async with secure_system(tmp_path, identities=("AL1000",)) as system:
        await system.store(KEY, profile=1, identity="AL1000")
        header = {"Authorization": "Basic QUwxMDAwOgABAgMEBQYH////////////////"}
        url = f"ws://127.0.0.1:{system.app.ocpp.port}/AL1000"
        async with connect(url, subprotocols=["ocpp1.6"], additional_headers=header, proxy=None) as socket:
            assert socket.subprotocol == "ocpp1.6"


async def test_who_has_no_or_a_wrong_password_is_told_which_scheme_is_wanted(system: System) -> None:
    await system.store(KEY, profile=1)
    for headers in (
        {},
        basic("CP1", b"x" * 20),
        basic("CP2", RAW),
        {"Authorization": "Bearer abc"},
        {"Authorization": "Basic %%%"},
    ):
        url = f"ws://127.0.0.1:{system.app.ocpp.port}/CP1"
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, subprotocols=["ocpp1.6"], additional_headers=headers, proxy=None)
        response = refused.value.response
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"].startswith("Basic ")
    notes = await system.notes()
    assert len(notes) == 5
    assert notes[-1] == "connection refused: no password was sent"
    assert notes[0] == "connection refused: wrong user name or password"


async def test_an_unknown_station_stays_404_whatever_it_sends(system: System) -> None:
    assert await system.status_of(system.station(RAW, identity="CP9")) == 404


async def test_profile_2_wants_tls_and_the_password(system: System) -> None:
    await system.store(KEY, profile=2)
    tls = trusting(await system.app.certificates.root_pem())
    assert await system.status_of(system.station(RAW, tls=tls)) == 101
    assert await system.status_of(system.station(tls=tls)) == 401
    assert await system.status_of(system.station(b"x" * 20, tls=tls)) == 401
    assert await system.status_of(system.station(RAW)) == 403


async def test_profile_1_does_not_come_over_tls(system: System) -> None:
    await system.store(KEY, profile=1)
    tls = trusting(await system.app.certificates.root_pem())
    assert await system.status_of(system.station(RAW, tls=tls)) == 403


async def test_profile_3_wants_the_station_s_own_certificate(system: System, tmp_path: Path) -> None:
    await system.store(KEY, profile=3)
    roots = await system.app.certificates.roots()
    trusted = await system.app.certificates.root_pem()
    mine, my_key = certificate_of(roots["ecdsa"], "CP1")
    anothers, another_key = certificate_of(roots["rsa"], "CP10", kind="rsa")
    good = certified(trusting(trusted), tmp_path, mine, my_key)
    wrong = certified(trusting(trusted), tmp_path, anothers, another_key)
    assert await system.status_of(system.station(tls=good)) == 101
    assert await system.status_of(system.station(tls=wrong)) == 403
    assert await system.status_of(system.station(RAW, tls=trusting(trusted))) == 403
    assert await system.status_of(system.station(RAW)) == 403


async def test_a_certificate_of_a_foreign_authority_ends_the_tls_handshake(
    system: System, tmp_path: Path
) -> None:
    await system.store(profile=3)
    stranger = new_root("ecdsa", "stranger", SystemClock().now())
    certificate, key = certificate_of(stranger, "CP1")
    tls = certified(trusting(await system.app.certificates.root_pem()), tmp_path, certificate, key)
    with capture_logs() as logged, pytest.raises((OSError, InvalidMessage)):  # an alert, or a bare end
        await system.station(tls=tls)
    assert [e["why"] for e in logged if e["event"] == "TLS handshake failed"] == ["CERTIFICATE_VERIFY_FAILED"]
    assert not system.app.charge_points.is_connected("CP1")


async def test_an_ended_certificate_is_told_by_name_and_is_no_hindrance_to_a_password(
    system: System, tmp_path: Path
) -> None:
    await system.store(KEY, profile=3)
    roots, trusted = await system.app.certificates.roots(), await system.app.certificates.root_pem()
    certificate, key = certificate_of(roots["ecdsa"], "CP1", lasts=timedelta(hours=-1))
    ended = certified(trusting(trusted), tmp_path, certificate, key)
    assert await system.status_of(system.station(RAW, tls=ended)) == 403
    assert "its certificate holds from" in (await system.notes())[0]
    await system.store(profile=2)  # by hand, until it has a new one
    assert await system.status_of(system.station(RAW, tls=ended)) == 101


async def test_another_authority_that_the_operator_names_is_taken(tmp_path: Path) -> None:
    maker = new_root("ecdsa", "maker", SystemClock().now())
    (tmp_path / "maker.pem").write_text(maker.pem)
    options = {"ocpp_client_ca": tmp_path / "maker.pem", "cpo_name": "Sun Ltd"}
    async with secure_system(tmp_path, **options) as system:
        await system.store(profile=3)
        trusted = await system.app.certificates.root_pem()
        for organisation, status in (("Sun Ltd", 101), ("Rain Ltd", 403), (None, 403)):
            certificate, key = certificate_of(maker, "CP1", organisation=organisation)
            tls = certified(trusting(trusted), tmp_path, certificate, key)
            assert await system.status_of(system.station(tls=tls)) == status


async def test_the_serial_number_that_the_station_reported_may_be_its_name(
    system: System, tmp_path: Path
) -> None:
    station = await system.station()
    await station.ask(
        "BootNotification",
        {"chargePointVendor": "V", "chargePointModel": "M", "chargePointSerialNumber": "SN-42"},
    )
    await system.store(profile=3)
    roots = await system.app.certificates.roots()
    certificate, key = certificate_of(roots["ecdsa"], "model 7 sn-42")
    tls = certified(trusting(await system.app.certificates.root_pem()), tmp_path, certificate, key)
    assert await system.status_of(system.station(tls=tls)) == 101


async def test_with_one_port_only_it_speaks_tls_there(tmp_path: Path) -> None:
    async with secure_system(tmp_path, ocpp_tls_port=None) as system:
        assert system.app.ocpp.tls_port == system.app.ocpp.port
        tls = trusting(await system.app.certificates.root_pem())
        assert await system.status_of(system.station(tls=tls)) == 101
        await system.store(KEY)
        refused = await system.put("security-profile", {"profile": 1, "send": False})
        assert refused.status_code == 422
        assert "CSMS_OCPP_TLS_PORT" in refused.json()["errors"][0]["expected"]


async def test_all_is_known_again_after_a_restart(tmp_path: Path) -> None:
    async with secure_system(tmp_path) as system:
        await system.store(KEY, profile=2)
        trusted = await system.app.certificates.root_pem()
    async with secure_system(tmp_path) as system:
        assert await system.app.certificates.root_pem() == trusted
        assert await system.status_of(system.station(RAW, tls=trusting(trusted))) == 101
        assert await system.status_of(system.station(b"x" * 20, tls=trusting(trusted))) == 401
        assert await system.status_of(system.station(RAW)) == 403
