"""The address a call is dialled at: resolved once, checked, and then the one that is dialled."""

import asyncio
import ipaddress
import socket

from proxy.errors import RouteError
from proxy.route import Route, is_forbidden_address

__all__ = ["resolve"]


async def resolve(route: Route) -> tuple[str, int]:
    """The IP address and port to dial: the one that was checked, so that no second look-up differs.

    Raises:
        RouteError: the name has no address, or one that is not of the public internet while the
            registry does not say so.
    """
    host, port = route.connect
    addresses = [host] if _is_address(host) else await _looked_up(host, port)
    if route.entry.is_private_ok:
        return addresses[0], port
    for address in addresses:
        if is_forbidden_address(address):
            raise RouteError(
                f"`{host}` resolves to `{address}`, which is not of the public internet",
                code="private-address",
                help="a teacher of your own belongs into `teachers` with its address in `connect`",
            )
    return addresses[0], port


def _is_address(host: str) -> bool:
    """Whether there is nothing to look up: a look-up takes a thread, even of an address."""
    try:
        return str(ipaddress.ip_address(host)) == host and "%" not in host
    except ValueError:
        return False


async def _looked_up(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RouteError(
            f"`{host}` has no address here",
            code="no-address",
            help="mend the name, or give the entry an address in `connect`",
        ) from error
    return [str(info[4][0]) for info in found]
