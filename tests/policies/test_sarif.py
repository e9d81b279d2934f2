"""A SARIF log that viewers accept: its structure, its places, its help."""

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types

from policies.codes import CODES
from policies.diagnostics import Diagnostic, Severity, Span
from policies.sarif import sarif
from tests.policies.examples import examples, findings_of
from tests.policies.strategies import UNTIMED

# What the parts of SARIF 2.1.0 that we write must look like (§3.13 to §3.52 of the standard).
MESSAGE = {
    "type": "object",
    "properties": {"text": {"type": "string", "minLength": 1}, "markdown": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
COUNT = {"type": "integer", "minimum": 1}
REGION = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("startLine", "startColumn", "endLine", "endColumn"), COUNT),
        "snippet": {"type": "object", "properties": {"text": {"type": "string"}}},
    },
    "required": ["startLine", "startColumn", "endColumn"],
    "additionalProperties": False,
}
PLACE = {
    "type": "object",
    "properties": {
        "physicalLocation": {
            "type": "object",
            "properties": {
                "artifactLocation": {
                    "type": "object",
                    "properties": {"uri": {"type": "string"}, "uriBaseId": {"type": "string"}},
                    "required": ["uri"],
                    "additionalProperties": False,
                },
                "region": REGION,
            },
            "required": ["artifactLocation", "region"],
            "additionalProperties": False,
        }
    },
    "required": ["physicalLocation"],
    "additionalProperties": False,
}
RESULT = {
    "type": "object",
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": LEVEL,
        "message": MESSAGE,
        "locations": {"type": "array", "items": PLACE, "minItems": 1, "maxItems": 1},
    },
    "required": ["ruleId", "ruleIndex", "level", "message", "locations"],
    "additionalProperties": False,
}
RULE = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "shortDescription": MESSAGE,
        "fullDescription": MESSAGE,
        "help": MESSAGE,
        "helpUri": {"type": "string", "pattern": r"^https?://\S+$"},
        "defaultConfiguration": {"type": "object", "properties": {"level": LEVEL}},
    },
    "required": ["id", "shortDescription", "help"],
    "additionalProperties": False,
}
DRIVER = {
    "type": "object",
    "properties": {
        "name": {"const": "inbond"},
        "version": {"type": "string"},
        "rules": {"type": "array", "items": RULE, "uniqueItems": True},
    },
    "required": ["name", "version", "rules"],
    "additionalProperties": False,
}
RUN = {
    "type": "object",
    "properties": {
        "tool": {"type": "object", "properties": {"driver": DRIVER}, "required": ["driver"]},
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
        "originalUriBaseIds": {"type": "object"},
        "results": {"type": "array", "items": RESULT},
    },
    "required": ["tool", "columnKind", "results"],
    "additionalProperties": False,
}
LOG = {
    "type": "object",
    "properties": {
        "$schema": {"const": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": RUN, "minItems": 1, "maxItems": 1},
    },
    "required": ["version", "runs"],
    "additionalProperties": False,
}  # fmt: skip
VALIDATOR = Draft202012Validator(LOG)
SHOWN = sorted(examples().keys() - {"outside", "unreadable", "too-large", "too-many"})


def run_of(log: dict[str, object]) -> dict[str, Any]:
    """The one run of a log whose structure is right."""
    assert [error.message for error in VALIDATOR.iter_errors(log)] == []
    runs = log["runs"]
    assert isinstance(runs, list)
    (run,) = runs
    assert isinstance(run, dict)
    return run


def finding(code: str = "unknown-key", help: str = "did you mean `cite`?") -> Diagnostic:  # noqa: A002 - as in the source
    """A finding about the word `sauce`."""
    return Diagnostic(
        code=code,
        severity=Severity.ERROR,
        message="`sauce` is not a key here",
        span=Span("library/hosts/a b.yaml", 8, 5, 5, "    sauce: D.4(a)"),
        help=help,
    )


def test_a_finding_is_a_result_at_its_place() -> None:
    """Code, level, words and place of a finding are those of the result."""
    run = run_of(sarif([finding()], version="1.2.3"))
    (result,) = run["results"]
    assert (result["ruleId"], result["level"]) == ("unknown-key", "error")
    assert result["message"]["text"] == "`sauce` is not a key here\ndid you mean `cite`?"
    place = result["locations"][0]["physicalLocation"]
    assert unquote(place["artifactLocation"]["uri"]) == "library/hosts/a b.yaml"
    assert place["artifactLocation"]["uriBaseId"] in run["originalUriBaseIds"]
    assert place["region"] == {
        "startLine": 8,
        "startColumn": 5,
        "endLine": 8,
        "endColumn": 10,
        "snippet": {"text": "    sauce: D.4(a)"},
    }
    assert run["tool"]["driver"]["version"] == "1.2.3"


def test_a_finding_without_help_says_its_message_alone() -> None:
    """Where there is nothing to do, nothing is added."""
    (result,) = run_of(sarif([finding(help="")], version="1"))["results"]
    assert result["message"]["text"] == "`sauce` is not a key here"


def test_each_code_is_described_once() -> None:
    """Codes that occur are rules with their words; results point at them."""
    found = [finding("unknown-key"), finding("bad-value"), finding("unknown-key")]
    run = run_of(sarif(found, version="1"))
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["bad-value", "unknown-key"]
    assert [rules[each["ruleIndex"]]["id"] for each in run["results"]] == [
        each.code for each in found
    ]
    assert CODES["bad-value"].title in rules[0]["shortDescription"]["text"]


def test_nothing_found_is_a_log_too() -> None:
    """A run without findings has no rules and no results, which tells CI that all is well."""
    run = run_of(sarif([], version="1"))
    assert run["results"] == run["tool"]["driver"]["rules"] == []


@pytest.mark.parametrize("pages", ["https://example.org/codes", "https://example.org/codes/"])
def test_an_address_is_given_where_pages_are_published(pages: str) -> None:
    """It is made of where the pages are and of the code; without it a viewer is sent nowhere."""
    (rule,) = run_of(sarif([finding()], version="1"))["tool"]["driver"]["rules"]
    assert "helpUri" not in rule
    run = run_of(sarif([finding()], version="1", pages=pages))
    assert (
        run["tool"]["driver"]["rules"][0]["helpUri"] == "https://example.org/codes/unknown-key.md"
    )


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_has_help_at_an_absolute_address(code: str) -> None:
    """Each code has words to show and an address of its own."""
    run = run_of(sarif([finding(code)], version="1"))
    (rule,) = run["tool"]["driver"]["rules"]
    assert rule["help"]["markdown"] == " ".join(CODES[code].sentences)
    assert rule["help"]["text"] == rule["fullDescription"]["text"]
    assert rule["defaultConfiguration"]["level"] == CODES[code].severity.value


@UNTIMED
@given(codes=st.lists(st.sampled_from(SHOWN), max_size=6))
def test_real_findings_make_a_sound_log(codes: list[str]) -> None:
    """Whatever is found in however many files, the log has its structure and loses nothing."""
    framed = (examples()[code] for code in codes)
    found = [each for example in framed for each in findings_of(example.bad())]
    run = run_of(sarif(found, version="1"))
    assert len(run["results"]) == len(found)
    for result, each in zip(run["results"], found, strict=True):
        region = result["locations"][0]["physicalLocation"]["region"]
        assert (region["startLine"], region["startColumn"]) == (each.place.line, each.place.column)
        assert region["endColumn"] - region["startColumn"] == each.span.width
