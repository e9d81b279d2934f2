"""An audit in the formats that its readers already use. None holds a text of a prompt or an answer.

The same evidence and export give the same bytes. Only the signature of the bundle covers them: the
entries are what proves, and these files restate them.
"""

from collections.abc import Mapping

from proxy.audit.evidence import Evidence
from proxy.audit.formats.attestations import attestations
from proxy.audit.formats.cyclonedx import cyclonedx
from proxy.audit.formats.material import Material
from proxy.audit.formats.model_card import model_cards
from proxy.audit.formats.prov import prov
from proxy.audit.formats.ro_crate import ro_crate
from proxy.audit.formats.sheets import sheets
from proxy.audit.formats.spdx import spdx
from proxy.ledger.canonical import Json
from proxy.ledger.described import croissant, dataset_card
from proxy.ledger.envelope import ExportKey

__all__ = ["format_files"]

_ALWAYS = (
    "VERIFY.md",
    "entries.jsonl",
    "export.json",
    "export.sig",
    "index.html",
    "log/checkpoint",
)
"""Files that every audit has."""


def format_files(
    evidence: Evidence,
    about: Mapping[str, Json],
    digests: Mapping[str, str],
    key: ExportKey,
) -> dict[str, bytes]:
    """The files of an audit in formats of others, by path in the bundle.

    `about` is what `export.json` says, and `digests` has the sha256 in hex of each table by its path.
    """
    material = Material(evidence=evidence, about=about, digests=digests)
    described = material.described()
    found = {
        "dataset/croissant.json": croissant(described),
        "dataset/README.md": dataset_card(described),
        **model_cards(material),
        **attestations(material, key),
        **sheets(material),
        "bom/cyclonedx.json": cyclonedx(material),
        "bom/spdx3.json": spdx(material),
        "lineage/prov.json": prov(material),
    }
    return found | {"ro-crate-metadata.json": ro_crate(material, [*_ALWAYS, *digests, *found])}
