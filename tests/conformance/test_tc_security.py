"""Security: cases 073 to 088."""

from __future__ import annotations

import ssl
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from octt_server import OcttServer
from octt_station import Answer, Connect, OcttStation, Operator, Payload, dial, is_now
from station_files import IMAGE, IMAGE_NAME, LOG, fetched, leave, states
from station_keys import (
    Key,
    basic,
    certificate_request,
    common_name,
    ec_key,
    hash_data,
    pem,
    rsa_key,
    self_signed,
    station_tls,
)
from websockets.exceptions import InvalidStatus

OLD_KEY, NEW_KEY = bytes(range(20)), bytes(range(100, 120))
SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
)

# --- 073: the password ---


async def test_tc_073_new_authorization_key(
    server: OcttServer, operator: Operator, connect: Connect, identity: str
) -> None:
    await (await connect()).disconnect()  # the server gets to know it
    await operator.set_up(identity, profile=1, key=OLD_KEY)
    station = await connect(authorization=basic(identity, OLD_KEY))
    await station.boot()
    response, (command,) = await operator.act(
        station,
        "PUT",
        f"/charge-points/{identity}/authorization-key",
        {"key": None, "send": True},
        {"ChangeConfiguration": {"status": "Accepted"}},
    )
    assert response.status_code == 200, response.text
    assert command.payload["key"] == "AuthorizationKey"
    new_key = bytes.fromhex(command.payload["value"])
    assert 16 <= len(new_key) <= 20
    await station.disconnect()
    await is_kept_out(server.url(identity), authorization=basic(identity, OLD_KEY))
    await (await connect(authorization=basic(identity, new_key))).boot()


# --- 074 to 078: certificates ---


async def test_tc_074_certificate_is_renewed(
    server: OcttServer, operator: Operator, connect: Connect, identity: str, tmp_path: Path
) -> None:
    authority = await authority_pem(operator)
    station, first_key = await connect(), rsa_key()
    await station.boot()
    first_chain = await certificate_for(station, first_key, authority)
    await station.disconnect()
    await operator.set_up(identity, profile=3)
    first = station_tls(authority, tmp_path, first_chain, first_key)
    station = await connect(server.tls_url(identity), tls=first)
    await station.boot()

    await trigger_renewal(station, operator)
    key = ec_key()
    chain = await certificate_for(station, key, authority)
    await station.disconnect()
    renewed = station_tls(authority, tmp_path, chain, key)
    await (await connect(server.tls_url(identity), tls=renewed)).boot()
    shown = await operator.get(f"/charge-points/{identity}/certificates")
    assert [issued["status"] for issued in shown["issued"]] == ["Accepted", "Accepted"]


async def test_tc_075_1_install_a_manufacturer_root(station: OcttStation, operator: Operator) -> None:
    await install_and_list(station, operator, "ManufacturerRootCertificate")


async def test_tc_075_2_install_a_central_system_root(station: OcttStation, operator: Operator) -> None:
    await install_and_list(station, operator, "CentralSystemRootCertificate")


async def test_tc_076_delete_a_certificate(station: OcttStation, operator: Operator) -> None:
    for algorithm in ("SHA256", "SHA384", "SHA512"):
        root = await install_and_list(station, operator, "ManufacturerRootCertificate", algorithm)
        shown = await operator.get(f"/charge-points/{station.identity}/certificates")
        installed = next(c for c in shown["installed"] if c["hash_algorithm"] == algorithm)
        asked = {
            "hashAlgorithm": installed["hash_algorithm"],
            "issuerNameHash": installed["issuer_name_hash"],
            "issuerKeyHash": installed["issuer_key_hash"],
            "serialNumber": installed["serial_number"],
        }
        assert asked == hash_data(root, algorithm)
        await operator.command(
            station, "DeleteCertificate", {"certificateHashData": asked}, {"status": "Accepted"}
        )
        shown = await operator.get(f"/charge-points/{station.identity}/certificates")
        assert algorithm not in [c["hash_algorithm"] for c in shown["installed"]]


async def test_tc_077_invalid_charge_point_certificate(station: OcttStation, operator: Operator) -> None:
    await trigger_renewal(station, operator)
    await certificate_for(station, ec_key(), await authority_pem(operator), answer="Rejected")
    await station.security_event("InvalidChargePointCertificate", "CN does not fit")
    (event,) = await security_events(station, operator)
    assert (event["type"], event["tech_info"]) == ("InvalidChargePointCertificate", "CN does not fit")
    shown = await operator.get(f"/charge-points/{station.identity}/certificates")
    assert shown["issued"][0]["status"] == "Rejected"


async def test_tc_078_invalid_central_system_certificate(station: OcttStation, operator: Operator) -> None:
    root = pem(self_signed(rsa_key(), "Not to be trusted"))
    asked = {"certificateType": "CentralSystemRootCertificate", "certificate": root}
    await operator.command(station, "InstallCertificate", asked, {"status": "Rejected"})
    await station.security_event("InvalidCentralSystemCertificate")
    (event,) = await security_events(station, operator)
    assert event["type"] == "InvalidCentralSystemCertificate"
    shown = await operator.get(f"/charge-points/{station.identity}/certificates")
    assert shown["installed"] == []


