"""Keys, certificate requests and certificates as a station or its maker has them."""

from __future__ import annotations

import ssl
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.ocsp import OCSPRequestBuilder
from cryptography.x509.oid import NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}


def basic(user: str, password: bytes) -> str:
    return "Basic " + b64encode(user.encode() + b":" + password).decode()


def rsa_key() -> Key:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def ec_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def certificate_request(key: Key, common_name: str) -> str:
    """A PEM as SignCertificate carries it."""
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(common_name))
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def self_signed(key: Key, common_name: str) -> x509.Certificate:
    """A root certificate, or one that signs firmware."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(_name(common_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def hash_data(root: x509.Certificate, algorithm: str = "SHA256") -> dict[str, str]:
    """certificateHashData of a root, reckoned by the OCSP builder (RFC 6960)."""
    request = OCSPRequestBuilder().add_certificate(root, root, HASHES[algorithm]).build()
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": request.issuer_name_hash.hex(),
        "issuerKeyHash": request.issuer_key_hash.hex(),
        "serialNumber": f"{root.serial_number:x}",
    }


def common_name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def station_tls(
    authority_pem: str, folder: Path, chain_pem: str | None = None, key: Key | None = None
) -> ssl.SSLContext:
    """Trusts the server's authority; shows its certificate, if it has one."""
    context = ssl.create_default_context(cadata=authority_pem)
    if chain_pem is not None and key is not None:
        chain, private = folder / "chain.pem", folder / "key.pem"
        chain.write_text(chain_pem)
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context.load_cert_chain(chain, private)
    return context


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Sonnenweg Charging"),
        ]
    )
