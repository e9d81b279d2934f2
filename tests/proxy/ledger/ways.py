"""The damage kit: the ways to damage a bundle, on its files, and as stories told with every key."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from proxy.ledger.bundle import Opening
from proxy.ledger.closure import policy_digest
from proxy.ledger.example import texts_of
from proxy.ledger.tables import Column, Table, from_parquet, to_parquet
from tests.proxy.ledger.forger import Story
from tests.proxy.ledger.sample import (
    BUNDLE,
    GRANT,
    GRANT_DIGEST,
    POLICY,
    TERMS,
    TERMS_DIGEST,
    THIEF_KEY,
    Case,
    audit_case,
    dataset_case,
    reading,
)

__all__ = ["CASES", "WAYS", "Damage", "Told", "Way"]

CASES: Mapping[str, Case] = {"dataset": dataset_case(), "audit": audit_case()}
"""A bundle of each kind, and the log it is from."""

type Damage = Callable[[Path], object]
"""Done to the files of a copy of the bundle."""
type Told = Callable[[Story], object]
"""Done to the story, for a thief who can make all proofs of it anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to damage a bundle."""

    damage: Damage
    told: Told | None = None
    """The same as a story; None where the log's key is of no use for it."""
    only: str | None = None
    """The kind of bundle it can be done to; None for both."""
    said: str | None = None
    """What `verify` says is covered by the export key's signature alone, if this is."""


