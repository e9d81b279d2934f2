"""The schema for editors: fresh, valid, never stricter than the loader, and strict where it can be."""

import json
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types

from policies.bundle import LIBRARY, bundle_of
from policies.diagnostics import Findings, PolicyError
from policies.facts import CATALOGUE
from policies.keys import DUTY_MEANINGS, KEYS
from policies.nodes import Fields, Items, Leaf, Node
from policies.schema import dump, schema
from policies.shapes import SHAPES
from policies.source import parse
from proxy.cli import template
from tests.policies.acme import DOCUMENTS, GRANT, HOST, HOUSE, ORGANISATION, STUDENT
from tests.policies.examples import examples
from tests.policies.strategies import UNTIMED

SUITE = DOCUMENTS["library/hosts/acme-api.test.yaml"]
FILE = Path(__file__).parents[2] / "policies" / "schema.json"
VALIDATOR = Draft202012Validator(schema())


def as_editors_read(node: Node) -> Any:
    """A file as YAML 1.2 core gives it: dates are text, and so is `1_000`."""
    match node:
        case Leaf(value=bool() | None as value):
            return value
        case Leaf(value=int() as value) if "_" not in node.raw:
            return value
        case Leaf():
            return node.raw
        case Items():
            return [as_editors_read(item) for item in node.items]
        case _:
            return {name: as_editors_read(value) for name, value in node.values.items()}


def read(text: str) -> Any:
    """A text that YAML can read, as editors see it."""
    findings = Findings()
    root = parse("a.yaml", text, findings)
    findings.stop()
    assert root is not None
    return as_editors_read(root)


def complaints(value: Any) -> list[str]:
    """What the schema says against a file."""
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(value)]


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a value."""
    match value:
        case dict():
            yield value
            for each in value.values():
                yield from mappings(each)
        case list():
            for each in value:
                yield from mappings(each)


@cache
def workspace_files() -> dict[str, str]:
    """The policy files that `inbond init` writes."""
    today = date(2026, 11, 24)
    return {
        "organisation/house-rules.yaml": template.house_rules(organisation="Acme", today=today),
        "tests/house-rules.test.yaml": template.house_rules_test(today=today),
    }


@cache
def sound_files() -> dict[str, str]:
    """Every file that is known to be sound: the library's, a workspace's, the tests' own."""
    shipped = {path.name: path.read_text(encoding="utf-8") for path in LIBRARY.rglob("*.yaml")}
    return {**shipped, **workspace_files(), **DOCUMENTS}


def test_the_file_is_fresh() -> None:
    """`schema.json` is what the code makes today."""
    assert FILE.read_text(encoding="utf-8") == dump(), (
        "run `python -c 'from policies.schema import dump; print(dump(), end=str())' "
        "> policies/schema.json`"
    )


def test_the_schema_is_one() -> None:
    """It is JSON Schema 2020-12, and every reference in it leads somewhere."""
    Draft202012Validator.check_schema(schema())
    text = dump()
    assert json.loads(text) == schema()
    names = schema()["$defs"]
    assert isinstance(names, dict)
    used = {each["$ref"].removeprefix("#/$defs/") for each in mappings(schema()) if "$ref" in each}
    assert used == names.keys()


def test_every_key_and_fact_is_explained() -> None:
    """Each key and each fact has a description to show under the cursor."""
    definitions: Any = schema()["$defs"]
    for kind in SHAPES:
        properties = definitions[kind]["properties"]
        assert properties.keys() == KEYS[kind].keys()
        assert all(each["description"] for each in properties.values())
    assert definitions["duties"]["properties"].keys() == DUTY_MEANINGS.keys()
    tests = definitions["tests"]["properties"]
    assert tests.keys() == CATALOGUE.keys()
    for name, spec in CATALOGUE.items():
        assert spec.doc in definitions[f"test-{name}"]["description"]
        assert spec.doc in definitions["given"]["properties"][name]["description"]


@pytest.mark.parametrize("name", sorted(sound_files()))
def test_sound_files_validate(name: str) -> None:
    """Nothing is underlined in a file that is sound."""
    assert complaints(read(sound_files()[name])) == []


@pytest.mark.parametrize("code", sorted(examples()))
def test_what_a_page_prefers_validates(code: str) -> None:
    """Nothing is underlined in what the pages of the diagnostics prefer."""
    example = examples()[code]
    if not example.prefer.startswith("$ "):
        assert [complaints(read(text)) for text in example.good().values()].count([]) >= 1
        assert all(complaints(read(text)) == [] for text in example.good().values())


@pytest.mark.parametrize("name", sorted({**workspace_files(), **DOCUMENTS}))
def test_an_unknown_key_is_refused_anywhere(name: str) -> None:
    """A key that the language does not have is underlined in whichever mapping it stands."""
    value = read(sound_files()[name])
    for mapping in mappings(value):
        mapping["Unheard Of"] = "x"
        assert complaints(value) != []
        del mapping["Unheard Of"]
    assert complaints(value) == []


@pytest.mark.parametrize("name", sorted({**workspace_files(), **DOCUMENTS}))
def test_a_value_of_no_type_is_refused_anywhere(name: str) -> None:
    """Neither a list in a list in a list nor nothing is the value of any key."""
    value = read(sound_files()[name])
    for mapping in mappings(value):
        for key, before in mapping.items():
            mapping[key] = [[["x"]]]
            assert complaints(value) != [], key
            mapping[key] = None
            assert complaints(value) != [], key
            mapping[key] = before


