"""The record itself: what was handed out, what went through, what others can check."""

from proxy.audit.questions.proof import sheets, traffic, unchanged, without_us
from tests.proxy.audit.conftest import Told


def test_each_checkpoint_handed_out_is_listed(told: Told) -> None:
    """The dataset and the audit each gave a signed checkpoint to somebody."""
    records = unchanged(told.evidence).records()
    assert [record["what"] for record in records] == ["dataset", "export"]
    assert "inbond/example-org" in unchanged(told.evidence).says


def test_traffic_is_counted_as_a_provider_counts(told: Told) -> None:
    """Three calls of three tokens in and four out, on one day, by one key."""
    (record,) = traffic(told.evidence).records()
    assert (record["calls"], record["input tokens"], record["output tokens"]) == (3, 9, 12)


def test_sheets_say_what_is_not_recorded(told: Told) -> None:
    """The ledger knows the synthetic data, and says that it does not know the base model's."""
    answer = sheets(told.evidence)
    assert answer.records()[0]["examples"] == 2
    assert any("base model" in missing for missing in answer.not_recorded)


def test_every_check_names_a_tool_of_others(told: Told) -> None:
    """No step needs inbond."""
    records = without_us(told.evidence).records()
    assert not any("inbond" in str(record["with what"]) for record in records)
