"""The material of formats holds what entries say, in one order, and no more."""

import pytest

from proxy.audit.evidence import gather
from proxy.audit.formats.material import Material
from proxy.ledger.described import Teacher
from tests.proxy.audit.formats.conftest import DATASET, GRANT, HOSTILE, Shelf, material_of, row


def test_examples_are_counted_by_teacher(material: Material) -> None:
    """Examples that differ in their grants alone are of one teacher."""
    assert material.teachers() == {
        Teacher(provider="acme", model=HOSTILE, licence=""): 1,
        Teacher(provider="acme", model="large", licence="Apache-2.0"): 2,
    }
    assert material.teachers("other") == {}


def test_a_run_has_its_datasets_and_weights(material: Material) -> None:
    """Roots lead from a run to its datasets."""
    (run,) = material.runs
    assert [leaf.id for leaf in material.datasets_of(run)] == [DATASET]
    assert list(material.weights(run)) == ["model.safetensors"]


def test_the_last_status_counts(material: Material) -> None:
    """A dataset without a status has none."""
    (dataset,) = material.datasets
    assert material.state(dataset) == "revoked"


@pytest.mark.parametrize(
    ("text", "until"),
    [
        (b"in_force: {until: 2026-12-31}", "2026-12-31T00:00:00Z"),
        (b"in_force: {until: 2026-12-31T10:00:00}", "2026-12-31T10:00:00Z"),
        (b"in_force: {until: 2026-12-31T10:00:00+00:00}", "2026-12-31T10:00:00+00:00"),
        (b"in_force: {until: soon}", None),
        (b"in_force: soon", None),
        (b"- in_force", None),
        (b"in_force: {", None),
        (None, None),
    ],
)
def test_the_end_of_a_grant_is_a_time_or_none(text: bytes | None, until: str | None) -> None:
    """What a grant's text does not say as a time is not known."""
    shelf = Shelf(documents={} if text is None else {GRANT: text})
    made = material_of(gather(shelf, [], [row(1, grants=[GRANT])], {}))
    assert [(grant.name, grant.until) for grant in made.grants()] == [(GRANT, until)]


def test_the_table_is_described(material: Material, nothing: Material) -> None:
    """Counts, clauses and the first end of validity are those of the entries."""
    described = material.described()
    assert (described.examples, described.clauses) == (3, ("acme/rule terms 4.2",))
    assert described.valid_until == "2026-12-24T05:00:00.000Z"
    assert nothing.described().valid_until is None
