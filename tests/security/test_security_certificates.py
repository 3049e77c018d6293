"""Certificates of stations: signed on request, renewed in time, revoked; roots on stations as they tell."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from secure_system import (
    BOOT,
    KEY,
    Station,
    System,
    certified,
    csr_for,
    csr_text,
    secure_system,
    trusting,
)

from csms.clock import SystemClock
from csms.domain.certificate_authority import hash_data, new_key, new_root
from csms.services.certificates import SIGNED_AT_ONCE

RAW = bytes.fromhex(KEY)


async def signed(station: Station, csr: str, answer: str = "Accepted") -> x509.Certificate:
    """The station asks; the certificate that it is sent after the answer."""
    assert await station.ask("SignCertificate", {"csr": csr}) == {"status": "Accepted"}
    action, payload = await station.answer({"status": answer})
    assert action == "CertificateSigned"
    return x509.load_pem_x509_certificates(payload["certificateChain"].encode())[0]


async def issued(system: System, status: str | None = None) -> list[dict[str, Any]]:
    """Waits until the newest has the status."""
    async with asyncio.timeout(10):
        while True:
            answer = await system.api.get("/api/v1/charge-points/CP1/certificates")
            rows: list[dict[str, Any]] = answer.json()["issued"]
            if status is None or (rows and rows[0]["status"] == status):
                return rows


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
async def test_a_station_gets_its_certificate_and_comes_back_with_it(
    system: System, tmp_path: Path, kind
) -> None:
    await system.store(KEY, profile=2)
    trusted = await system.app.certificates.root_pem()
    station = await system.station(RAW, tls=trusting(trusted))
    await station.ask("BootNotification", BOOT)
    key = new_key(kind)
    certificate = await signed(station, csr_text(csr_for(key, "SN-42", "Sun Ltd")))
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "SN-42"
    roots = await system.app.certificates.roots()
    certificate.verify_directly_issued_by(roots[kind].certificate)
    [row] = await issued(system, "Accepted")
    assert row["serial_number"] == f"{certificate.serial_number:x}"
    await system.store(profile=3)
    text = row["pem"]
    mine = certified(trusting(trusted), tmp_path, text, key)
    assert await system.status_of(system.station(tls=mine)) == 101


async def test_the_station_s_word_is_kept_with_the_certificate(system: System) -> None:
    station = await system.station()
    csr = csr_text(csr_for(new_key("ecdsa"), "CP1"))
    await signed(station, csr, answer="Rejected")
    await issued(system, "Rejected")
    assert await station.ask("SignCertificate", {"csr": csr}) == {"status": "Accepted"}
    await station.hear()
    await station.leave()
    assert [row["status"] for row in await issued(system, "Failed")] == ["Failed", "Rejected"]


async def test_requests_that_are_refused_are_answered_so_and_nothing_follows(tmp_path: Path) -> None:
    async with secure_system(
        tmp_path, cpo_name="Sun Ltd", ocpp_tls_hostname=None, ocpp_tls_port=None
    ) as system:
        station = await system.station()
        key = new_key("ecdsa")
        for csr in (
            "hello",
            csr_text(csr_for(key, "CP2", "Sun Ltd")),
            csr_text(csr_for(key, "CP1", "Rain Ltd")),
            csr_text(csr_for(key, "CP1")),
        ):
            assert await station.ask("SignCertificate", {"csr": csr}) == {"status": "Rejected"}
        await signed(station, csr_text(csr_for(key, "CP1", "Sun Ltd")))
        assert len(await issued(system)) == 1


async def test_while_one_is_being_signed_another_request_waits_its_turn(system: System) -> None:
    station = await system.station()
    csr = csr_text(csr_for(new_key("ecdsa"), "CP1"))
    assert await station.ask("SignCertificate", {"csr": csr}) == {"status": "Accepted"}
    sent = await station.hear()
    assert await station.ask("SignCertificate", {"csr": csr}) == {"status": "Rejected"}
    await station.say([3, sent[1], {"status": "Accepted"}])
    await issued(system, "Accepted")
    await signed(station, csr)
    assert len(await issued(system, "Accepted")) == 2


async def test_a_station_that_asks_for_ever_gets_some_certificates_a_day(system: System) -> None:
    station, csr = await system.station(), csr_text(csr_for(new_key("ecdsa"), "CP1"))
    for _ in range(SIGNED_AT_ONCE):
        await signed(station, csr)
        await issued(system, "Accepted")
    assert await station.ask("SignCertificate", {"csr": csr}) == {"status": "Rejected"}
    system.clock.ahead = timedelta(hours=3)
    await signed(station, csr)
    assert len(await issued(system, "Accepted")) == SIGNED_AT_ONCE + 1


async def test_certificates_that_ended_long_ago_are_forgotten(tmp_path: Path) -> None:
    async with secure_system(tmp_path) as system:
        await signed(await system.station(), csr_text(csr_for(new_key("ecdsa"), "CP1")))
        [row] = await issued(system, "Accepted")
        path = f"/api/v1/charge-points/CP1/certificates/{row['serial_number']}"
        system.clock.ahead = timedelta(days=380)
        await system.app.certificates.forget_ended()
        assert (await system.api.delete(path)).status_code == 204
        system.clock.ahead = timedelta(days=400)
        await system.app.certificates.forget_ended()
        assert (await system.api.delete(path)).status_code == 404


async def test_a_certificate_is_its_station_s_whatever_is_written_in_it(tmp_path: Path) -> None:
    """CP1 has a serial number that the name of CP2 contains."""
    async with secure_system(tmp_path, identities=("CP1", "SN-421")) as system:
        station = await system.station()
        await station.ask("BootNotification", BOOT)
        key = new_key("ecdsa")
        await signed(station, csr_text(csr_for(key, "SN-421")))
        text = (await issued(system, "Accepted"))[0]["pem"]
        for identity in ("CP1", "SN-421"):
            await system.store(profile=3, identity=identity)
        mine = certified(trusting(await system.app.certificates.root_pem()), tmp_path, text, key)
        assert await system.status_of(system.station(tls=mine)) == 101
        assert await system.status_of(system.station(tls=mine, identity="SN-421")) == 403
        assert "is that of 'CP1'" in (await system.notes("SN-421"))[0]


async def test_a_revoked_certificate_sends_the_station_away(tmp_path: Path) -> None:
    async with secure_system(tmp_path) as system:
        key = new_key("ecdsa")
        await signed(await system.station(), csr_text(csr_for(key, "CP1")))
        [row] = await issued(system, "Accepted")
        await system.store(profile=3)
        trusted = await system.app.certificates.root_pem()
        mine = certified(trusting(trusted), tmp_path, row["pem"], key)
        station = await system.station(tls=mine)
        path = "/api/v1/charge-points/CP1/certificates/"
        assert (await system.api.delete(path + row["serial_number"].upper())).status_code == 204
        await asyncio.wait_for(station.socket.wait_closed(), 10)
        assert station.socket.close_code == 1008
        assert await system.status_of(system.station(tls=mine)) == 403
        assert (await system.api.delete(path + "abc")).status_code == 404
        assert (await issued(system))[0]["status"] == "Revoked"
    async with secure_system(tmp_path) as system:
        assert await system.status_of(system.station(tls=mine)) == 403


async def test_the_operator_asks_for_a_renewal(system: System) -> None:
    station = await system.station()
    asked = asyncio.create_task(system.api.post("/api/v1/charge-points/CP1/certificates/renew"))
    action, payload = await station.answer({"status": "Accepted"})
    assert (action, payload) == ("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"})
    assert (await asked).json() == {"status": "Accepted"}


async def test_stations_are_asked_once_a_day_when_their_certificate_ends_soon(tmp_path: Path) -> None:
    async with secure_system(tmp_path, conformance_mode=False) as system:
        certificates, station, key = system.app.certificates, await system.station(), new_key("ecdsa")
        csr, taken = csr_text(csr_for(key, "CP1")), {"status": "Accepted"}

        async def renewed() -> None:
            assert await station.ask("SignCertificate", {"csr": csr}) == taken
            await station.answer_only("CertificateSigned", taken)
            await issued(system, "Accepted")

        async def nothing_is_asked() -> None:
            await certificates.renew_due()
            cleared = asyncio.create_task(system.api.post("/api/v1/charge-points/CP1/ocpp/ClearCache"))
            assert "ExtendedTriggerMessage" not in await station.answer_only("ClearCache", taken)
            await cleared

        await renewed()
        await system.store(profile=3)
        await nothing_is_asked()  # it lasts a year
        system.clock.ahead = timedelta(days=336)
        asked = asyncio.create_task(certificates.renew_due())
        await station.answer_only("ExtendedTriggerMessage", taken)
        await asked
        await nothing_is_asked()  # it was, today
        system.clock.ahead = timedelta(days=337, minutes=1)
        asked = asyncio.create_task(certificates.renew_due())
        await station.answer_only("ExtendedTriggerMessage", taken)
        await asked
        await renewed()
        system.clock.ahead = timedelta(days=339)
        await nothing_is_asked()  # the new one lasts


async def installed(system: System) -> list[tuple[str, str]]:
    rows = (await system.api.get("/api/v1/charge-points/CP1/certificates")).json()["installed"]
    return sorted((row["certificate_type"], row["serial_number"]) for row in rows)


async def sent(system: System, station: Station, action: str, payload: Any, answer: dict[str, Any]) -> None:
    asked = asyncio.create_task(system.api.post(f"/api/v1/charge-points/CP1/ocpp/{action}", json=payload))
    await station.answer(answer)
    assert (await asked).status_code == 200


async def test_roots_on_a_station_are_known_from_what_it_answers(system: System) -> None:
    station = await system.station()
    pem = await system.app.certificates.root_pem("rsa")
    root = x509.load_pem_x509_certificate(pem.encode())
    number = f"{root.serial_number:x}"
    kind, maker = "CentralSystemRootCertificate", "ManufacturerRootCertificate"
    request = {"certificateType": kind, "certificate": pem}
    await sent(system, station, "InstallCertificate", request, {"status": "Rejected"})
    assert await installed(system) == []
    await sent(system, station, "InstallCertificate", request, {"status": "Accepted"})
    assert await installed(system) == [(kind, number)]

    other = new_root("ecdsa", "maker", SystemClock().now()).certificate
    told = hash_data(other, other, "SHA384")
    listed = {"status": "Accepted", "certificateHashData": [told]}
    await sent(system, station, "GetInstalledCertificateIds", {"certificateType": maker}, listed)
    assert await installed(system) == [(kind, number), (maker, told["serialNumber"])]
    hashed = hash_data(root, root, "SHA256")
    hashed |= {
        "serialNumber": hashed["serialNumber"].upper(),
        "issuerKeyHash": hashed["issuerKeyHash"].upper(),
    }
    gone = {"certificateHashData": hashed}
    await sent(system, station, "DeleteCertificate", gone, {"status": "Failed"})
    assert len(await installed(system)) == 2
    await sent(system, station, "DeleteCertificate", gone, {"status": "Accepted"})
    assert await installed(system) == [(maker, told["serialNumber"])]
    nothing = {"status": "NotFound"}
    await sent(system, station, "GetInstalledCertificateIds", {"certificateType": maker}, nothing)
    assert await installed(system) == []


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
async def test_a_root_of_ours_is_sent_to_a_station(system: System, kind: str) -> None:
    station = await system.station()
    path = "/api/v1/charge-points/CP1/certificates/install-root"
    asked = asyncio.create_task(system.api.post(path, json={"kind": kind}))
    action, payload = await station.answer({"status": "Accepted"})
    assert (await asked).json() == {"status": "Accepted"}
    assert (action, payload["certificateType"]) == ("InstallCertificate", "CentralSystemRootCertificate")
    assert payload["certificate"] == await system.app.certificates.root_pem(kind)
    root = x509.load_pem_x509_certificate(payload["certificate"].encode())
    assert await installed(system) == [("CentralSystemRootCertificate", f"{root.serial_number:x}")]


async def test_the_authority_s_roots_are_told(system: System) -> None:
    both = await system.api.get("/api/v1/certificates/authority.pem")
    assert both.headers["content-type"].startswith("application/x-pem-file")
    roots = x509.load_pem_x509_certificates(both.content)
    assert len(roots) == 2
    one = await system.api.get("/api/v1/certificates/authority.pem", params={"kind": "ecdsa"})
    assert x509.load_pem_x509_certificate(one.content) in roots
    assert "PRIVATE" not in both.text
