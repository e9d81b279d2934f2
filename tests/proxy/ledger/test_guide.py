"""The texts for people in a bundle say how to check it, and run nothing."""

from typing import Literal

import pytest

from proxy.ledger.guide import guide, index_page


@pytest.mark.parametrize("kind", ["audit", "dataset"])
def test_the_guide_names_other_peoples_tools(kind: Literal["audit", "dataset"]) -> None:
    """The guide tells how to check the bundle with and without inbond."""
    text = guide(kind)
    assert text.startswith(f"# How to check this {kind}\n")
    for tool in ("inbond audit verify", "sumdb/note", "openssl dgst", "model_signing verify"):
        assert tool in text
    assert ("dataset/examples.parquet" in text) == (kind == "dataset")
    assert ("bom/cyclonedx.json" in text) == (kind == "audit")


def test_the_page_escapes_what_it_shows() -> None:
    """Text of others on the first page is shown, never run."""
    page = index_page({"kind": "audit", "subject": "<b>", "query": {"a": "<script>"}}, 3)
    assert "<script>" not in page
    assert "&lt;b&gt;" in page
    assert "<th>entries</th><td>3</td>" in page
