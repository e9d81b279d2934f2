"""A short run of the fuzzing harness over damaged transcripts, without atheris and always the same."""

import random

import pytest

from tests.fuzz.fuzz_wire import TYPES, one, seeds

SEEDS = tuple(seeds())
ROUNDS = 6


def _damaged(seed: bytes, chance: random.Random) -> bytes:
    """A seed with another reader or frame, bytes changed, a piece gone, or two seeds in one."""
    data = bytearray(seed)
    match chance.randrange(5):
        case 0:
            data[:2] = chance.randbytes(2)
        case 1:
            data[3] = chance.randrange(len(TYPES))
        case 2:
            for _ in range(4):
                data[chance.randrange(len(data))] = chance.randrange(256)
        case 3:
            start = chance.randrange(len(data))
            del data[start : start + chance.randrange(1, 40)]
        case _:
            other = chance.choice(SEEDS)
            data = data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]
    return bytes(data)


@pytest.mark.parametrize("part", range(8))
def test_damaged_transcripts_are_read_or_refused(part: int) -> None:
    """Whatever is broken in a transcript, a reader gives an exchange, and a sound one."""
    chance = random.Random(part)
    for seed in SEEDS[part::8]:
        for _ in range(ROUNDS):
            one(_damaged(seed, chance))


def test_the_harness_plays_transcripts() -> None:
    """A seed is the transcript itself: most of them read as complete, so the harness reaches deep."""
    read = [exchange for exchange in map(one, SEEDS) if exchange is not None]
    assert len(read) == len(SEEDS)
    assert sum(exchange.answer.is_complete for exchange in read) > len(read) // 3


def test_too_few_bytes_are_nothing() -> None:
    """What is shorter than a head is played by nobody."""
    assert one(b"123456") is None
