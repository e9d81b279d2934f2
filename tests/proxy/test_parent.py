"""The parent proxy: what is asked of it by name, what is still judged here, and how it is set up."""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.errors import RouteError, SettingsError
from proxy.gate import BeyondParent
from proxy.parent import Parent, load_parent
from proxy.route import Route
from proxy.secret import Secret
from proxy.settings import parse_settings
from proxy.unlisted import UnlistedHosts
from tests.proxy.calls import TEACHER

PARENT = Parent(is_tls=False, host="proxy.example", port=3128)
MINIMAL = "inbond: 1\norganisation: A\n"


def _registered(host: str, *, is_private_ok: bool = False) -> Route:
    return Route(
        entry=replace(TEACHER, is_private_ok=is_private_ok),
        host=host,
        port=443,
        scheme="https",
        connect=(host, 443),
        target="/",
        path="/",
        query="",
    )


def _unlisted(host: str, *private: str) -> Route:
    return UnlistedHosts("inspect", private=private).route_of(host, 443, "https")


def _answers(monkeypatch: pytest.MonkeyPatch, *addresses: str, takes_s: float = 0.0) -> list[str]:
    """Have every name looked up as these addresses, or as none; gives the names that were asked."""
    asked: list[str] = []

    async def answer(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        await asyncio.sleep(takes_s)
        if not addresses:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answer)
    return asked


async def test_a_teachers_name_is_the_parents_to_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registered host is asked for by name: where a parent leads out, names outside are unknown here."""
    asked = _answers(monkeypatch)
    found = await PARENT.resolve(_registered("api.teacher.example"))
    assert (found, type(found), asked) == (("api.teacher.example", 443), BeyondParent, [])


@pytest.mark.parametrize("route", [_registered("10.0.0.7", is_private_ok=True), _unlisted("10.0.0.7", "10.0.0.7")])  # fmt: skip
async def test_what_the_settings_address_is_dialled_from_here(route: Route) -> None:
    """`connect` and `unlisted_hosts.private` name what is inside, where no parent leads."""
    found = await PARENT.resolve(route)
    assert (found, isinstance(found, BeyondParent)) == (("10.0.0.7", 443), False)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1"])
@pytest.mark.parametrize("of", [_registered, _unlisted])
async def test_an_address_inside_is_refused(host: str, of: type[Route]) -> None:
    """An address says itself that it is inside; a parent would perhaps go there."""
    with pytest.raises(RouteError) as caught:
        await PARENT.resolve(of(host))  # type: ignore[call-arg,arg-type] # either makes a route of a host
    assert caught.value.code == "private-address"


async def test_a_public_address_is_asked_for() -> None:
    """An address outside goes through the parent as it is."""
    assert await PARENT.resolve(_unlisted("8.8.8.8")) == BeyondParent("8.8.8.8", 443)


async def test_a_clients_name_of_this_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that nobody registered is looked up here too: names inside are known inside."""
    asked = _answers(monkeypatch, "192.168.0.9")
    with pytest.raises(RouteError) as caught:
        await PARENT.resolve(_unlisted("wiki.corp.example"))
    assert (caught.value.code, asked) == ("private-address", ["wiki.corp.example"])


@pytest.mark.parametrize("addresses", [(), ("8.8.8.8",)])
async def test_a_clients_other_names_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    """One that is unknown or outside goes through the parent by its name."""
    _answers(monkeypatch, *addresses)
    assert await PARENT.resolve(_unlisted("pypi.example")) == BeyondParent("pypi.example", 443)


