"""The parent proxy, for companies whose machines reach the internet through one.

What is beyond it is asked for by name: the parent looks the name up and dials. What the settings give
an address of their own (`connect` of a teacher, `unlisted_hosts.private`) is dialled from here.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

from proxy.address import resolve
from proxy.errors import RouteError, SettingsError
from proxy.gate import BeyondParent
from proxy.keyfile import read_private
from proxy.route import Route
from proxy.secret import Secret
from proxy.settings import ProxyCredentialSettings, Settings
from proxy.unlisted import ROUTE

__all__ = ["Parent", "load_parent"]

_URL = re.compile(r"(https?)://(\[[0-9a-f:]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?):([0-9]{1,5})/?")
_CREDENTIALS = re.compile(r"[^\x00-\x1f\x7f:]+:[^\x00-\x1f\x7f]*")  # RFC 7617 §2
_LOOK_UP_S = 2.0
"""How long a look-up of a name may take that the parent looks up as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """A proxy that is asked by CONNECT for the way to each teacher.

    `credentials` is `USER:PASSWORD` as RFC 7617 has it.
    """

    is_tls: bool
    host: str
    port: int
    credentials: Secret | None = None

    @property
    def url(self) -> str:
        """Its address, as the settings write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_tls else 'http'}://{host}:{self.port}"

    async def resolve(self, route: Route) -> tuple[str, int]:
        """What is dialled from here, or what the parent is asked for.

        An address is judged as it is without a parent. Of an unlisted host, which a client names,
        the name is looked up here too: one that is of this network is known here.

        Raises:
            RouteError: the host is, or is known here as, one that is not of the public internet.
        """
        if route.entry.is_private_ok:
            return await resolve(route)
        host, port = route.connect
        if route.entry.id == ROUTE or _is_address(host):
            await _judge(route)
        return BeyondParent(host, port)


async def _judge(route: Route) -> None:
    try:
        async with asyncio.timeout(_LOOK_UP_S):
            await resolve(route)
    except TimeoutError:
        return
    except RouteError as error:
        if error.code != "no-address":  # what is not known here, the parent may know
            raise


def _is_address(host: str) -> bool:
    return ":" in host or host.rpartition(".")[2].isdigit()


def load_parent(settings: Settings, environ: Mapping[str, str]) -> Parent | None:
    """The parent proxy that the settings name; None: there is none.

    Raises:
        SettingsError: its address or its credentials cannot be used. No message quotes either: an
            address may hold a password.
    """
    text, place = settings.upstream.proxy, settings.upstream.proxy_credentials
    is_known = place.env is not None or place.file is not None
    if text is None:
        if is_known:
            message = "there are credentials for a parent proxy, and no parent proxy"
            raise _wrong(message, "give its address in `upstream.proxy`", "proxy_credentials")
        return None
    found = _URL.fullmatch(text.lower())
    if found is None or int(found[4]) > 65_535:
        fix = "write `http://HOST:PORT` or `https://HOST:PORT`; what proves who asks belongs into `upstream.proxy_credentials`"
        raise _wrong("this is not the address of a proxy", fix, "proxy")
    host, port = found[2].strip("[]"), int(found[4])
    if (host, port) == (settings.listen.host, settings.listen.port):
        fix = "name the proxy that leads out of your network"
        raise _wrong("this is inbond's own address", fix, "proxy")
    credentials = _credentials(place, settings, environ) if is_known else None
    return Parent(is_tls=found[1] == "https", host=host, port=port, credentials=credentials)


def _credentials(
    place: ProxyCredentialSettings, settings: Settings, environ: Mapping[str, str]
) -> Secret:
    if place.file is not None:
        path = settings.directory / place.file
        value = read_private(path, "the proxy's credentials").decode(errors="replace")
        source = f"the file `{path}`"
    else:
        source = f"the environment variable `{place.env}`"
        found = environ.get(place.env or "")
        if found is None:
            fix = "set it to `USER:PASSWORD`, or name another"
            raise _wrong(f"{source} is not set", fix, "proxy_credentials")
        value = found
    value = value.strip()
    if not _CREDENTIALS.fullmatch(value):
        message = f"{source} holds no credentials of a proxy"
        raise _wrong(message, "write `USER:PASSWORD`", "proxy_credentials")
    return Secret(value)


def _wrong(message: str, fix: str, key: str) -> SettingsError:
    return SettingsError(
        f"`upstream.{key}`: {message}", help=fix, where=f"upstream.{key}", code="bad-value"
    )
