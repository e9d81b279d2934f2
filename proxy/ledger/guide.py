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

Each step below needs a POSIX shell with `openssl` (3.0 or later), `jq` and coreutils, in this directory.
VKEY is the log's key as you pinned it: `NAME+ID+BASE64`.
A bundle is true if every step says so.

### 1. No file was changed, added or taken away

`export.sig` is an OpenSSF model-signing bundle: `model_signing verify key . --signature export.sig
--public_key keys/export.pem` checks it, and so does this.

    jq -r .dsseEnvelope.payload export.sig | base64 -d > /tmp/payload
    jq -r '.dsseEnvelope.signatures[0].sig' export.sig | base64 -d > /tmp/signature
    {{ printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(wc -c < /tmp/payload)"
      cat /tmp/payload; }} > /tmp/signed
    openssl dgst -sha256 -verify keys/export.pem -signature /tmp/signature /tmp/signed
    jq -r '.predicate.resources[] | .digest + "  " + .name' /tmp/payload | sha256sum --check --quiet
    jq -r '.predicate.resources | length + 1' /tmp/payload; find . -type f | wc -l

The last line prints the same number twice.
The key in `keys/export.pem` counts because a `key` entry of the log names it:

    jq -r '.leaf | fromjson | select(.kind == "key" and .role == "export") | .public' entries.jsonl \\
      | cmp - keys/export.pem

### 2. The checkpoint is signed by the key you pinned

`log/checkpoint` is a C2SP signed note: Go's `golang.org/x/mod/sumdb/note` opens it under VKEY, and so
does this.

    sed '/^$/,$d' log/checkpoint > /tmp/text
    sed -n 's/^— [^ ]* //p' log/checkpoint | head -n 1 | base64 -d | tail -c 64 > /tmp/signature
    {{ printf '\\060\\052\\060\\005\\006\\003\\053\\145\\160\\003\\041\\000'
      printf '%s' "VKEY" | cut -d + -f 3- | base64 -d | tail -c 32; }} > /tmp/key
    openssl pkeyutl -verify -pubin -keyform DER -inkey /tmp/key -rawin -in /tmp/text -sigfile /tmp/signature

### 3. The entries are the log's

`log/tile/` is a C2SP tlog-tiles directory of the tree that the checkpoint signs: its second line is the
size, its third the root. Go's `golang.org/x/mod/sumdb/tlog` proves each tile against the root, and the
root against an older checkpoint that you kept (`TileHashReader`, `ProveTree`, `CheckTree`).
Of entry number `seq`, the SHA-256 of a zero byte and the text of `leaf` stands in the tile of level 0:

    N=$(jq -r .seq entries.jsonl | tail -n 1)
    {{ printf '\\000'; jq -j "select(.seq == $N).leaf" entries.jsonl; }} | sha256sum
    dd if="$(find log/tile/0 -type f | sort | tail -n 1)" bs=32 skip=$((N % 256)) count=1 2>/dev/null | od -An -vtx1

The last entry names, in `entries`, the SHA-256 of the JSON array of the hashes of all others.

### 4. The texts disclosed are the ones that were sealed

    jq -r '[.seal, .salt, .body] | @tsv' openings.jsonl | while read -r seal salt body; do
      key=$(printf '%s' "$salt" | base64 -d | od -An -vtx1 | tr -d ' \\n')
      found=$(printf '%s' "$body" | base64 -d | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -r)
      [ "${{found%% *}}" = "$seal" ] && echo true || echo "FALSE: $seal"
    done

A leaf names each seal. Without `openings.jsonl` nothing was disclosed.

### 5. Policies, terms and grants are those that entries name

    for file in terms/*.json grants/*.yaml; do
      [ -e "$file" ] && echo "$(basename "${{file%.*}}")  $file"
    done | sha256sum --check --quiet

`policies/DIGEST.json`: DIGEST is the SHA-256 of canonical JSON (RFC 8785) of `language`,
`organisation`, `documents` (each text replaced by its SHA-256), `approvals` and `revoked`:

    for file in policies/*.json; do
      jq -r '.documents | to_entries[] | [.key, (.value | @base64)] | @tsv' "$file" \\
        | while read -r name text; do
            printf '%s\\t%s\\n' "$name" "$(printf '%s' "$text" | base64 -d | sha256sum | cut -c 1-64)"
          done > /tmp/digests
      jq -cSj --rawfile digests /tmp/digests '{{language, organisation, approvals, revoked,
        documents: ($digests | split("\\n") | map(select(. != "") | split("\\t") | {{(.[0]): .[1]}}) | add)}}' \\
        "$file" | sha256sum | grep -q "$(basename "$file" .json)" && echo true || echo "FALSE: $file"
    done

### 6. The tables say what the entries say

`tables/*.parquet` restate the leaves for queries; DuckDB reads both:

    duckdb -c "SELECT count(*) FROM 'tables/exchanges.parquet'"
    jq -r '.leaf | fromjson | .kind' entries.jsonl | sort | uniq -c

In an audit, `tables` of the last entry has the Merkle root (RFC 9162) over the canonical JSON of the rows
of each table, in order.
"""

_DATASET_GUIDE = """
### 7. The examples are what the entry of the dataset says

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
