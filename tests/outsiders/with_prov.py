"""The lineage in PROV, by the reference package `prov`."""

# Its packages are in an environment of its own.
# mypy: disable-error-code="import-not-found,import-untyped"

from pathlib import Path

from prov import Error
from prov.model import ProvDocument, ProvRelation
from verdicts import tell


def check(folder: Path) -> None:
    """Read the document, and see that every relation is between things that it describes."""
    document = ProvDocument.deserialize(folder / "lineage/prov.json", format="json")
    described = {record.identifier for record in document.get_records() if record.is_element()}
    for relation in document.get_records(ProvRelation):
        for name, value in relation.formal_attributes:
            if value is not None and value not in described and name.localpart != "time":
                message = f"{relation.get_provn()} is of {value}, which is not described"
                raise ValueError(message)
    if not described:
        message = "nothing is described"
        raise ValueError(message)


if __name__ == "__main__":
    tell(check, (Error, ValueError, KeyError, AttributeError))
