"""A vocabulary is one with another where both make the same tokens, whatever their templates."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders
from tokenizers.models import BPE
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from student.vocabulary import vocabulary_of

_LLAMA = {"<unk>": 0, "<0x41>": 1, "<0xE2>": 2, "\u2581a": 3, "a": 4, "b": 5, "A": 6}


@pytest.fixture
def backend(base: Path) -> Any:
    """The tiny student's tokenizer: letters of bytes, and three special tokens."""
    loaded: Any = AutoTokenizer.from_pretrained(base)
    return loaded


def test_letters_are_bytes(backend: Any) -> None:
    """Each id of a byte-level vocabulary is its byte; what is added is spelled as it stands."""
    found = vocabulary_of(backend)
    assert found is not None
    ids = backend("né\n", add_special_tokens=False)["input_ids"]
    assert b"".join(found.spelled[i] for i in ids) == "né\n".encode()
    assert found.spelled[backend.eos_token_id] == b"<|im_end|>"
    assert found.ids[b"n"] == ids[0]


def test_templates_and_padding_do_not_count(backend: Any) -> None:
    """Another template or padding token leaves the digest as it is; another token does not."""
    before = vocabulary_of(backend)
    backend.chat_template = "{{ messages }}"
    backend.pad_token = "<|endoftext|>"
    assert vocabulary_of(backend) == before
    backend.add_tokens(["<new>"])
    after = vocabulary_of(backend)
    assert before is not None
    assert after is not None
    assert after.digest != before.digest


def test_pieces_are_spaces_and_bytes() -> None:
    """A SentencePiece vocabulary writes spaces and single bytes its own way; twins have no id."""
    raw = Tokenizer(BPE(vocab=_LLAMA, merges=[], unk_token="<unk>", byte_fallback=True))
    raw.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback()])
    raw.add_special_tokens([AddedToken("<unk>", special=True)])
    make: Any = PreTrainedTokenizerFast
    found = vocabulary_of(make(tokenizer_object=raw, unk_token="<unk>"))
    assert found is not None
    assert found.spelled == [b"<unk>", b"A", b"\xe2", b" a", b"a", b"b", b"A"]
    assert found.ids[b" a"] == 3
    assert found.ids[b"A"] is None


def test_a_tokenizer_of_other_parts_has_no_vocabulary() -> None:
    """One that is not made of `tokenizers`' parts is not compared."""
    other: Any = object()
    assert vocabulary_of(other) is None
