"""Claims on tries of one call: linked where the SDK says so, and never where it does not."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from proxy.attempts import Attempts
from proxy.exchange import Outcome
from proxy.gate import Forward
from proxy.ledger.entry import CallEntry
from proxy.services import Services
from tests.proxy.calls import ANSWER, JSON, NOW, REQUEST, Site, site

HI = b'{"model": "m"}'


def _try(
    attempts: Attempts,
    call: str,
    retries: int,
    *,
    key: str = "key:one",
    path: str = "/v1/chat/completions",
    body: bytes = HI,
    after: timedelta = timedelta(),
) -> str | None:
    return attempts.earlier(
        call=call, key=key, path=path, body=body, retries=retries, at=NOW + after
    )


def test_each_try_names_the_one_before() -> None:
    """Three tries of one call make a chain."""
    attempts = Attempts()
    assert _try(attempts, "a", 0) is None
    assert _try(attempts, "b", 1) == "a"
    assert _try(attempts, "c", 2) == "b"


def test_a_first_try_is_nobodys_second() -> None:
    """The same question asked anew is another call, and what comes after belongs to it."""
    attempts = Attempts()
    _try(attempts, "a", 0)
    assert _try(attempts, "b", 0) is None
    assert _try(attempts, "c", 1) == "b"


@pytest.mark.parametrize(
    "other",
    [
        {"key": "key:two"},
        {"path": "/v1/responses"},
        {"body": HI + b" "},
        {"after": timedelta(minutes=11)},
        {"after": timedelta(seconds=-1)},
    ],
    ids=["key", "path", "body", "later", "before"],
)
def test_only_the_same_call_is_tried_again(other: dict[str, object]) -> None:
    """Another key, path or body is another call, and so is one of long ago or of the future."""
    attempts = Attempts()
    _try(attempts, "a", 0)
    assert _try(attempts, "b", 1, **other) is None  # type: ignore[arg-type] # one of the keywords


def test_long_bodies_differ_by_their_length() -> None:
    """Of a body beyond a mebibyte the start and the length count."""
    attempts = Attempts()
    start = b"x" * 2**20
    _try(attempts, "a", 0, body=start + b"a")
    assert _try(attempts, "b", 1, body=start + b"aa") is None
    assert _try(attempts, "c", 1, body=start + b"b") == "a"


def test_what_is_remembered_is_bounded() -> None:
    """The oldest calls are forgotten."""
    attempts = Attempts()
    for number in range(4_097):
        _try(attempts, str(number), 0, body=str(number).encode())
    assert _try(attempts, "x", 1, body=b"0") is None
    assert _try(attempts, "y", 1, body=b"4096") == "4096"


@dataclass(slots=True, kw_only=True)
class OneWorker(Site):
    """A site whose calls share one memory of tries, as those of one worker do."""

    attempts: Attempts = field(default_factory=Attempts)

    @property
    def services(self) -> Services:
        """What its calls share."""
        return replace(_shared(self), attempts=self.attempts)


def _shared(here: Site) -> Services:
    found: Services = Site.services.__get__(here)
    return found


@pytest.fixture
def here(tmp_path: Path) -> Iterator[OneWorker]:
    """A site on a ledger of its own."""
    with site(tmp_path) as found:
        yield OneWorker(ledger=found.ledger, recorder=found.recorder)


async def _called(here: OneWorker, said: str | None) -> str | None:
    """The call that the entry of one more call names as the one it tries again."""
    headers = () if said is None else (("x-stainless-retry-count", said),)
    call = here.call(headers=headers)
    assert isinstance(await call.request(REQUEST), Forward)
    call.respond(200, JSON)
    call.tap(ANSWER)
    await call.end(Outcome.COMPLETE)
    entries = [entry for entry in here.entries() if isinstance(entry, CallEntry)]
    return entries[-1].retry_of


async def test_the_entry_names_the_call_it_tries_again(here: OneWorker) -> None:
    """What the SDK's header says is in the ledger: the second try names the first, others none."""
    assert await _called(here, "0") is None
    (first,) = (entry.id for entry in here.entries() if isinstance(entry, CallEntry))
    assert await _called(here, "1") == first
    assert await _called(here, None) is None
