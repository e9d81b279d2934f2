"""A short run of the fuzzing harness over damaged transcripts, without atheris and always the same."""

import json
import random
import re
from typing import Any

import pytest

from tests.fuzz.fuzz_wire import TYPES, one, seeds

SEEDS = tuple(seeds())
ROUNDS = 6


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Each value inside a document, as what holds it and its key there."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], dict | list):
            found += _places(value[key])
    return found


def _mistyped(seed: bytes, chance: random.Random) -> bytes:
    """A seed in which one value of one of its JSON objects is of another type."""
    objects = [found for found in re.finditer(rb"\{[^\0\n]*\}", seed) if _is_object(found[0])]
    if not objects:
        return seed
    found = chance.choice(objects)
    doc = json.loads(found[0])
    places = _places(doc)
    if places:
        holder, key = chance.choice(places)
        holder[key] = chance.choice([{}, [], {"a": []}, [{}], 0, -1, 1.5, "", "a", True, None])
    start, end = found.span()
    return seed[:start] + json.dumps(doc).encode() + seed[end:]


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False


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


@pytest.mark.parametrize("part", range(8))
def test_values_of_other_types_are_read_or_refused(part: int) -> None:
    """Whatever stands where a format has a word, a count, an object or a list."""
    chance = random.Random(part)
    for seed in SEEDS[part::8]:
        for _ in range(ROUNDS * 2):
            one(_mistyped(seed, chance))


def test_the_harness_plays_transcripts() -> None:
    """A seed is the transcript itself: most of them read as complete, so the harness reaches deep."""
    read = [exchange for exchange in map(one, SEEDS) if exchange is not None]
    assert len(read) == len(SEEDS)
    assert sum(exchange.answer.is_complete for exchange in read) > len(read) // 3


def test_too_few_bytes_are_nothing() -> None:
    """What is shorter than a head is played by nobody."""
    assert one(b"123456") is None
