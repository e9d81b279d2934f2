"""The gate's protocol is what the real gate is, hook by hook."""

import inspect
from collections.abc import Callable

import pytest

from proxy.call import Call
from proxy.gate import GateKeeper, Passage, Streamed, Tunnel
from proxy.gatehouse import Gatehouse
from proxy.inspection import Inspection

PAIRS = [
    (protocol, real, name)
    for protocol, real in (
        (Passage, Call),
        (Passage, Inspection),
        (Streamed, Inspection),
        (GateKeeper, Gatehouse),
    )
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
    """A tunnel that is not refused is opened, unless there is an address to carry it to unopened."""
    assert Tunnel().carried_to is None
    assert Tunnel(carried_to=("192.0.2.1", 443)) != Tunnel()


def test_which_calls_are_streamed() -> None:
    """The engine tells a call that is held to its end from one whose body may go on as it comes."""
    assert isinstance(Inspection.__new__(Inspection), Streamed)
    assert not isinstance(Call.__new__(Call), Streamed)