def lines_of(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of a file."""
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def in_lines(name: str, change: Callable[[list[str]], list[str]]) -> Damage:
    """Change the lines of a file of the bundle."""
    return lambda bundle: lines_of(bundle / name, change)


def in_text(name: str, old: str, new: str) -> Damage:
    """Say `new` for `old` in a file of the bundle."""

    def damage(bundle: Path) -> None:
        text = (bundle / name).read_text()
        assert old in text
        (bundle / name).write_text(text.replace(old, new))

    return damage


def in_export(**fields: object) -> Damage:
    """Change what `export.json` says."""

    def damage(bundle: Path) -> None:
        about = json.loads((bundle / "export.json").read_bytes())
        (bundle / "export.json").write_text(json.dumps(about | fields))

    return damage


def in_rows(name: str, change: Callable[[list[dict[str, Any]]], object]) -> Damage:
    """Change the rows of a table of the bundle."""

    def damage(bundle: Path) -> None:
        rows: list[dict[str, Any]] = from_parquet((bundle / name).read_bytes())
        columns = {column: _kind(value) for column, value in rows[0].items()}
        change(rows)
        (bundle / name).write_bytes(to_parquet(Table(columns=columns, rows=rows)))

    return damage


def _kind(value: object) -> Column:
    if isinstance(value, bool):
        return Column.FLAG
    if isinstance(value, int):
        return Column.OPTIONAL_INTEGER
    return Column.LIST if isinstance(value, list) else Column.OPTIONAL_TEXT


def gone(name: str) -> Damage:
    """Take a file away."""
    return lambda bundle: (bundle / name).unlink()


def put(name: str, data: bytes) -> Damage:
    """Put something in place of a file, or where there was none."""
    return lambda bundle: (bundle / name).write_bytes(data)


def moved(lines: list[str], one: int, other: int) -> list[str]:
    """The leaves of two entries changed about, each at the other's place."""
    first, second = json.loads(lines[one]), json.loads(lines[other])
    first["leaf"], second["leaf"] = second["leaf"], first["leaf"]
    found = list(lines)
    found[one], found[other] = json.dumps(first) + "\n", json.dumps(second) + "\n"
    return found


def smaller(lines: list[str]) -> list[str]:
    """A checkpoint of a log without its last entry."""
    return [lines[0], f"{int(lines[1]) - 1}\n", *lines[2:]]


def edit_leaf(story: Story) -> None:
    """A call made to look as if another project had asked."""
    story.rename('"support"', '"charity"')


def swap_leaves(story: Story) -> None:
    """Who approved the grant, and when the terms came, in another order."""
    one, other = story.place("terms"), story.place("grant")
    story.leaves[one], story.leaves[other] = story.leaves[other], story.leaves[one]


def add_leaf(story: Story) -> None:
    """An approval that nobody gave, where the bundle's own entry stood; that one comes after it."""
    place = max(story.leaves)
    own = story.leaves.pop(place)
    story.leaves[place] = story.leaf("grant") | {"id": "grant-2", "actor": "user:9"}
    story.leaves[place + 1] = own


def other_answer(story: Story) -> None:
    """Another text, as if it had been sealed."""
    (old, *others) = story.openings
    new = Opening(salt=old.salt, body=reading("other"))
    story.openings = [new, *others]
    story.rename(old.seal, new.seal)
    story.rows = [
        replace(row, **asdict(texts_of(new.body, row.choice)))
        if row.answer_seal == new.seal
        else row
        for row in story.rows
    ]


def relicense(story: Story) -> None:
    """A teacher's licence, as if it let everybody learn from it."""
    story.rows[0] = replace(story.rows[0], licence="CC0-1.0")


def _sha256(data: bytes) -> str:
    return sha256(data).hexdigest()


def _opened(line: str, **parts: bytes) -> str:
    coded = {name: base64.b64encode(part).decode() for name, part in parts.items()}
    return json.dumps(json.loads(line) | coded) + "\n"


def _sealed(opening: Opening) -> str:
    return _opened(json.dumps({"seal": opening.seal}), salt=opening.salt, body=opening.body)


def drop_decision(story: Story) -> None:
    """A person's word on an answer, as if it had not been given."""
    del story.leaves[story.place("decision")]


WAYS: Mapping[str, Way] = {
    # --- entries
    "an entry edited": Way(
        damage=in_text("entries.jsonl", r"\"project\":\"support\"", r"\"project\":\"charity\""),
        told=edit_leaf,
    ),
    "an entry taken out": Way(
        damage=in_lines(
            "entries.jsonl", lambda lines: [line for line in lines if "decision-1" not in line]
        ),
        told=drop_decision,
        only="audit",
    ),
    "the last entry taken out": Way(damage=in_lines("entries.jsonl", lambda lines: lines[:-1])),
    "all entries taken out": Way(damage=put("entries.jsonl", b"")),
    "an entry doubled": Way(
        damage=in_lines("entries.jsonl", lambda lines: [*lines[:5], lines[4], *lines[5:]])
    ),
    "lines in another order": Way(
        damage=in_lines("entries.jsonl", lambda lines: [lines[1], lines[0], *lines[2:]])
    ),
    "two entries changed about": Way(
        damage=in_lines("entries.jsonl", lambda lines: moved(lines, 3, 4)), told=swap_leaves
    ),
    "an entry invented": Way(
        damage=in_lines(
            "entries.jsonl",
            lambda lines: [*lines, lines[4].replace('"seq":4', '"seq":289')],
        ),
        told=add_leaf,
    ),
    # --- log
    "a full tile edited": Way(damage=put("log/tile/0/000", bytes(8192))),
    "a tile taken away": Way(damage=gone("log/tile/0/000")),
    "the root's tile edited": Way(damage=put("log/tile/1/000.p/1", bytes(32))),
    "a tile of a larger log": Way(damage=put("log/tile/0/007", bytes(8192))),
    "the checkpoint edited": Way(damage=in_lines("log/checkpoint", smaller)),
    "an older checkpoint put back": Way(
        damage=lambda bundle: (bundle / "log/checkpoint").write_text(
            CASES[bundle.name].log.checkpoint(256)
        )
    ),
    # --- documents
    "a policy edited": Way(
        damage=in_text(f"policies/{BUNDLE}.json", "acme-api", "acme-apo"),
        told=lambda story: story.substitute(
            "policies", policy_digest, BUNDLE, POLICY.replace(b"acme-api", b"acme-apo")
        ),
    ),
    "a policy taken away": Way(damage=gone(f"policies/{BUNDLE}.json")),
    "terms edited": Way(
        damage=in_text(f"terms/{TERMS_DIGEST}.json", "Commercial", "Charitable"),
        told=lambda story: story.substitute(
            "terms", _sha256, TERMS_DIGEST, TERMS.replace(b"Commercial", b"Charitable")
        ),
    ),
    "terms taken away": Way(damage=gone(f"terms/{TERMS_DIGEST}.json")),
    "a grant edited": Way(
        damage=in_text(f"grants/{GRANT_DIGEST}.yaml", "acme-2026", "acme-2036"),
        told=lambda story: story.substitute(
            "grants", _sha256, GRANT_DIGEST, GRANT.replace(b"2026", b"2036")
        ),
    ),
    "a grant taken away": Way(damage=gone(f"grants/{GRANT_DIGEST}.yaml")),
    # --- texts
    "a text edited": Way(
        damage=in_lines(
            "openings.jsonl",
            lambda lines: [_opened(line, body=reading("other")) for line in lines],
        ),
        told=other_answer,
    ),
    "a salt edited": Way(
        damage=in_lines(
            "openings.jsonl", lambda lines: [_opened(line, salt=bytes(32)) for line in lines]
        )
    ),
    "a text of no entry added": Way(
        damage=lambda bundle: lines_of(
            bundle / "openings.jsonl",
            lambda lines: [*lines, _sealed(Opening(salt=bytes(32), body=b"{}"))],
        )
    ),
    # --- tables and examples
    "a row of a table dropped": Way(
        damage=in_rows("tables/exchanges.parquet", lambda rows: rows.pop())
    ),
    "a cell of a table edited": Way(
        damage=in_rows("tables/decisions.parquet", lambda rows: rows[0].update(verdict="forbid"))
    ),
    "a table taken away": Way(damage=gone("tables/terms.parquet")),
    "an example dropped": Way(
        damage=in_rows("dataset/examples.parquet", lambda rows: rows.pop()),
        told=lambda story: story.rows.pop(),
        only="dataset",
    ),
    "examples in another order": Way(
        damage=in_rows("dataset/examples.parquet", lambda rows: rows.reverse()),
        told=lambda story: story.rows.reverse(),
        only="dataset",
    ),
    "an example's text edited": Way(
        damage=in_rows("dataset/examples.parquet", lambda rows: rows[0].update(completion="{}")),
        only="dataset",
    ),
    "an example's licence edited": Way(
        damage=in_rows("dataset/examples.parquet", lambda rows: rows[0].update(licence="CC0-1.0")),
        told=relicense,
        only="dataset",
    ),
    "a line of the manifest dropped": Way(
        damage=in_lines("dataset/manifest.jsonl", lambda lines: lines[:-1]),
        told=lambda story: story.manifest.pop(),
        only="dataset",
    ),
    "a text that an example rests on left out": Way(
        damage=in_lines("openings.jsonl", lambda lines: lines[1:]), only="dataset"
    ),
    # --- what the bundle says of itself
    "another subject": Way(damage=in_export(subject="policy-1")),
    "another size": Way(damage=in_export(size=12)),
    "another query": Way(damage=in_export(query={"student": "all"}), only="audit"),
    "another recipient": Way(damage=in_export(recipient="nobody")),
    "another time": Way(damage=in_export(at="2020-01-01T00:00:00.000Z")),
    "the export key of a stranger": Way(
        damage=put("keys/export.pem", THIEF_KEY.public_pem.encode())
    ),
    # --- what only the signature covers
    "an opening left out": Way(
        damage=gone("openings.jsonl"), only="audit", said="an opening left out"
    ),
    "the report edited": Way(damage=put("index.html", b"all is well"), said="a report"),
    "the guide edited": Way(damage=put("VERIFY.md", b"trust us"), said="a report"),
    "an attestation edited": Way(
        damage=put("attestations/svr.dsse.json", b'{"all":"well"}'), said="an attestation"
    ),
    "a file added": Way(damage=put("notes.txt", b"all is well"), said="a file added"),
    "the copy of the log's key edited": Way(
        damage=put("keys/log.vkey", b"x+00+AA"), said="a report"
    ),
}
"""By what is done."""
