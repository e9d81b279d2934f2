"""A tokenizer's vocabulary: what makes two of them one, and which bytes each id stands for."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

from student import digest

__all__ = ["Vocabulary", "vocabulary_of"]

_MAKES_TOKENS = ("normalizer", "pre_tokenizer", "model", "decoder", "added_tokens")
"""Parts of a tokenizer that decide which tokens a text is; a template and padding do not."""
_SPACE = "\u2581"
"""How SentencePiece writes a space."""
_BYTE = len("<0x00>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The tokens of one tokenizer."""

    digest: str
    """sha256 (hex) over all that decides which tokens a text is."""
    spelled: Sequence[bytes]
    """The bytes of each id; empty where an id is none."""
    ids: Mapping[bytes, int | None]
    """The id of each spelling; None where several ids share it."""


def vocabulary_of(backend: PreTrainedTokenizerBase) -> Vocabulary | None:
    """The vocabulary of a tokenizer; None of one that is not made of `tokenizers`' parts."""
    raw: Any = getattr(backend, "backend_tokenizer", None)
    if raw is None:
        return None
    parts = json.loads(raw.to_str())
    letters = _letters() if '"ByteLevel"' in json.dumps(parts.get("decoder")) else None
    added = {int(token["id"]): str(token["content"]) for token in parts["added_tokens"]}
    spelled = [b""] * (max(raw.get_vocab(with_added_tokens=True).values()) + 1)
    for token, index in raw.get_vocab(with_added_tokens=True).items():
        spelled[index] = added[index].encode() if index in added else _spelled(token, letters)
    counts = Counter(spelled)
    return Vocabulary(
        digest=digest.of_value({name: parts.get(name) for name in _MAKES_TOKENS}),
        spelled=spelled,
        ids={each: at if counts[each] == 1 else None for at, each in enumerate(spelled) if each},
    )


def _letters() -> dict[str, int]:
    """The byte that each letter of a byte-level vocabulary stands for."""
    return {letter: byte for byte, letter in bytes_to_unicode().items()}


def _spelled(token: str, letters: Mapping[str, int] | None) -> bytes:
    if letters is not None:
        known = [letters.get(letter) for letter in token]
        return bytes(b for b in known if b is not None) if None not in known else token.encode()
    if len(token) == _BYTE and token.startswith("<0x") and token.endswith(">"):
        return bytes.fromhex(token[3:5])
    return token.replace(_SPACE, " ").encode()
