"""The address that was checked is the one that is dialled."""

import asyncio
import socket
from dataclasses import replace

import pytest

from proxy.address import resolve
from proxy.errors import RouteError
from proxy.route import Route
from tests.proxy.calls import TEACHER


def _route(host: str, *, is_private_ok: bool = False) -> Route:
    return Route(
        entry=replace(TEACHER, is_private_ok=is_private_ok),
        host=host,
        port=443,
        scheme="https",
        connect=(host, 8443),
        target="/",
        path="/",
        query="",
    )


async def test_a_public_address_is_dialled() -> None:
    """An address of the public internet is given as it is, with the port."""
    assert await resolve(_route("8.8.8.8")) == ("8.8.8.8", 8443)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "localhost"])
async def test_a_private_address_needs_the_registry(host: str) -> None:
    """A name that leads inside is refused, unless its entry says where it is."""
    with pytest.raises(RouteError, match="is not of the public internet") as caught:
        await resolve(_route(host))
    assert caught.value.code == "private-address"
    address, port = await resolve(_route(host, is_private_ok=True))
    assert port == 8443
    assert socket.getaddrinfo(address, port, flags=socket.AI_NUMERICHOST)


async def test_one_private_address_among_several_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a public and a private address is refused: nobody knows which one comes next."""

    async def answer(*_: object, **__: object) -> list[tuple[object, ...]]:
        kinds = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kinds, ("8.8.8.8", 443)), (*kinds, ("10.0.0.1", 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answer)
    with pytest.raises(RouteError, match="`10\\.0\\.0\\.1`"):
        await resolve(_route("mixed.example"))


async def test_a_name_without_an_address_is_refused() -> None:
    """A name that resolves to nothing is refused, and the message says what to do."""
    with pytest.raises(RouteError, match="has no address here") as caught:
        await resolve(_route("x" * 64 + ".example"))
    assert caught.value.code == "no-address"
    assert "connect" in caught.value.help
