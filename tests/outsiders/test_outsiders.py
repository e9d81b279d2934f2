"""What others wrote reads audits as they are, and refuses them damaged: nobody has to believe inbond."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.outsiders.damage import (
    Damage,
    another_key,
    damaged,
    edited,
    flipped,
    removed,
    replaced,
    swap_signatures,
    without_an_exchange,
)
from tests.outsiders.environments import go_program, node_command, python_command, verdicts
from tests.outsiders.genuine import Genuine
from tests.proxy.ledger.sample import VKEY

pytestmark = pytest.mark.slow


def first(document: Any, kind: str) -> Any:
    """The first element of a graph that has the type."""
    return next(each for each in document["@graph"] if each.get("type") == kind)


def cell_with(document: Any, field_name: str) -> Any:
    """The cell of a sheet that answers a field."""
    return next(each for each in document["cells"] if field_name in each["field"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Outsider:
    """A program of a stranger's, and damage that it has to refuse."""

    damages: Mapping[str, Damage]
    has_datasets: bool = field(default=False)
    """Whether it reads datasets as well as audits."""


BILL: Mapping[str, Damage] = {
    "a component without a name": edited(
        "bom/cyclonedx.json", lambda bom: bom["components"][0].pop("name")
    ),
    "a word that the schema lacks": edited(
        "bom/cyclonedx.json", lambda bom: bom["components"][0].update(admitted="yes")
    ),
    "a digest that is none": edited(
        "bom/cyclonedx.json",
        lambda bom: bom["components"][0]["components"][0]["hashes"][0].update(content="abc"),
    ),
}

IN_PYTHON: Mapping[str, Outsider] = {
    "with_model_signing": Outsider(
        has_datasets=True,
        damages={
            "an entry edited": flipped("entries.jsonl"),
            "a file added": lambda folder: (folder / "notes.txt").write_text("added"),
            "a file taken away": removed("index.html"),
            "another key": another_key,
        },
    ),
    "with_mlcroissant": Outsider(
        has_datasets=True,
        damages={
            "another table": edited(
                "dataset/croissant.json",
                lambda said: said["distribution"][0].update(sha256="ab" * 32),
            ),
            "a column that is not there": edited(
                "dataset/croissant.json",
                lambda said: said["recordSet"][0]["field"][0]["source"]["extract"].update(
                    column="nowhere"
                ),
            ),
            "a record set of no file": edited(
                "dataset/croissant.json", lambda said: said.update(distribution=[])
            ),
        },
    ),
    "with_cyclonedx": Outsider(damages=BILL),
    "with_spdx": Outsider(
        damages={
            "a relation to nothing": edited(
                "bom/spdx3.json",
                lambda said: first(said, "Relationship").update(to=["urn:uuid:nothing"]),
            ),
            "a word that the model lacks": edited(
                "bom/spdx3.json", lambda said: first(said, "ai_AIPackage").update(admitted="yes")
            ),
            "a time that is none": edited(
                "bom/spdx3.json",
                lambda said: first(said, "ai_AIPackage").update(releaseTime="yesterday"),
            ),
        },
    ),
    "with_prov": Outsider(
        damages={
            "a dataset taken out": edited(
                "lineage/prov.json", lambda said: said["entity"].popitem()
            ),
            "a relation that PROV lacks": edited(
                "lineage/prov.json", lambda said: said.update(wasAdmittedBy={"_:a": {}})
            ),
        },
    ),
    "with_in_toto": Outsider(
        damages={
            "a statement edited": edited(
                "attestations/*.dsse.json",
                lambda said: said.update(payload="e30=" + said["payload"][4:]),
            ),
            "another key": another_key,
            "another envelope's signature": swap_signatures,
        },
    ),
    "with_duckdb": Outsider(
        damages={
            "a figure edited": edited(
                "eu-ai-act-summary.json",
                lambda said: cell_with(said, "Number of examples").update(value="7"),
            ),
            "a model left out": edited(
                "california-ab-2013.json",
                lambda said: cell_with(said, "12 Synthetic").update(value="smollm2-135m-instruct"),
            ),
            "a table of other rows": lambda folder: shutil.copy(
                folder / "tables/grants.parquet", folder / "tables/exchanges.parquet"
            ),
            "an entry taken away": without_an_exchange,
        },
    ),
}

IN_NODE: Mapping[str, Outsider] = {
    "cyclonedx": Outsider(damages=BILL),
    "ro_crate": Outsider(
        damages={
            "a file taken away": removed("bom/spdx3.json"),
            "a crate without a licence": edited(
                "ro-crate-metadata.json",
                lambda said: next(each for each in said["@graph"] if each["@id"] == "./").pop(
                    "license"
                ),
            ),
            "a crate that is none": edited(
                "ro-crate-metadata.json", lambda said: said.pop("@graph")
            ),
        },
    ),
}

TREE: Mapping[str, Damage] = {
    "an entry edited": replaced("entries.jsonl", "complete", "replaced"),
    "an entry in another place": replaced("entries.jsonl", '"seq":1}', '"seq":2}'),
    "an entry beyond the log": replaced("entries.jsonl", '"seq":1}', '"seq":1000}'),
    "a full tile edited": flipped("log/tile/0/000"),
    "the root's tile edited": flipped("log/tile/1/000.p/1"),
    "a tile taken away": removed("log/tile/0/000"),
    "the checkpoint edited": replaced("log/checkpoint", "inbond/", "inbonds/"),
}


def hold(bundles: Genuine, folder: Path, outsider: Outsider, command: Sequence[str | Path]) -> None:
    """Let a program judge what is genuine and what is damaged."""
    true = [bundles.audit, *([bundles.dataset] if outsider.has_datasets else [])]
    false = damaged(bundles.audit, folder, outsider.damages)
    said = verdicts(command, [*true, *false])
    assert {path.name: said[path] for path in true if said[path]} == {}
    assert [name for path, name in false.items() if not said[path]] == []


@pytest.mark.parametrize("name", IN_PYTHON)
def test_python_packages_judge(bundles: Genuine, tmp_path: Path, name: str) -> None:
    """A package of Python finds nothing wrong with what is genuine, and something with each damage."""
    hold(bundles, tmp_path, IN_PYTHON[name], python_command(name))


@pytest.mark.parametrize("name", IN_NODE)
def test_npm_packages_judge(bundles: Genuine, kept: Path, tmp_path: Path, name: str) -> None:
    """A package of npm finds nothing wrong with what is genuine, and something with each damage."""
    hold(bundles, tmp_path, IN_NODE[name], node_command(name, kept))


def test_gos_checksum_database_judges(bundles: Genuine, kept: Path, tmp_path: Path) -> None:
    """Go's `note` and `tlog` prove checkpoint, tiles and entries, and that the kept tree was extended."""
    program = [go_program(kept)]
    older, other = tmp_path / "older", tmp_path / "other"
    older.write_text(bundles.kept)
    other.write_text(bundles.foreign)
    true = [bundles.audit, bundles.dataset]
    pinned = ("-key", bundles.key)
    said = verdicts(program, true, *pinned, "-kept", older)
    assert list(said.values()) == [None, None]
    false = damaged(bundles.audit, tmp_path, TREE)
    judged = verdicts(program, false, *pinned)
    assert [name for path, name in false.items() if not judged[path]] == []
    rewritten = verdicts(program, true, *pinned, "-kept", other)
    assert all("invalid transparency proof" in str(problem) for problem in rewritten.values())
    assert None not in verdicts(program, true, "-key", VKEY).values()
