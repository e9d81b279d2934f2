"""Tests of proxy.log_settings."""

from pathlib import Path

import pytest

from proxy.errors import SettingsError
from proxy.settings import parse_settings

HEAD = "inbond: 1\norganisation: Acme\n"


def read(text: str) -> str:
    """What is wrong with these settings."""
    with pytest.raises(SettingsError) as caught:
        parse_settings(HEAD + text, Path("/w"), {})
    return f"{caught.value.code}: {caught.value.message}"


def test_without_them_nothing_leaves_the_machine() -> None:
    """By default nobody is told of checkpoints, nobody is witnessed, and the key beside the log signs."""
    found = parse_settings(HEAD, Path("/w"), {})
    assert (found.anchors.files, found.anchors.timestamps, found.anchors.witnesses) == ((), (), ())
    assert (found.witness.logs, found.signer.command, found.signer.key) == ((), (), None)
    assert found.anchors.required_within_s is None
    assert found.witness_directory == Path("/w/witness")


def test_all_of_it_is_read() -> None:
    """Every key of the three sections arrives."""
    text = """\
signer: {command: [kms-sign, log], key: a+b+c, timeout_s: 3}
anchors:
  files: [/mnt/worm]
  timestamps: [{url: "https://tsa.example.org/tsr", ca: keys/tsa.pem}]
  witnesses: [{url: "http://127.0.0.1:8486", key: w+1+2}]
  every_s: 60
  required_within_s: 86400
witness: {listen: "127.0.0.1:1", logs: [a+b+c]}
"""
    found = parse_settings(HEAD + text, Path("/w"), {})
    assert found.signer.command == ("kms-sign", "log")
    assert found.anchors.timestamps[0].ca == "keys/tsa.pem"
    assert found.anchors.witnesses[0].url == "http://127.0.0.1:8486"
    assert (found.anchors.every_s, found.anchors.required_within_s) == (60, 86400)
    assert (str(found.witness.listen), found.witness.logs) == ("127.0.0.1:1", ("a+b+c",))


@pytest.mark.parametrize(
    "url",
    [
        "http://tsa.example.org/",
        "tsa.example.org",
        "https://user:pw@tsa.example.org",
        "https://:pw@tsa.example.org",
        "ftp://x",
    ],
)
def test_others_are_asked_over_tls(url: str) -> None:
    """Plain HTTP is for this machine alone, and an address holds no password."""
    said = read(f"anchors: {{witnesses: [{{url: '{url}', key: w}}]}}\n")
    assert said.startswith("bad-value: `anchors.witnesses[0].url`: this is not an address")


@pytest.mark.parametrize("part", ["command: [x]", "key: a+b+c"])
def test_a_signer_is_a_program_and_its_key(part: str) -> None:
    """One without the other is refused."""
    assert "a program and the key it signs with" in read(f"signer: {{{part}}}\n")


def test_required_anchors_are_somebody_s() -> None:
    """Anchors that nobody gives cannot be required."""
    assert "nobody is named" in read("anchors: {required_within_s: 60}\n")


def test_a_witness_listens_on_this_machine() -> None:
    """A witness is published by a front proxy, never by itself."""
    assert read("witness: {listen: '0.0.0.0:1'}\n").startswith("beyond-loopback")
