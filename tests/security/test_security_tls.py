"""TLS towards stations: versions, suites, certificates, and what the settings may ask for."""

from __future__ import annotations

import asyncio
import ssl
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import ValidationError
from secure_system import PATIENCE_S, System, secure_system, trusting

from csms.clock import SystemClock
from csms.domain.certificate_authority import key_pem, new_key, new_root, pem, sign_server
from csms.errors import StartupError
from csms.ocpp.tls import MANDATORY_SUITES, server_context, trust
from csms.settings import Settings


async def handshake(system: System, context: ssl.SSLContext) -> ssl.SSLObject:
    """The finished handshake of a bare TLS connection."""
    connecting = asyncio.open_connection(
        "127.0.0.1", system.app.ocpp.tls_port, ssl=context, server_hostname="localhost"
    )
    _, writer = await asyncio.wait_for(connecting, PATIENCE_S)
    try:
        done: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return done
    finally:
        writer.close()


@pytest.mark.parametrize("suite", MANDATORY_SUITES)
async def test_each_mandatory_suite_is_negotiated_and_serves_a_station(system: System, suite: str) -> None:
    context = trusting(await system.app.certificates.root_pem(), suites=suite)
    done = await handshake(system, context)
    assert done.cipher()[0] == suite
    assert done.version() == "TLSv1.2"
    assert done.compression() is None
    key = x509.load_der_x509_certificate(done.getpeercert(binary_form=True)).public_key()
    if "ECDSA" in suite:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.key_size >= 224
    else:
        assert isinstance(key, rsa.RSAPublicKey)
        assert key.key_size >= 2048
    assert await system.status_of(system.station(tls=context)) == 101


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "AES128-GCM-SHA256"])
async def test_a_station_with_one_root_only_takes_both_certificates(system: System, suite, kind) -> None:
    context = trusting(await system.app.certificates.root_pem(kind), suites=suite)
    assert (await handshake(system, context)).cipher()[0] == suite


async def test_tls_1_3_is_spoken_with_those_who_can(system: System) -> None:
    done = await handshake(system, trusting(await system.app.certificates.root_pem()))
    assert done.version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("version", "suites"),
    [
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-SHA256"),
        (ssl.TLSVersion.TLSv1_2, "AES128-SHA"),
    ],
    ids=["TLS 1.1", "CBC", "SHA-1"],
)
async def test_old_versions_and_other_suites_are_refused(system: System, version, suites) -> None:
    context = trusting(await system.app.certificates.root_pem(), suites=suites)
    context.minimum_version = version if version < ssl.TLSVersion.TLSv1_2 else context.minimum_version
    context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await handshake(system, context)


async def test_a_station_that_expects_another_name_goes_away(system: System) -> None:
    context = trusting(await system.app.certificates.root_pem())
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await asyncio.open_connection(
            "127.0.0.1", system.app.ocpp.tls_port, ssl=context, server_hostname="elsewhere.example"
        )


def test_the_context_allows_neither_compression_nor_renegotiation() -> None:
    options = server_context().options
    assert options & ssl.OP_NO_COMPRESSION
    assert options & ssl.OP_NO_RENEGOTIATION


async def test_keys_of_the_server_are_for_its_owner_s_eyes_only(system: System) -> None:
    folder = system.app.settings.data_dir / "tls"
    assert sorted(file.name for file in folder.iterdir()) == ["server_ecdsa.pem", "server_rsa.pem"]
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_server_certificate_is_kept_until_it_is_due_or_the_name_changes(
    system: System, tmp_path: Path
) -> None:
    certificates, folder = system.app.certificates, tmp_path / "tls"

    async def made(names: list[str]) -> list[bytes]:
        return [file.read_bytes() for file in await certificates.server_files(names, folder)]

    first = await made(["localhost"])
    assert await made(["localhost"]) == first
    renamed = await made(["localhost", "192.0.2.1"])
    assert all(new != old for new, old in zip(renamed, first, strict=True))
    system.clock.ahead = timedelta(days=2 * 365 - 29)
    due = await made(["localhost", "192.0.2.1"])
    assert all(new != old for new, old in zip(due, renamed, strict=True))