@UNTIMED
@given(data=st.data())
def test_the_library_is_checked_as_closely(data: st.DataObject) -> None:
    """A key or a value that is none is underlined anywhere in the library too."""
    name = data.draw(st.sampled_from(sorted(sound_files())))
    value = read(sound_files()[name])
    mapping = data.draw(st.sampled_from(list(mappings(value))))
    key = data.draw(st.sampled_from([*mapping, "Unheard Of"]))
    mapping[key] = data.draw(st.sampled_from([None, [[["x"]]], {"Unheard": "Of"}]))
    assert complaints(value) != []


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (HOST, "inbond: 1", "inbond: 2"),
        (HOST, "inbond: 1\n", ""),
        (HOST, "policy: acme-api\n", ""),
        (HOST, "policy: acme-api", "policy: Acme API"),
        (HOST, "reviewed: 2026-11-24", "reviewed: soon"),
        (HOST, "party: Acme", "party: 7"),
        (HOST, "[host, model]", "[]"),
        (HOST, "[host, model]", "[host, modle]"),
        (HOST, "permit: training", "permit: trainng"),
        (HOST, "permit: training", "permit: training\n    review: request"),
        (HOST, "    permit: training\n", ""),
        (HOST, "https://acme", "acme"),
        (HOST, "  terms:\n", "  Terms:\n"),
        (HOST, "in_force: {from: 2026-01-01}", "in_force: {until: 2027-01-01}"),
        (HOST, "confidence: read-primary", "confidence: sure"),
        (HOST, "cite: terms 4.2", "cite: terms"),
        (HOST, "lacks: Acme", "above: 3"),
        (HOST, "lacks: Acme", "lacks: 3"),
        (HOST, "lacks: Acme", "lacks: 'Ac*'"),
        (HOST, "[classify, embed]", "[classify, embd]"),
        (HOST, "[classify, embed]", "[]"),
        (HOST, "route: acme-api", "route: acme*api"),
        (HOST, "{display: Built with Acme}", "{dispaly: Built with Acme}"),
        (HOST, "{display: Built with Acme}", "{display: []}"),
        (HOUSE, "{above: 50_000}", "{above: [50_000]}"),
        (HOUSE, "{above: 50_000}", "{above: many}"),
        (HOUSE, "{model.substituted: true}", "{model.substituted: yes}"),
        (HOUSE, "mode: shadow", "mode: loud"),
        (HOUSE, "per: [route, account.id]", "per: [route, response.tokens]"),
        (HOUSE, "within: 24h", "within: 24m"),
        (GRANT, "lifts: acme-api/no-competing-models", "lifts: no-competing-models"),
        (GRANT, "lifts: acme-api/no-competing-models\npermits: training\n", ""),
        (GRANT, "from: 2026-03-01, ", ""),
        (STUDENT, "release: internal", "release: internally"),
        (STUDENT, "commercial: true", "commercial: maybe"),
        (STUDENT, "monthly_users: 12_000", "monthly_users: many"),
        (STUDENT, "purpose: distil-narrow\n", ""),
        (SUITE, "expect: permit", "expect: yes"),
        (SUITE, "gate: dataset", "gate: training"),
        (SUITE, "today: 2026-11-24", "today: now"),
        (SUITE, "at: 2026-08-01", "at: {then: 2026-08-01}"),
        (SUITE, "missing: [student.competes_with", "missing: [student.competes"),
        (SUITE, "student.task: generate", "student.task: [generate]"),
    ],
)
def test_bad_values_are_refused(text: str, old: str, new: str) -> None:
    """What the loader refuses for its value alone is underlined too."""
    assert old in text
    assert complaints(read(text.replace(old, new, 1))) != []


@st.composite
def changed(draw: st.DrawFn) -> tuple[str, str]:
    """A path, and the text of its file with one word put in the place of another."""
    path = draw(st.sampled_from(sorted(DOCUMENTS)))
    words = sorted({word.strip(",:[]{}") for word in " ".join(DOCUMENTS.values()).split()} - {""})
    old = draw(st.sampled_from([word for word in words if word in DOCUMENTS[path]]))
    return path, DOCUMENTS[path].replace(old, draw(st.sampled_from(words)), 1)


@UNTIMED
@given(changed=changed())
def test_what_the_loader_takes_is_never_underlined(changed: tuple[str, str]) -> None:
    """Whatever word stands for another: where the loader has no complaint, the schema has none."""
    path, text = changed
    try:
        bundle_of({**DOCUMENTS, path: text}, organisation=ORGANISATION)
    except PolicyError:
        return
    assert complaints(read(text)) == []


def test_the_first_key_decides_what_is_asked_for() -> None:
    """A file of no kind is told the kinds, and one of a kind is told that kind's keys alone."""
    assert complaints({"inbond": 1}) != []
    assert not any("purpose" in each for each in complaints({"inbond": 1, "grant": "g"}))
    assert any("purpose" in each for each in complaints({"inbond": 1, "student": "s"}))


def test_fields_of_every_mapping_are_closed() -> None:
    """No mapping of the language is open to keys that nobody reads."""
    for each in mappings(schema()["$defs"]):
        if each.get("type") == "object":
            assert each["additionalProperties"] is False


def test_the_parser_gives_what_the_schema_reads() -> None:
    """Dates and numbers with `_` are text to an editor, and plain numbers are numbers."""
    assert isinstance(parse("a.yaml", "a: 1", Findings()), Fields)
    assert read("a: 2026-11-24\nb: 1_000\nc: 7\nd: true\n") == {
        "a": "2026-11-24",
        "b": "1_000",
        "c": 7,
        "d": True,
    }
