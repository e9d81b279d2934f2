"""What the calls of one worker share."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from policies.bundle import Bundle
from policies.model import Fact
from proxy.attempts import Attempts
from proxy.batches import Batches
from proxy.contributors import Contributors, none_on_record
from proxy.counting import Counting
from proxy.declared import Declared
from proxy.detect import Detectors
from proxy.exchange import Headers
from proxy.recorder import Recorder
from proxy.route import Route

__all__ = ["Clearance", "Delivery", "Services"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """What a person decided on an earlier call of the same facts and bytes."""

    entry: str
    """The id of the `decision` or `judgement` entry."""
    rules: frozenset[str]
    facts: dict[str, Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """When clients get their answers: as they come, or held until they were decided on."""

    is_buffered: bool = False
    exceptions: Mapping[str, bool] = field(default_factory=dict, hash=False)
    """By the id of the registry's entry: whether its answers are held."""

    def holds(self, entry: str) -> bool:
        """Whether answers of an entry are held."""
        return self.exceptions.get(entry, self.is_buffered)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What every call of one worker shares."""

    bundle: Bundle
    counting: Counting
    recorder: Recorder
    worker: str
    keep_wire: bool
    request_limit_bytes: int
    answer_limit_bytes: int
    unannounced_limit_bytes: int | None = None
    """For bodies that come without a length; None: as for the others."""
    now: Callable[[], datetime]
    resolve: Callable[[Route], Awaitable[tuple[str, int]]]
    """The address to dial; RouteError where it is not allowed."""
    clearance: Callable[[Mapping[str, Fact], bytes], Awaitable[Clearance | None]]
    """By the facts at the request gate and the request body."""
    contributors: Callable[[Headers], Awaitable[Contributors]] = none_on_record
    """What a request's headers say it was made from; ContributorError where it cannot be found."""
    declared: Declared = field(default_factory=Declared)
    """What the organisation declares of itself and of its accounts."""
    batches: Batches | None = None
    """The batches that are known; None: no call about batches passes."""
    delivery: Delivery = field(default_factory=Delivery)
    attempts: Attempts = field(default_factory=Attempts)
    """The calls of the last minutes, by which an SDK's tries of one call are linked."""
    detectors: Detectors = field(default_factory=lambda: Detectors({}, timeout_s=1.0))
    """Whose answers wait for their decision."""
