"""Several datasets as one: no exchange on both sides, no example twice, weights counted out."""

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from student.config import Config
from student.errors import IntakeError
from student.intake import open_datasets, teachings
from student.mixture import Mixture, Part, mix
from student.model import Student
from student.roll import Fate
from student.token_cache import Tokens
from tests.student.datasets import LESSONS, NOW, Lesson, admit, seal_dataset

_CONFIG = Config(row_tokens=128, batch_tokens=128, device="cpu")
_EXCHANGES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=20)
_SHARES = st.floats(0, 0.99)


def _part(root: str, exchanges: list[str], weight: float = 1.0) -> Part:
    seen: Counter[str] = Counter()
    names = []
    for exchange in exchanges:
        names.append(f"{exchange}#{seen[exchange]}")
        seen[exchange] += 1
    tokens = Tokens(
        ids=np.arange(len(exchanges), dtype=np.int32),
        is_target=np.zeros(len(exchanges), dtype=np.bool_),
        offsets=np.arange(len(exchanges) + 1),
        examples=tuple(names),
        exchanges=tuple(exchanges),
        counts={"kept": len(exchanges)},
        digest=f"digest of {root}",
    )
    return Part(root=root, tokens=tokens, weight=weight)


@given(
    exchanges=_EXCHANGES, root=st.text("0123456789abcdef", min_size=4, max_size=4), share=_SHARES
)
def test_no_exchange_is_on_both_sides(exchanges: list[str], root: str, share: float) -> None:
    """Of one dataset every example is on one side, and all choices of an exchange on the same."""
    parts = Mixture(parts=(_part(root, exchanges),)).split(share=share, seed=0)
    assert sorted([*parts.train, *parts.held_out]) == list(range(len(exchanges)))
    sides = [{exchanges[index] for index in side} for side in (parts.train, parts.held_out)]
    assert not sides[0] & sides[1]
    assert sides[0]
    assert bool(sides[1]) == (share > 0 and len(set(exchanges)) > 1)


@given(first=_EXCHANGES, second=_EXCHANGES, share=st.floats(0, 0.5), weight=st.floats(0.1, 3))
def test_what_one_dataset_holds_out_no_other_teaches(
    first: list[str], second: list[str], share: float, weight: float
) -> None:
    """Whatever two datasets share, an example is taken once, and what either holds out is not learned."""
    datasets = (_part("aa", first), _part("bb", second, weight))
    mixture = Mixture(parts=datasets)
    try:
        parts = mixture.split(share=share, seed=3)
    except IntakeError:
        return  # all that is left is held out
    learned = {mixture.exchanges[index] for index in parts.train}
    for each in datasets:
        alone = Mixture(parts=(dataclasses.replace(each, weight=1.0),))
        away = {alone.exchanges[at] for at in alone.split(share=share, seed=3).held_out}
        assert not learned & away
    taken = [mixture.examples[index] for index in {*parts.train, *parts.held_out}]
    assert len(taken) == len(set(taken))


def test_the_root_fixes_what_is_held_out() -> None:
    """The same root holds out the same, whatever the order of rows and the seed; another another."""

    def held_out(root: str, exchanges: list[str], seed: int) -> set[str]:
        parts = Mixture(parts=(_part(root, exchanges),)).split(share=0.25, seed=seed)
        return {exchanges[index] for index in parts.held_out}

    exchanges = [str(number) for number in range(40)]
    first = held_out("ab", exchanges, 0)
    assert first == held_out("ab", exchanges[::-1], 1) != held_out("cd", exchanges, 0)
    assert len(first) == 10


@pytest.mark.parametrize(("weight", "often"), [(1.0, 40), (2.0, 80), (0.5, 20), (2.25, 90)])
def test_a_weight_says_how_often_each_example_is_learned(weight: float, often: int) -> None:
    """Whole weights take every example so often, a fraction takes that share of the exchanges."""
    exchanges = [str(number) for number in range(40)]
    mixture = Mixture(parts=(_part("ab", exchanges, weight),))
    times = Counter(mixture.split(share=0, seed=7).train)
    assert sum(times.values()) == often
    assert set(times.values()) <= {int(weight), int(weight) + 1}
    other = Counter(mixture.split(share=0, seed=8).train)
    assert (times == other) == (weight == int(weight))


