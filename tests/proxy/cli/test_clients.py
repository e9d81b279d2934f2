"""Tests of proxy.cli.clients."""

from importlib.resources import files

import pytest

from proxy.cli.clients import BASE_URLS, CLIENTS, SDK_KEYS, Client, named
from proxy.cli.env import Trust, Via, variables
from proxy.identity import make_client_key
from proxy.providers import packaged_entries
from proxy.settings import Address
from tests.proxy.cli.test_env import TRUST

PREFIXES = {
    entry.prefix
    for entry in packaged_entries(files("proxy").joinpath("providers.yaml").read_text())
}
KEY = make_client_key(b"k" * 32)


def test_each_base_url_leads_to_an_entry() -> None:
    """The first segment of each path is the prefix of an entry of the registry."""
    assert {path.split("/")[1] for path in BASE_URLS.values()} <= PREFIXES


def _set(trust: Trust) -> set[str]:
    address = Address(host="127.0.0.1", port=8484)
    return {name for via in Via for name in variables(address, via, KEY, trust)}


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_what_a_client_reads_is_set(client: Client) -> None:
    """Whatever a client reads, one of the two modes sets; a base URL has a key, or words about it."""
    assert client.reads() <= _set(TRUST)
    assert bool(client.base_url) == bool(client.key) or client.instead
    assert client.base_url in {"", *BASE_URLS}
    assert client.key in {"", *SDK_KEYS}
    assert client.reads() or client.instead


def test_clients_are_found_by_name() -> None:
    """Names are told apart, and what is none gives nothing."""
    assert [named(client.name) for client in CLIENTS] == list(CLIENTS)
    assert named("openai-2") is None
