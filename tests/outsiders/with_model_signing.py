"""The signature over every file, by OpenSSF's model-signing."""

# Its packages are in an environment of its own.
# mypy: disable-error-code="import-not-found,import-untyped,no-untyped-call"

from pathlib import Path

from model_signing import verifying
from verdicts import tell


def check(folder: Path) -> None:
    """See that the signature is over these files and no others."""
    config = verifying.Config().use_elliptic_key_verifier(public_key=folder / "keys/export.pem")
    config.verify(folder, folder / "export.sig")


if __name__ == "__main__":
    tell(check, (ValueError,))
