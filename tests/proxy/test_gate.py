"""The gate's protocol is what the real gate is, hook by hook."""

import inspect
from collections.abc import Callable

import pytest

from proxy.call import Call
from proxy.gate import GateKeeper, Passage, Tunnel
from proxy.gatehouse import Gatehouse

PAIRS = [
    (protocol, real, name)
    for protocol, real in ((Passage, Call), (GateKeeper, Gatehouse))
    for name, member in vars(protocol).items()
    if not name.startswith("_") and inspect.isfunction(member)
]


@pytest.mark.parametrize(("protocol", "real", "name"), PAIRS)
def test_what_is_awaited_is_awaitable(protocol: type, real: type, name: str) -> None:
    """Each hook of the real gate is a coroutine exactly where the protocol says so."""
    asked: Callable[..., object] = getattr(protocol, name)
    given: Callable[..., object] = getattr(real, name)
    assert inspect.iscoroutinefunction(asked) == inspect.iscoroutinefunction(given)
    assert list(inspect.signature(asked).parameters) == list(inspect.signature(given).parameters)


def test_a_tunnel_is_opened_or_carried() -> None:
    """There are two things to do with a tunnel that is not refused."""
    assert {tunnel.value for tunnel in Tunnel} == {"intercept", "pass"}
