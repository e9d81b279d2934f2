"""The ML-BOM is CycloneDX 1.6 by its own schema, and carries the end of a grant."""

import json

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from proxy.audit.formats.cyclonedx import cyclonedx
from proxy.audit.formats.material import Material
from tests.proxy.audit.formats.conftest import DATASET, GRANT, RUN


def test_the_schema_accepts_it(material: Material, nothing: Material) -> None:
    """With and without components it is valid, strictly."""
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for made in (material, nothing):
        assert validator.validate_str(cyclonedx(made).decode()) is None


def test_a_grant_has_its_end(material: Material) -> None:
    """`licensing` of the dataset says when the grant expires."""
    components = {each["bom-ref"]: each for each in json.loads(cyclonedx(material))["components"]}
    (granted,) = [
        each["license"]
        for each in components[DATASET]["licenses"]
        if "licensing" in each["license"]
    ]
    assert granted["licensing"] == {
        "altIds": [GRANT],
        "licenseTypes": ["other"],
        "expiration": "2026-12-31T00:00:00Z",
    }
    assert components[RUN]["modelCard"]["modelParameters"]["datasets"] == [{"ref": DATASET}]


def test_dependencies_name_components(material: Material) -> None:
    """Every reference is of a component, from run to dataset to teachers."""
    bom = json.loads(cyclonedx(material))
    refs = {each["bom-ref"] for each in bom["components"]}
    named = {ref for each in bom["dependencies"] for ref in [each["ref"], *each["dependsOn"]]}
    assert named == refs
