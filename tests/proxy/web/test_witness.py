"""Tests of proxy.web.witness."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from proxy.ledger.checkpoint import Checkpoint, LogKey, sign_checkpoint
from proxy.ledger.cosignature import WitnessKey, find_cosignature
from proxy.ledger.submission import Submission
from proxy.web.witness import create_witness
from proxy.witness import WitnessBook

LOG = LogKey.generate("acme.example/log", bytes(32))
KEY = WitnessKey.generate("witness.example/w", bytes(range(32)))
NOTE = sign_checkpoint(Checkpoint(origin=LOG.name, size=5, root=bytes(32)), LOG)
REQUEST = Submission(old_size=0, proof=(), note=NOTE).to_text()
SHOWN = f"/{sha256(LOG.name.encode()).hexdigest()}/checkpoint"


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a witness with an empty memory."""
    book = WitnessBook.open(
        tmp_path, KEY, [LOG.verifier], now=lambda: datetime(2026, 11, 24, tzinfo=UTC)
    )
    transport = httpx.ASGITransport(create_witness(book))
    async with httpx.AsyncClient(transport=transport, base_url="http://witness") as client:
        yield client


async def test_a_checkpoint_is_cosigned_and_shown(asked: httpx.AsyncClient) -> None:
    """The answer is the cosignature; whoever asks later sees the checkpoint with it."""
    answer = await asked.post("/add-checkpoint", content=REQUEST)
    assert answer.status_code == 200
    assert find_cosignature(NOTE, KEY.verifier, answer.text) is not None
    shown = await asked.get(SHOWN)
    assert (shown.status_code, shown.text) == (200, NOTE + answer.text)


async def test_a_conflict_has_its_own_type(asked: httpx.AsyncClient) -> None:
    """409 carries the size seen last, as the specification types it."""
    await asked.post("/add-checkpoint", content=REQUEST)
    answer = await asked.post("/add-checkpoint", content=REQUEST)
    assert (answer.status_code, answer.text) == (409, "5\n")
    assert answer.headers["content-type"] == "text/x.tlog.size"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/add-checkpoint", 405),
        ("POST", SHOWN, 405),
        ("GET", SHOWN, 404),
        ("GET", "/", 404),
        ("POST", "/sign-subtree", 404),
    ],
)
async def test_other_questions_are_refused(
    asked: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    """Each path has its methods; what is not served is not found."""
    answer = await asked.request(method, path, content=b"" if method == "GET" else b"x")
    assert answer.status_code == status


async def test_a_long_request_is_not_read(asked: httpx.AsyncClient) -> None:
    """More than a checkpoint can be is refused; bytes that are no text are a bad request."""
    assert (await asked.post("/add-checkpoint", content=b"x" * 200_000)).status_code == 413
    assert (await asked.post("/add-checkpoint", content=b"\xff")).status_code == 400


async def test_a_broken_memory_is_not_shown(asked: httpx.AsyncClient, tmp_path: Path) -> None:
    """Where the memory cannot be used the answer is 503, and names no path."""
    (tmp_path / f"{SHOWN[1:].partition('/')[0]}.checkpoint").write_text("junk")
    answer = await asked.post("/add-checkpoint", content=REQUEST)
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text
