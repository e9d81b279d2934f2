"""Claims on routing: one way for both modes, canonical paths, no way around the registry."""

import json
from dataclasses import replace
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RouteError, SettingsError
from proxy.providers import Entry, entry_of, packaged_entries
from proxy.route import (
    Registry,
    Route,
    TeacherSettings,
    Unlisted,
    canonical_path,
    is_forbidden_address,
    read_registry,
)

TEACHER = TeacherSettings.model_validate(
    {
        "id": "demo-teacher",
        "host": "teacher.demo.internal",
        "prefix": "teacher",
        "connect": "127.0.0.1:9001",
        "scheme": "http",
        "model": {
            "id": "smollm2-135m-instruct",
            "names": ["*"],
            "repository": "HuggingFaceTB/SmolLM2-135M-Instruct",
            "revision": "main",
            "licence": "Apache-2.0",
        },
    }
)


def _load() -> str:
    return files("proxy").joinpath("providers.yaml").read_text()


REGISTRY = read_registry(_load, [TEACHER])


def _route(host: str | None, port: int | None, target: str) -> Route:
    route = REGISTRY.route(host=host, port=port, target=target)
    assert isinstance(route, Route)
    return route


@pytest.mark.parametrize(
    ("host", "prefix", "target"),
    [
        ("api.openai.com", "openai", "/v1/chat/completions"),
        ("api.openai.com", "openai", "/v1/models?limit=2"),
        ("api.anthropic.com", "anthropic", "/v1/messages?beta=true"),
        ("teacher.demo.internal", "teacher", "/v1/chat/completions?x=%2F"),
    ],
)
def test_both_modes_give_one_route(host: str, prefix: str, target: str) -> None:
    """A call has the same route whether it came by CONNECT or by base URL."""
    assert _route(host, 443, target) == _route(None, None, f"/{prefix}{target}")


def test_target_is_sent_as_it_came() -> None:
    """Decisions see the canonical path; the bytes sent are those that came."""
    route = _route("API.OpenAI.com.", 443, "/v1//chat/%63ompletions?a=%62")
    assert route.target == "/v1//chat/%63ompletions?a=%62"
    assert (route.path, route.query) == ("/v1/chat/completions", "a=%62")


def test_the_address_dialled_is_the_registrys() -> None:
    """An entry with `connect` is dialled there, by its own scheme; others at their host."""
    teacher = _route("teacher.demo.internal", 443, "/v1/models")
    assert (teacher.connect, teacher.scheme) == (("127.0.0.1", 9001), "http")
    assert _route("api.openai.com", 443, "/v1/models").connect == ("api.openai.com", 443)


def test_authority_names_an_unusual_port() -> None:
    """`Host` is the registered name, with its port only where it is not 443."""
    route = _route("api.openai.com", 443, "/v1/models")
    assert route.authority == "api.openai.com"
    assert replace(route, port=8443).authority == "api.openai.com:8443"
    assert replace(route, host="::1").authority == "[::1]"


def test_base_path_goes_before_the_rest() -> None:
    """In base-URL mode the entry's base path replaces the prefix."""
    registry = Registry([replace(REGISTRY.entries[0], base_path="/v1")])
    route = registry.route(host=None, port=None, target="/openai/chat/completions")
    assert isinstance(route, Route)
    assert route.target == "/v1/chat/completions"


@pytest.mark.parametrize("target", ["/openai", "/openai?x=1", "/openai/"])
def test_a_prefix_alone_asks_for_the_root(target: str) -> None:
    """A base URL without a path is the root of the host, which no contract covers."""
    found = REGISTRY.route(host=None, port=None, target=target)
    assert isinstance(found, Unlisted)
    assert (found.path, found.entry) == ("/", REGISTRY.entries[0])


@pytest.mark.parametrize("target", ["/", "/nobody/v1/models", "openai/v1/models", "//openai/v1"])
def test_unknown_prefixes_go_nowhere(target: str) -> None:
    """In base-URL mode a first segment that nobody registered has no host."""
    found = REGISTRY.route(host=None, port=None, target=target)
    assert isinstance(found, Unlisted)
    assert (found.host, found.entry) == (None, None)


