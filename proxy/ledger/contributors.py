"""What an exchange rests on beside its own call, as leaves say it. Pure, standard library alone.

A call names its parents, the exchanges it was made from, and its sources, the imported data in its
prompt. Where a provider holds a conversation, an exchange names the answer that it goes on from by
the provider's id. Parents have parents: all of them contributed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from proxy.ledger.leaf import Leaf

__all__ = ["Family", "Kinship", "call_of", "reach"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """All that contributed to one exchange; both are sorted ids."""

    exchanges: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """What an example names as its contributors."""
        return tuple(sorted({*self.exchanges, *self.sources}))


def call_of(exchange: str) -> str:
    """The id of an exchange's call; of what is no UUID, the same text (`proxy.ledger.entry`)."""
    try:
        return str(UUID(int=UUID(exchange).int ^ 1))
    except ValueError:
        return exchange


def reach(start: str, parents: Callable[[str], Iterable[str]]) -> set[str]:
    """All ancestors of `start`, whatever circles there are; `start` itself is none of them."""
    found: set[str] = set()
    to_see = [start]
    while to_see:
        for parent in parents(to_see.pop()):
            if parent not in found and parent != start:
                found.add(parent)
                to_see.append(parent)
    return found


class Kinship:
    """Who contributed to whom among the leaves of a bundle, in the order of the log."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self._leaves = {leaf.id: leaf for leaf in leaves}
        self._sources = {leaf.text("source"): leaf for leaf in leaves if leaf.kind == "source"}
        """The last word on each source, by name."""
        self._calls = {leaf.id: leaf for leaf in leaves if leaf.kind == "call"}
        self._answers: dict[tuple[str, str], list[str]] = {}
        for leaf in leaves:
            if leaf.kind == "exchange" and leaf.fields.get("response_id") is not None:
                self._answers.setdefault(self._answer_key(leaf, "response_id"), []).append(leaf.id)

    def absent(self) -> list[tuple[Leaf, str]]:
        """The calls that name an exchange or a source that is not here, and which.

        An exchange is here if its call is: it may have been under way.
        """
        return [
            (call, name)
            for call in self._calls.values()
            for name in [*call.texts("parents"), *call.texts("sources")]
            if name not in self._leaves and call_of(name) not in self._calls
        ]

    def of(self, exchange: Leaf) -> Family:
        """What contributed to an exchange: what is not here is named too."""
        found = reach(exchange.id, self._parents)
        calls = [self._call_of(name) for name in {exchange.id, *found}]
        sources = {name for call in calls if call is not None for name in call.texts("sources")}
        return Family(exchanges=tuple(sorted(found)), sources=tuple(sorted(sources)))

    def source_problem(self, name: str) -> str:
        """Why a source entry does not let a student learn, then or now; empty where it does."""
        then = self._leaves.get(name)
        if then is None or then.kind != "source":
            return "is not here"
        now = self._sources[then.text("source")]
        if now.text("action") == "withdraw":
            return "was withdrawn"
        may_train = then.fields["may_train"] is True and now.fields["may_train"] is True
        return "" if may_train else "was declared as not to be learned from"

    def _parents(self, exchange: str) -> list[str]:
        call = self._call_of(exchange)
        named = [] if call is None else call.texts("parents")
        leaf = self._leaves.get(exchange)
        if leaf is not None and leaf.fields.get("continues") is not None:
            # Without the answer it goes on from, nobody can tell what it rests on.
            before = self._answers.get(self._answer_key(leaf, "continues"))
            named = [*named, *(before or [f"{exchange}:continues"])]
        return named

    def _call_of(self, exchange: str) -> Leaf | None:
        leaf = self._leaves.get(exchange)
        call = call_of(exchange) if leaf is None else leaf.text("call")
        return self._calls.get(call)

    def _answer_key(self, exchange: Leaf, name: str) -> tuple[str, str]:
        call: Leaf | None = self._calls.get(exchange.text("call"))
        route = "" if call is None else call.text("facts", "route")
        return route, exchange.text(name)
