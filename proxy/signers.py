"""Who signs the log: the key beside it, or a program that asks a key kept elsewhere (a KMS).

The program gets the exact bytes to sign on its stdin and answers on stdout with the signature, as
64 bytes or in base64. It is run without a shell; what it prints elsewhere is not shown, since it may
speak of secrets.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy.errors import LedgerError, ProofError, SettingsError
from proxy.ledger.checkpoint import Verifier
from proxy.ledger.note import decode
from proxy.log_settings import SignerSettings

__all__ = ["CommandSigner", "signer_of"]

_SIGNATURE_BYTES = 64
_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSigner:
    """A program that signs; every signature is checked before it is used."""

    verifier: Verifier
    command: Sequence[str] = field(repr=False)
    directory: Path
    """Where it runs."""
    timeout_s: float

    @property
    def name(self) -> str:
        """The log's name."""
        return self.verifier.name

    def sign(self, text: str) -> bytes:
        """The Ed25519 signature of a note's text.

        Raises:
            LedgerError: the program cannot be run, is too slow, fails, or answers with anything else
                than this key's signature of these bytes.
        """
        try:
            done = subprocess.run(
                list(self.command),
                input=text.encode(),
                capture_output=True,
                cwd=self.directory,
                timeout=self.timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise self._failure(f"did not answer within {self.timeout_s:g} s") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "unknown reason"
            raise self._failure(f"cannot be run: {reason.lower()}") from error
        if done.returncode:
            raise self._failure(f"ended with status {done.returncode}")
        signature = _signature(done.stdout)
        if not self.verifier.verify(signature, text):
            raise self._failure(
                "answered with no signature of these bytes by the key it is to have"
            )
        return signature

    def _failure(self, what: str) -> LedgerError:
        return LedgerError(
            f"the program that signs the log {what}",
            where="signer.command",
            help="run it by hand with some bytes on its stdin; see `signer` in the settings",
            code="signer",
        )


def signer_of(settings: SignerSettings, directory: Path) -> CommandSigner | None:
    """The program that signs the log of a workspace; None where the key beside it does.

    Raises:
        SettingsError: its key is none.
    """
    if settings.key is None:
        return None
    try:
        verifier = Verifier.from_text(settings.key)
    except ProofError as error:
        raise SettingsError(
            error.message, help=error.help, where="signer.key", code="bad-value"
        ) from error
    return CommandSigner(
        verifier=verifier,
        command=settings.command,
        directory=directory,
        timeout_s=settings.timeout_s,
    )


def _signature(answer: bytes) -> bytes:
    """The signature that a program answered with, if it is one: raw, or in base64."""
    if len(answer) == _SIGNATURE_BYTES:
        return answer
    if len(answer) > _MOST_BYTES:
        return b""
    return decode("".join(answer.decode(errors="replace").split()))
