"""The built-in authority's certificates, checked by others than ourselves."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from secure_system import csr_for, csr_text

from csms.domain.certificate_authority import (
    HASHES,
    KEY_KINDS,
    Authority,
    KeyKind,
    authority,
    cross_signed,
    hash_data,
    kind_of,
    new_key,
    new_root,
    pem,
    read_csr,
    sign_csr,
    sign_server,
    subject_problem,
)
from csms.errors import InvalidInput

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def roots() -> dict[KeyKind, Authority]:
    return {kind: new_root(kind, "test", NOW) for kind in KEY_KINDS}


def verified(folder: Path, leaf: str, between: str, trusted: str, purpose: str) -> str:
    """What openssl, strictly, says of a chain."""
    for name, text in (("leaf", leaf), ("between", between or trusted), ("trusted", trusted)):
        (folder / name).write_text(text)
    at = str(int((NOW + timedelta(days=1)).timestamp()))
    command = ["openssl", "verify", "-x509_strict", "-attime", at, "-purpose", purpose, "-no-CAfile"]
    command += ["-no-CApath", "-no-CAstore", "-trusted", "trusted", "-untrusted", "between", "leaf"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() + done.stderr.strip()


@pytest.mark.parametrize("kept", KEY_KINDS)
@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_station_with_either_root_alone_can_check_both_server_certificates(
    roots, tmp_path, kind, kept
) -> None:
    other = roots["rsa" if kind == "ecdsa" else "ecdsa"]
    server = sign_server(roots[kind], new_key(kind), ["cs.example.org", "192.0.2.1"], NOW)
    between = pem(cross_signed(roots[kind], other, NOW))
    assert verified(tmp_path, pem(server), between, roots[kept].pem, "sslserver") == "leaf: OK"


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_station_s_certificate_is_for_clients_only(roots, tmp_path, kind) -> None:
    certificate = pem(sign_csr(roots[kind], csr_for(new_key(kind), "CP1"), NOW))
    assert verified(tmp_path, certificate, "", roots[kind].pem, "sslclient") == "leaf: OK"
    assert "unsuitable certificate purpose" in verified(
        tmp_path, certificate, "", roots[kind].pem, "sslserver"
    )


def test_signatures_are_the_ones_stations_understand(roots) -> None:
    """PKCS #1 v1.5, not PSS."""
    certificate = sign_csr(roots["rsa"], csr_for(new_key("rsa"), "CP1"), NOW)
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    assert isinstance(certificate.signature_algorithm_parameters, padding.PKCS1v15)


