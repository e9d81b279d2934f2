"""The two texts for people in every bundle: how to check it, and a first page."""

from collections.abc import Mapping
from html import escape
from typing import Literal

from proxy.ledger.canonical import Json

__all__ = ["guide", "index_page"]

_GUIDE = """\
# How to check this {kind}

You need the log's public key from a place other than this bundle.
The copy in `keys/log.vkey` is a convenience and proves nothing.

## With inbond

    inbond audit verify PATH --key VKEY [--checkpoint OLD]

It prints what is proven, what the recorder claims and what is not covered.
Exit status 0: every proof holds; 1: one does not; 2: it cannot be told.

## Without inbond

- `log/checkpoint` is a C2SP signed note; Go's `golang.org/x/mod/sumdb/note` opens it under VKEY.
- `log/tile/` is a C2SP tlog-tiles directory of that tree (`golang.org/x/mod/sumdb/tlog`).
- Each line of `entries.jsonl` holds `seq` and `leaf`.
  SHA-256 of a zero byte and the text of `leaf` is hash number `seq` of tile level 0.
- Each line of `openings.jsonl` holds `seal`, `salt` and `body`.
  HMAC-SHA256 of `body` under `salt` is `seal`, and a leaf names that seal.
- `export.sig` is an OpenSSF model-signing bundle over every other file:
  `model_signing verify key PATH --signature PATH/export.sig --public_key PATH/keys/export.pem`.
  The `payload` inside it is signed with ECDSA P-256 over
  `DSSEv1 28 application/vnd.in-toto+json LENGTH PAYLOAD`; `openssl dgst -sha256 -verify` checks that.
  The key in `keys/export.pem` counts because a `key` entry of the log names it.
- `policies/DIGEST.json`: DIGEST is the SHA-256 of canonical JSON (RFC 8785) of `language`,
  `organisation`, `documents` (each text replaced by its SHA-256), `approvals` and `revoked`.
- `terms/DIGEST.json` and `grants/DIGEST.yaml`: DIGEST is the SHA-256 of the file.
- `tables/*.parquet` restate the leaves for queries, with DuckDB for example.
"""

_DATASET_GUIDE = """\
- `dataset/examples.parquet`: the root in the `dataset` entry is the Merkle root (RFC 9162) over
  the canonical JSON of each row, in order.
  `messages`, `tools`, `completion` and `logprobs` are parts of the opened `answer_seal`.
- `dataset/manifest.jsonl`: its SHA-256 is `manifest` in the `dataset` entry.
"""


def guide(kind: Literal["audit", "dataset"]) -> str:
    """The text of `VERIFY.md`."""
    return _GUIDE.format(kind=kind) + (_DATASET_GUIDE if kind == "dataset" else "")


def index_page(about: Mapping[str, Json], entries: int) -> str:
    """A first page: what `export.json` says, and where to look. No script, no network."""
    items = {**about, "entries": entries}
    rows = "\n".join(
        f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
        for name, value in sorted(items.items())
    )
    title = f"{escape(str(about['kind']))} {escape(str(about['subject']))}"
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<h1>{title}</h1>
<p>Nothing on this page is proven by being here: see <a href="VERIFY.md">VERIFY.md</a>.</p>
<table>
{rows}
</table>
<ul>
<li><a href="entries.jsonl">entries.jsonl</a>: the entries of the log</li>
<li><a href="log/checkpoint">log/checkpoint</a>: the signed tree head</li>
<li><a href="export.json">export.json</a>: what was asked and is here</li>
</ul>
</html>
"""
