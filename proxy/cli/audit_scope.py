"""The options that say what an audit, a question or a table is about."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.clock import stamp

if TYPE_CHECKING:  # they cost more than a command that needs neither
    from proxy.audit.holding import Holding
    from proxy.audit.scope import Chosen, Scope
    from proxy.settings import Settings

__all__ = ["chosen_in", "holding_of", "scope_of", "scope_options"]

type Narrowing = dict[str, Any]


class _Moment(click.ParamType[str]):
    """A day or a moment, as a ledger stamp; without a zone it is UTC."""

    name = "date"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The stamp of a text."""
        try:
            moment = datetime.fromisoformat(value)
            return stamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        except ValueError:
            self.fail(f"`{value}` is no date: write 2026-11-24 or 2026-11-24T05:00Z", param, ctx)


_OPTIONS = (
    click.option("--student", help="Only what the datasets of this student took."),
    click.option("--dataset", metavar="ID", help="Only what this dataset took."),
    click.option("--project", help="Only calls of this project."),
    click.option("--provider", help="Only calls to this provider, or under this contract."),
    click.option("--since", type=_Moment(), help="Only calls of this day or moment or later."),
    click.option("--until", type=_Moment(), help="Only calls before this day or moment."),
)


def scope_options[F: Callable[..., object]](command: F) -> F:
    """The options that narrow a scope; they arrive by their names."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def scope_of(given: Narrowing, *, is_metadata_only: bool = False) -> "Scope":
    """The scope of the options' values.

    Raises:
        ProxyError: there is no such provider.
    """
    from proxy.audit.operators import routes_of
    from proxy.audit.scope import Scope

    provider = given.get("provider")
    return Scope(
        routes=frozenset() if provider is None else routes_of(provider),
        is_metadata_only=is_metadata_only,
        **given,
    )


@contextmanager
def holding_of(settings: "Callable[[], Settings]", bundle: Path | None) -> "Iterator[Holding]":
    """What a question is put to: the bundle, if one is given, else the workspace's ledger.

    Raises:
        LedgerError: the ledger cannot be opened.
        BundleError: the path is no bundle.
    """
    from proxy.audit.holding import BundleHolding, LedgerHolding
    from proxy.ledger.bundle import read_bundle

    if bundle is not None:
        with read_bundle(bundle) as opened:
            yield BundleHolding(opened)
        return
    from proxy.cli.openledger import open_ledger

    found = settings()
    with open_ledger(found) as ledger, ledger.database.read() as connection:
        yield LedgerHolding(connection, ledger.database, found.datasets_directory)


def chosen_in(holding: "Holding", scope: "Scope") -> "Chosen | None":
    """The entries of a scope; None for all of them."""
    from proxy.audit.scope import choose

    if scope.is_whole:
        return None
    return choose(scope, holding.leaves(), holding.examples())
