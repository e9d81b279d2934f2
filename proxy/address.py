"""The address a call is dialled at: resolved once, checked, and then the one that is dialled."""

import asyncio
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
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RouteError(
            f"`{host}` has no address here",
            code="no-address",
            help="mend the name, or give the entry an address in `connect`",
        ) from error
    addresses = [str(info[4][0]) for info in found]
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
