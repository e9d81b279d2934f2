"""The two texts for people in every bundle: how to check it, and a first page."""

from collections.abc import Mapping
from html import escape
from typing import Literal

from proxy.ledger.canonical import Json

__all__ = ["guide", "index_page"]

_GUIDE = r"""# How to check this KIND

You need the log's public key from a place other than this bundle.
The copy in `keys/log.vkey` is a convenience and proves nothing.

## With inbond

    inbond audit verify PATH --key VKEY [--checkpoint OLD]

It prints what is proven, what the recorder claims and what is not covered.
Exit status 0: every proof holds; 1: one does not; 2: it cannot be told.

## Without inbond

The steps below need a POSIX shell with `openssl` (3.0 or later), `jq` (1.6 or later) and coreutils.
Run them in this directory, one after the other.
The bundle is true if none prints `FALSE`, a failure or an error.
The first line is yours to complete: the log's key as you pinned it.

    VKEY='NAME+ID+BASE64'
    T=$(mktemp -d)
    same() { [ -n "$1" ] && [ "$1" = "$2" ] && echo true || echo "FALSE: $1 is not $2"; }
    last() { tail -n 1 entries.jsonl | jq -r .leaf | jq -r "$1"; }

### 1. No file was changed, added or taken away

`export.sig` is an OpenSSF model-signing bundle: a DSSE envelope around the digest of each file.

    dsse() {
      cat > "$T/envelope"
      jq -r .payload "$T/envelope" | base64 -d > "$T/payload"
      jq -r '.signatures[0].sig' "$T/envelope" | base64 -d > "$T/signature"
      { printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(wc -c < "$T/payload")"
        cat "$T/payload"; } > "$T/signed"
      openssl dgst -sha256 -verify keys/export.pem -signature "$T/signature" "$T/signed"
    }
    jq .dsseEnvelope export.sig | dsse
    jq -r '.predicate.resources[] | .digest + "  " + .name' "$T/payload" | sha256sum --check --quiet \
      && echo true || echo "FALSE: see above"
    same "$(jq -r '.predicate.resources[].name' "$T/payload" | sort -u | wc -l)" \
      "$(find . -type f ! -path ./export.sig | wc -l)"

It prints `Verified OK` and twice `true`.
The key in `keys/export.pem` counts because the last `key` entry of the log that names it made it:

    same create "$(jq -rn --rawfile pem keys/export.pem '[inputs.leaf | fromjson
      | select(.kind == "key" and .role == "export" and (.public | rtrimstr("\n")) == ($pem | rtrimstr("\n")))
      ] | last | .action' entries.jsonl)"

Those who have model-signing from PyPI (with pyOpenSSL) let it do the first half:

    model_signing verify key . --signature export.sig --public_key keys/export.pem

### 2. The checkpoint is signed by the key you pinned

`log/checkpoint` is a C2SP signed note: Go's `golang.org/x/mod/sumdb/note` opens it under VKEY, and so
does this.

    sed '/^$/,$d' log/checkpoint > "$T/text"
    sed -n "s|^— ${VKEY%%+*} ||p" log/checkpoint | head -n 1 | base64 -d | tail -c 64 > "$T/signature"
    { printf '\060\052\060\005\006\003\053\145\160\003\041\000'
      printf '%s' "$VKEY" | cut -d + -f 3- | base64 -d | tail -c 32; } > "$T/key"
    openssl pkeyutl -verify -pubin -keyform DER -inkey "$T/key" -rawin -in "$T/text" -sigfile "$T/signature"
    same "${VKEY%%+*}" "$(head -n 1 "$T/text")"

It prints `Signature Verified Successfully` and `true`.
If the log's key was replaced since you pinned yours, `log/handovers/` has the notes by which each key
named the next: `inbond audit verify` follows them, and for these commands you pin the newest.

`log/anchors/`, where it is here, holds what others signed: `SIZE.cosigned` is a checkpoint with
signatures of witnesses, `SIZE.NAME.tsr` a time-stamp (RFC 3161) of `SIZE.checkpoint`. Complete the first
line with the file of certificates (PEM) of an authority that you trust:

    CA='AUTHORITY.pem'
    for stamp in log/anchors/*.tsr; do
      size=$(basename "$stamp" | cut -d . -f 1)
      [ -e "$stamp" ] && openssl ts -verify -in "$stamp" -CAfile "$CA" -data "log/anchors/$size.checkpoint"
    done

### 3. The entries are the log's

`log/tile/` is a C2SP tlog-tiles directory of the tree that the checkpoint signs: its second line is the
size, its third the root. Go's `golang.org/x/mod/sumdb/tlog` proves each tile against the root, and the
root against an older checkpoint that you kept (`TileHashReader`, `ProveTree`, `CheckTree`).
Of the last entry, the SHA-256 of a zero byte and the text of `leaf` stands in the last tile of level 0:

    N=$(tail -n 1 entries.jsonl | jq -r .seq)
    same "$({ printf '\000'; tail -n 1 entries.jsonl | jq -j .leaf; } | sha256sum | cut -c 1-64)" \
      "$(dd if="$(find log/tile/0 -type f | sort | tail -n 1)" bs=32 skip=$((N % 256)) count=1 2> "$T/dd" \
        | od -An -vtx1 | tr -d ' \n')"

That entry names, in `entries`, the SHA-256 of the JSON array of the hashes of all others:

    jq -r '.leaf | @base64' entries.jsonl | sed '$d' | while read -r leaf; do
      { printf '\000'; printf '%s' "$leaf" | base64 -d; } | sha256sum | cut -c 1-64
    done > "$T/hashes"
    same "$(last .entries)" "$(jq -Rnj '[inputs] | tojson' "$T/hashes" | sha256sum | cut -c 1-64)"

### 4. The texts disclosed are the ones that were sealed

    [ -e openings.jsonl ] && jq -r '[.seal, .salt, .body] | @tsv' openings.jsonl \
      | while read -r seal salt body; do
          key=$(printf '%s' "$salt" | base64 -d | od -An -vtx1 | tr -d ' \n')
          same "$seal" "$(printf '%s' "$body" | base64 -d \
            | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -r | cut -c 1-64)"
        done

A leaf names each seal. Without `openings.jsonl` nothing was disclosed.

### 5. Policies, terms and grants are those that entries name

    for file in terms/*.json grants/*.yaml; do
      [ -e "$file" ] && same "$(basename "${file%.*}")" "$(sha256sum < "$file" | cut -c 1-64)"
    done | sort | uniq -c

`policies/DIGEST.json`: DIGEST is the SHA-256 of canonical JSON (RFC 8785) of `language`,
`organisation`, `documents` (each text replaced by its SHA-256), `approvals` and `revoked`:

    for file in policies/*.json; do
      jq -r '.documents | to_entries[] | [.key, (.value | @base64)] | @tsv' "$file" \
        | while read -r name text; do
            printf '%s\t%s\n' "$name" "$(printf '%s' "$text" | base64 -d | sha256sum | cut -c 1-64)"
          done > "$T/digests"
      same "$(basename "$file" .json)" "$(jq -cSj --rawfile digests "$T/digests" \
        '{language, organisation, approvals, revoked, documents:
          ($digests | split("\n") | map(select(. != "") | split("\t") | {(.[0]): .[1]}) | add)}' \
        "$file" | sha256sum | cut -c 1-64)"
    done

### 6. The tables say what the entries say

`tables/*.parquet` restate the leaves for queries; DuckDB reads both:

    duckdb -noheader -list -c "SELECT exchange FROM 'tables/exchanges.parquet' ORDER BY seq" > "$T/table"
    jq -r '.leaf | fromjson | select(.kind == "exchange").id' entries.jsonl | cmp - "$T/table" \
      && echo true || echo "FALSE: see above"

In an audit, `tables` of the last entry has the Merkle root (RFC 9162) over the canonical JSON of the rows
of each table, in order.
"""