def test_unknown_hosts_are_unlisted() -> None:
    """A host that nobody registered is unlisted, whatever its path."""
    found = REGISTRY.route(host="Example.org", port=8443, target="/../x?y")
    assert found == Unlisted(host="example.org", port=8443, path="/../x")


@pytest.mark.parametrize(
    ("host", "target", "entry"),
    [
        ("api.openai.com", "/v1/organization/users", "openai-api"),
        ("bedrock-agent-runtime.us-east-1.amazonaws.com", "/retrieveAndGenerate", "aws-bedrock"),
    ],
)
def test_uncovered_paths_name_their_entry(host: str, target: str, entry: str) -> None:
    """A registered host with a path outside the contract says whose it is, so it can be refused."""
    registry = read_registry(files("proxy").joinpath("providers.yaml").read_text)
    found = registry.route(host=host, port=443, target=target)
    assert isinstance(found, Unlisted)
    assert found.entry is not None
    assert found.entry.id == entry


def test_registered_hosts_on_other_ports_are_refused() -> None:
    """A registered host on another port is never passed as unlisted."""
    with pytest.raises(RouteError) as caught:
        REGISTRY.by_host("api.openai.com", 80)
    assert caught.value.code == "wrong-port"
    assert caught.value.message == "`openai-api` is registered on port 443, not 80"
    assert caught.value.help == "call https://api.openai.com:443/"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/v1/models", "/v1/models"),
        ("/v1/models/", "/v1/models/"),
        ("//v1///models", "/v1/models"),
        ("/v1/./models/.", "/v1/models/"),
        ("/v1/x/../models", "/v1/models"),
        ("/v1/x/..", "/v1/"),
        ("/v1/%2e%2E/v1/models", "/v1/models"),
        ("/v1/%6dodels/a%3ab", "/v1/models/a%3Ab"),
        ("/v1/models?q=/../", "/v1/models"),
    ],
)
def test_canonical_paths(target: str, path: str) -> None:
    """Equivalent targets have one canonical path (RFC 3986 §6.2.2)."""
    assert canonical_path(target) == path


@pytest.mark.parametrize(
    "target",
    [
        "", "*", "v1/models", "http://x/y", "/..", "/%2e%2e/x", "/a/../../b", "/a%2fb", "/a%5Cb",
        "/a\\b", "/a%252e", "/a%00b", "/a%7f", "/a%", "/a%2", "/a%zz", "/a b", "/a\n", "/ä", "/a#b",
        "/a%+1",
    ],
)  # fmt: skip
def test_ambiguous_paths_are_refused(target: str) -> None:
    """A path that two servers could read in two ways, or that climbs out, has no canonical form."""
    with pytest.raises(RouteError) as caught:
        canonical_path(target)
    assert caught.value.code == "ambiguous-path"
    assert caught.value.help


@given(st.text(alphabet="/.%25eEfFa?#\\ ", max_size=24))
def test_canonical_paths_are_stable(target: str) -> None:
    """A canonical path is its own canonical path, and holds no dot segment and no empty one."""
    try:
        path = canonical_path("/" + target)
    except RouteError:
        return
    assert canonical_path(path) == path
    assert not {".", "..", ""} & set(path[1:].split("/")[:-1])


def test_base_url_mode_cannot_climb_to_another_entry() -> None:
    """`..` after a prefix never reaches another prefix."""
    with pytest.raises(RouteError):
        REGISTRY.route(host=None, port=None, target="/openai/../anthropic/v1/messages")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.0",  # noqa: S104 - an address to refuse
        "100.64.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0",
        "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
        "64:ff9b::7f00:1", "2002:a00:1::", "2001:0:a00:1::", "fec0::1", "::7f00:1", "64:ff9b:1::1",
        "3fff::1", "5f00::1", "192.0.0.8", "240.0.0.1", "nonsense", "",
    ],
)  # fmt: skip
def test_addresses_off_the_public_internet_are_forbidden(address: str) -> None:
    """Loopback, link-local, private and reserved addresses are forbidden, however they are written."""
    assert is_forbidden_address(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "104.18.7.192", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_public_addresses_are_allowed(address: str) -> None:
    """Addresses of the public internet are not forbidden."""
    assert not is_forbidden_address(address)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"host": "api.openai.com"}, "host `api.openai.com`"),
        ({"prefix": "openai"}, "prefix `openai`"),
        ({"id": "openai-api"}, "id `openai-api`"),
    ],
)
def test_entries_do_not_share_names(change: dict[str, str], what: str) -> None:
    """Two entries cannot share an id, a host or a prefix."""
    with pytest.raises(SettingsError) as caught:
        read_registry(_load, [TEACHER.model_copy(update=change)])
    assert caught.value.code == "duplicate-teacher"
    assert caught.value.message.startswith(what)
    assert "is taken by `openai-api`" in caught.value.message


