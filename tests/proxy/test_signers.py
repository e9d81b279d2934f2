"""Tests of proxy.signers."""

import sys
from pathlib import Path

import pytest

from proxy.errors import LedgerError, SettingsError
from proxy.ledger.checkpoint import Checkpoint, LogKey, open_checkpoint, sign_checkpoint
from proxy.log_settings import SignerSettings
from proxy.signers import CommandSigner, signer_of

KEY = LogKey.generate("acme.example/log", bytes(range(32)))
HEAD = Checkpoint(origin=KEY.name, size=3, root=bytes(32))
PROGRAM = """\
import base64, sys, time
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
data = sys.stdin.buffer.read()
signature = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sys.argv[2])).sign(data)
match sys.argv[1]:
    case "raw":
        sys.stdout.buffer.write(signature)
    case "base64":
        print(base64.encodebytes(signature).decode())
    case "other":
        sys.stdout.buffer.write(signature[::-1])
    case "long":
        sys.stdout.buffer.write(signature * 100)
    case "fails":
        sys.exit("the token is s3cret")
    case "hangs":
        time.sleep(60)
"""


def signer(
    tmp_path: Path, way: str, *, seed: bytes = KEY.seed, timeout_s: float = 30.0
) -> CommandSigner:
    """A program that holds a key and answers in this way."""
    (tmp_path / "sign.py").write_text(PROGRAM)
    command = (sys.executable, "sign.py", way, seed.hex())
    settings = SignerSettings(command=command, key=KEY.verifier.to_text(), timeout_s=timeout_s)
    found = signer_of(settings, tmp_path)
    assert found is not None
    return found


@pytest.mark.parametrize("way", ["raw", "base64"])
def test_a_program_signs_as_the_key_does(tmp_path: Path, way: str) -> None:
    """A note that a program signed is the one that the key itself would sign."""
    note = sign_checkpoint(HEAD, signer(tmp_path, way))
    assert note == sign_checkpoint(HEAD, KEY)
    assert open_checkpoint(note, KEY.verifier) == HEAD


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("other", "answered with no signature"),
        ("long", "answered with no signature"),
        ("nothing", "answered with no signature"),
        ("fails", "ended with status 1"),
    ],
)
def test_a_wrong_answer_signs_nothing(tmp_path: Path, way: str, message: str) -> None:
    """Whatever is not this key's signature of these bytes is an error that shows no secret."""
    with pytest.raises(LedgerError, match=message) as caught:
        sign_checkpoint(HEAD, signer(tmp_path, way))
    assert caught.value.code == "signer"
    assert "s3cret" not in f"{caught.value} {caught.value.help}"


def test_another_key_behind_the_program_is_found_out(tmp_path: Path) -> None:
    """A program whose key is not the one in the settings signs nothing."""
    with pytest.raises(LedgerError, match="by the key it is to have"):
        signer(tmp_path, "raw", seed=bytes(32)).sign("text")


def test_a_slow_program_is_given_up(tmp_path: Path) -> None:
    """After the time-out the program is ended and nothing is signed."""
    with pytest.raises(LedgerError, match=r"within 0\.2 s"):
        signer(tmp_path, "hangs", timeout_s=0.2).sign("text")


def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    """A command that cannot be run is an error of the signer, not of the system."""
    settings = SignerSettings(command=("./absent",), key=KEY.verifier.to_text())
    found = signer_of(settings, tmp_path)
    assert found is not None
    with pytest.raises(LedgerError, match="cannot be run: no such file"):
        found.sign("text")


def test_without_a_program_the_key_beside_the_log_signs(tmp_path: Path) -> None:
    """No `signer` in the settings, no program."""
    assert signer_of(SignerSettings(), tmp_path) is None


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    """The public key is checked when the signer is made, with the place of the setting."""
    with pytest.raises(SettingsError) as caught:
        signer_of(SignerSettings(command=("a",), key="b"), tmp_path)
    assert caught.value.where == "signer.key"


def test_neither_command_nor_key_shows(tmp_path: Path) -> None:
    """Arguments may be secrets: `repr` leaves them out."""
    assert KEY.seed.hex() not in repr(signer(tmp_path, "raw"))