_DATASET_GUIDE = r"""
### 7. The examples are what the entry of the dataset says

`dataset/examples.parquet`: the root in the `dataset` entry is the Merkle root (RFC 9162) over the
canonical JSON of each row, in order.
`messages`, `tools`, `completion` and `logprobs` are parts of the opened `answer_seal`.

`dataset/manifest.jsonl`: its SHA-256 is `manifest` in the `dataset` entry.

    same "$(last .manifest)" "$(sha256sum < dataset/manifest.jsonl | cut -c 1-64)"
"""

_AUDIT_GUIDE = r"""
### 7. The same in formats of others

They restate the entries, and only `export.sig` covers them: where they differ, the entries count.

| file | is | read by, among others |
|---|---|---|
| `attestations/*.dsse.json` | in-toto SVR of each dataset, SLSA provenance of each run | `in-toto-attestation`, `securesystemslib` |
| `bom/cyclonedx.json` | a CycloneDX 1.6 ML-BOM | `cyclonedx-python-lib`, npm's `@cyclonedx/cyclonedx-library` |
| `bom/spdx3.json` | SPDX 3.0.1, AI and dataset profiles | `spdx-python-model` |
| `dataset/croissant.json` | Croissant 1.1 of `tables/examples.parquet` | `mlcroissant` |
| `lineage/prov.json` | PROV-JSON | `prov` |
| `ro-crate-metadata.json` | RO-Crate 1.1 of this directory | npm's `ro-crate` |
| `eu-ai-act-summary`, `california-ab-2013`, `data-provenance-sheet` (`.md`, `.json`) | sheets of training content | DuckDB: each figure has its query |
| `model/*/README.md` | a model card of each run | people |

The attestations are signed by the export key:

    for file in attestations/*.dsse.json; do
      [ -e "$file" ] && dsse < "$file"
    done
"""


def guide(kind: Literal["audit", "dataset"]) -> str:
    """The text of `VERIFY.md`."""
    return _GUIDE.replace("KIND", kind) + (_DATASET_GUIDE if kind == "dataset" else _AUDIT_GUIDE)


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
