"""Certificates of the built-in authority: its two roots, the server's, and those signed for stations.

One root has an RSA key and signs RSA keys, the other an ECDSA key and signs such; each also signs the other's
key, so that a station which keeps one root only can check both certificates of the server. Signatures are
SHA256withRSA (PKCS #1 v1.5, never PSS) and SHA256withECDSA. Source: OCPP 1.6 security whitepaper, section 3.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from csms.errors import InvalidInput

KeyKind = Literal["rsa", "ecdsa"]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
KEY_KINDS: tuple[KeyKind, ...] = ("rsa", "ecdsa")
ROOT_LASTS = timedelta(days=20 * 365)
SERVER_LASTS = timedelta(days=2 * 365)
STATION_LASTS = timedelta(days=365)
BACKDATED = timedelta(days=1)  # a station's clock may be slow
LONGEST_CSR = 5500
SHORTEST_RSA_BITS, SHORTEST_EC_BITS = 2048, 224
HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "SHA256": hashes.SHA256,
    "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
}
_PEM = re.compile(
    r"-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----(.+?)-----END (?:NEW )?CERTIFICATE REQUEST-----", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def pem(self) -> str:
        return pem(self.certificate)

    def to_text(self) -> str:
        """Key and certificate, as `authority` reads it."""
        return key_pem(self.key) + self.pem


def authority(text: str) -> Authority:
    """What `to_text` wrote. Checks an RSA key, for up to a second: not for the event loop."""
    key = load_pem_private_key(text.encode(), None)
    assert isinstance(key, PrivateKey)
    return Authority(x509.load_pem_x509_certificate(text.encode()), key)


def new_key(kind: KeyKind) -> PrivateKey:
    """RSA of 2048 bits or ECDSA on P-256. Takes up to a second: not for the event loop."""
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def new_root(kind: KeyKind, name: str, now: datetime) -> Authority:
    """name: distinguishes this installation's roots from others'."""
    key = new_key(kind)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Helianthus {kind.upper()} root {name}")])
    builder = _builder(subject, subject, now, ROOT_LASTS, key.public_key(), key.public_key())
    builder = _as_authority(builder, path_length=1)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def cross_signed(root: Authority, by: Authority, now: datetime) -> x509.Certificate:
    """The root's key and name, signed by the other root."""
    subject, issuer = root.certificate.subject, by.certificate.subject
    lasts = min(root.certificate.not_valid_after_utc, by.certificate.not_valid_after_utc) - now
    builder = _builder(subject, issuer, now, lasts, root.key.public_key(), by.key.public_key())
    return _as_authority(builder, path_length=0).sign(by.key, hashes.SHA256())