def _entry(id_: str, **change: object) -> Entry:
    """A provider's contract that differs from another where this says so."""
    written = {
        "id": id_,
        "provider": "acme",
        "hosts": ["api.acme.test"],
        "prefix": id_,
        "paths": ["/*"],
        "formats": ["openai.chat"],
    }
    (entry,) = packaged_entries(json.dumps([{**written, **change}]))
    return entry


def _found(registry: Registry, host: str, target: str) -> str | None:
    """The id of the entry that a call to a host is routed by."""
    way = registry.route(host=host, port=443, target=target)
    return way.entry.id if isinstance(way, Route) else None


def test_contracts_share_a_host_by_path() -> None:
    """The first contract that covers the path counts; what none covers names the first."""
    registry = Registry([_entry("a", paths=["/v1/*"]), _entry("b", paths=["/anthropic/*"])])
    assert _found(registry, "api.acme.test", "/v1/x") == "a"
    assert _found(registry, "api.acme.test", "/anthropic/v1/messages") == "b"
    way = registry.route(host="api.acme.test", port=443, target="/other")
    assert isinstance(way, Unlisted)
    assert way.entry is not None
    assert way.entry.id == "a"


@pytest.mark.parametrize(
    ("pattern", "host", "is_match"),
    [
        ("*.acme.test", "x.acme.test", True),
        ("*.acme.test", "x.y.acme.test", True),
        ("*.acme.test", "acme.test", False),
        ("*.acme.test", "xacme.test", False),
        ("*.acme.test", "x.acme.test.evil.test", False),
        ("run.*.acme.test", "run.eu-1.acme.test", True),
        ("run.*.acme.test", "run.a.b.acme.test", False),
        ("run.*.acme.test", "run..acme.test", False),
        ("*-run.acme.test", "eu-1-run.acme.test", True),
        ("*-run.acme.test", "a.b-run.acme.test", False),
    ],
)
def test_patterns_of_hosts(pattern: str, host: str, is_match: bool) -> None:  # noqa: FBT001 - a case of the table
    """A star is a part of one label, or at the start whole labels; dots are dots."""
    registry = Registry([_entry("a", hosts=[pattern])])
    assert (_found(registry, host, "/v1/x") == "a") is is_match


def test_base_url_mode_needs_one_host() -> None:
    """An entry of many hosts is dialled at the one that the settings name, or says how to name it."""
    entry = _entry("a", hosts=["*.acme.test"])
    with pytest.raises(RouteError, match="stands for every host") as caught:
        Registry([entry]).route(host=None, port=None, target="/a/v1/x")
    assert (caught.value.code, "endpoints" in caught.value.help) == ("no-endpoint", True)
    way = Registry([entry], {"a": "mine.acme.test"}).route(host=None, port=None, target="/a/v1/x")
    assert isinstance(way, Route)
    assert (way.host, way.target) == ("mine.acme.test", "/v1/x")


def test_a_teacher_of_ones_own_takes_no_providers_host() -> None:
    """Only contracts of providers share hosts."""
    with pytest.raises(SettingsError, match=r"host `api\.acme\.test`"):
        Registry([_entry("a"), entry_of(TEACHER.model_copy(update={"host": "api.acme.test"}))])


def test_an_escaped_slash_stays_where_names_hold_it() -> None:
    """Refused elsewhere; where a contract says so it is kept, and never read as a slash."""
    target = "/model/arn%3Aa%2fb/converse"
    assert canonical_path(target, has_escaped_slash=True) == "/model/arn%3Aa%2Fb/converse"
    with pytest.raises(RouteError):
        canonical_path(target)
    with pytest.raises(RouteError):
        canonical_path("/model/%2e%2e%5C/x", has_escaped_slash=True)
