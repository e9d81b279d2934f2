"""A real witness behind httpx, for tests of whoever asks one."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx

from proxy.ledger.checkpoint import Verifier
from proxy.ledger.cosignature import WitnessKey
from proxy.witness import Reply, WitnessBook

WITNESS = WitnessKey.generate("witness.example/w", bytes(range(32)))
SEEN_AT = datetime(2026, 11, 24, 12, tzinfo=UTC)

type Asked = Callable[[httpx.Request], httpx.Response]


def witness_of(folder: Path, logs: Sequence[Verifier], key: WitnessKey = WITNESS) -> Asked:
    """What a witness with its memory in a folder answers."""
    book = WitnessBook.open(folder, key, logs, now=lambda: SEEN_AT)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/add-checkpoint":
            return _response(book.add(request.content.decode()))
        return _response(book.shown(request.url.path[1:].partition("/")[0]))

    return answer


def _response(reply: Reply) -> httpx.Response:
    return httpx.Response(
        reply.status, content=reply.body.encode(), headers={"content-type": reply.media_type}
    )
