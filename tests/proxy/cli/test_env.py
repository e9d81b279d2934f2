"""Tests of proxy.cli.env."""

import json
import shlex
from pathlib import Path

import pytest

from proxy.cli.clients import SDK_KEYS
from proxy.cli.env import Shell, Trust, Via, assignment, child_environment, client_key, variables
from proxy.errors import IdentityError
from proxy.identity import make_client_key
from proxy.settings import Address
from tests.proxy.cli.conftest import Inbond

KEY = make_client_key(b"k" * 32)
ADDRESS = Address(host="127.0.0.1", port=8484)
TRUST = Trust(bundle=Path("/w/keys/trust.pem"), authority=Path("/w/keys/ca.pem"))
PROXY_URL = f"http://{KEY.reveal()}:inbond@127.0.0.1:8484"


def test_proxy_mode_sets_what_every_client_reads() -> None:
    """Proxy mode gives the proxy, the exceptions and the certificates, and no base URL."""
    assert variables(ADDRESS, Via.PROXY, KEY, TRUST) == {
        "HTTPS_PROXY": PROXY_URL,
        "HTTP_PROXY": PROXY_URL,
        "https_proxy": PROXY_URL,
        "http_proxy": PROXY_URL,
        "NO_PROXY": "localhost,127.0.0.1,::1",
        "no_proxy": "localhost,127.0.0.1,::1",
        "SSL_CERT_FILE": "/w/keys/trust.pem",
        "REQUESTS_CA_BUNDLE": "/w/keys/trust.pem",
        "AWS_CA_BUNDLE": "/w/keys/trust.pem",
        "CURL_CA_BUNDLE": "/w/keys/trust.pem",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": "/w/keys/trust.pem",
        "NODE_EXTRA_CA_CERTS": "/w/keys/ca.pem",
        "NODE_USE_ENV_PROXY": "1",
    }


def test_base_url_mode_sets_what_the_sdks_read() -> None:
    """Base-URL mode gives base URLs and the client key as the SDKs' keys, and no proxy."""
    assert variables(ADDRESS, Via.BASE_URL, KEY, TRUST) == {
        "OPENAI_BASE_URL": "http://127.0.0.1:8484/openai/v1",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:8484/anthropic",
        "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:8484/google-gemini-api",
        "CO_API_URL": "http://127.0.0.1:8484/cohere",
        "GROQ_BASE_URL": "http://127.0.0.1:8484/groq",
        "TOGETHER_BASE_URL": "http://127.0.0.1:8484/together/v1",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:8484/aws-bedrock",
        "OPENAI_API_KEY": KEY.reveal(),
        "ANTHROPIC_API_KEY": KEY.reveal(),
        "GOOGLE_API_KEY": KEY.reveal(),
        "CO_API_KEY": KEY.reveal(),
        "GROQ_API_KEY": KEY.reveal(),
        "TOGETHER_API_KEY": KEY.reveal(),
    }


@pytest.mark.parametrize(
    ("first", "second"), [(Via.PROXY, Via.BASE_URL), (Via.BASE_URL, Via.PROXY)]
)
def test_a_child_has_one_mode_never_both(first: Via, second: Via) -> None:
    """A child started in one mode from a parent in the other has nothing of the other's left."""
    outer = child_environment({"PATH": "/bin"}, ADDRESS, first, KEY, TRUST)
    inner = child_environment(outer, ADDRESS, second, KEY, TRUST)
    of_second = variables(ADDRESS, second, KEY, TRUST)
    keys = set(SDK_KEYS) if second is Via.PROXY else set()
    assert set(inner) - keys == {"PATH", *of_second}


def test_what_the_user_set_for_other_ends_stays() -> None:
    """Another host's base URL goes through the proxy; another certificate bundle hurts no base URL."""
    urls = {"OPENAI_BASE_URL": "https://teacher.example/v1", "ANTHROPIC_BASE_URL": "http://[bad"}
    by_proxy = child_environment(urls, ADDRESS, Via.PROXY, KEY, TRUST)
    assert {name: by_proxy[name] for name in urls} == urls
    bundle = {"SSL_CERT_FILE": "/etc/corporate.pem"}
    by_url = child_environment(bundle, ADDRESS, Via.BASE_URL, KEY, TRUST)
    assert by_url["SSL_CERT_FILE"] == "/etc/corporate.pem"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_our_own_base_url_is_known_by_any_name(host: str) -> None:
    """A base URL that leads to this proxy, however spelled, is no base URL of the user's."""
    before = {"OPENAI_BASE_URL": f"http://{host}:8484/openai/v1"}
    assert "OPENAI_BASE_URL" not in child_environment(before, ADDRESS, Via.PROXY, KEY, TRUST)


