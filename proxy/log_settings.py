"""The settings of what stands behind the ledger: who signs it, who is told of it, whom it witnesses."""

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from proxy.faults import wrong
from proxy.sections import Address, Section, address, is_loopback

__all__ = [
    "AnchorSettings",
    "SignerSettings",
    "TimestampSettings",
    "WitnessSettings",
    "WitnessedBy",
]


def _outside(value: object) -> object:
    """An address that is asked over TLS, or on this machine."""
    if isinstance(value, str):
        parts = urlsplit(value)
        is_plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
        if not parts.hostname or "@" in parts.netloc or not (parts.scheme == "https" or is_plain):
            fix = "write `https://HOST/PATH`; `http://` is for this machine alone"
            raise wrong("bad-value", "this is not an address that can be trusted to be asked", fix)
    return value


type _OutsideUrl = Annotated[str, BeforeValidator(_outside)]


class TimestampSettings(Section):
    """An authority that stamps checkpoints with the time."""

    url: _OutsideUrl
    ca: str = Field(min_length=1)


class WitnessedBy(Section):
    """A witness that is shown checkpoints."""

    url: _OutsideUrl
    key: str = Field(min_length=1)


class AnchorSettings(Section):
    """Who else is told of checkpoints: without it, nobody would see the log's own key rewrite it."""

    files: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="folders, best of another machine, where each checkpoint is left as a file; a "
        "database that does not extend the newest one there is refused",
    )
    timestamps: tuple[TimestampSettings, ...] = Field(
        default=(),
        strict=False,
        description="authorities that say when a checkpoint existed (RFC 3161), each with its `url` "
        "and `ca`, a PEM file of its certificates, root included",
    )
    witnesses: tuple[WitnessedBy, ...] = Field(
        default=(),
        strict=False,
        description="witnesses that cosign what only grew (C2SP tlog-witness), each with its `url` "
        "and `key`, the line `name+id+key` that it is known by",
    )
    every_s: float = Field(
        default=3600.0, gt=0, description="how often a ledger that grew is anchored, in seconds"
    )
    timeout_s: float = Field(
        default=10.0, gt=0, description="how long one of them may take to answer, in seconds"
    )
    required_within_s: float | None = Field(
        default=None,
        gt=0,
        description="how long entries may wait for all of these anchors, in seconds: after that calls "
        "are refused until they are back; without it an outage is shown and refuses nothing",
    )

    @model_validator(mode="after")
    def _requires_somebody(self) -> Self:
        named = self.files or self.timestamps or self.witnesses
        if self.required_within_s is not None and not named:
            fix = "name `files`, `timestamps` or `witnesses`, or leave `required_within_s` out"
            raise wrong("bad-value", "anchors are required, and nobody is named", fix)
        return self


class WitnessSettings(Section):
    """How this installation witnesses the logs of others: `inbond witness serve`."""

    listen: Annotated[Address, BeforeValidator(address)] = Field(
        default=Address(host="127.0.0.1", port=8486), description="where the witness listens"
    )
    logs: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="the keys of the logs whose checkpoints it cosigns, each the line `name+id+key`; "
        "a log that replaces its key has both here for a while",
    )


class SignerSettings(Section):
    """A program that signs checkpoints with a key kept elsewhere, such as in a KMS."""

    command: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="the program and its arguments, run in the workspace without a shell: it gets the "
        "bytes to sign on stdin and answers with the Ed25519 signature, as 64 bytes or in base64; "
        "without it `keys/log.key` signs",
    )
    key: str | None = Field(
        default=None,
        description="the public key it signs with, the line `name+id+key`; every signature is checked "
        "against it",
    )
    timeout_s: float = Field(
        default=10.0, gt=0, description="how long the program may take, in seconds"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.command) != (self.key is not None):
            fix = "give `command` and `key`, or neither"
            raise wrong("bad-value", "a signer is a program and the key it signs with", fix)
        return self
