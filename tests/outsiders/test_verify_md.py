"""The commands of VERIFY.md, run as they are written: true for what is genuine, and only for that."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import time_machine
from click.testing import CliRunner

from proxy.cli import main
from tests.outsiders.damage import (
    Damage,
    damaged,
    edited,
    flipped,
    removed,
    replaced,
    swap_signatures,
    without_an_exchange,
)
from tests.outsiders.environments import python_command
from tests.outsiders.genuine import Genuine
from tests.proxy.ledger.sample import THIEF_KEY, resign
from tests.proxy.workshop import NOW

pytestmark = pytest.mark.slow

GOOD = re.compile(
    r" *\d* ?true|Verified OK|Signature Verified Successfully|Verification succeeded"
    r"|Verification: OK|Using configuration from .*"
)
"""All that a genuine bundle lets the commands print."""
MODEL_SIGNING = "model_signing verify"
BOUND_S = 120


def sections(bundle: Path, bundles: Genuine, folder: Path) -> dict[str, str]:
    """The commands of each numbered section, and before them `0`, with what their reader completes."""
    (folder / "authority.pem").write_bytes(bundles.authority)
    completed = {"NAME+ID+BASE64": bundles.key, "AUTHORITY.pem": str(folder / "authority.pem")}
    found: dict[str, str] = {}
    text = (bundle / "VERIFY.md").read_text().partition("## Without inbond")[2]
    for part in re.split(r"\n### (?=\d)", text):
        number = part[0] if part[0].isdigit() else "0"
        lines = (line[4:] for line in part.splitlines() if line.startswith("    "))
        found[number] = "\n".join(lines) + "\n"
        for blank, given in completed.items():
            found[number] = found[number].replace(blank, given)
    return found


def said(bundle: Path, script: str, scratch: Path, *, with_tools: bool = False) -> list[str]:
    """What a shell prints, line by line, errors included; `with_tools` it finds others' programs."""
    scratch.mkdir(exist_ok=True)
    path = scratch / "commands.sh"
    path.write_text(script)
    command: list[str | Path] = ["sh", path]
    if with_tools:
        command = python_command("with_duckdb", "with_model_signing", command=command)
    done = subprocess.run(
        command,
        cwd=bundle,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=BOUND_S,
    )
    return done.stdout.splitlines()


def wrong(lines: list[str]) -> list[str]:
    """The lines that a genuine bundle does not print."""
    return [line for line in lines if not GOOD.fullmatch(line)]


@pytest.mark.parametrize("kind", ["audit", "dataset"])
def test_every_command_says_true(bundles: Genuine, tmp_path: Path, kind: str) -> None:
    """All commands in their order print what VERIFY.md says they print, and nothing else."""
    bundle = bundles.audit if kind == "audit" else bundles.dataset
    written = sections(bundle, bundles, tmp_path)
    assert list(written) == list("01234567")
    lines = said(bundle, "".join(written.values()), tmp_path, with_tools=True)
    assert wrong(lines) == []
    assert {"Verified OK", "Verification succeeded", "Signature Verified Successfully"} < {*lines}
    assert lines.count("true") > len(written)
    assert "Verification: OK" in lines


@pytest.mark.parametrize("kind", ["audit", "dataset"])
def test_inbonds_own_command_says_true(bundles: Genuine, tmp_path: Path, kind: str) -> None:
    """The command for those who have inbond, its option included, ends with 0."""
    bundle = bundles.audit if kind == "audit" else bundles.dataset
    (tmp_path / "kept").write_text(bundles.kept)
    found = re.search(
        r"^ +inbond (audit verify .*)$", (bundle / "VERIFY.md").read_text(), re.MULTILINE
    )
    assert found is not None
    words = found[1].replace("[", "").replace("]", "").split()
    given = {"PATH": str(bundle), "VKEY": bundles.key, "OLD": str(tmp_path / "kept")}
    with time_machine.travel(NOW, tick=True):
        result = CliRunner().invoke(main, [given.get(word, word) for word in words])
    assert result.exit_code == 0, result.stdout


