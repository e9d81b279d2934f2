"""The bill of materials in SPDX 3, by the bindings that SPDX makes of its own model."""

# Its packages are in an environment of its own.
# mypy: disable-error-code="import-not-found,import-untyped"

from pathlib import Path

from spdx_python_model import v3_0_1 as spdx
from verdicts import tell

_KNOWN = {"https://spdx.org/rdf/3.0.1/terms/Licensing/NoAssertion"}
"""What a document may refer to without holding it."""


def check(folder: Path) -> None:
    """Read every element under its type, and follow every reference."""
    objects = spdx.SHACLObjectSet()
    with (folder / "bom/spdx3.json").open("rb") as file:
        spdx.JSONLDDeserializer().read(file, objects)
    absent = objects.missing_ids - _KNOWN
    if absent:
        message = f"nothing here has the ids {sorted(absent)}"
        raise ValueError(message)
    if not list(objects.foreach_type("SpdxDocument")):
        message = "there is no document"
        raise ValueError(message)


if __name__ == "__main__":
    tell(check, (ValueError, TypeError, KeyError))
