"""The crate describes itself and every file given."""

import json

from proxy.audit.formats.material import Material
from proxy.audit.formats.ro_crate import ro_crate


def test_every_part_is_described(material: Material, nothing: Material) -> None:
    """What `hasPart` names has an entity of its own, and licences not known are said to be."""
    graph = {each["@id"]: each for each in json.loads(ro_crate(material, ["b.md", "a"]))["@graph"]}
    assert graph["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    assert [part["@id"] for part in graph["./"]["hasPart"]] == ["a", "b.md"]
    assert graph["b.md"]["encodingFormat"] == "text/markdown"
    assert graph["#licence"]["name"] == "Apache-2.0"
    assert b"not recorded" in ro_crate(nothing, [])
