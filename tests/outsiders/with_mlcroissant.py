"""The description of the examples, and the table it names, by MLCommons' mlcroissant."""

# Its packages are in an environment of its own.
# mypy: disable-error-code="import-not-found,import-untyped"

import logging
from pathlib import Path

import mlcroissant
from verdicts import tell


def check(folder: Path) -> None:
    """Validate the description and read every record of the table through it."""
    described = mlcroissant.Dataset(jsonld=folder / "dataset/croissant.json")
    for records in described.metadata.record_sets:
        if not list(described.records(records.uuid)):
            message = f"the record set {records.uuid} is empty"
            raise ValueError(message)


if __name__ == "__main__":
    logging.disable()
    tell(check, (mlcroissant.ValidationError, mlcroissant.GenerationError, ValueError))
