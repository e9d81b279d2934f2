"""What the sections of the settings are made of: a strict base, and addresses of this machine."""

import ipaddress
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from proxy.faults import wrong

__all__ = ["Address", "Section", "address", "is_loopback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server listens; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(value: object) -> Address:
    """The address a setting gives: HOST:PORT on this machine.

    Raises:
        ValueError: it is none, or reachable from outside; pydantic makes a fault of it.
    """
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        fix = "write HOST:PORT, such as `127.0.0.1:8484`"
        raise wrong("bad-value", f"`{value}` is not an address", fix)
    if not is_loopback(host):
        fix = "use 127.0.0.1 or [::1]; logins come with a later version"
        message = f"`{value}` is reachable from outside, and nothing binds beyond loopback without authentication configured"
        raise wrong("beyond-loopback", message, fix)
    return Address(host=host, port=int(port))


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is of this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Section(BaseModel):
    """A part of the settings: nothing unknown, nothing that changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
