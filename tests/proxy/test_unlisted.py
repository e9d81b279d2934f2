"""Hosts that nobody registered: what the settings say of each, and the way to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.gate import Arrival
from proxy.unlisted import ROUTE, UnlistedHosts, UnlistedMode, authority_of, path_of


def _arrival(target: str = "/", *, port: int = 443) -> Arrival:
    return Arrival(
        client="c",
        method="GET",
        scheme="https" if port != 80 else "http",
        host="Some.Example.",
        port=port,
        target=target,
        headers=(),
    )


@pytest.mark.parametrize(
    ("pattern", "host", "port", "is_met"),
    [
        ("git.example", "git.example", 443, True),
        ("git.example", "GIT.example.", 22, True),
        ("git.example", "a.git.example", 443, False),
        ("*.git.example", "a.b.git.example", 443, True),
        ("*.git.example", "git.example", 443, False),
        ("*.git.example", "evilgit.example", 443, False),
        ("git.example:22", "git.example", 22, True),
        ("git.example:22", "git.example", 443, False),
        ("*:22", "any.example", 22, True),
        ("*", "any.example", 443, True),
        ("[::1]:8000", "::1", 8000, True),
        ("[::1]:8000", "[::1]", 8001, False),
        ("127.0.0.1", "127.0.0.1", 9, True),
    ],
)
def test_patterns(pattern: str, host: str, port: int, *, is_met: bool) -> None:
    """A pattern is a host, all below a name, or all; with a port for that one alone."""
    hosts = UnlistedHosts("inspect", tunnel=[pattern], private=[pattern])
    assert hosts.mode_of(host, port) == ("tunnel" if is_met else "inspect")
    assert hosts.route_of(host, port, "https").entry.is_private_ok is is_met


@pytest.mark.parametrize("mode", ["inspect", "tunnel", "refuse"])
def test_exceptions_are_those_of_inspection(mode: UnlistedMode) -> None:
    """An exception opens nothing that the mode refuses."""
    hosts = UnlistedHosts(mode, tunnel=["some.example"])
    expected = {"inspect": "tunnel", "tunnel": "tunnel", "refuse": "refuse"}
    assert hosts.mode_of("some.example", 443) == expected[mode]
    assert hosts.looks_into("some.example") is (mode == "inspect")


@pytest.mark.parametrize("host", ["", "a b", "exämple.test", "x" * 254, "a/b"])
def test_what_is_no_host_goes_nowhere(host: str) -> None:
    """A name that could not be recorded is refused in every mode."""
    for mode in ("inspect", "tunnel"):
        hosts = UnlistedHosts(mode)
        assert hosts.mode_of(host, 443) == "refuse"
        assert not hosts.looks_into(host)


def test_a_way_has_no_contract() -> None:
    """The route is `unlisted`; the target is sent as it came, the path is what it is known by."""
    route = UnlistedHosts("inspect").route(_arrival("/a%2fb//c/?q=1"), "Some.Example.", 443)
    assert (route.entry.route, route.entry.hosts) == (ROUTE, ("some.example",))
    assert (route.target, route.path, route.query) == ("/a%2fb//c/?q=1", "/a/b/c", "q=1")
    assert route.connect == ("some.example", 443)
    assert not route.entry.is_private_ok


@pytest.mark.parametrize(
    ("path", "known_by"),
    [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1//chat/./completions/", "/v1/chat/completions"),
        ("/v1/chat%2Fcompletions", "/v1/chat/completions"),
        ("/v1/chat%2fcompletions%00", "/v1/chat/completions\0"),
        ("*", "/*"),
        ("/", "/"),
        ("", "/"),
    ],
)
def test_a_path_is_read_leniently(path: str, known_by: str) -> None:
    """A path that two servers could read in two ways is known by the more dangerous one."""
    assert path_of(path) == known_by


@given(path=st.text(max_size=60))
def test_every_path_is_known_by_some(path: str) -> None:
    """No path raises, and each begins with a slash."""
    assert path_of(path).startswith("/")


@pytest.mark.parametrize(
    ("host", "port", "authority"),
    [
        ("some.example", 443, "some.example"),
        ("some.example", 8443, "some.example:8443"),
        ("::1", 443, "[::1]"),
    ],
)
def test_the_authority_names_an_unusual_port(host: str, port: int, authority: str) -> None:
    """The usual port of a scheme is not named."""
    hosts = UnlistedHosts("inspect")
    assert authority_of(hosts.route_of(host, port, "https")) == authority
    assert authority_of(hosts.route_of("some.example", 80, "http")) == "some.example"