async def test_a_file_cut_off_by_a_power_failure_is_made_anew(system: System, tmp_path: Path) -> None:
    file = tmp_path / "tls" / "server_rsa.pem"
    file.write_text(file.read_text()[:300])
    await system.app.station_tls.load()
    done = await handshake(
        system, trusting(await system.app.certificates.root_pem(), suites="AES128-GCM-SHA256")
    )
    assert done.cipher()[0] == "AES128-GCM-SHA256"


def own_certificate(folder: Path, kind, name: str) -> tuple[Path, Path, str]:
    now = SystemClock().now()
    root, key = new_root(kind, "own", now), new_key(kind)
    chain, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_text(pem(sign_server(root, key, ["localhost"], now)))
    key_file.write_text(key_pem(key))
    return chain, key_file, root.pem


async def test_the_operator_s_own_certificates_with_both_kinds_of_key(tmp_path: Path) -> None:
    rsa_chain, rsa_key, rsa_root = own_certificate(tmp_path, "rsa", "rsa")
    ec_chain, ec_key, ec_root = own_certificate(tmp_path, "ecdsa", "ec")
    options = {
        "ocpp_tls_hostname": None,
        "ocpp_tls_cert": rsa_chain,
        "ocpp_tls_key": rsa_key,
        "ocpp_tls_ecdsa_cert": ec_chain,
        "ocpp_tls_ecdsa_key": ec_key,
    }
    async with secure_system(tmp_path, **options) as system:
        for suite in MANDATORY_SUITES:
            done = await handshake(system, trusting(rsa_root + ec_root, suites=suite))
            assert done.cipher()[0] == suite
        own_certificate(tmp_path, "ecdsa", "ec")  # renewed by whoever looks after the files
        await system.app.station_tls.load()
        with pytest.raises(ssl.SSLCertVerificationError):
            await handshake(system, trusting(rsa_root + ec_root, suites=MANDATORY_SUITES[0]))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"ocpp_tls_cert": "a.pem"}, "CSMS_OCPP_TLS_CERT and CSMS_OCPP_TLS_KEY go together"),
        (
            {"ocpp_tls_ecdsa_key": "a.key"},
            "CSMS_OCPP_TLS_ECDSA_CERT and CSMS_OCPP_TLS_ECDSA_KEY go together",
        ),
        ({"ocpp_tls_port": 9001}, "CSMS_OCPP_TLS_PORT needs"),
        ({"ocpp_tls_port": 9000, "ocpp_tls_hostname": "x"}, "must differ"),
        ({"ocpp_tls_cert": "a", "ocpp_tls_key": "b", "ocpp_tls_hostname": "x"}, "must be unset"),
    ],
)
def test_settings_that_do_not_fit_together(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Settings(_env_file=None, **given)


@pytest.mark.parametrize("broken", ["ocpp_tls_cert", "ocpp_client_ca"])
async def test_files_that_cannot_be_used_stop_the_start_in_one_line(tmp_path: Path, broken: str) -> None:
    chain, key, _ = own_certificate(tmp_path, "ecdsa", "own")
    (tmp_path / "broken.pem").write_text("hello")
    options = {"ocpp_tls_hostname": None, "ocpp_tls_cert": chain, "ocpp_tls_key": key}
    with pytest.raises(StartupError, match=r"broken\.pem") as refused:
        async with secure_system(tmp_path, **(options | {broken: tmp_path / "broken.pem"})):
            pass
    assert "\n" not in str(refused.value)


def test_only_certificates_can_be_trusted() -> None:
    with pytest.raises(ValueError, match="no certificates"):
        trust(server_context(), "hello")
