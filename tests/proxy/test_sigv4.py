"""Signatures of AWS: the same as Amazon's own library makes, for any request."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
import time_machine
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import IdentityError
from proxy.secret import Secret
from proxy.sigv4 import AwsKey, aws_key, signed

AT = datetime(2026, 11, 24, 12, 30, 5, tzinfo=UTC)
KEY = AwsKey("AKIAEXAMPLE", Secret("c2VjcmV0/+x"))
SESSION = AwsKey("ASIAEXAMPLE", Secret("c2VjcmV0/+x"), Secret("dG9rZW4="))
HOST = "bedrock-runtime.eu-central-1.amazonaws.com"


def theirs(target: str, body: bytes, key: AwsKey, headers: dict[str, str]) -> dict[str, str]:
    """The headers that botocore signs this request with."""
    request = AWSRequest("POST", f"https://{HOST}{target}", headers=headers, data=body)
    token = key.token.reveal() if key.token else None
    with time_machine.travel(AT, tick=False):
        SigV4Auth(
            Credentials(key.id, key.secret.reveal(), token), "bedrock", "eu-central-1"
        ).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def ours(target: str, body: bytes, key: AwsKey, headers: dict[str, str]) -> dict[str, str]:
    """The headers that we sign it with."""
    given_headers = (("Host", HOST), *headers.items())
    made = signed(
        given_headers,
        method="POST",
        target=target,
        body=body,
        key=key,
        region="eu-central-1",
        at=AT,
    )
    return {name.lower(): value for name, value in made}


_SEGMENT = (
    st.text("abcXYZ019-_.~:+ ü", min_size=1, max_size=12)
    .filter(lambda text: text not in {".", ".."})  # such a path is refused before it is signed
    .map(lambda text: quote(text, safe=""))
)


@given(
    segments=st.lists(_SEGMENT, min_size=1, max_size=4),
    pairs=st.lists(st.tuples(_SEGMENT, _SEGMENT), max_size=3),
    body=st.binary(max_size=40),
    key=st.sampled_from([KEY, SESSION]),
)
def test_signatures_are_amazons(
    segments: list[str], pairs: list[tuple[str, str]], body: bytes, key: AwsKey
) -> None:
    """Path, query, body, session: every part goes into the signature as Amazon's library puts it."""
    query = "&".join(f"{name}={value}" for name, value in pairs)
    target = "/" + "/".join(segments) + (f"?{query}" if query else "")
    headers = {"Content-Type": "application/json", "X-Amz-Content-SHA256": _digest(body)}
    if key.token:
        headers["X-Amz-Security-Token"] = key.token.reveal()
    wanted = theirs(target, body, key, headers)
    assert (
        ours(target, body, key, {"Content-Type": "application/json"})["authorization"]
        == (wanted["authorization"])
    )


def _digest(body: bytes) -> str:
    import hashlib

    return hashlib.sha256(body).hexdigest()


def test_the_clients_signature_is_replaced() -> None:
    """No trace of the client's own key or session goes on."""
    sent = ours(
        "/model/m/converse", b"{}", KEY, {"Authorization": "old", "X-Amz-Security-Token": "t"}
    )
    assert "old" not in sent["authorization"]
    assert "x-amz-security-token" not in sent


@pytest.mark.parametrize("text", ["AKIAX", "AKIAX:", "ASIAX:s:t:u"])
def test_half_a_key_is_refused(text: str) -> None:
    """What begins like an access key must be one; the message does not repeat it."""
    with pytest.raises(IdentityError) as caught:
        aws_key(Secret(text))
    assert text not in str(caught.value)


def test_keys_are_told_apart() -> None:
    """An access key, a session's, and a bearer key of Bedrock, which is none."""
    key = aws_key(Secret("AKIAX:s"))
    session = aws_key(Secret("ASIAX:s:t"))
    assert key is not None
    assert session is not None
    assert (key.id, key.token, session.token is not None) == ("AKIAX", None, True)
    assert aws_key(Secret("ABSK-bearer")) is None
