"""The keys of an installation: the log's, the one for exports, and the secret of fingerprints."""

from dataclasses import dataclass, field
from pathlib import Path

from proxy.errors import ProofError, SettingsError
from proxy.keyfile import read_private, write_private
from proxy.ledger.checkpoint import LogKey, NoteSigner
from proxy.ledger.envelope import ExportKey
from proxy.settings import Settings
from proxy.signers import signer_of

__all__ = ["Keys", "keys_of", "load_keys", "make_keys"]

_LOG = "log.key"
_EXPORT = "export.pem"
_FINGERPRINT = "fingerprint.secret"
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What this installation signs with, and what it hides clients' own keys with."""

    log: NoteSigner
    """A key, or the program that has one signed with elsewhere."""
    export: ExportKey
    """For the signatures of bundles."""
    fingerprint: bytes = field(repr=False)
    """32 bytes: the HMAC key under which passed-through keys become account ids."""


def make_keys(directory: Path, *, origin: str, entropy: bytes) -> Keys:
    """Fresh keys in an empty directory, from 96 random bytes: log, fingerprints, exports.

    Raises:
        FileExistsError: a key is there already; it is left alone.
        ProofError: the origin is no name for a key.
    """
    assert len(entropy) == 3 * _SECRET_BYTES  # noqa: S101 - our own caller's mistake
    log = LogKey.generate(origin, entropy[:_SECRET_BYTES])
    fingerprint = entropy[_SECRET_BYTES : 2 * _SECRET_BYTES]
    export = ExportKey.generate(entropy[2 * _SECRET_BYTES :])
    write_private(directory / _LOG, f"{log.to_text()}\n".encode())
    write_private(directory / _EXPORT, export.to_pem().encode())
    write_private(directory / _FINGERPRINT, f"{fingerprint.hex()}\n".encode())
    return Keys(log=log, export=export, fingerprint=fingerprint)


def keys_of(settings: Settings) -> Keys:
    """The keys of a workspace; where `signer` names a program, it stands for the log's key.

    Raises:
        SettingsError: as `load_keys`, or the program's public key is none.
    """
    signer = signer_of(settings.signer, settings.directory)
    return load_keys(settings.keys_directory, signer=signer)


def load_keys(directory: Path, *, signer: NoteSigner | None = None) -> Keys:
    """The keys of an installation; with a `signer`, the log's own is not looked for.

    Raises:
        SettingsError: a file cannot be read, is open to others, or does not hold its key.
    """
    return Keys(
        log=signer or _load_log(directory / _LOG),
        export=_load_export(directory / _EXPORT),
        fingerprint=_load_fingerprint(directory / _FINGERPRINT),
    )


def _load_log(path: Path) -> LogKey:
    try:
        return LogKey.from_text(read_private(path, "the log's key").decode())
    except (ProofError, UnicodeDecodeError) as error:
        raise _damaged(path, "the log's key") from error


def _load_export(path: Path) -> ExportKey:
    try:
        return ExportKey.from_pem(read_private(path, "the export key").decode())
    except (ProofError, UnicodeDecodeError) as error:
        raise _damaged(path, "the export key") from error


def _load_fingerprint(path: Path) -> bytes:
    try:
        secret = bytes.fromhex(read_private(path, "the fingerprint secret").decode())
    except ValueError as error:
        raise _damaged(path, "the fingerprint secret") from error
    if len(secret) != _SECRET_BYTES:
        raise _damaged(path, "the fingerprint secret")
    return secret


def _damaged(path: Path, what: str) -> SettingsError:
    message = f"the file `{path}` does not hold {what}"
    fix = "restore it from a backup"
    return SettingsError(message, help=fix, where=str(path), code="bad-key-file")