async def test_a_slow_look_up_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where look-ups of names outside run into nothing, the parent is asked after a moment."""
    monkeypatch.setattr("proxy.parent._LOOK_UP_S", 0.01)
    _answers(monkeypatch, "10.0.0.1", takes_s=60)
    assert await PARENT.resolve(_unlisted("pypi.example")) == BeyondParent("pypi.example", 443)


# Settings.


def _load(
    folder: Path, upstream: str, environ: Mapping[str, str] | None = None, more: str = ""
) -> Parent | None:
    text = f"{MINIMAL}upstream: {{{upstream}}}\n{more}"
    return load_parent(parse_settings(text, folder, {}), environ or {})


def test_without_one_there_is_none(tmp_path: Path) -> None:
    """The default is to dial teachers from here."""
    assert _load(tmp_path, "timeout_s: 5") is None


@pytest.mark.parametrize(
    ("url", "parent"),
    [
        ("http://proxy.example:3128", PARENT),
        ("HTTPS://Proxy.Example:3128/", replace(PARENT, is_tls=True)),
        ("http://[fd00::1]:80", Parent(is_tls=False, host="fd00::1", port=80)),
    ],
)
def test_it_is_named_by_its_address(tmp_path: Path, url: str, parent: Parent) -> None:
    """Scheme, host and port say how it is reached, and come back as one writes them."""
    found = _load(tmp_path, f"proxy: '{url}'")
    assert found == parent
    assert found.url == url.lower().rstrip("/")


def test_credentials_come_from_a_variable_or_a_file(tmp_path: Path) -> None:
    """Both give the same secret, which does not show itself."""
    path = tmp_path / "proxy.credentials"
    path.write_text("clerk:canary pässword:1\n")
    path.chmod(0o600)
    of_file = _load(tmp_path, "proxy: 'http://p:1', proxy_credentials: {file: ./proxy.credentials}")
    environ = {"WAY": " clerk:canary pässword:1"}
    of_variable = _load(tmp_path, "proxy: 'http://p:1', proxy_credentials: {env: WAY}", environ)
    assert of_file == of_variable
    assert of_file is not None
    assert of_file.credentials == Secret("clerk:canary pässword:1")
    assert "canary" not in repr(of_file)


WRONG = [
    ("proxy: proxy.example", "`upstream.proxy`: this is not the address of a proxy"),
    ("proxy: 'http://clerk:canary@proxy.example:3128'", "`upstream.proxy`: this is not the address of a proxy"),
    ("proxy: 'http://proxy.example:70000'", "`upstream.proxy`: this is not the address of a proxy"),
    ("proxy: 'socks5://proxy.example:1080'", "`upstream.proxy`: this is not the address of a proxy"),
    ("proxy: 'http://127.0.0.1:8484'", "`upstream.proxy`: this is inbond's own address"),
    ("proxy_credentials: {env: WAY}", "`upstream.proxy_credentials`: there are credentials for a parent proxy, and no parent proxy"),
    ("proxy: 'http://p:1', proxy_credentials: {env: NONE}", "`upstream.proxy_credentials`: the environment variable `NONE` is not set"),
    ("proxy: 'http://p:1', proxy_credentials: {env: WAY}", "`upstream.proxy_credentials`: the environment variable `WAY` holds no credentials of a proxy"),
]  # fmt: skip


@pytest.mark.parametrize(("upstream", "message"), WRONG)
def test_a_mistake_is_said_and_no_password(tmp_path: Path, upstream: str, message: str) -> None:
    """What is wrong is named by its key, and the value, which may be a secret, is not repeated."""
    with pytest.raises(SettingsError) as caught:
        _load(tmp_path, upstream, {"WAY": "canary without a colon"})
    assert caught.value.message == message
    assert caught.value.help
    assert "canary" not in f"{caught.value.message} {caught.value.help} {caught.value.where}"


@pytest.mark.parametrize(
    "upstream",
    [
        "proxy: [canary]",
        "proxy: 'http://p:1', proxy_credentials: clerk:canary",
        "proxy: 'http://p:1', proxy_credentials: {env: clerk:canary}",
        "proxy: 'http://p:1', proxy_credentials: {file: canary}",
        "proxy: 'http://p:1', proxy_credentials: {clerk: canary}",
        "proxy: 'http://p:1', proxy_credentials: {env: A, file: ./canary}",
    ],
)
def test_a_password_pasted_into_the_settings_is_not_shown(tmp_path: Path, upstream: str) -> None:
    """Where people write credentials in place of where they are, the refusal does not repeat them."""
    with pytest.raises(SettingsError) as caught:
        _load(tmp_path, upstream)
    shown = f"{caught.value} {caught.value.help} {getattr(caught.value, 'excerpt', '')}"
    assert "canary" not in shown


def test_an_address_is_not_shown_with_the_settings(tmp_path: Path) -> None:
    """Somebody may have written a password into it, which only the start of a worker refuses."""
    text = f"{MINIMAL}upstream: {{proxy: 'http://clerk:canary@proxy.example:3128'}}\n"
    assert "canary" not in repr(parse_settings(text, tmp_path, {}))
