"""SPDX names each package once, with one declared and one concluded licence."""

import json
from collections import Counter

import pytest

from proxy.audit.formats.material import Material
from proxy.audit.formats.spdx import licence_term, spdx
from tests.proxy.audit.formats.conftest import DATASET, EXPORT, RUN


def test_each_package_has_two_licences(material: Material) -> None:
    """One declared, one concluded; every identifier stands once and every target is known."""
    graph = json.loads(spdx(material))["@graph"]
    links = [each for each in graph if each["type"] == "Relationship"]
    kinds = Counter((each["from"], each["relationshipType"]) for each in links)
    for package in (DATASET, RUN):
        for kind in ("hasDeclaredLicense", "hasConcludedLicense"):
            assert kinds[f"urn:uuid:{EXPORT}#{package}", kind] == 1
    names = [each["spdxId"] for each in graph if "spdxId" in each]
    assert len(names) == len(set(names))
    targets = {to for each in links for to in each["to"]}
    assert {to for to in targets if to.startswith("urn:")} <= set(names)


@pytest.mark.parametrize(
    ("licence", "term"),
    [
        ("Apache-2.0", "Apache-2.0"),
        ("LicenseRef-own", "LicenseRef-own"),
        ("llama-3.3 community", "LicenseRef-llama-3.3-community"),
    ],
)
def test_licences_are_terms_of_an_expression(licence: str, term: str) -> None:
    """A licence that SPDX does not list is a reference, and never a name it does not know."""
    assert licence_term(licence) == term


def test_times_have_no_fractions(material: Material) -> None:
    """SPDX has whole seconds."""
    (info,) = [
        each for each in json.loads(spdx(material))["@graph"] if each["type"] == "CreationInfo"
    ]
    assert info["created"] == "2026-11-24T05:00:00Z"


def test_nothing_is_a_document_of_its_recorder(nothing: Material) -> None:
    """Without packages the recorder is the root."""
    graph = {each["type"]: each for each in json.loads(spdx(nothing))["@graph"]}
    assert graph["SpdxDocument"]["rootElement"] == [graph["SoftwareAgent"]["spdxId"]]
