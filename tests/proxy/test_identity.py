"""Tests of proxy.identity."""

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import IdentityError, ProxyError, SettingsError
from proxy.exchange import Headers
from proxy.identity import (
    AuthStyle,
    CallerError,
    Credential,
    checked_client_key,
    digest_of,
    identify_tunnel,
    key_id_of,
    load_custody,
    make_client_key,
)
from proxy.secret import Secret
from proxy.settings import parse_settings
from tests.proxy.callers import (
    CUSTODY,
    FINGERPRINT_KEY,
    OTHER,
    OURS,
    REVOKED,
    STRANGE,
    Ring,
    basic,
    who,
)


def test_a_client_key_is_ib_and_43_characters() -> None:
    """A key is made of 32 random bytes, and only its digest is kept."""
    assert OURS.startswith("ib_")
    assert len(OURS) == 46
    assert checked_client_key(OURS).reveal() == OURS
    digest = digest_of(Secret(OURS))
    assert digest == hashlib.sha256(OURS.encode()).hexdigest()
    assert key_id_of(digest) == f"key:{digest[:12]}"
    with pytest.raises(ValueError, match="32 random bytes"):
        make_client_key(b"short")


@pytest.mark.parametrize(
    "header",
    [
        ("Proxy-Authorization", basic(OURS)),
        ("proxy-authorization", basic("anyone", OURS)),
        ("Proxy-Authorization", f"Bearer {OURS}"),
        ("X-Inbond-Key", OURS),
    ],
)
def test_a_passing_client_is_known_by_its_own_header(header: tuple[str, str]) -> None:
    """Without custody the key stands in `Proxy-Authorization` or `x-inbond-key`."""
    caller = who(header, ("Authorization", "Bearer sk-theirs"))
    assert (caller.key, caller.project, caller.student) == ("key:ours", "p", "s")
    assert caller.is_pass_through


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", f"Bearer {OURS}"),
        ("authorization", f"bearer {OURS}"),
        ("X-Api-Key", OURS),
        ("Authorization", basic(OURS)),
    ],
)
def test_under_custody_the_providers_header_will_do(header: tuple[str, str]) -> None:
    """Under custody a key of ours may stand where the provider's key belongs."""
    caller = who(header, custody=CUSTODY)
    assert (caller.key, caller.account_id) == ("key:ours", "main")
    assert not caller.is_pass_through


def test_the_order_of_reading_is_fixed() -> None:
    """`Proxy-Authorization`, else the CONNECT, else `x-inbond-key`, else the provider's header."""
    tunnel = digest_of(Secret(OTHER))
    proxy = ("Proxy-Authorization", basic(OURS))
    named = ("x-inbond-key", OURS)
    provider = ("authorization", f"Bearer {OURS}")
    assert who(proxy, ("x-inbond-key", OTHER), tunnel=tunnel).key == "key:ours"
    assert who(named, tunnel=tunnel).key == "key:other"
    assert who(("x-inbond-key", OTHER), provider, custody=CUSTODY).key == "key:other"
    assert who(provider, custody=CUSTODY).key == "key:ours"


def test_a_tunnel_gives_the_key_once() -> None:
    """What a CONNECT says counts inside its tunnel; a CONNECT may say nothing."""
    assert identify_tunnel((("Proxy-Authorization", basic(OURS)),), Ring()) == digest_of(
        Secret(OURS)
    )
    assert identify_tunnel((("Host", "x"),), Ring()) is None


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ((), 401, "no-client-key"),
        ((("authorization", "Bearer sk-theirs"),), 401, "no-client-key"),
        ((("x-inbond-key", STRANGE),), 401, "unknown-key"),
        ((("x-inbond-key", REVOKED),), 401, "revoked-key"),
        ((("x-inbond-key", "ib_short"),), 401, "bad-key"),
        ((("x-inbond-key", "sk-theirs"),), 401, "bad-key"),
        ((("x-inbond-key", OURS), ("X-Inbond-Key", OURS)), 401, "two-keys"),
        ((("proxy-authorization", basic(STRANGE)),), 407, "unknown-key"),
        ((("proxy-authorization", basic(REVOKED)),), 407, "revoked-key"),
        ((("proxy-authorization", basic("me", "pass")),), 407, "bad-key"),
        ((("proxy-authorization", "Basic %%%"),), 407, "bad-key"),
        ((("proxy-authorization", basic("ib_short")),), 407, "bad-key"),
        ((("proxy-authorization", ""),), 407, "bad-key"),
        ((("proxy-authorization", basic(OURS)),) * 2, 407, "two-keys"),
        ((("authorization", f"Bearer {OURS}"),), 401, "no-custody"),
        ((("x-inbond-key", OURS), ("x-api-key", OTHER)), 401, "no-custody"),
        ((("proxy-authorization", basic(OURS)), ("api-key", OTHER)), 401, "no-custody"),
    ],
)
def test_nobody_else_gets_in(headers: Headers, status: int, code: str) -> None:
    """A call without a usable key is refused with 401, or 407 where the proxy was told it."""
    with pytest.raises(CallerError) as caught:
        who(*headers)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert caught.value.help


