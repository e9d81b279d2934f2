"""Tests of proxy.redaction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.redaction import CREDENTIAL_NAMES, redact_fields, redact_text
from proxy.secret import Secret

CANARY = "canary-9a41"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"proxy-authorization=Basic {CANARY}",
        f"x-api-key: {CANARY}\r\nhost: h",
        f"{{'x-api-key': '{CANARY}'}}",
        f"[(b'X-Goog-Api-Key', b'{CANARY}')]",
        f'{{"api-key":"{CANARY}"}}',
        f"Cookie: session={CANARY}; other=1",
        f"Set-Cookie: {CANARY}",
        f"x-inbond-key: {CANARY}",
        f"GET /v1?key={CANARY}&alt=sse",
        f"https://h/p?a=1&api_key={CANARY}",
        f"https://h/p?access_token={CANARY}",
        f"http://user:{CANARY}@127.0.0.1:8484",
        f"the key ib_{CANARY} is unknown",
        f"sk-{CANARY}-more",
        f"got bearer {CANARY}",
        f"-----BEGIN EC PRIVATE KEY-----\n{CANARY}\n-----END EC PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}",
    ],
)
def test_running_text_is_redacted(text: str) -> None:
    """What looks like a credential in running text is not logged."""
    assert CANARY not in redact_text(text)
    assert "[redacted]" in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "no client key is given",
        "give `--key`, or set INBOND_KEY",
        "GET /v1/chat/completions?api-version=2026-01-01",
        "the client key `key:0123456789ab` was revoked",
        "basic auth is not used here",
    ],
)
def test_other_text_stays(text: str) -> None:
    """What is no credential is logged as it is."""
    assert redact_text(text) == text


@given(st.text(max_size=80))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    """What redaction leaves is not redacted again."""
    once = redact_text(text)
    assert redact_text(once) == once


@pytest.mark.parametrize("name", sorted(CREDENTIAL_NAMES))
def test_a_field_of_a_credential_is_redacted(name: str) -> None:
    """A field, a mapping's key and a header pair with the name of a credential lose their value."""
    event: dict[str, object] = {
        name.upper().replace("-", "_"): CANARY,
        "map": {name: CANARY, "deep": [{name.title(): [CANARY]}]},
        "pairs": ((name, CANARY), (name.title().encode(), CANARY.encode())),
        "list": [name, CANARY],
    }
    assert CANARY not in str(redact_fields(event))


def test_values_keep_their_kind() -> None:
    """Numbers stay numbers, bytes become their size, a secret stays hidden, depth is bounded."""
    deep: list[object] = []
    for _ in range(40):
        deep = [deep]
    event: dict[str, object] = {
        "n": 1, "x": 1.5, "yes": True, "none": None, "body": b"12345", "set": {3},
        "secret": "s", "held": Secret(CANARY), "deep": deep, "pair": ("a", 1),
    }  # fmt: skip
    clean = redact_fields(event)
    assert (clean["n"], clean["x"], clean["yes"], clean["none"]) == (1, 1.5, True, None)
    assert (clean["body"], clean["set"], clean["pair"]) == ("<5 bytes>", [3], ["a", 1])
    assert CANARY not in str(clean)
    assert "…" in str(clean["deep"])
