"""The library loads without a finding, says what its tests say, and no rule goes untested."""

import pytest

from policies.bundle import LIBRARY, Bundle, load_bundle
from policies.model import Effect, Layer
from policies.testing import CaseResult, run_suites

BUNDLE = load_bundle(None, organisation="Example Org")
REPORT = run_suites(BUNDLE)


@pytest.fixture
def bundle() -> Bundle:
    """The library and nothing else."""
    return BUNDLE


def test_library_has_no_warning(bundle: Bundle) -> None:
    """Nothing in it is stale, idle or uncited."""
    assert bundle.warnings == ()


@pytest.mark.parametrize("result", REPORT.results, ids=lambda result: result.case.name)
def test_case(result: CaseResult) -> None:
    """The library says what the case expects."""
    assert result.difference == "", str(result)


def test_every_rule_is_reached() -> None:
    """Each rule surely matches in some case."""
    assert REPORT.unhit_rules == ()


def test_each_file_has_its_tests_beside_it() -> None:
    """`x.yaml` and `x.test.yaml` come in pairs, and both carry the file's name as their id."""
    files = {path.relative_to(LIBRARY).as_posix() for path in LIBRARY.rglob("*.yaml")}
    policies = {name for name in files if not name.endswith(".test.yaml")}
    assert files - policies == {name.replace(".yaml", ".test.yaml") for name in policies}
    ids = {name.rsplit("/", 1)[1].removesuffix(".yaml") for name in policies}
    assert {policy.id for policy in BUNDLE.policies} == ids
    assert {suite.id for suite in BUNDLE.suites} == ids


def test_editors_find_the_schema_of_every_file() -> None:
    """Each file begins with the line that an editor reads, and the path in it leads to the schema."""
    for path in LIBRARY.rglob("*.yaml"):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        mark, found = first.split("=")
        assert mark == "# yaml-language-server: $schema", path.name
        assert (path.parent / found).resolve() == LIBRARY.parent / "schema.json", path.name


def test_each_suite_shows_a_silence_and_each_case_says_why() -> None:
    """Every suite has a silent case, and every case asserts who set the verdict, what is silent or what misses."""
    for suite in BUNDLE.suites:
        assert any(case.silent for case in suite.cases), suite.id
        said = [(case.by, case.silent, case.missing) for case in suite.cases]
        assert all(any(part is not None for part in parts) for parts in said), suite.id


def test_every_permit_rests_on_a_text_that_was_read(bundle: Bundle) -> None:
    """Each rule cites a source that is due for review, and no digest is made up."""
    for rule in bundle.rules:
        assert rule.layers <= {Layer.HOST, Layer.MODEL, Layer.ROUTER}
        assert rule.sources
        was_read = any(source.confidence == "read-primary" for source in rule.sources)
        assert was_read or rule.effect is not Effect.PERMIT
        assert all(source.review_by is not None for source in rule.sources)
        assert all("sha256" not in source.record for source in rule.sources)