def test_the_server_is_named_by_host_and_address(roots) -> None:
    server = sign_server(roots["ecdsa"], new_key("ecdsa"), ["cs.example.org", "192.0.2.1"], NOW)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["cs.example.org"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1"]
    assert server.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "cs.example.org"


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_root_is_the_same_when_it_is_read_again(roots, kind) -> None:
    again = authority(roots[kind].to_text())
    assert again.certificate == roots[kind].certificate
    assert again.key.private_numbers() == roots[kind].key.private_numbers()


@pytest.mark.parametrize("kind", KEY_KINDS)
@pytest.mark.parametrize("algorithm", HASHES)
def test_hashes_are_those_of_an_ocsp_request(roots, kind, algorithm) -> None:
    """RFC 6960, computed by cryptography's own builder."""
    leaf = sign_csr(roots[kind], csr_for(new_key("ecdsa"), "CP1"), NOW)
    for certificate in (leaf, roots[kind].certificate):
        request = (
            ocsp.OCSPRequestBuilder()
            .add_certificate(certificate, roots[kind].certificate, HASHES[algorithm]())
            .build()
        )
        assert hash_data(certificate, roots[kind].certificate, algorithm) == {
            "hashAlgorithm": algorithm,
            "issuerNameHash": request.issuer_name_hash.hex(),
            "issuerKeyHash": request.issuer_key_hash.hex(),
            "serialNumber": f"{request.serial_number:x}",
        }


CSR = csr_text(csr_for(ec.generate_private_key(ec.SECP256R1()), "CP1", "Sun Ltd"))


@pytest.mark.parametrize(
    "text",
    [
        CSR,
        CSR.replace("\n", "\r\n"),
        CSR.replace("\n", "\\n"),
        CSR.replace("\n", "\\r\\n"),
        CSR.replace("\n", " "),
        CSR.strip(),
        "\n \n" + CSR + "\n\n",
        "Certificate Request:\n    Data: ...\n" + CSR,
        CSR.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"),
    ],
    ids=[
        "as it should be",
        "CRLF",
        "\\n spelled",
        "\\r\\n spelled",
        "one line",
        "bare",
        "blank",
        "text",
        "NEW",
    ],
)
def test_a_request_in_whatever_lines(text: str) -> None:
    assert csr_text(read_csr(text)) == CSR


def test_keys_that_are_strong_enough() -> None:
    for key in (new_key("rsa"), new_key("ecdsa"), ec.generate_private_key(ec.SECP224R1())):
        csr = read_csr(csr_text(csr_for(key, "CP1")))
        assert kind_of(csr) == ("rsa" if isinstance(key, rsa.RSAPrivateKey) else "ecdsa")


def weak_key() -> str:
    return csr_text(csr_for(rsa.generate_private_key(public_exponent=65537, key_size=1024), "CP1"))


def odd_key() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CP1")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return csr_text(builder.sign(ed25519.Ed25519PrivateKey.generate(), None))


def forged() -> str:
    """The signature of one request under another."""
    der = csr_for(ec.generate_private_key(ec.SECP256R1()), "CP1").public_bytes(Encoding.DER)
    changed = x509.load_der_x509_csr(der.replace(b"CP1", b"CP2"))
    return csr_text(changed)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (weak_key(), "2048 bits"),
        (odd_key(), "RSA key"),
        (forged(), "signed with its own key"),
        ("", "PEM"),
        ("hello", "PEM"),
        (CSR[:-60], "PEM"),
        (CSR[:200] + "AAAA" + CSR[204:], ""),
        (CSR.replace("CERTIFICATE REQUEST", "CERTIFICATE"), "PEM"),
        (CSR + "x" * 5500, "at most 5500"),
    ],
    ids=[
        "RSA 1024",
        "Ed25519",
        "forged",
        "empty",
        "no PEM",
        "cut off",
        "broken",
        "a certificate",
        "too long",
    ],
)
def test_a_request_that_is_refused(text: str, expected: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_csr(text)
    assert expected in str(refused.value)


@given(st.binary(max_size=300))
def test_no_request_is_too_strange(junk: bytes) -> None:
    from base64 import b64encode

    text = "-----BEGIN CERTIFICATE REQUEST-----\n%s\n-----END CERTIFICATE REQUEST-----"
    with pytest.raises(InvalidInput):
        read_csr(text % b64encode(junk).decode())


@given(st.integers(0, len(CSR) - 1), st.characters(max_codepoint=255))
def test_a_request_with_one_character_changed_is_refused_or_the_same(at: int, character: str) -> None:
    try:
        csr = read_csr(CSR[:at] + character + CSR[at + 1 :])
    except InvalidInput:
        return
    assert csr.public_bytes(Encoding.DER) == read_csr(CSR).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("common_name", "organisation", "serial_number", "cpo_name", "in_request", "is_good"),
    [
        ("CP1", None, None, "", False, True),
        ("cp1", None, None, "", False, True),
        ("CP1.example.org", None, None, "", True, True),
        ("CP10", None, None, "", False, False),  # that is another station
        ("Model 7, SN-42", None, "sn-42", "", False, True),
        ("CP2", None, "SN-42", "", True, False),
        ("CP1", "Sun Ltd", None, "Sun Ltd", False, True),
        ("CP1", "Rain Ltd", None, "Sun Ltd", False, False),
        ("CP1", None, None, "Sun Ltd", False, False),
        ("CP1", "Rain Ltd", None, "", False, True),
    ],
)
def test_what_a_station_may_be_called(
    common_name, organisation, serial_number, cpo_name, in_request, is_good
) -> None:
    subject = csr_for(ec.generate_private_key(ec.SECP256R1()), common_name, organisation).subject
    problem = subject_problem(subject, "CP1", serial_number, cpo_name, may_contain_identity=in_request)
    assert (problem is None) == is_good


def test_a_request_without_a_name_is_nobody_s() -> None:
    assert subject_problem(x509.Name([]), "CP1", "", "") is not None