# --- 079 to 081: security log, signed firmware ---


async def test_tc_079_security_log(station: OcttStation, operator: Operator) -> None:
    response, (command,) = await operator.act(
        station,
        "POST",
        f"/charge-points/{station.identity}/jobs/log",
        {"log_type": "SecurityLog"},
        {"GetLog": {"status": "Accepted", "filename": "security.log"}},
    )
    assert response.status_code == 201, response.text
    asked = command.payload
    assert asked["logType"] == "SecurityLog"
    job_id = asked["requestId"]
    assert job_id == response.json()["id"]
    await station.log_status("Uploading", job_id)
    await leave(asked["log"]["remoteLocation"], "security.log", LOG)
    await station.log_status("Uploaded", job_id)
    assert (await states(station, operator, job_id))[-1] == "Uploaded"
    assert await operator.download(f"/charge-points/{station.identity}/jobs/{job_id}/file") == LOG


async def test_tc_080_signed_firmware_is_updated(
    station: OcttStation, operator: Operator, connect: Connect
) -> None:
    key = rsa_key()
    asked = await update_signed_firmware(station, operator, key)
    firmware, job_id = asked["firmware"], asked["requestId"]
    assert is_now(firmware["retrieveDateTime"])
    signer = x509.load_pem_x509_certificate(firmware["signingCertificate"].encode())
    assert signer.public_key() == key.public_key()
    await station.signed_firmware_status("Downloading", job_id)
    assert await fetched(firmware["location"]) == IMAGE
    for status in ("Downloaded", "SignatureVerified", "Installing", "InstallRebooting"):
        await station.signed_firmware_status(status, job_id)
    await station.disconnect()
    back = await connect()
    await back.boot(firmwareVersion="2.0.0")
    await back.signed_firmware_status("Installed", job_id)
    await back.security_event("FirmwareUpdated", "2.0.0")
    assert await states(station, operator, job_id) == [
        "Downloading",
        "Downloaded",
        "SignatureVerified",
        "Installing",
        "InstallRebooting",
        "Installed",
    ]
    assert [event["type"] for event in await security_events(station, operator)] == ["FirmwareUpdated"]


async def test_tc_081_signed_firmware_with_an_invalid_signature(
    station: OcttStation, operator: Operator
) -> None:
    asked = await update_signed_firmware(station, operator, rsa_key())
    for status in ("Downloading", "Downloaded", "InvalidSignature"):
        await station.signed_firmware_status(status, asked["requestId"])
    await station.security_event("InvalidFirmwareSignature")
    assert (await states(station, operator, asked["requestId"]))[-1] == "InvalidSignature"
    (event,) = await security_events(station, operator)
    assert event["type"] == "InvalidFirmwareSignature"


# --- 083 to 088: connections ---


async def test_tc_083_move_up_to_the_next_security_profile(
    server: OcttServer, operator: Operator, connect: Connect, identity: str, tmp_path: Path
) -> None:
    await (await connect()).disconnect()
    await operator.set_up(identity, profile=1, key=OLD_KEY)
    password = basic(identity, OLD_KEY)
    station = await connect(authorization=password)
    await station.boot()
    response, (command,) = await operator.act(
        station,
        "PUT",
        f"/charge-points/{identity}/security-profile",
        {"profile": 2, "send": True},
        {"ChangeConfiguration": {"status": "Accepted"}},
    )
    assert response.status_code == 200, response.text
    assert command.payload == {"key": "SecurityProfile", "value": "2"}
    await operator.command(station, "Reset", {"type": "Hard"}, {"status": "Accepted"})
    await station.lose_power()

    tls = station_tls(await authority_pem(operator), tmp_path)
    await (await connect(server.tls_url(identity), authorization=password, tls=tls)).boot()
    await is_kept_out(server.url(identity), authorization=password)


async def test_tc_085_basic_authentication(operator: Operator, connect: Connect, identity: str) -> None:
    await (await connect()).disconnect()
    await operator.set_up(identity, profile=1, key=NEW_KEY)
    station = await connect(authorization=basic(identity, NEW_KEY))
    await station.boot()


async def test_tc_086_tls_of_the_server(
    server: OcttServer, operator: Operator, connect: Connect, identity: str, tmp_path: Path
) -> None:
    await (await connect()).disconnect()
    await operator.set_up(identity, profile=2, key=OLD_KEY)
    authority = await authority_pem(operator)
    password = basic(identity, OLD_KEY)
    for suite in SUITES:
        tls = station_tls(authority, tmp_path)
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        tls.set_ciphers(suite)
        station = await connect(server.tls_url(identity), authorization=password, tls=tls)
        connection = station.socket.transport.get_extra_info("ssl_object")
        assert connection.cipher()[:2] == (suite, "TLSv1.2")
        assert connection.compression() is None
        certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))
        assert common_name(certificate) == "localhost"
        match certificate.public_key():
            case rsa.RSAPublicKey(key_size=bits):
                assert bits >= 2048
            case ec.EllipticCurvePublicKey(key_size=bits):
                assert bits >= 224
            case other:
                pytest.fail(f"{other} is of no kind that stations take")
        await station.boot()
        await station.disconnect()

    too_old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    too_old.load_verify_locations(cadata=authority)
    too_old.set_ciphers("ALL:@SECLEVEL=0")
    too_old.minimum_version = too_old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await dial(server.tls_url(identity), authorization=password, tls=too_old)


