"""Tests of proxy.sections."""

import pytest
from pydantic import ValidationError

from proxy.sections import Address, Section, address, is_loopback


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8484", "127.0.0.1", 8484), ("[::1]:0", "::1", 0), ("localhost:1", "localhost", 1)],
)
def test_an_address_is_read_and_written(text: str, host: str, port: int) -> None:
    """An address of this machine comes out as it went in."""
    found = address(text)
    assert found == Address(host=host, port=port)
    assert str(found) == text


@pytest.mark.parametrize("value", ["", "host", ":80", "127.0.0.1:x", "127.0.0.1:65536", 5, None])
def test_other_values_are_no_address(value: object) -> None:
    """What lacks a host or a port is none."""
    with pytest.raises(ValueError, match="is not an address"):
        address(value)


@pytest.mark.parametrize("value", ["0.0.0.0:1", "example.org:443", "[2001:db8::1]:1"])
def test_nothing_is_reachable_from_outside(value: str) -> None:
    """An address beyond loopback is refused."""
    with pytest.raises(ValueError, match="reachable from outside"):
        address(value)


def test_loopback_is_this_machine() -> None:
    """Names and addresses of this machine, and no others."""
    assert all(map(is_loopback, ("localhost", "127.8.8.8", "::1")))
    assert not any(map(is_loopback, ("", "example.org", "10.0.0.1")))


def test_a_section_knows_its_keys() -> None:
    """An unknown key and a value of another type are refused, and nothing changes later."""

    class Part(Section):
        size: int = 1

    for values in ({"sise": 1}, {"size": "1"}):
        with pytest.raises(ValidationError):
            Part.model_validate(values)
    with pytest.raises(ValidationError):
        Part().size = 2  # type: ignore[misc] # that it is frozen is what is tested
