"""Claims on what Azure's filters say of an answer."""

import pytest

from proxy.exchange import Json
from proxy.wire.azure_filters import is_filtered, is_verbatim

SAFE: dict[str, Json] = {"filtered": False, "severity": "safe"}


@pytest.mark.parametrize(
    ("results", "filtered", "verbatim"),
    [
        ({"hate": SAFE}, False, None),
        ({"hate": SAFE, "violence": {"filtered": True}}, True, None),
        ({"protected_material_text": {"filtered": False, "detected": False}}, False, False),
        ({"protected_material_code": {"filtered": False, "detected": True}}, False, True),
        (
            {
                "protected_material_text": {"detected": True},
                "protected_material_code": {"detected": False},
            },
            False,
            True,
        ),
        ({"protected_material_text": {"error": {"code": "content_filter_error"}}}, False, None),
        ({"hate": "no object"}, False, None),
        ([], False, None),
        (None, False, None),
    ],
)
def test_what_filters_say(results: Json, filtered: bool, verbatim: bool | None) -> None:  # noqa: FBT001 - a case of the table
    """Words taken out and texts known are stated; a filter that did not look states nothing."""
    assert (is_filtered(results), is_verbatim(results)) == (filtered, verbatim)
