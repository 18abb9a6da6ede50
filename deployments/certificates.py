"""The certificate with which a server's own processes authenticate each other."""

from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_ADDRESSES = ("127.0.0.1", "::1")
_HOST = "localhost"
# Valid at any date, so that a server starts with a wrong clock. This end stands for no
# expiry date (RFC 5280, 4.1.2.5).
_SINCE = datetime(2000, 1, 1, tzinfo=UTC)
_UNTIL = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def environment(directory: Path) -> dict[str, str]:
    """Return variables that have Ray use mutual TLS between its own processes.

    The certificate is new, for loopback, and the only one that either side accepts. It
    is written with its key to `directory`, which must be private to this user.
    """
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    for path, content in zip((certificate, key), _made(), strict=True):
        path.write_bytes(content)
    return {
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_CERT": str(certificate),
        "RAY_TLS_SERVER_KEY": str(key),
        # With this set Ray asks clients for a certificate as well (mutual TLS).
        "RAY_TLS_CA_CERT": str(certificate),
    }


def _made() -> tuple[bytes, bytes]:
    """Return a new self-signed certificate and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stemserve")])
    addresses = [x509.IPAddress(ip_address(one)) for one in _ADDRESSES]
    hosts = x509.SubjectAlternativeName([x509.DNSName(_HOST), *addresses])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_SINCE)
        .not_valid_after(_UNTIL)
        .add_extension(hosts, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return certificate.public_bytes(pem), key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
