"""Tiny random students on disk: two layers, a byte-level tokenizer and a ChatML template."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

__all__ = ["CHATML", "write_student"]

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""As SmolLM2's: no tools, padding is the end of the turn, and a line break follows it."""

_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def write_student(
    folder: Path,
    *,
    template: str | None = CHATML,
    family: str = "llama",
    seed: int = 1,
    **more: Any,
) -> Path:
    """A folder with a random two-layer model of a family that transformers loads."""
    tokenizer = _tokenizer(template)
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        family,
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.2,  # wide enough for a mixed row to show
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **more,
    )
    make: Any = AutoModelForCausalLM.from_config  # transformers leaves it untyped
    make(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def edit_json(path: Path, **values: object) -> None:
    """Set keys of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _tokenizer(template: str | None) -> PreTrainedTokenizerFast:
    letters = sorted(ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate([*_SPECIALS, *letters])}
    raw = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = ByteLevel(add_prefix_space=False)
    raw.decoder = ByteLevelDecoder()
    raw.add_special_tokens([AddedToken(token, special=True) for token in _SPECIALS])
    make: Any = PreTrainedTokenizerFast  # transformers leaves its constructor untyped
    made: PreTrainedTokenizerFast = make(
        tokenizer_object=raw,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        chat_template=template,
    )
    return made
