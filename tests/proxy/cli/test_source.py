"""`inbond source` puts imported data on record, lists it and takes it back."""

from hashlib import sha256
from pathlib import Path

from tests.proxy.workshop import Workshop


def test_a_source_comes_and_goes(tmp_path: Path) -> None:
    """Added with its file's digest, listed, withdrawn: the list says the last word."""
    here = Workshop.at(tmp_path / "work")
    data = tmp_path / "tickets.csv"
    data.write_bytes(b"id,text\n1,hello\n")
    words = ("--licence", "CC-BY-4.0", "--may-train", "--reason", "published by us")
    made = here.record("source", "add", "tickets", "--file", data, *words)
    assert made["digest"] == sha256(data.read_bytes()).hexdigest()
    assert here.record("source", "list")["may_train"] is True
    here.record("source", "withdraw", "tickets", "--reason", "a customer objected")
    listed = here.record("source", "list")
    assert (listed["source"], listed["action"], listed["may_train"]) == (
        "tickets",
        "withdraw",
        False,
    )


def test_a_declaration_says_whether_it_may_be_learned(tmp_path: Path) -> None:
    """Nobody's silence permits: without `--may-train` or `--may-not-train` it is wrong use."""
    here = Workshop.at(tmp_path / "work")
    result = here.inbond("source", "add", "x", "--licence", "MIT", "--reason", "y")
    assert result.exit_code == 2
    assert "--may-train" in result.stderr


def test_nothing_declared_is_said(tmp_path: Path) -> None:
    """An empty list is no data, and a note."""
    here = Workshop.at(tmp_path / "work")
    result = here.inbond("source", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no source is declared" in result.stderr
