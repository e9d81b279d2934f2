"""Recall what was sealed and may be learned from no more: a grant revoked, terms found stricter.

What changed is said where it changed: a grant is revoked, a policy is edited, and the next build
refuses by today's policies. A recall finds the datasets that rest on it, decides again on their rows,
and withdraws those of which a row is refused now. An exchange is recalled by name: it is rejected, and
so is whatever was made from it.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from policies.bundle import Bundle
from policies.diagnostics import nearest
from proxy.clock import new_id, new_nonce, stamp
from proxy.errors import LedgerError
from proxy.ledger.entry import DatasetEntry, DecisionEntry, RunEntry, TermsEntry
from proxy.ledger.status import Affected
from proxy.lineage import children_of
from proxy.notary import append_if, refuse_later
from proxy.radius import members_of
from proxy.selection import every_entry
from proxy.store.log import Log, Pending
from proxy.store.queries import approval_list, datasets, head, runs
from proxy.store.recalls import last_status, recorded
from proxy.store.session import Reading
from proxy.withdrawal import Cause, Withdrawal, check_again

__all__ = ["Found", "Ground", "Recall"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a recall is about: one of these, or with none of them today's policies at large."""

    grant: str | None = None
    """Its name."""
    source: tuple[str, str] | None = None
    """A source that rules cite: the policy's id and the source's."""
    exchanges: Collection[str] = ()

    @property
    def cause(self) -> Cause:
        """As a `status` entry states it."""
        if self.grant is not None:
            return "grant"
        if self.source is not None:
            return "terms"
        return "exchange" if self.exchanges else "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The blast radius of a recall."""

    withdrawals: tuple[Withdrawal, ...]
    """The datasets of which rows are refused now."""
    resting: tuple[DatasetEntry, ...]
    """Those that rest on the same, and of which every row is permitted all the same."""
    runs: tuple[RunEntry, ...]
    """The runs that learned from what is withdrawn."""
    rejected: tuple[str, ...]
    """The exchanges that will be rejected by name."""
    size: int
    """Of the log that was looked at: a dataset or a run that came since was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """One recall: look first, then carry it out."""

    log: Log
    bundle: Bundle
    """The policies in force today."""
    datasets: Path
    """Where the bundles of datasets lie."""
    at: datetime
    ground: Ground
    reason: str

    def look(self) -> Found:
        """What would be withdrawn; nothing is changed.

        Raises:
            LedgerError: the ground names nothing on record, nothing says any more what a dataset
                holds, or the ledger cannot be read.
        """
        if not self.reason.strip():
            raise LedgerError(
                "the reason is empty", help="say in a sentence why", code="bad-recall"
            )
        with self.log.database.read() as connection:
            size = head(connection).size
            named = self._exchanges(connection)
            reached = frozenset(named) | children_of(connection, named) if named else frozenset()
            digests = self._digests(connection)
            withdrawals: list[Withdrawal] = []
            resting: list[DatasetEntry] = []
            for entry in self._considered(connection, digests):
                is_resting = digests is None or bool(digests & {*entry.grants, *entry.terms})
                affected, by = self._affected(connection, entry, reached)
                if affected and (is_resting or self._is_of_source(by)):
                    withdrawals.append(self._withdrawal(entry, affected))
                elif is_resting and not named:
                    resting.append(entry)
            roots = {each.dataset.root for each in withdrawals}
            learned = [item.entry for item in runs(connection)]
        return Found(
            withdrawals=tuple(withdrawals),
            resting=tuple(resting),
            runs=tuple(run for run in learned if roots & set(run.datasets)),
            rejected=named,
            size=size,
        )

    def carry_out(self, found: Found, actor: str) -> None:
        """Reject the exchanges named and mark the roots withdrawn, all of it or nothing.

        Raises:
            LedgerError: a dataset was sealed or a run recorded since, or the ledger cannot be written.
        """
        at = stamp(self.at)
        said = [self._rejection(exchange, at, actor) for exchange in found.rejected]
        with self.log.database.read() as connection:
            said += [each.pending(connection, at=at, actor=actor) for each in found.withdrawals]
        if said:
            append_if(
                self.log, said, lambda now: refuse_later(now, ("dataset", "run"), size=found.size)
            )

    def _exchanges(self, connection: Reading) -> tuple[str, ...]:
        """The exchanges named, by their own ids."""
        if not self.ground.exchanges:
            return ()
        found = recorded(connection, self.ground.exchanges)
        known = {each.call.entry.id for each in found if each.exchange is not None}
        known |= {each.exchange.entry.id for each in found if each.exchange is not None}
        for name in sorted(set(self.ground.exchanges) - known):
            raise LedgerError(
                f"no exchange `{name}` is on record",
                help="give the id that `x-inbond-exchange` of the answer says, once the call has ended",
                code="unknown-exchange",
            )
        return tuple(each.exchange.entry.id for each in found if each.exchange is not None)

    def _considered(
        self, connection: Reading, digests: frozenset[str] | None
    ) -> Iterator[DatasetEntry]:
        """The datasets that may rest on the ground and are not withdrawn yet.

        Of a source all are: a rule that cites it may refuse what was permitted without it.
        """
        for item in datasets(connection):
            entry = item.entry
            is_named = digests is None or bool(digests & {*entry.grants, *entry.terms})
            if not is_named and self.ground.source is None:
                continue
            if last_status(connection, entry.dataset, state="withdrawn") is None:
                yield entry

    def _is_of_source(self, rules: Iterable[str]) -> bool:
        """Whether a rule of the policy that the ground's source stands in is among these."""
        source = self.ground.source
        return source is not None and any(rule.startswith(f"{source[0]}/") for rule in rules)

    def _digests(self, connection: Reading) -> frozenset[str] | None:
        """The documents that the ground names, in every form they had; None for all."""
        if self.ground.grant is not None:
            known = [each for each in approval_list(connection) if each.subject == "grant"]
            digests = {each.digest for each in known if each.name == self.ground.grant}
            names = {each.name for each in known}
            name = self.ground.grant
        elif self.ground.source is not None:
            cited = [
                item.entry
                for item in every_entry(connection, "terms")
                if isinstance(item.entry, TermsEntry)
            ]
            digests = {e.digest for e in cited if _key(e) == self.ground.source}
            names = {"/".join(_key(e)) for e in cited}
            name = "/".join(self.ground.source)
        else:
            return None
        if not digests:
            raise LedgerError(
                f"no {self.ground.cause} `{name}` is on record",
                help=nearest(name, names) or "see `inbond policy list` and `inbond terms list`",
                code=f"unknown-{self.ground.cause}",
            )
        return frozenset(digests)

    def _affected(
        self, connection: Reading, entry: DatasetEntry, reached: Collection[str]
    ) -> tuple[tuple[Affected, ...], frozenset[str]]:
        """The exchanges of a dataset that are concerned, and the rules that refuse them."""
        if not reached:
            checked = check_again(connection, self.bundle, entry, self.datasets, self.at)
            return checked.affected, checked.by
        members = members_of(connection, entry, self.datasets)
        inside: Iterable[str] = reached if members is None else members & set(reached)
        return tuple(Affected(exchange, "recalled") for exchange in sorted(inside)), frozenset()

    def _withdrawal(self, entry: DatasetEntry, affected: tuple[Affected, ...]) -> Withdrawal:
        return Withdrawal(
            dataset=entry, affected=affected, cause=self.ground.cause, reason=self.reason.strip()
        )

    def _rejection(self, exchange: str, at: str, actor: str) -> Pending:
        entry = DecisionEntry(
            id=new_id(),
            at=at,
            actor=actor,
            action="reject",
            exchange=exchange,
            gate="response",
            reason=self.reason.strip(),
            nonce=new_nonce(),
        )
        return Pending(entry)


def _key(entry: TermsEntry) -> tuple[str, str]:
    """A source as people name it: the policy's id is its file's name."""
    return PurePosixPath(entry.policy).stem, entry.source
