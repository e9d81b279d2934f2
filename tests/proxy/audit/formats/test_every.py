"""An audit carries every format; none has a text, a recipient or a reason in it."""

import json
from hashlib import sha256

from proxy.audit.formats.every import format_files
from proxy.audit.formats.material import EXAMPLES, Material
from tests.proxy.audit.conftest import Told
from tests.proxy.ledger.sample import EXPORT_KEY


def made_of(material: Material) -> dict[str, bytes]:
    """The files of formats."""
    return format_files(material.evidence, material.about, material.digests, EXPORT_KEY)


def test_the_same_evidence_gives_the_same_bytes(material: Material) -> None:
    """Nothing in a file comes from chance or a clock."""
    assert made_of(material) == made_of(material)


def test_no_person_is_in_a_format(material: Material) -> None:
    """Recipients and reasons stay in the entries, and no name is markup."""
    for name, data in made_of(material).items():
        assert b"Jo Example" not in data, name
        assert not (name.endswith(".md") and b"<script>" in data), name


def test_an_audit_carries_them(told: Told) -> None:
    """Croissant names the very table, the crate every format, and no text of a teacher is in one."""
    described = json.loads((told.path / "dataset/croissant.json").read_text())
    table = (told.path / EXAMPLES).read_bytes()
    assert described["distribution"][0]["sha256"] == sha256(table).hexdigest()
    crate = json.loads((told.path / "ro-crate-metadata.json").read_text())
    parts = [part["@id"] for part in crate["@graph"][1]["hasPart"]]
    assert {"bom/cyclonedx.json", "lineage/prov.json", "eu-ai-act-summary.md"} <= set(parts)
    for name in parts:
        data = (told.path / name).read_bytes()
        is_format = name.startswith(("bom/", "lineage/", "dataset/", "attestations/"))
        assert not (is_format and b"green" in data), name
