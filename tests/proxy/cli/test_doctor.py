"""Tests of proxy.cli.doctor."""

import json
from pathlib import Path

import pytest

from proxy.authority import ensure_authority, write_trust_bundle
from proxy.cli.doctor import Check, checks
from proxy.cli.env import Trust, Via, variables
from proxy.clock import utc_now
from proxy.identity import make_client_key
from proxy.settings import Address
from tests.proxy.cli.conftest import Inbond

KEY = make_client_key(b"k" * 32)
ADDRESS = Address(host="127.0.0.1", port=8484)


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """An authority with its bundle."""
    keys = tmp_path_factory.mktemp("keys")
    keys.chmod(0o700)
    authority = ensure_authority(keys, organisation="Acme", now=utc_now())
    return Trust(bundle=write_trust_bundle(authority, None), authority=authority.cert)


def _found(trust: Trust, **changed: str | None) -> dict[str, Check]:
    environ = {**variables(ADDRESS, Via.PROXY, KEY, trust), **changed}
    given = {name: value for name, value in environ.items() if value is not None}
    return {check.what: check for check in checks(given, str(ADDRESS), trust.authority)}


def test_what_env_prints_is_fine(trust: Trust) -> None:
    """The variables of `inbond env` pass every check."""
    assert {check.outcome for check in _found(trust).values()} == {"ok"}


@pytest.mark.parametrize(
    ("changed", "what", "outcome"),
    [
        ({"https_proxy": "http://other:1"}, "HTTPS_PROXY and https_proxy", "differ"),
        ({"HTTPS_PROXY": None, "https_proxy": None}, "HTTPS_PROXY", "no-proxy"),
        ({"https_proxy": "http://u:secret@other:1"}, "HTTPS_PROXY", "another-proxy"),
        ({"no_proxy": "*"}, "NO_PROXY", "swallows"),
        ({"NO_PROXY": "localhost, .openai.com"}, "NO_PROXY", "swallows"),
        ({"NO_PROXY": "api.anthropic.com"}, "NO_PROXY", "swallows"),
        ({"SSL_CERT_FILE": None}, "SSL_CERT_FILE", "not-set"),
        ({"SSL_CERT_FILE": "/no/such.pem"}, "SSL_CERT_FILE", "unreadable"),
    ],
)
def test_what_leads_around_is_found(
    trust: Trust, changed: dict[str, str | None], what: str, outcome: str
) -> None:
    """Each wrong variable is a finding with a fix, and no secret is repeated."""
    check = _found(trust, **changed)[what]
    assert (check.outcome, check.is_finding, bool(check.fix)) == (outcome, True, True)
    assert "secret" not in check.detail


def test_an_exception_for_another_name_is_no_finding(trust: Trust) -> None:
    """What only looks like a teacher's name is left alone."""
    found = _found(trust, NO_PROXY="notopenai.com,internal.example")
    assert found["NO_PROXY"].outcome == "ok"


def test_a_bundle_without_ours_is_found(trust: Trust, tmp_path: Path) -> None:
    """A bundle of other roots, and a file that is no bundle, do not vouch for us."""
    other = tmp_path / "other.pem"
    bundle = trust.bundle.read_text()
    other.write_text(bundle.replace(trust.authority.read_text().strip(), ""))
    assert _found(trust, AWS_CA_BUNDLE=str(other))["AWS_CA_BUNDLE"].outcome == "without-ours"
    other.write_text("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
    found = _found(trust, AWS_CA_BUNDLE=str(other))["AWS_CA_BUNDLE"]
    assert found.outcome in {"unreadable", "without-ours"}


def test_without_a_proxy_it_says_how_to_start_one(inbond: Inbond) -> None:
    """Nothing is probed where nothing listens."""
    result = inbond("doctor", "--json", env={"INBOND_LISTEN": "127.0.0.1:9"})
    assert (result.exit_code, json.loads(result.stderr)["code"]) == (1, "not-running")
