"""What is done to copies of a genuine bundle, for strangers to notice."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.proxy.ledger.sample import THIEF_KEY

__all__ = [
    "Damage",
    "another_key",
    "damaged",
    "edited",
    "flipped",
    "removed",
    "replaced",
    "swap_signatures",
    "without_an_exchange",
]

type Damage = Callable[[Path], object]
"""Changes a bundle."""


def flipped(name: str) -> Damage:
    """One bit of one file turned."""

    def damage(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)

    return damage


def edited(name: str, change: Callable[[Any], object]) -> Damage:
    """One JSON document changed; `name` may have a wildcard."""

    def damage(folder: Path) -> None:
        (path, *_) = sorted(folder.glob(name))
        document = json.loads(path.read_bytes())
        change(document)
        path.write_text(json.dumps(document))

    return damage


def replaced(name: str, old: str, new: str) -> Damage:
    """A text replaced in one file, once; `name` may have a wildcard."""

    def damage(folder: Path) -> None:
        (path, *_) = sorted(folder.glob(name))
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return damage


def removed(name: str) -> Damage:
    """One file taken away."""
    return lambda folder: (folder / name).unlink()


def another_key(folder: Path) -> None:
    """The export key of somebody else put in place of the log's."""
    (folder / "keys/export.pem").write_text(THIEF_KEY.public_pem)


def swap_signatures(folder: Path) -> None:
    """The signatures of one envelope put into another."""
    one, other, *_ = sorted((folder / "attestations").glob("*.dsse.json"))
    said, elsewhere = json.loads(one.read_bytes()), json.loads(other.read_bytes())
    one.write_text(json.dumps(said | {"signatures": elsewhere["signatures"]}))


def without_an_exchange(folder: Path) -> None:
    """The first exchange taken out of the entries."""
    lines = (folder / "entries.jsonl").read_text().splitlines(keepends=True)
    at = next(at for at, line in enumerate(lines) if r"\"kind\":\"exchange\"" in line)
    (folder / "entries.jsonl").write_text("".join(lines[:at] + lines[at + 1 :]))


def damaged(source: Path, folder: Path, damages: Mapping[str, Damage]) -> dict[Path, str]:
    """A copy of a bundle for each kind of damage, and what was done to it."""
    found: dict[Path, str] = {}
    for name, damage in damages.items():
        copy = Path(shutil.copytree(source, folder / name.replace(" ", "-")))
        damage(copy)
        found[copy] = name
    return found