async def test_tc_087_client_certificate(
    server: OcttServer, operator: Operator, connect: Connect, identity: str, tmp_path: Path
) -> None:
    authority, key = await authority_pem(operator), ec_key()
    station = await connect()
    await station.boot()
    chain = await certificate_for(station, key, authority)
    await station.disconnect()
    await operator.set_up(identity, profile=3)
    await is_kept_out(server.tls_url(identity), tls=station_tls(authority, tmp_path))
    with_certificate = station_tls(authority, tmp_path, chain, key)
    await (await connect(server.tls_url(identity), tls=with_certificate)).boot()


async def test_tc_088_subprotocol(connect: Connect) -> None:
    station = await connect(subprotocols=("ocpp0.1", "ocpp1.6"))
    assert station.socket.response is not None
    assert station.socket.response.headers.get_all("Sec-WebSocket-Protocol") == ["ocpp1.6"]
    await station.boot()


# --- what several cases need ---


async def is_kept_out(url: str, **options: Any) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await dial(url, **options)
    assert refused.value.response.status_code in (401, 403)


async def authority_pem(operator: Operator) -> str:
    return (await operator.download("/certificates/authority.pem")).decode()


async def trigger_renewal(station: OcttStation, operator: Operator) -> None:
    path = f"/charge-points/{station.identity}/certificates/renew"
    answer: Answer = {"status": "Accepted"}
    response, (command,) = await operator.act(station, "POST", path, None, {"ExtendedTriggerMessage": answer})
    assert response.status_code == 200, response.text
    assert command.payload == {"requestedMessage": "SignChargePointCertificate"}


async def certificate_for(station: OcttStation, key: Key, authority: str, answer: str = "Accepted") -> str:
    """Ask for a certificate and check the chain that comes: leaf first, for this key and this station."""
    asked = certificate_request(key, station.serial_number)
    assert await station.call("SignCertificate", {"csr": asked}) == {"status": "Accepted"}
    station.expects_commands = True
    command = await station.command("CertificateSigned")
    await station.reply(command, {"status": answer})
    station.expects_commands = False
    await station.heartbeat()  # by its answer, the one before has been taken in
    chain: str = command.payload["certificateChain"]
    leaf, *_ = x509.load_pem_x509_certificates(chain.encode())
    assert leaf.public_key() == key.public_key()
    assert common_name(leaf) == station.serial_number
    roots = x509.load_pem_x509_certificates(authority.encode())
    (issuer,) = [root for root in roots if root.subject == leaf.issuer]
    leaf.verify_directly_issued_by(issuer)
    return chain


async def install_and_list(
    station: OcttStation, operator: Operator, kind: str, algorithm: str = "SHA256"
) -> x509.Certificate:
    root = self_signed(rsa_key(), f"Root of the {kind}")
    asked: Payload = {"certificateType": kind, "certificate": pem(root)}
    await operator.command(station, "InstallCertificate", asked, {"status": "Accepted"})
    listed = {"status": "Accepted", "certificateHashData": [hash_data(root, algorithm)]}
    await operator.command(station, "GetInstalledCertificateIds", {"certificateType": kind}, listed)
    shown = await operator.get(f"/charge-points/{station.identity}/certificates")
    assert [(c["certificate_type"], c["hash_algorithm"]) for c in shown["installed"]] == [(kind, algorithm)]
    return root


async def update_signed_firmware(station: OcttStation, operator: Operator, key: Key) -> Payload:
    """The SignedUpdateFirmware request that the station got and accepted."""
    assert isinstance(key, rsa.RSAPrivateKey)
    await operator.put_file(f"/files/{IMAGE_NAME}", IMAGE)
    signature = b64encode(key.sign(IMAGE, padding.PKCS1v15(), hashes.SHA256())).decode()
    response, (command,) = await operator.act(
        station,
        "POST",
        f"/charge-points/{station.identity}/jobs/firmware",
        {
            "file": IMAGE_NAME,
            "signature": signature,
            "signing_certificate": pem(self_signed(key, "Maker of stations")),
        },
        {"SignedUpdateFirmware": {"status": "Accepted"}},
    )
    assert response.status_code == 201, response.text
    assert command.payload["requestId"] == response.json()["id"]
    assert command.payload["firmware"]["signature"] == signature
    return command.payload


async def security_events(station: OcttStation, operator: Operator) -> list[dict[str, Any]]:
    """Newest first."""
    listed: list[dict[str, Any]] = await operator.get(f"/charge-points/{station.identity}/security-events")
    return listed
