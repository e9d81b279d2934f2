"""Tests of proxy.ledger.timestamp."""

from datetime import timedelta

import pytest
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from proxy.clock import utc_now
from proxy.errors import ProofError
from proxy.ledger.timestamp import read_authorities, verify_timestamp
from tests.proxy.stamping import openssl_verifies, stamping_authority

DATA = b"a checkpoint"
TSA = stamping_authority()
OTHER = stamping_authority("Others")


def stamped(data: bytes = DATA) -> tuple[bytes, int | None]:
    """A time-stamp of these bytes, and the nonce it was asked with."""
    request = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
    return TSA.answer(request.as_bytes()), request.nonce


@pytest.fixture(scope="module")
def stamp() -> tuple[bytes, int | None]:
    """One time-stamp for all tests that only read it."""
    return stamped()


def test_a_time_stamp_says_when_and_who(stamp: tuple[bytes, int | None]) -> None:
    """Under the authority's root it verifies, for us and for OpenSSL alike."""
    response, nonce = stamp
    found = verify_timestamp(response, DATA, read_authorities(TSA.ca), nonce=nonce)
    assert found.authority == "CN=Stamps"
    assert abs(found.at - utc_now()) < timedelta(hours=1)
    assert openssl_verifies(TSA, DATA, response)


def test_other_bytes_are_not_stamped(stamp: tuple[bytes, int | None]) -> None:
    """A time-stamp of other bytes is false, for OpenSSL too."""
    with pytest.raises(ProofError, match="does not verify: mismatch") as caught:
        verify_timestamp(stamp[0], b"another", read_authorities(TSA.ca))
    assert caught.value.code == "timestamp"
    assert not openssl_verifies(TSA, b"another", stamp[0])


def test_another_question_s_answer_is_refused(stamp: tuple[bytes, int | None]) -> None:
    """A time-stamp that was not asked for with this nonce is an old one, replayed."""
    with pytest.raises(ProofError, match="nonce"):
        verify_timestamp(stamp[0], DATA, read_authorities(TSA.ca), nonce=(stamp[1] or 0) ^ 1)


def test_a_stranger_s_time_stamp_cannot_be_told(stamp: tuple[bytes, int | None]) -> None:
    """One that none of the authorities given made has a code of its own: it may yet be true."""
    with pytest.raises(ProofError, match="no authority given") as caught:
        verify_timestamp(stamp[0], DATA, read_authorities(OTHER.ca))
    assert caught.value.code == "authority"


def test_a_changed_time_stamp_is_refused(stamp: tuple[bytes, int | None]) -> None:
    """No flipped byte changes what a time-stamp says."""
    response = stamp[0]
    right = verify_timestamp(response, DATA, read_authorities(TSA.ca))
    for place in range(0, len(response), 97):
        changed = bytearray(response)
        changed[place] ^= 1
        try:
            found = verify_timestamp(bytes(changed), DATA, read_authorities(TSA.ca))
        except ProofError:
            continue
        # Some bytes change nothing that is said, such as those of an unused certificate.
        assert found == right


@pytest.mark.parametrize("response", [b"", b"junk", b"\x30\x03\x02\x01\x00"])
def test_other_bytes_are_no_time_stamp(response: bytes) -> None:
    """What is not a response in DER, or a granted one, is refused."""
    with pytest.raises(ProofError) as caught:
        verify_timestamp(response, DATA, read_authorities(TSA.ca))
    assert caught.value.code == "timestamp"


def test_a_refusal_says_why() -> None:
    """What the authority answered to a broken request is in the message."""
    with pytest.raises(ProofError, match="gave no time-stamp: Bad request format"):
        verify_timestamp(TSA.answer(b"junk"), DATA, read_authorities(TSA.ca))


def test_intermediates_may_stand_beside_the_root(stamp: tuple[bytes, int | None]) -> None:
    """Further certificates in the file do no harm, and are no roots."""
    both = TSA.ca + (TSA.folder / "tsa.pem").read_bytes()
    assert verify_timestamp(stamp[0], DATA, read_authorities(both)).authority == "CN=Stamps"


def test_a_file_without_a_root_is_no_authority() -> None:
    """Neither text nor the certificate that signs is a root."""
    for pem in (b"", b"text", (TSA.folder / "tsa.pem").read_bytes()):
        with pytest.raises(ProofError) as caught:
            read_authorities(pem)
        assert caught.value.code == "authority"
