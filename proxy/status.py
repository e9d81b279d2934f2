"""How an installation stands, read from its ledger and from what its workers say."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated

from pydantic import AfterValidator, TypeAdapter, ValidationError

from proxy.clock import parse_time, utc_now
from proxy.settings import Settings
from proxy.store.queries import counts, last_checkpoint, latest_policy
from proxy.store.session import Database
from proxy.web.app import CheckpointReport, StatusReport

__all__ = ["WorkerStatus", "status_of", "workers_of"]

_STALE_S = 10.0


def _stamp(text: str) -> str:
    if parse_time(text).tzinfo is None:
        raise ValueError("a stamp is of a zone")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """What a worker said last."""

    worker: str
    pid: int
    state: str
    policy: str
    at: Annotated[str, AfterValidator(_stamp)]
    waiting: int
    turned_away: dict[str, int]

    @property
    def is_fresh(self) -> bool:
        """Whether it said so in the last seconds."""
        return (utc_now() - parse_time(self.at)).total_seconds() < _STALE_S


_SAID = TypeAdapter(WorkerStatus)


def workers_of(settings: Settings) -> list[WorkerStatus]:
    """What the workers of a workspace said last; a file half replaced or gone is passed over."""
    found: list[WorkerStatus] = []
    for path in sorted(settings.run_directory.glob("worker-*.json")):
        try:
            found.append(_SAID.validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            continue
    return found


def status_of(settings: Settings, database: Database) -> StatusReport:
    """How the installation stands now.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with database.read() as connection:
        count = counts(connection)
        note = last_checkpoint(connection)
        policy = latest_policy(connection)
    alive = [worker for worker in workers_of(settings) if worker.is_fresh]
    bundle = None if policy is None else policy.entry.bundle
    return StatusReport(
        version=version("inbond"),
        origin=settings.origin,
        ledger_size=count.entries,
        last_checkpoint=None if note is None else CheckpointReport(size=note.size),
        workers=len(alive),
        policy_bundle=bundle,
        counts={
            "calls": count.calls,
            "exchanges": sum(count.exchanges.values()),
            "under_way": count.under_way,
            "waiting_for_review": count.waiting,
            **{f"outcome_{outcome}": n for outcome, n in sorted(count.exchanges.items())},
            **{f"verdict_{verdict}": n for verdict, n in sorted(count.verdicts.items())},
        },
        problems=_problems(alive, bundle),
    )


def _problems(alive: list[WorkerStatus], bundle: str | None) -> tuple[str, ...]:
    found: list[str] = []
    if bundle is None:
        found.append("no policies are in force: start the proxy")
    if not alive:
        found.append("no worker is alive: no call can be made")
    behind = [worker.worker for worker in alive if worker.policy != bundle]
    if behind:
        found.append(
            f"workers that decide by an older policy bundle: {len(behind)}; restart the proxy"
        )
    return tuple(found)