def test_a_tunnel_is_refused_with_407() -> None:
    """A CONNECT with a key that does not count is refused before any TLS."""
    for key in (STRANGE, REVOKED, "ib_short"):
        with pytest.raises(CallerError) as caught:
            identify_tunnel((("Proxy-Authorization", basic(key)),), Ring())
        assert caught.value.status == 407


def test_a_key_revoked_after_the_tunnel_opened_no_longer_counts() -> None:
    """A tunnel is not a pass for ever: the key is looked up for each call."""
    with pytest.raises(CallerError) as caught:
        who(tunnel=digest_of(Secret(REVOKED)))
    assert (caught.value.status, caught.value.code) == (401, "revoked-key")


@pytest.mark.parametrize("auth", ["bearer", "x-api-key"])
def test_the_account_of_a_passed_through_key_is_its_fingerprint(auth: AuthStyle) -> None:
    """Of the client's own key only a keyed fingerprint is kept, and it is stable."""
    named = ("x-inbond-key", OURS)
    own = {"bearer": ("Authorization", "Bearer sk-1"), "x-api-key": ("x-api-key", "sk-1")}[auth]
    decoy = {"bearer": ("x-api-key", "sk-2"), "x-api-key": ("Authorization", "sk-2")}[auth]
    expected = hmac.new(FINGERPRINT_KEY, b"sk-1", hashlib.sha256).hexdigest()[:16]
    assert who(named, decoy, own, auth=auth).account_id == expected
    assert who(named, auth=auth).account_id is None


NAMES = st.sampled_from(
    ["Authorization", "x-api-key", "X-Inbond-Key", "Proxy-Authorization", "api-key", "Accept"]
)
VALUES = st.sampled_from(
    [OURS, OTHER, f"Bearer {OURS}", basic(OURS), basic("u", OTHER), "sk-x", ""]
)


@given(st.lists(st.tuples(NAMES, VALUES | st.text(max_size=20)), max_size=4))
def test_any_headers_give_a_caller_or_a_refusal(headers: list[tuple[str, str]]) -> None:
    """Whatever is sent, somebody is known or refused, and no refusal repeats what was sent."""
    try:
        who(*headers)
        shown = ""
    except CallerError as error:
        shown = f"{error!r} {error} {error.help} {error.where}"
    assert OURS not in shown
    assert OTHER not in shown


def custody_of(directory: Path, entry: str, environ: Mapping[str, str]) -> Mapping[str, Credential]:
    """The custody of a workspace whose only entry is this."""
    text = f"inbond: 1\norganisation: A\ncustody:\n  openai: {{account: main, {entry}}}\n"
    return load_custody(parse_settings(text, directory, {}), environ)


def test_a_key_comes_from_a_variable_or_a_file(tmp_path: Path) -> None:
    """The provider's key is what the variable or the file holds, without blanks around it."""
    (tmp_path / "key").write_text("sk-from-file\n")
    (tmp_path / "key").chmod(0o600)
    by_variable = custody_of(tmp_path, "env: REAL", {"REAL": " sk-from-env "})["openai"]
    by_file = custody_of(tmp_path, "file: ./key", {})["openai"]
    assert (by_variable.account, by_variable.secret.reveal()) == ("main", "sk-from-env")
    assert by_file.secret.reveal() == "sk-from-file"
    assert "sk-from" not in repr((by_variable, by_file))


