"""The census: for each operation of each provider, who reads it and what it is decided as.

`census.txt` has a host, and under it a line for each method and path: the format and the operation, or
`refused` where nothing claims it.
"""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from proxy.exchange import RequestHead
from proxy.providers import matches
from proxy.route import Route, read_registry
from proxy.wire.dialects import format_for

TABLE = Path(__file__).parent / "census.txt"
REGISTRY = read_registry(lambda: files("proxy").joinpath("providers.yaml").read_text())


def _rows() -> Iterator[tuple[str, str, str, str]]:
    host = ""
    for line in TABLE.read_text().splitlines():
        if line.startswith("  "):
            method, path, decided = line.split(maxsplit=2)
            yield host, method, path, decided
        elif line and not line.startswith("#"):
            host = line


ROWS = tuple(_rows())


def decided(host: str, method: str, target: str) -> str:
    """What the registry and the formats make of a request, as the gate asks them."""
    route = REGISTRY.route(host=host, port=443, target=target)
    if not isinstance(route, Route):
        return "refused"
    head = RequestHead(method=method, path=route.path, query=route.query)
    is_covered = any(matches(route.path, pattern) for pattern in route.entry.paths)
    found = format_for(head, route.entry.formats) if is_covered else None
    return "refused" if found is None else f"{found.name} {found.claims(head)}"


@pytest.mark.parametrize("host", sorted({row[0] for row in ROWS}))
def test_each_operation_is_decided(host: str) -> None:
    """Every row of a host is claimed, or refused, as the table says."""
    rows = [row[1:] for row in ROWS if row[0] == host]
    found = {(method, path): decided(host, method, path) for method, path, _ in rows}
    assert found == {(method, path): said for method, path, said in rows}


def test_no_row_is_told_twice() -> None:
    """Each operation stands in the table once."""
    asked = [row[:3] for row in ROWS]
    assert len(asked) == len(set(asked)) > 400
