"""Tests of proxy.cli.init."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli import main
from proxy.cli.init import make_workspace
from proxy.cli.openledger import open_ledger
from proxy.errors import ProofError, SettingsError
from proxy.ledger.checkpoint import Verifier, open_checkpoint
from proxy.ledger.entry import KeyEntry, OpenEntry
from proxy.settings import load_settings
from proxy.store.queries import entries


def test_a_workspace_has_all_its_parts(tmp_path: Path) -> None:
    """`inbond init` makes settings, policies, keys and ledger, and prints the log's key."""
    result = CliRunner().invoke(
        main, ["init", str(tmp_path / "w"), "--organisation", "Acme Ltd", "--json"]
    )
    assert (result.exit_code, result.stderr.count("hint:")) == (0, 2)
    record = json.loads(result.stdout)
    assert record["organisation"] == "Acme Ltd"
    assert Verifier.from_text(record["log_key"]).name == record["origin"] == "inbond/acme-ltd"
    assert load_settings(tmp_path / "w", {}).organisation == "Acme Ltd"
    for name in ("grants", "organisation/house-rules.yaml", "students", "tests"):
        assert (tmp_path / "w" / "policies" / name).exists()
    for name in ("datasets", "run", "students", "keys", "inbond.db", "README.md", ".gitignore"):
        assert (tmp_path / "w" / name).exists()


def test_keys_are_the_owners_alone(tmp_path: Path) -> None:
    """Nobody else can list the keys, or read one or the ledger."""
    directory = make_workspace(tmp_path / "w", organisation="A").directory
    private = [directory / "keys", directory / "inbond.db"]
    private += [
        path
        for path in (directory / "keys").iterdir()
        if b"BEGIN CERTIFICATE" not in path.read_bytes() or b"PRIVATE" in path.read_bytes()
    ]
    assert len(private) >= 6
    assert all(path.stat().st_mode & 0o077 == 0 for path in private)
    assert "keys/" in (directory / ".gitignore").read_text()


def test_the_ledger_begins_with_its_name_and_keys(tmp_path: Path) -> None:
    """The first entries name the log and the public keys, under a first signed checkpoint."""
    settings = make_workspace(tmp_path / "w", organisation="A", origin="ledger.example.org")
    with open_ledger(settings) as ledger:
        with ledger.database.read() as connection:
            opened, log_key, export_key = (each.entry for each in entries(connection))
        verifier = ledger.keys.log.verifier
        assert isinstance(opened, OpenEntry)
        assert (opened.origin, opened.log_key) == ("ledger.example.org", verifier.to_text())
        assert isinstance(log_key, KeyEntry)
        assert isinstance(export_key, KeyEntry)
        assert (log_key.role, log_key.public) == ("log", verifier.to_text())
        assert (export_key.role, export_key.public) == ("export", ledger.keys.export.public_pem)
        assert open_checkpoint(ledger.signer.sign(), verifier).size == 3


def test_the_first_policies_are_fine(tmp_path: Path) -> None:
    """A fresh workspace passes `inbond policy check` without a warning, its own tests included."""
    make_workspace(tmp_path / "w", organisation="Acme: 'Ltd'")
    result = CliRunner().invoke(main, ["-C", str(tmp_path / "w"), "policy", "check", "--json"])
    assert result.exit_code == 0, result.output
    assert "house-rules" not in result.stdout


def test_any_organisation_can_be_named(tmp_path: Path) -> None:
    """Quotes, colons and other scripts in a name do not spoil the files."""
    name = 'Ä: "b" #株式会社 {x}\\'
    settings = make_workspace(tmp_path / "w", organisation=name)
    assert load_settings(settings.directory, {}) == settings
    assert settings.organisation == name


def test_a_workspace_is_never_made_twice(tmp_path: Path) -> None:
    """Where a workspace is, nothing is touched."""
    directory = make_workspace(tmp_path / "w", organisation="A").directory
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    result = CliRunner().invoke(main, ["init", str(directory), "--organisation", "B"])
    assert result.exit_code == 2
    assert "error[workspace-exists]" in result.stderr
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before


def test_other_peoples_files_are_left_alone(tmp_path: Path) -> None:
    """A directory with other things in it, and a file, are refused."""
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises(SettingsError, match="not an empty directory"):
            make_workspace(place, organisation="A")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_bad_name_makes_nothing(tmp_path: Path) -> None:
    """An organisation or origin that cannot be used is refused before anything is written."""
    with pytest.raises(SettingsError):
        make_workspace(tmp_path / "w", organisation="")
    with pytest.raises(SettingsError):
        make_workspace(tmp_path / "w", organisation="A", origin="a b")
    assert list(tmp_path.iterdir()) == []


def test_half_a_workspace_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a step fails, what was made before it goes, and an empty directory stays empty."""
    monkeypatch.setattr("os.urandom", lambda _: b"too short")
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "new"):
        with pytest.raises((ProofError, AssertionError)):
            make_workspace(place, organisation="A")
    assert list(tmp_path.iterdir()) == [tmp_path / "empty"]
    assert list((tmp_path / "empty").iterdir()) == []
