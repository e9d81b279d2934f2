"""How an installation stands, read from its ledger and from what its workers say."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated

from pydantic import AfterValidator, TypeAdapter, ValidationError

from policies.counters import Nearness
from proxy.anchors import AnchorState, states_of
from proxy.clock import parse_time, utc_now
from proxy.ledger.entry import CallEntry
from proxy.nearing import Gauges
from proxy.reload import refused_policies
from proxy.settings import Settings
from proxy.store.queries import counts, last_checkpoint, latest_policy, unlisted_calls
from proxy.store.records import StoredEntry
from proxy.store.session import Database
from proxy.web.app import (
    AnchorReport,
    CheckpointReport,
    CountedReport,
    FindingReport,
    StatusReport,
)

__all__ = ["WorkerStatus", "status_of", "workers_of"]

_STALE_S = 10.0
_FINDINGS_OF = 1000
"""How many of the last calls to unlisted gateways are told about."""


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
    """The digest of the bundle that it decides by."""
    at: Annotated[str, AfterValidator(_stamp)]
    waiting: int
    turned_away: dict[str, int]
    passed: dict[str, int]
    policy_problem: str | None = None
    """Why it does not take up the bundle in force."""

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


def status_of(settings: Settings, database: Database, gauges: Gauges | None = None) -> StatusReport:
    """How the installation stands now; `gauges` say how far counters have counted.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with database.read() as connection:
        count = counts(connection)
        note = last_checkpoint(connection)
        policy = latest_policy(connection)
        found = unlisted_calls(connection, limit=_FINDINGS_OF)
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
        findings=_findings(found),
        passed=sum((Counter(worker.passed) for worker in alive), Counter()),
        counted=() if gauges is None else tuple(map(_counted, gauges.now(utc_now()))),
        anchors=tuple(map(_anchor, states_of(settings.run_directory))),
        problems=_problems(alive, bundle, refused_policies(settings)),
    )


def _anchor(state: AnchorState) -> AnchorReport:
    return AnchorReport(
        kind=state.kind.value,
        name=state.name,
        size=state.size,
        at=state.at,
        problem=state.problem,
        next_at=state.next_at,
    )


def _counted(near: Nearness) -> CountedReport:
    return CountedReport(
        counter=near.counter, rule=near.rule, value=near.value, limit=near.limit, left=near.left
    )


def _findings(calls: Sequence[StoredEntry[CallEntry]]) -> tuple[FindingReport, ...]:
    """One finding for each host, in the order of the calls."""
    by_host: dict[str, list[CallEntry]] = {}
    for call in calls:
        by_host.setdefault(call.entry.host or "", []).append(call.entry)
    return tuple(
        FindingReport(
            host=host,
            calls=len(entries),
            last_at=entries[0].at,
            projects=tuple(sorted({str(entry.facts.get("project")) for entry in entries})),
        )
        for host, entries in by_host.items()
    )


def _problems(
    alive: list[WorkerStatus], bundle: str | None, refused: str | None
) -> tuple[str, ...]:
    found: list[str] = []
    if bundle is None:
        found.append("no policies are in force: start the proxy")
    if not alive:
        found.append("no worker is alive: no call can be made")
    if refused is not None:
        found.append(f"the workspace's policies are not in force: {refused}")
    found += [
        f"`{worker.worker}` decides by an older policy bundle: {worker.policy_problem}"
        for worker in alive
        if worker.policy != bundle and worker.policy_problem is not None
    ]
    return tuple(found)