def test_nothing_left_to_learn_from_is_refused() -> None:
    """A weight that rounds to no exchange at all teaches nothing, and says so."""
    with pytest.raises(IntakeError, match="nothing is left to learn from") as caught:
        Mixture(parts=(_part("ab", ["x", "y"], 0.1),)).split(share=0.5, seed=0)
    assert caught.value.code == "nothing-to-learn"


def test_an_index_counts_through_the_parts() -> None:
    """Tokens, names and lengths of every index are those of its dataset."""
    mixture = Mixture(parts=(_part("aa", ["a", "b"]), _part("bb", ["c", "b", "b"])))
    assert len(mixture) == 5
    assert [int(mixture[index].ids[0]) for index in range(5)] == [0, 1, 0, 1, 2]
    assert mixture.examples == ("a#0", "b#0", "c#0", "b#0", "b#1")
    assert mixture.lengths == [1] * 5
    assert mixture.counts == {"kept": 4, "left out: in an earlier dataset too": 1}


def test_the_digest_of_one_is_that_of_its_tokens() -> None:
    """A mixture of one is the dataset; of more, another digest for any other part or order."""
    one, two = _part("aa", ["a"]), _part("bb", ["b"])
    digests = [Mixture(parts=parts).digest for parts in ((one,), (one, two), (two, one))]
    assert digests[0] == "digest of aa"
    assert len(set(digests)) == 3


def test_the_roll_says_what_became_of_every_example(student: Student, tmp_path: Path) -> None:
    """Learned, held out, left out: with the place of its teacher, and why."""
    spoken = Lesson(prompt=(("user", "Say the mark."),), answers=("<|im_end|>",), model="acme-mark")
    first = seal_dataset(tmp_path / "first", [*LESSONS, spoken])
    second = seal_dataset(tmp_path / "second", LESSONS[:4], name="more", prefix="0194")
    both = [dataclasses.replace(first.source), dataclasses.replace(second.source, weight=0.5)]
    admitted = open_datasets(both, student=None, now=NOW)
    taught = teachings(admitted)
    mixture = mix(admitted, student.tokenizer, _CONFIG, tmp_path, weights=[1.0, 0.5])
    parts = mixture.split(share=0.3, seed=1)
    roll = list(mixture.roll(admitted, taught, parts))
    assert [line.example for line in roll] == [
        each.example for dataset in admitted for each in dataset.examples
    ]
    fates = Counter((line.dataset, line.fate, line.reason) for line in roll)
    assert fates == {
        (0, Fate.LEARNED, ""): 4,
        (0, Fate.HELD_OUT, ""): 2,
        (0, Fate.LEFT_OUT, "control-token"): 1,
        (1, Fate.LEARNED, ""): 1,
        (1, Fate.HELD_OUT, ""): 2,
        (1, Fate.LEFT_OUT, "its dataset's weight takes others"): 1,
    }
    assert [taught[line.teaching].model for line in roll if line.reason == "control-token"] == [
        "acme-mark"
    ]
    assert sum(line.times for line in roll) == len(parts.train)


def test_an_example_of_two_datasets_is_on_the_roll_twice(student: Student, tmp_path: Path) -> None:
    """It is learned where it comes first, and the other line says so; its teacher is counted once."""
    lessons = [*LESSONS, *LESSONS[:2]]
    admitted = [admit(tmp_path / "first"), admit(tmp_path / "second", lessons[:3])]
    mixture = mix(admitted, student.tokenizer, _CONFIG, tmp_path, weights=[1.0, 1.0])
    parts = mixture.split(share=0, seed=0)
    roll = list(mixture.roll(admitted, teachings(admitted), parts))
    assert [line.reason for line in roll if line.dataset == 1] == ["in an earlier dataset too"] * 3
    assert len(parts.train) == len(LESSONS)
    assert sum(each.examples for each in teachings(admitted)) == len(LESSONS)
