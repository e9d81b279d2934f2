"""The bill of materials, by the strict validator of cyclonedx-python-lib."""

# Its packages are in an environment of its own.
# mypy: disable-error-code="import-not-found,import-untyped"

from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from verdicts import tell


def check(folder: Path) -> None:
    """Hold the bill against the published schema of its version."""
    said = (folder / "bom/cyclonedx.json").read_text(encoding="utf-8")
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(said)
    if problem is not None:
        raise ValueError(str(problem))


if __name__ == "__main__":
    tell(check, (ValueError,))
