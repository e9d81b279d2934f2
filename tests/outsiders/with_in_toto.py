"""The attestations: envelopes by securesystemslib, statements and provenance by in-toto's package."""

# Its packages are in an environment of its own.
# mypy: disable-error-code="import-not-found,import-untyped,attr-defined"

import json
from pathlib import Path

from google.protobuf.json_format import ParseDict, ParseError
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error
from securesystemslib.signer import SSlibKey
from verdicts import tell

_SCHEME = "ecdsa-sha2-nistp256"
_SLSA = "https://slsa.dev/provenance/v1"


def check(folder: Path) -> None:
    """Verify each envelope under the export key, and read what it states by its type."""
    pem = (folder / "keys/export.pem").read_text(encoding="utf-8")
    key = SSlibKey("", "ecdsa", _SCHEME, {"public": pem})
    paths = sorted((folder / "attestations").glob("*.dsse.json"))
    if not paths:
        message = "there is no attestation"
        raise ValueError(message)
    for path in paths:
        envelope = Envelope.from_dict(json.loads(path.read_bytes()))
        envelope.verify([key], threshold=1)
        said = ParseDict(json.loads(envelope.payload), StatementMessage())
        Statement.copy_from_pb(said).validate()
        if said.predicate_type == _SLSA:
            ParseDict(json.loads(envelope.payload)["predicate"], Provenance())


if __name__ == "__main__":
    tell(check, (Error, ParseError, ValueError, KeyError))