def _sign_as_a_thief(folder: Path) -> None:
    (folder / "keys/export.pem").write_text(THIEF_KEY.public_pem)
    resign(folder, THIEF_KEY)


def _edit_a_policy(folder: Path) -> None:
    (path,) = (folder / "policies").glob("*.json")
    replaced(str(path.relative_to(folder)), "permit", "forbid")(folder)


def _edit_terms(folder: Path) -> None:
    path = min((folder / "terms").glob("*.json"))
    flipped(str(path.relative_to(folder)))(folder)


OF_DATASETS: Mapping[str, Mapping[str, Damage]] = {
    "1": {
        "a file edited": flipped("index.html"),
        "a file added": lambda folder: (folder / "notes.txt").write_text("added"),
        "a file taken away": removed("index.html"),
        "signed by a stranger": _sign_as_a_thief,
    },
    "2": {
        "another root": replaced("log/checkpoint", "\n\n", "\nmore\n\n"),
        "another log": replaced("log/checkpoint", "inbond/", "inbonds/"),
    },
    "3": {
        "an entry edited": replaced("entries.jsonl", "complete", "replaced"),
        "an entry taken away": without_an_exchange,
        "a tile edited": lambda folder: [
            path.write_bytes(bytes(len(path.read_bytes())))
            for path in (folder / "log/tile/0").rglob("*")
            if path.is_file()
        ],
    },
    "4": {"a text edited": replaced("openings.jsonl", '"body":"e', '"body":"f')},
    "5": {"terms edited": _edit_terms, "a policy edited": _edit_a_policy},
    "7": {"a manifest edited": replaced("dataset/manifest.jsonl", "permit", "review")},
}
"""What each section of a dataset's VERIFY.md has to notice by itself."""


@pytest.mark.parametrize("number", OF_DATASETS)
def test_each_section_notices(bundles: Genuine, tmp_path: Path, number: str) -> None:
    """By the commands of its own section alone, each kind of damage shows."""
    written = sections(bundles.dataset, bundles, tmp_path)
    # Without model-signing: its own test is in `test_outsiders.py`.
    lines = written[number].splitlines(keepends=True)
    script = written["0"] + "".join(line for line in lines if MODEL_SIGNING not in line)
    genuine = said(bundles.dataset, script, tmp_path / "scratch")
    assert genuine
    assert wrong(genuine) == []
    for copy, name in damaged(bundles.dataset, tmp_path, OF_DATASETS[number]).items():
        assert wrong(said(copy, script, tmp_path / "scratch")) != [], name


def test_tables_stamps_and_attestations_are_held(bundles: Genuine, tmp_path: Path) -> None:
    """A row that no entry gives, an edited head and an envelope with another's signature show."""
    written = sections(bundles.audit, bundles, tmp_path)
    damages: Mapping[str, Damage] = {
        "rows": replaced("entries.jsonl", r"\"kind\":\"exchange\"", r"\"kind\":\"exchanged\""),
        "stamp": replaced("log/anchors/*.checkpoint", "inbond/", "inbonds/"),
        "signature": swap_signatures,
        "payload": edited("attestations/run-*.json", lambda said: said.update(payload="e30=")),
    }
    copies = {name: path for path, name in damaged(bundles.audit, tmp_path, damages).items()}
    scratch = tmp_path / "scratch"
    tables = said(copies["rows"], written["0"] + written["6"], scratch, with_tools=True)
    assert any("differ" in line or line.startswith("FALSE") for line in wrong(tables))
    assert "Verification: FAILED" in said(copies["stamp"], written["0"] + written["2"], scratch)
    envelopes = written["0"] + written["1"].partition("jq .dsseEnvelope")[0] + written["7"]
    for name in ("signature", "payload"):
        assert "Verification failure" in said(copies[name], envelopes, scratch)
