"""Our own certificate authority: what opens TLS to registered teachers, and only there.

It exists on this machine alone. Whoever holds its key can pose as any host to whoever trusts it, so
its file is the owner's only, and children trust it by environment, never the system's store.
"""

import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from proxy.errors import SettingsError
from proxy.keyfile import read_private, replace_file, write_private

__all__ = ["Authority", "ensure_authority", "write_trust_bundle"]

_PEM_NAME = "mitmproxy-ca.pem"
"""Certificate and key under the name by which mitmproxy finds them in its `confdir`."""
_CERT_NAME = "ca.pem"
_TRUST_NAME = "trust.pem"
_VALID = timedelta(days=730)
_BACKDATED = timedelta(days=2)
"""Clients' clocks may be slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Where the authority lies: `pem` holds key and certificate, `cert` the certificate alone."""

    pem: Path
    cert: Path
    not_after: datetime


def ensure_authority(keys_directory: Path, *, organisation: str, now: datetime) -> Authority:
    """The authority of a workspace, made if there is none yet. Valid for two years.

    Raises:
        SettingsError: the files cannot be read or written, are open to others, or have expired.
    """
    pem = keys_directory / _PEM_NAME
    try:
        if not pem.exists():
            write_private(pem, _make(organisation, now))
        found = _load(pem)
        cert = keys_directory / _CERT_NAME
        replace_file(cert, found.public_bytes(Encoding.PEM))
    except OSError as error:
        raise _unusable(pem, (error.strerror or "unknown reason").lower()) from error
    except ValueError as error:
        raise _unusable(pem, "it is not a certificate with its key") from error
    if found.not_valid_after_utc <= now:
        message = f"inbond's certificate authority expired on {found.not_valid_after_utc:%Y-%m-%d}"
        fix = f"move `{pem}` away and start again: a new one is made, which clients must then trust"
        raise SettingsError(message, help=fix, where=str(pem), code="authority-expired")
    return Authority(pem=pem, cert=cert, not_after=found.not_valid_after_utc)


def write_trust_bundle(authority: Authority, also: Path | None = None) -> Path:
    """A file of the public roots, of `also` (what `SSL_CERT_FILE` named so far), and of ours.

    Raises:
        SettingsError: `also` cannot be read as certificates, or the file cannot be written.
    """
    target = authority.cert.with_name(_TRUST_NAME)
    sources = [Path(certifi.where()), authority.cert]
    if also is not None and also != target:
        _check_certificates(also)
        sources.insert(1, also)
    try:
        text = b"\n".join(source.read_bytes().strip() for source in sources) + b"\n"
        replace_file(target, text)
    except OSError as error:
        raise _unusable(target, (error.strerror or "unknown reason").lower()) from error
    return target


def _make(organisation: str, now: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    # ub-organization-name is 64 (RFC 5280, appendix A.1).
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "inbond interception CA"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation[:64]),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return secret + certificate.public_bytes(Encoding.PEM)


def _load(pem: Path) -> x509.Certificate:
    content = read_private(pem, "the key of our certificate authority")
    key = load_pem_private_key(content, None)
    certificate = x509.load_pem_x509_certificate(content)
    if key.public_key() != certificate.public_key():
        message = "key and certificate differ"
        raise ValueError(message)
    return certificate


def _check_certificates(path: Path) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        message = f"`{path}`, which `SSL_CERT_FILE` names, cannot be read as certificates"
        fix = "mend the variable, or unset it"
        raise SettingsError(message, help=fix, where=str(path), code="bad-certificates") from error


def _unusable(path: Path, reason: str) -> SettingsError:
    message = f"inbond's certificate authority cannot be used: {reason}"
    fix = "restore the file from a backup, or move it away so that a new one is made"
    return SettingsError(message, help=fix, where=str(path), code="authority")
