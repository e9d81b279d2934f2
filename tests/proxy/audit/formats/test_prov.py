"""PROV-JSON leads from weights by a run to a dataset and its teachers."""

import json

from proxy.audit.formats.material import Material
from proxy.audit.formats.prov import prov
from tests.proxy.audit.formats.conftest import DATASET, RUN


def test_weights_derive_from_the_dataset(material: Material) -> None:
    """Every name that a relation uses is one of the document's."""
    made = json.loads(prov(material))
    (derived,) = made["wasDerivedFrom"].values()
    assert derived == {
        "prov:generatedEntity": f"inbond:weights-{RUN}",
        "prov:usedEntity": f"inbond:dataset-{DATASET}",
    }
    known = {name for kind in ("agent", "entity", "activity") for name in made[kind]}
    relations = ("wasGeneratedBy", "used", "wasDerivedFrom", "wasAssociatedWith")
    used = {name for kind in relations for each in made[kind].values() for name in each.values()}
    assert used <= known


def test_nothing_has_the_log_alone(nothing: Material) -> None:
    """Without datasets only the log itself stands there."""
    assert set(json.loads(prov(nothing))) == {"agent", "prefix"}