def test_other_proxies_and_second_keys_go() -> None:
    """What would lead around this proxy, or beside our key, is taken away."""
    before = {"ALL_PROXY": "socks5://x", "all_proxy": "socks5://x", "no_proxy": "*"}
    by_proxy = child_environment(before, ADDRESS, Via.PROXY, KEY, TRUST)
    assert not {"ALL_PROXY", "all_proxy"} & set(by_proxy)
    assert by_proxy["no_proxy"] == "localhost,127.0.0.1,::1"
    by_url = child_environment(
        {**before, "ANTHROPIC_AUTH_TOKEN": "t"}, ADDRESS, Via.BASE_URL, KEY, TRUST
    )
    assert set(by_url) == set(variables(ADDRESS, Via.BASE_URL, KEY, TRUST))


def test_a_key_must_be_a_client_key() -> None:
    """No key, and a provider's key, are refused; the latter is not repeated."""
    assert client_key(KEY.reveal()) == KEY
    for given in (None, "", "sk-canary"):
        with pytest.raises(IdentityError) as caught:
            client_key(given)
        assert "canary" not in str(caught.value)


def test_env_prints_what_a_shell_reads(workspace: Path, inbond: Inbond) -> None:
    """The output of `inbond env` is export lines alone; its files exist."""
    result = inbond("env", "--key", KEY.reveal())
    assert result.exit_code == 0
    lines = [shlex.split(line) for line in result.stdout.splitlines()]
    assert all(line[0] == "export" and len(line) == 2 for line in lines)
    found = dict(line[1].split("=", 1) for line in lines)
    trust = Trust(bundle=workspace / "keys/trust.pem", authority=workspace / "keys/ca.pem")
    assert found == variables(ADDRESS, Via.PROXY, KEY, trust)
    assert trust.bundle.exists()
    assert trust.authority.exists()


def test_env_prints_one_object_for_programs(inbond: Inbond) -> None:
    """With `--json` the variables are one object; the key comes from INBOND_KEY too."""
    result = inbond("env", "--via", "base-url", "--json", env={"INBOND_KEY": KEY.reveal()})
    assert json.loads(result.stdout)["OPENAI_API_KEY"] == KEY.reveal()


def test_env_refuses_other_modes_and_no_key(inbond: Inbond) -> None:
    """A mode that is none, and no key, are wrong use."""
    other = inbond("env", "--via", "both", "--key", KEY.reveal())
    assert (other.exit_code, "`both` is not one of" in other.stderr) == (2, True)
    none = inbond("env", "--json")
    assert (none.exit_code, json.loads(none.stderr)["code"]) == (2, "no-client-key")


HARD = "a 'b' \\ $c \"d\" `e`"


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        (Shell.SH, "export NAME=" + shlex.quote(HARD)),
        (Shell.FISH, "set -gx NAME 'a \\'b\\' \\\\ $c \"d\" `e`'"),
        (Shell.POWERSHELL, "$env:NAME = 'a ''b'' \\ $c \"d\" `e`'"),
    ],
)
def test_each_shell_gets_its_own_words(shell: Shell, expected: str) -> None:
    """A value is quoted by the rules of the shell that reads it."""
    assert assignment(shell, "NAME", HARD) == expected


def test_a_client_gets_what_it_reads(inbond: Inbond) -> None:
    """One client's variables alone, in another shell's words, and what it needs beside them."""
    given = ("env", "--key", KEY.reveal(), "--client")
    grpc = inbond(*given, "xai-sdk", "--shell", "fish")
    assert grpc.exit_code == 0
    named = [line.split()[2] for line in grpc.stdout.splitlines()]
    assert named == ["https_proxy", "no_proxy", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"]
    assert "only the lower-case names are read by gRPC" in grpc.stderr
    cohere = inbond(*given, "cohere", "--via", "base-url", "--json")
    assert set(json.loads(cohere.stdout)) == {"CO_API_URL", "CO_API_KEY"}
    java = inbond(*given, "java")
    assert (java.stdout, "reads no variable" in java.stderr) == ("", True)


def test_an_unknown_client_is_refused(inbond: Inbond) -> None:
    """The nearest name is offered, or all of them."""
    near = inbond("env", "--key", KEY.reveal(), "--client", "opena", "--json")
    assert near.exit_code == 2
    assert json.loads(near.stderr)["help"] == "did you mean `openai`?"
    far = inbond("env", "--key", KEY.reveal(), "--client", "zzzzzz", "--json")
    assert json.loads(far.stderr)["help"].startswith("the clients are openai, anthropic")
