"""The documentation is complete, current and in our own words."""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from policies.bundle import bundle_of
from policies.checking import check
from policies.facts import CATALOGUE
from policies.keys import DUTY_MEANINGS, GATE_MEANINGS, KEYS, OPERATORS
from policies.shapes import DUTIES, GATE_WORDS
from proxy.providers import TeacherSettings
from proxy.settings import parse_settings
from tests.docs import FOLDERS, PAGES, ROOT, command_helps, policy_keys, setting_names

MADE = frozenset(PAGES)
PAGES_OF_OURS = tuple(
    sorted(
        str(path.relative_to(ROOT))
        for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    )
)
WRITTEN = tuple(page for page in PAGES_OF_OURS if page not in MADE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
FORBIDDEN = re.compile(r"\b(simply|just|compliant|compliance)\b", re.IGNORECASE)
SENTENCE_END = re.compile(r"[a-z)`*]\. (?=[A-Z`*])")
SHOWN = re.compile(r"^\$ (?:export \w+=\$\()?inbond (.*)$", re.MULTILINE)
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN_FILE = re.compile(r"# policies/(\S+\.yaml)\n")
FRAGMENT = re.compile(r"\d+\.(security|removed|deprecated|added|changed|fixed)\.md")
DECISION = re.compile(r"(\d{4})-[a-z0-9-]+\.md")


def read(page: str) -> str:
    """The text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def anchors_of(text: str) -> set[str]:
    """The anchors that headings of a page make."""
    headings = HEADING.findall(CODE.sub("", text))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted(MADE))
def test_made_pages_are_fresh(page: str) -> None:
    """A reference page is what the code makes today: `python -m tests.docs` writes it."""
    assert read(page) == PAGES[page](), "run `python -m tests.docs`"


def test_every_setting_is_described() -> None:
    """Every setting stands in the reference, and so does every key of a teacher."""
    text = read("docs/reference/settings.md")
    names = [*setting_names(), *TeacherSettings.model_fields]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_command_is_described() -> None:
    """Every command stands in the reference with its help."""
    text = read("docs/reference/command-line.md")
    assert [name for name in command_helps() if f"## {name}\n" not in text] == []


def test_every_fact_is_described() -> None:
    """Every fact of the catalogue stands in the reference with its values."""
    text = read("docs/reference/facts.md")
    words = [word for spec in CATALOGUE.values() for word in (spec.name, *spec.values)]
    assert [word for word in words if f"`{word}`" not in text] == []


def test_every_policy_key_is_described() -> None:
    """Every key of a policy file has a meaning written down, and no other has."""
    assert {kind: set(keys) for kind, keys in KEYS.items()} == policy_keys()


def test_every_word_of_the_language_is_described() -> None:
    """Gates, duties and tests each have their meaning, and stand in the reference."""
    assert GATE_MEANINGS.keys() == GATE_WORDS.keys()
    assert set(DUTY_MEANINGS) == set(DUTIES)
    text = read("docs/reference/policy-files.md")
    words = [*GATE_MEANINGS, *DUTY_MEANINGS, *OPERATORS]
    assert [word for word in words if f"| `{word}` |" not in text] == []


def test_folders_of_made_pages_hold_nothing_else() -> None:
    """A page that is made no more is gone."""
    found = {str(path.relative_to(ROOT)) for name in FOLDERS for path in (ROOT / name).iterdir()}
    assert found - MADE == set()


@pytest.mark.parametrize("page", WRITTEN)
def test_every_command_shown_exists(page: str) -> None:
    """Each `inbond` command that a page shows is one of ours, with options that it has."""
    helps = command_helps()
    for line in SHOWN.findall(read(page)):
        words = [word for word in line.partition(" -- ")[0].split() if re.match(r"[a-z-]+", word)]
        name = max(
            (" ".join(words[:n]) for n in (1, 2) if f"inbond {' '.join(words[:n])}" in helps),
            key=len,
            default="",
        )
        text = helps.get(f"inbond {name}", "")
        assert text, line
        assert "COMMAND [ARGS]" not in text, line
        assert [word for word in words if word.startswith("--") and word not in text] == [], line


@pytest.mark.parametrize("page", PAGES_OF_OURS)
def test_links_lead_somewhere(page: str) -> None:
    """Each link to a file of ours leads to it, and to a heading it has."""
    text = read(page)
    for link in LINK.findall(CODE.sub("", text)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("page", PAGES_OF_OURS)
def test_no_page_promises_or_belittles(page: str) -> None:
    """No page claims that law is kept, and none says that a thing is easy."""
    assert FORBIDDEN.findall(read(page)) == []


@pytest.mark.parametrize("page", WRITTEN)
def test_one_sentence_a_line(page: str) -> None:
    """Outside code, tables and lists of steps, a line holds one sentence."""
    lines = re.sub(r"```.*?```", "", read(page), flags=re.DOTALL).splitlines()
    prose = [line for line in lines if not line.lstrip().startswith(("|", "- ", "**"))]
    assert [line for line in prose if SENTENCE_END.search(line)] == []


def shown_policies() -> dict[str, str]:
    """The policies that the guide shows, by the path that stands in their first line."""
    texts = YAML.findall(read("docs/guides/write-a-policy.md"))
    named = ((SHOWN_FILE.match(text), text) for text in texts)
    return {match[1]: text for match, text in named if match is not None}


def test_example_policies_hold() -> None:
    """The policies of the guide load with the library, and nothing is found wrong with them."""
    documents = shown_policies()
    assert {path.partition("/")[0] for path in documents} == {
        *("grants", "hosts", "organisation", "tests")
    }
    approvals = frozenset(hashlib.sha256(text.encode()).hexdigest() for text in documents.values())
    library = ROOT / "policies"
    for path in sorted(library.glob("library/**/*.yaml")):
        documents[str(path.relative_to(library))] = path.read_text(encoding="utf-8")
    bundle = bundle_of(documents, organisation="Acme", approvals=approvals)
    checked = check(bundle, on=datetime(2026, 11, 24, tzinfo=UTC))
    assert checked.report is not None
    assert len(checked.report.results) > len(bundle.suites)
    ours = (each for each in checked.findings if not each.place.file.startswith("library/"))
    assert [str(each) for each in ours] == []


def test_example_settings_hold() -> None:
    """The settings that guides show are settings."""
    shown = YAML.findall(read("docs/guides/route-traffic.md"))
    text = "inbond: 1\norganisation: Acme\n" + "".join(shown)
    settings = parse_settings(text, ROOT, {}, TeacherSettings)
    assert settings.teachers
    assert settings.custody


def test_fragments_and_decisions_are_named_as_agreed() -> None:
    """A news fragment names issue and kind and is one line; decisions are numbered without gaps."""
    fragments = sorted((ROOT / "docs" / "changes").iterdir())
    for path in fragments:
        assert FRAGMENT.fullmatch(path.name), path.name
        assert len(path.read_text(encoding="utf-8").splitlines()) == 1, path.name
    found = [DECISION.fullmatch(path.name) for path in (ROOT / "docs" / "decisions").iterdir()]
    numbers = sorted(int(match[1]) for match in found if match is not None)
    assert None not in found
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_decision_has_its_four_parts() -> None:
    """A decision says context, options, choice and consequences."""
    for path in sorted((ROOT / "docs" / "decisions").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        for part in ("Context", "Options", "Choice", "Consequences"):
            assert f"**{part}.**" in text, f"{path.name}: {part}"


def test_guides_name_every_noun() -> None:
    """Each noun of the command line is used in a guide, the README or a concept."""
    text = "".join(read(page) for page in WRITTEN)
    nouns = {line.split()[1] for line in command_helps() if len(line.split()) > 1}
    assert {noun for noun in nouns if f"inbond {noun}" not in text} == set()


def test_the_tour_starts_at_the_root() -> None:
    """The documentation's first page leads to every other page that is written by hand."""
    linked = linked_from("docs/README.md")
    guides = {
        page
        for page in PAGES_OF_OURS
        if page.split("/")[1:2] in (["guides"], ["concepts"], ["reference"])
    }
    indexes = {f"{folder}/README.md" for folder in FOLDERS}
    below = {page for index in indexes for page in linked_from(index)}
    assert indexes <= linked
    assert guides <= linked | below


def linked_from(page: str) -> set[str]:
    """The paths that a page links to."""
    return {str(Path(page).parent / link.partition("#")[0]) for link in LINK.findall(read(page))}
