"""Time-stamps: an authority's word that bytes existed at a time (RFC 3161), verified offline."""

from dataclasses import dataclass
from datetime import datetime

from cryptography.x509 import Certificate, load_der_x509_certificate, load_pem_x509_certificates
from rfc3161_client import (
    PKIStatus,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from proxy.errors import ProofError

__all__ = ["Authorities", "Timestamp", "read_authorities", "verify_timestamp"]

type Authorities = tuple[Certificate, ...]
"""Certificates of time-stamping authorities, roots and those below them."""

_UNTRUSTED = "Error while verifying certificates"
"""How the library begins to say that a signature leads to none of the roots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp:
    """What a time-stamp says: when, and who."""

    at: datetime
    authority: str
    """The subject of the certificate that signed (RFC 4514)."""


def read_authorities(pem: bytes) -> Authorities:
    """The certificates of a PEM file: roots, and those between them and who signs time-stamps.

    Raises:
        ProofError: there is none, or no root among them.
    """
    try:
        found = tuple(load_pem_x509_certificates(pem))
    except ValueError as error:
        raise _bad_authority("the text holds no certificate") from error
    if not any(map(_is_root, found)):
        raise _bad_authority("no certificate is a root, signed by itself")
    return found


def verify_timestamp(
    response: bytes, data: bytes, authorities: Authorities, *, nonce: int | None = None
) -> Timestamp:
    """When the authority saw these bytes; `nonce` is that of the request, where it is known.

    Certificates count as of the time that is stamped: one that expired since proves as before.

    Raises:
        ProofError: it is no time-stamp or is of other bytes (`timestamp`), or none of these
            authorities made it (`authority`).
    """
    answer = _decoded(response)
    if answer.status not in (PKIStatus.GRANTED, PKIStatus.GRANTED_WITH_MODS):
        said = "; ".join(answer.status_string) or f"status {answer.status}"
        raise _bad_stamp(f"the authority gave no time-stamp: {said}")
    verifier = VerifierBuilder(
        roots=[each for each in authorities if _is_root(each)],
        intermediates=[each for each in authorities if not _is_root(each)],
        nonce=nonce,
    ).build()
    try:
        verifier.verify_message(answer, data)
        return Timestamp(at=answer.tst_info.gen_time, authority=_authority(answer))
    except (VerificationError, ValueError) as error:
        reason = str(error)
        if reason.startswith(_UNTRUSTED):
            raise _bad_stamp("no authority given made this time-stamp", "authority") from error
        raise _bad_stamp(f"the time-stamp does not verify: {reason.lower()}") from error


def _decoded(response: bytes) -> TimeStampResponse:
    try:
        return decode_timestamp_response(response)
    except ValueError as error:
        raise _bad_stamp("this is no time-stamp of RFC 3161 in DER") from error


def _authority(answer: TimeStampResponse) -> str:
    (signer,) = answer.signed_data.signer_infos
    names = {
        (each.issuer.rfc4514_string(), each.serial_number): each.subject.rfc4514_string()
        for each in map(load_der_x509_certificate, answer.signed_data.certificates)
    }
    return names.get((signer.issuer.rfc4514_string(), signer.serial_number), "no certificate")


def _is_root(certificate: Certificate) -> bool:
    return certificate.issuer == certificate.subject


def _bad_authority(message: str) -> ProofError:
    return ProofError(
        message,
        help="give the authority's root, and what stands between, as one PEM file",
        code="authority",
    )


def _bad_stamp(message: str, code: str = "timestamp") -> ProofError:
    return ProofError(
        message,
        help="give the certificates of the authority that made it, and ask who changed it",
        code=code,
    )
