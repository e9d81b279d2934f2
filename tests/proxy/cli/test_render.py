"""Tests of proxy.cli.render."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import click
import pytest
from click.testing import CliRunner

from policies.diagnostics import Findings, PolicyError, Span
from proxy.cli.render import error_json, error_text, json_option, note, print_record, print_rows
from proxy.errors import ProxyError
from proxy.yamlfile import FileError

ROWS = [{"name": "a", "is_ready": True, "n": 1}, {"name": "b" * 200, "is_ready": False, "n": None}]


def test_rows_are_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """People get aligned columns under headings, and no cell is cut."""
    print_rows(ROWS, is_json=False)
    out, err = capsys.readouterr()
    head, first, second = out.splitlines()
    assert head.split() == ["name", "is_ready", "n"]
    assert first.split() == ["a", "yes", "1"]
    assert second.split() == ["b" * 200, "no", "–"]
    assert err == ""


def test_rows_are_objects_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get one JSON object a line."""
    print_rows(ROWS, is_json=True)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS


def test_no_rows_are_said_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is nothing, stdout stays empty."""
    print_rows([], is_json=False, empty="no keys yet")
    print_rows([], is_json=True)
    assert capsys.readouterr() == ("", "no keys yet\n")


def test_a_record_is_lines_or_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    """One record is a name and a value on each line, or one object; every kind of value is shown."""
    record = {
        "path": Path("/w"),
        "at": datetime(2026, 11, 24, tzinfo=UTC),
        "names": ["a", "b"],
        "counts": MappingProxyType({"x": 1}),
        "set": frozenset({"b", "a"}),
    }
    print_record(record, is_json=False)
    print_record(record, is_json=True)
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "path    /w",
        "at      2026-11-24T00:00:00.000+00:00",
        "names   a, b",
        "counts  x=1",
    ]
    assert json.loads(last) == {
        "path": "/w",
        "at": "2026-11-24T00:00:00.000+00:00",
        "names": ["a", "b"],
        "counts": {"x": 1},
        "set": ["a", "b"],
    }
    print_record({}, is_json=False)
    assert capsys.readouterr().out == ""


def test_what_others_wrote_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of teachers and clients are shown as a mark, tables and notes alike."""
    print_rows([{"text": "a\x1b[31mb\x07\nc"}], is_json=False)
    note("x\x1b]0;title\x07")
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\x07" not in out + err
    assert "a�[31mb� c" in out


def test_an_error_says_what_where_and_what_to_do() -> None:
    """An error is its code and message, its place, its line, and a fix; further ones follow."""
    error = FileError("unknown key `a`", fix="did you mean `b`?", where="f.yaml:1:1", code="k")
    error.excerpt = "  |\n1 | a: 1\n  | ^"
    error.also = (FileError("second", fix="mend", where="f.yaml:2:1", code="s"),)
    assert error_text(error) == (
        "error[k]: unknown key `a`\n --> f.yaml:1:1\n  |\n1 | a: 1\n  | ^\n"
        "  = help: did you mean `b`?\n"
        "error[s]: second\n --> f.yaml:2:1\n  = help: mend"
    )
    records = [json.loads(line) for line in error_json(error).splitlines()]
    assert [record["message"] for record in records] == ["unknown key `a`", "second"]
    assert records[0]["help"] == "did you mean `b`?"


def test_an_error_without_place_is_short() -> None:
    """Where there is no place and no fix, no line is kept for them."""
    assert error_text(ProxyError("all is lost")) == "error[proxy-error]: all is lost"


def test_findings_of_policies_are_shown_by_themselves() -> None:
    """Policies bring their own rendering: it is shown as it is, and as JSON one object a finding."""
    findings = Findings()
    span = Span(file="p.yaml", line=1, column=1, width=1, text="x: 1")
    findings.error("bad", "wrong", span, "mend it")
    with pytest.raises(PolicyError) as caught:
        findings.stop()
    assert "error[bad]: wrong" in error_text(caught.value)
    assert json.loads(error_json(caught.value))["code"] == "bad"


def test_an_error_never_shows_a_credential() -> None:
    """Errors pass the redaction of the logs on their way to the terminal."""
    error = ProxyError("sent authorization: Bearer canary-1", where="http://u:canary-2@h/")
    assert "canary" not in error_text(error) + error_json(error)


def test_every_command_takes_json_the_same_way() -> None:
    """The option arrives as `is_json`, off unless given."""

    @click.command()
    @json_option
    def command(*, is_json: bool) -> None:
        click.echo(str(is_json))

    assert CliRunner().invoke(command, []).output == "False\n"
    assert CliRunner().invoke(command, ["--json"]).output == "True\n"