@pytest.mark.parametrize(
    ("entry", "environ", "names"),
    [
        ("env: REAL", {}, "REAL"),
        ("env: REAL", {"REAL": ""}, "REAL"),
        ("env: REAL", {"REAL": "canary with blanks"}, "REAL"),
        ("env: REAL", {"REAL": "canary\r\nX-Injected: 1"}, "REAL"),
        ("env: REAL", {"REAL": "ib_canary"}, "REAL"),
        ("file: ./open", {}, "open"),
        ("file: ./empty", {}, "empty"),
        ("file: ./absent", {}, "absent"),
        ("file: ./binary", {}, "binary"),
    ],
)
def test_an_unusable_key_is_named_and_not_shown(
    tmp_path: Path, entry: str, environ: dict[str, str], names: str
) -> None:
    """What is wrong with a provider's key names its variable or file, never the value."""
    for name, content in {"open": b"canary", "empty": b"", "binary": b"canary\xff\x00"}.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o644 if name == "open" else 0o600)
    with pytest.raises((IdentityError, SettingsError)) as caught:
        custody_of(tmp_path, entry, environ)
    assert isinstance(caught.value, ProxyError)
    assert names in caught.value.message
    assert caught.value.help
    assert "canary" not in f"{caught.value!r} {caught.value} {caught.value.help}"


def test_a_caller_does_not_show_its_credential() -> None:
    """The repr of a caller under custody does not hold the provider's key."""
    assert "canary" not in repr(who(("x-inbond-key", OURS), custody=CUSTODY))


@pytest.mark.parametrize("header", ["api-key", "x-goog-api-key", "Authorization"])
def test_every_style_has_its_header(header: str) -> None:
    """Under custody our key stands where the provider's would."""
    style: AuthStyle = {"api-key": "api-key", "x-goog-api-key": "x-goog-api-key"}.get(
        header, "sigv4"
    )  # type: ignore[assignment] # one of the styles
    value = f"Bearer {OURS}" if header == "Authorization" else OURS
    assert who((header, value), custody=CUSTODY, auth=style).key == "key:ours"


def test_a_key_in_googles_query_is_a_key() -> None:
    """Ours is known there under custody; theirs is the account's fingerprint otherwise."""
    assert who(query=f"key={OURS}", custody=CUSTODY, auth="x-goog-api-key").key == "key:ours"
    named = ("x-inbond-key", OURS)
    by_query = who(named, query="key=theirs", auth="x-goog-api-key").account_id
    assert by_query == who(named, ("x-goog-api-key", "theirs"), auth="x-goog-api-key").account_id
    assert who(named, query="key=theirs", auth="bearer").account_id is None


def test_the_account_of_a_signature_is_its_access_key() -> None:
    """Two calls signed with one access key are one account, whatever their signatures."""
    named = ("x-inbond-key", OURS)
    value = "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE12345678/20261124/eu-1/bedrock/aws4_request, SignedHeaders=host, Signature={}"
    accounts = {
        who(named, ("Authorization", value.format(mark)), auth="sigv4").account_id
        for mark in ("aa", "bb")
    }
    assert len(accounts) == 1
    assert accounts != {None}


@pytest.mark.parametrize("is_held", [False, True], ids=["pass-through", "custody"])
def test_a_client_key_may_stand_in_a_signature(*, is_held: bool) -> None:
    """The access key's id of a signature is ours where the proxy holds the real one, and only there."""
    value = f"AWS4-HMAC-SHA256 Credential={OURS}/20261124/eu-1/bedrock/aws4_request, SignedHeaders=host, Signature=aa"
    header = ("Authorization", value)
    if is_held:
        assert who(header, custody=CUSTODY, auth="sigv4").key == "key:ours"
    else:
        with pytest.raises(CallerError) as raised:
            who(header, auth="sigv4")
        assert raised.value.code == "no-custody"
