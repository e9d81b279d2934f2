"""Coverage-guided fuzzing of every reader: any bytes give an exchange or a `WireError`, and nothing else.

Run it for as long as you like, with a folder for what it finds worth keeping:

    uv run python -m tests.fuzz.fuzz_wire /tmp/corpus -max_total_time=600 -print_final_stats=1

`seeds` are its corpus, and that of the ordinary test beside this file, which needs no atheris. On
24 November 2026 it was run for 40 minutes on one shared core: 10 million inputs, one fault found and
mended (an object under `type` of a vendor's body at Bedrock).
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

from proxy.errors import WireError
from proxy.exchange import Exchange, RequestHead, ResponseHead
from proxy.wire.dialects import FORMATS
from proxy.wire.format import WireFormat
from tests.proxy.wire import playback

TYPES = (
    "application/json",
    "text/event-stream",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
    "application/grpc",
    "text/html",
    "",
)
STATUSES = (200, 201, 202, 400, 429, 503)
PATHS = sorted(
    {(case.method, case.path) for name in FORMATS for case in playback.cases(name).values()}
)
DOORS: tuple[tuple[WireFormat, RequestHead], ...] = tuple(
    (door, head)
    for doors in FORMATS.values()
    for door in doors
    for head in (RequestHead(method=method, path=path) for method, path in PATHS)
    if door.claims(head) is not None
)
"""Each format with each request of the transcripts that it claims."""
_HEAD_BYTES = 7


def one(data: bytes) -> Exchange | None:
    """Play what bytes say: a reader, a head, two cuts and two bodies; None where too few.

    Bodies are what follows the first seven bytes, up to and from the first NUL.
    """
    if len(data) < _HEAD_BYTES:
        return None
    high, low, status, kind, first, second, clean = data[:_HEAD_BYTES]
    asked, _, answer = data[_HEAD_BYTES:].partition(b"\0")
    door, head = DOORS[(high * 256 + low) % len(DOORS)]
    reader = door.reader(head)
    with contextlib.suppress(WireError):
        reader.request(asked)
    content_type = TYPES[kind % len(TYPES)]
    headers = (("content-type", content_type),) if content_type else ()
    reader.respond(ResponseHead(status=STATUSES[status % len(STATUSES)], headers=headers))
    cuts = (first * len(answer) // 255, second * len(answer) // 255)
    playback.feed(reader, playback.pieces(answer, cuts))
    assert reader.is_terminal in {True, False}
    exchange = reader.finish(is_clean=bool(clean % 2))
    assert not (exchange.answer.is_complete and exchange.answer.problem)
    assert not (exchange.answer.is_complete and exchange.answer.error)
    return exchange


def seeds() -> Iterator[bytes]:
    """Each transcript, in the words that `one` takes."""
    for name, doors in FORMATS.items():
        for case in playback.cases(name).values():
            head = RequestHead(method=case.method, path=case.path)
            door = next(door for door in doors if door.claims(head) is not None)
            place = DOORS.index((door, head))
            said = case.headers.get("content-type", "")
            known = [kind for kind, word in enumerate(TYPES) if word and said.startswith(word)]
            status = STATUSES.index(case.status) if case.status in STATUSES else 0
            kind = (known or [len(TYPES) - 1])[0]
            marks = bytes((*divmod(place, 256), status, kind, 85, 170, case.is_clean))
            yield marks + b"\0".join((case.request, case.answer))


def main() -> None:
    """Fuzz; the first argument is a folder, which is given the seeds first."""
    atheris = importlib.import_module("atheris")
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        folder = Path(sys.argv[1])
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds()):
            (folder / f"seed-{number}").write_bytes(seed)
    atheris.instrument_all()
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
