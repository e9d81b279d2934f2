"""Several datasets as one: what is learned from each, how often, and what is only measured on."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path

from student import digest
from student.chat import ChatTokenizer
from student.config import Config
from student.errors import IntakeError
from student.intake import Admitted, AdmittedExample, Teaching
from student.packing import Example
from student.roll import Fate, RollLine
from student.teacher_logprobs import load_teachers
from student.token_cache import Tokens
from student.tokens import RowPolicy, tokenise

__all__ = ["Mixture", "Part", "Split", "mix"]

_TWICE = "in an earlier dataset too"
_UNWEIGHED = "its dataset's weight takes others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The tokens of one proven dataset, and how often each of its examples is learned in an epoch."""

    root: str
    tokens: Tokens
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Indices of examples to learn from, repeated as the weights say, and to measure on.

    No exchange is in both.
    """

    train: tuple[int, ...]
    held_out: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """The examples of all parts, in order, as if they were of one dataset.

    An index counts through the parts: it stands for the same example as long as the parts do.
    """

    parts: tuple[Part, ...]
    _starts: list[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        starts = list(accumulate((len(part.tokens) for part in self.parts), initial=0))
        object.__setattr__(self, "_starts", starts)

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> Example:
        at = bisect_right(self._starts, index) - 1
        return self.parts[at].tokens[index - self._starts[at]]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        return [length for part in self.parts for length in part.tokens.lengths]

    @property
    def examples(self) -> tuple[str, ...]:
        """The name of each example."""
        return tuple(name for part in self.parts for name in part.tokens.examples)

    @property
    def exchanges(self) -> tuple[str, ...]:
        """The exchange of each example."""
        return tuple(name for part in self.parts for name in part.tokens.exchanges)

    @property
    def digest(self) -> str:
        """sha256 (hex) that stands for all tokens; of one dataset, that of its tokens."""
        digests = [part.tokens.digest for part in self.parts]
        return digests[0] if len(digests) == 1 else digest.of_value(digests)

    @property
    def counts(self) -> Mapping[str, int]:
        """Examples kept, truncated, cut and left out by reason, over all parts."""
        total: Counter[str] = Counter()
        for part in self.parts:
            total.update(part.tokens.counts)
        twice = len(self) - sum(map(len, self._own()))
        total.update({f"left out: {_TWICE}": twice, "kept": -twice})
        return {name: count for name, count in sorted(total.items()) if count > 0}

    def split(self, *, share: float, seed: int) -> Split:
        """What is learned and what is only measured on; the root of each dataset fixes the latter.

        All answers of one exchange lie on the same side. What one dataset holds out is learned from
        no other, and an example that is in several is taken from the first. With any share above
        zero and two exchanges or more, each dataset holds out at least one. `seed` chooses what a
        fraction of a weight takes.

        Raises:
            IntakeError: nothing is left to learn from.
        """
        away = frozenset[str]().union(*(_held_out(part, share) for part in self.parts))
        train: list[int] = []
        held_out: list[int] = []
        for part, start, own in zip(self.parts, self._starts, self._own(), strict=False):
            more = _more(part, away, seed)
            for index in own:
                exchange = part.tokens.exchanges[index]
                if exchange in away:
                    held_out.append(start + index)
                else:
                    times = int(part.weight) + (exchange in more)
                    train.extend([start + index] * times)
        if not train:
            raise IntakeError(
                "nothing is left to learn from: all exchanges are held out, or weighed to nothing",
                help="lower `--held-out`, raise `--weight`, or build a larger dataset",
                code="nothing-to-learn",
            )
        return Split(train=tuple(train), held_out=tuple(held_out))

    def roll(
        self, admitted: Sequence[Admitted], teachings: Sequence[Teaching], split: Split
    ) -> Iterator[RollLine]:
        """What became of every example of the datasets that this was made of."""
        places = {_papers(each): place for place, each in enumerate(teachings)}
        times, away = Counter(split.train), frozenset(split.held_out)
        for at, (dataset, part, own) in enumerate(
            zip(admitted, self.parts, self._own(), strict=True)
        ):
            names, start, ours = part.tokens.examples, self._starts[at], frozenset(own)
            indices = {name: start + index for index, name in enumerate(names)}
            for each in dataset.examples:
                index = indices.get(each.example)
                line = RollLine(
                    example=each.example,
                    dataset=at,
                    teaching=places[_papers(each)],
                    fate=Fate.LEFT_OUT,
                )
                if index is None:
                    yield replace(line, reason=part.tokens.left_out[each.example])
                elif index in away:
                    yield replace(line, fate=Fate.HELD_OUT)
                elif index in times:
                    yield replace(line, fate=Fate.LEARNED, times=times[index])
                else:
                    yield replace(line, reason=_UNWEIGHED if index - start in ours else _TWICE)

    def _own(self) -> list[list[int]]:
        """Of each part, the indices of the examples that no part before it has."""
        seen: set[str] = set()
        found = []
        for part in self.parts:
            names = part.tokens.examples
            found.append([index for index, name in enumerate(names) if name not in seen])
            seen.update(names)
        return found


def mix(
    admitted: Sequence[Admitted],
    tokenizer: ChatTokenizer,
    config: Config,
    cache: Path,
    *,
    weights: Sequence[float],
) -> Mixture:
    """The tokens of proven datasets as one; each is tokenised, and cached, by itself.

    Raises:
        ConfigError: `config.length` is `refuse` and an example is longer than a row.
        IntakeError: of a dataset no example is left.
    """
    policy = RowPolicy(
        length=config.length,
        row_tokens=config.row_tokens,
        reasoning=config.reasoning,
        teachers=load_teachers(config.objective(), tokenizer.backend),
    )
    return Mixture(
        parts=tuple(
            Part(
                root=each.root,
                tokens=tokenise(each, tokenizer, policy, cache),
                weight=weight,
            )
            for each, weight in zip(admitted, weights, strict=True)
        )
    )


def _papers(source: AdmittedExample | Teaching) -> tuple[object, ...]:
    """By what a teaching is one: examples of equal papers are counted together."""
    return (
        source.provider,
        source.model,
        source.licence,
        source.clauses,
        source.grants,
        source.duties,
    )


def _held_out(part: Part, share: float) -> frozenset[str]:
    """The exchanges that a dataset's root holds out."""
    exchanges = _in_order(part.tokens.exchanges, part.root)
    count = min(math.ceil(len(exchanges) * share), len(exchanges) - 1)
    return frozenset(exchanges[:count])


def _more(part: Part, away: frozenset[str], seed: int) -> frozenset[str]:
    """The exchanges that the fraction of a weight takes once more."""
    learned = [exchange for exchange in part.tokens.exchanges if exchange not in away]
    exchanges = _in_order(learned, f"{part.root}:{seed}")
    fraction = part.weight - int(part.weight)
    return frozenset(exchanges[: round(len(exchanges) * fraction)])


def _in_order(exchanges: Sequence[str], by: str) -> list[str]:
    return sorted(set(exchanges), key=lambda exchange: digest.of_bytes(f"{by}:{exchange}".encode()))
