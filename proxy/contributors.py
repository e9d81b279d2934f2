"""What a call says it was made from: earlier exchanges and imported data, named in its headers.

`x-inbond-parent` names exchanges by the ids that `x-inbond-exchange` of their answers gave;
`x-inbond-source` names sources that are on record (`inbond source add`). Both may stand several times
or list several with commas. What nobody can find is refused: it could not be decided on later.
"""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from policies.diagnostics import nearest
from proxy.errors import ProxyError
from proxy.exchange import Headers
from proxy.ledger.entry import SourceEntry, exchange_of
from proxy.store.queries import exchange_with_call, sources
from proxy.store.records import StoredEntry
from proxy.store.session import Database, Reading

__all__ = [
    "ContributorError",
    "Contributors",
    "ContributorsOnRecord",
    "names_any",
    "none_on_record",
]

_PARENT = "x-inbond-parent"
_SOURCE = "x-inbond-source"
_NAMES = frozenset({_PARENT, _SOURCE})
_MOST = 128
"""Of each kind in one call: a leaf has room for as many ids, and for the rest of the call."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HELP = {
    _PARENT: "send what `x-inbond-exchange` of the earlier answer says, or leave the header out",
    _SOURCE: "see `inbond source list`, or declare it with `inbond source add`",
}


class ContributorError(ProxyError):
    """A call names a contributor that cannot be found: it is refused with status 400."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributors:
    """What a call was made from, as its `call` entry keeps it."""

    parents: tuple[str, ...] = ()
    """Ids of exchanges."""
    sources: tuple[str, ...] = ()
    """Ids of the `source` entries in force."""


def names_any(headers: Headers) -> bool:
    """Whether a request names a contributor."""
    return any(name.lower() in _NAMES for name, _ in headers)


class ContributorsOnRecord:
    """Finds what calls name in a ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, headers: Headers) -> Contributors:
        """The contributors that the headers of a request name.

        Raises:
            ContributorError: a name is malformed, there are too many, or one is not on record.
            LedgerError: the ledger cannot be read.
        """
        parents, names = _named(headers, _PARENT), _named(headers, _SOURCE)
        return await asyncio.to_thread(self._find, parents, names)

    def _find(self, parents: Iterable[str], names: Iterable[str]) -> Contributors:
        with self._database.read() as connection:
            known = sources(connection) if names else ()
            return Contributors(
                parents=tuple(dict.fromkeys(_exchange(connection, id_) for id_ in parents)),
                sources=tuple(_source(known, name) for name in names),
            )


async def none_on_record(headers: Headers) -> Contributors:
    """The contributors where there is no ledger to look into: naming any is an error.

    Raises:
        ContributorError: the headers name one.
    """
    for header in (_PARENT, _SOURCE):
        for name in _named(headers, header):
            raise _unknown(header, name)
    return Contributors()


def _named(headers: Headers, header: str) -> list[str]:
    """The names that one header lists, each once, in order."""
    texts = [value for name, value in headers if name.lower() == header]
    names = [part.strip() for text in texts for part in text.split(",")]
    found = list(dict.fromkeys(name.lower() if header == _PARENT else name for name in names))
    if texts and not all(found):
        raise ContributorError(
            f"`{header}` has an empty place", help=_HELP[header], code="bad-contributor"
        )
    if len(found) > _MOST:
        raise ContributorError(
            f"`{header}` names {len(found)}, and a call has room for {_MOST}",
            help="name the parents of parents where they were called: they count all the same",
            code="too-many-contributors",
        )
    return found


def _exchange(connection: Reading, id_: str) -> str:
    """The id of the exchange that a parent's id, or that of its call, names."""
    if _UUID.fullmatch(id_) is None or UUID(id_).version is None:
        raise ContributorError(
            f"`{_PARENT}` holds what is no id of an exchange",
            help=_HELP[_PARENT],
            code="bad-contributor",
        )
    # Of an exchange under way there is the call alone.
    found = exchange_with_call(connection, id_) or exchange_with_call(connection, exchange_of(id_))
    if found is None:
        raise _unknown(_PARENT, id_)
    return exchange_of(found.call.entry.id)


def _source(known: Iterable[StoredEntry[SourceEntry]], name: str) -> str:
    """The id of the last word on a source."""
    last = {item.entry.source: item.entry for item in known}
    entry = last.get(name)
    if entry is None:
        raise _unknown(_SOURCE, name, nearest(name, last))
    if entry.action == "withdraw":
        raise ContributorError(
            f"the source `{name}` was withdrawn",
            help="leave it out of the prompt, or declare it again with `inbond source add`",
            code="withdrawn-source",
        )
    return entry.id


def _unknown(header: str, name: str, near: str = "") -> ContributorError:
    shown = name if re.fullmatch(r"[!-~]{1,80}", name) else "…"
    what = "an exchange" if header == _PARENT else "a source"
    return ContributorError(
        f"`{header}` names `{shown}`, and {what} of this name is not on record",
        help=near or _HELP[header],
        code="unknown-contributor",
    )