def sign_server(root: Authority, key: PrivateKey, names: list[str], now: datetime) -> x509.Certificate:
    """names: host names or addresses, the first is the CN.

    keyEncipherment is for the suites of static RSA that the whitepaper wants.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    public = key.public_key()
    builder = _builder(
        subject, root.certificate.subject, now, SERVER_LASTS, public, root.key.public_key()
    ).add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
    return _as_leaf(builder, public, ExtendedKeyUsageOID.SERVER_AUTH).sign(root.key, hashes.SHA256())


def read_csr(text: str) -> x509.CertificateSigningRequest:
    """A station's request, its own signature and the strength of its key checked.

    Line ends may be CRLF, missing, or spelled as backslash and n. Raises: InvalidInput
    """
    if len(text) > LONGEST_CSR:
        raise InvalidInput("csr", f"{len(text)} characters", f"at most {LONGEST_CSR}")
    found = _PEM.search(text.replace("\\r", "").replace("\\n", "\n"))
    body = "".join(found[1].split()) if found else ""
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    tidy = "\n".join(("-----BEGIN CERTIFICATE REQUEST-----", *lines, "-----END CERTIFICATE REQUEST-----", ""))
    try:
        csr = x509.load_pem_x509_csr(tidy.encode())
        is_signed = csr.is_signature_valid
        public = csr.public_key()
        assert csr.subject is not None  # read now: a wrong one shows here
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as fault:
        raise InvalidInput("csr", text[:80], f"a PKCS #10 request in PEM ({fault})") from None
    if not is_signed:
        raise InvalidInput("csr", text[:80], "a request signed with its own key")
    match public:
        case rsa.RSAPublicKey(key_size=bits) if bits >= SHORTEST_RSA_BITS:
            return csr
        case ec.EllipticCurvePublicKey(key_size=bits) if bits >= SHORTEST_EC_BITS:
            return csr
    bits_given = getattr(public, "key_size", 0)
    wanted = f"an RSA key of {SHORTEST_RSA_BITS} bits or an EC key of {SHORTEST_EC_BITS} bits at least"
    raise InvalidInput("csr", f"{type(public).__name__} of {bits_given} bits", wanted)


def kind_of(csr: x509.CertificateSigningRequest) -> KeyKind:
    return "rsa" if isinstance(csr.public_key(), rsa.RSAPublicKey) else "ecdsa"


def sign_csr(
    root: Authority, csr: x509.CertificateSigningRequest, now: datetime, lasts: timedelta = STATION_LASTS
) -> x509.Certificate:
    """A certificate for a station that `read_csr` has checked; extensions it asks for are left aside."""
    public = csr.public_key()
    assert isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    builder = _builder(csr.subject, root.certificate.subject, now, lasts, public, root.key.public_key())
    return _as_leaf(builder, public, ExtendedKeyUsageOID.CLIENT_AUTH).sign(root.key, hashes.SHA256())


def subject_problem(
    subject: x509.Name,
    identity: str,
    serial_number: str | None,
    cpo_name: str,
    *,
    may_contain_identity: bool = False,
) -> str | None:
    """Why a station may not be called this; None = it may.

    The CN contains its serial number or is its identity; the O is the operator's name, if one is set.
    """
    common_name, name = _attribute(subject, NameOID.COMMON_NAME), identity.casefold()
    given = common_name.casefold()
    is_named = name in given if may_contain_identity else name == given
    if not is_named and not (serial_number and serial_number.casefold() in given):
        return f"the CN {common_name!r} names neither its serial number nor its identity"
    organisation = _attribute(subject, NameOID.ORGANIZATION_NAME)
    if cpo_name and organisation != cpo_name:
        return f"the O is {organisation!r}, not {cpo_name!r}"
    return None


def hash_data(certificate: x509.Certificate, issuer: x509.Certificate, algorithm: str) -> dict[str, str]:
    """OCPP's CertificateHashData of a certificate; a root is its own issuer. Source: RFC 6960, 4.1.1."""
    digest = HASHES[algorithm]
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": _hash(digest, issuer.subject.public_bytes()),
        "issuerKeyHash": _hash(digest, _public_key_bits(issuer)),
        "serialNumber": serial_hex(certificate),
    }


def serial_hex(certificate: x509.Certificate) -> str:
    """As OCPP writes it: hex digits without leading zeros."""
    return f"{certificate.serial_number:x}"


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def key_pem(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    now: datetime,
    lasts: timedelta,
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    issuer_public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public), critical=False)
    )


def _as_authority(builder: x509.CertificateBuilder, path_length: int) -> x509.CertificateBuilder:
    return builder.add_extension(
        x509.BasicConstraints(ca=True, path_length=path_length), critical=True
    ).add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)


def _as_leaf(
    builder: x509.CertificateBuilder,
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    purpose: x509.ObjectIdentifier,
) -> x509.CertificateBuilder:
    usage = _key_usage(digital_signature=True, key_encipherment=isinstance(public, rsa.RSAPublicKey))
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )


def _key_usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _attribute(subject: x509.Name, oid: x509.ObjectIdentifier) -> str:
    found = subject.get_attributes_for_oid(oid)
    return str(found[0].value) if found else ""


def _hash(digest: type[hashes.HashAlgorithm], told: bytes) -> str:
    hasher = hashes.Hash(digest())
    hasher.update(told)
    return hasher.finalize().hex()


def _public_key_bits(certificate: x509.Certificate) -> bytes:
    """The key's BIT STRING without tag, length and count of unused bits."""
    public = certificate.public_key()
    match public:
        case rsa.RSAPublicKey():
            return public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
        case ec.EllipticCurvePublicKey():
            return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)
