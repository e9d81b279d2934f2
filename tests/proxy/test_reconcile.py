"""A provider's counts beside the ledger's: what matches, what went around, what is only ours."""

from collections.abc import Iterator
from datetime import date
from fractions import Fraction

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.cli.openledger import Ledger, open_ledger
from proxy.errors import ProxyError
from proxy.ledger.entry import AdminEntry
from proxy.reconcile import Compared, State, compare, put_on_record, scope_of
from proxy.registry import registry_of
from proxy.route import Registry
from proxy.usage_export import UsageRow
from tests.proxy.importing import bring_log, brought, chats
from tests.proxy.workshop import NOW, Asked, Workshop

DAY = date(2026, 11, 24)
MODEL = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Two calls to the workspace's own teacher, and an imported log of three of its answers."""
    folder = tmp_path_factory.mktemp("reconcile")
    with time_machine.travel(NOW, tick=True):
        made = Workshop.at(folder / "work")
        made.ask(Asked(), Asked(prompt="And hay?"))
        brought(bring_log(made, chats(folder), "--answered", "2026-11-24"))
    return made


@pytest.fixture(scope="module")
def ledger(shop: Workshop) -> Iterator[Ledger]:
    """Its ledger."""
    with time_machine.travel(NOW, tick=True), open_ledger(shop.settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def registry(shop: Workshop) -> Registry:
    """Its registry."""
    return registry_of(shop.settings)


def seen(
    calls: int | None = 2, given: int | None = 6, made: int | None = 8, **more: object
) -> UsageRow:
    """What the provider counted; the ledger has two calls of three tokens in and four out."""
    values: dict[str, object] = {"day": DAY, "model": "smollm2", "key": "theirs"} | more
    return UsageRow(calls=calls, input=given, output=made, **values)  # type: ignore[arg-type] # a dict


def against(
    ledger: Ledger, registry: Registry, *rows: UsageRow, tolerance: int = 0, **accounts: str
) -> Compared:
    """The comparison with the contract of the workspace's own teachers."""
    scope = scope_of(registry, "csv", ["self-hosted"], accounts)
    return compare(ledger.database, scope, rows, tolerance=Fraction(tolerance, 100))


def test_what_came_through_matches(ledger: Ledger, registry: Registry) -> None:
    """Names on the wire are the same model, rows of one day add up, and imports do not count."""
    (line,) = against(ledger, registry, seen(1, 3, 4), seen(1, 3, 4)).lines
    assert (line.model, line.state, line.recorded_calls) == (MODEL, State.MATCHED, 2)
    assert (line.recorded_input, line.recorded_output, line.silent) == (6, 8, 0)


@pytest.mark.parametrize(
    ("row", "tolerance", "state"),
    [
        (seen(), 0, State.MATCHED),
        (seen(3), 0, State.AROUND),
        (seen(2, 7), 0, State.AROUND),
        (seen(None, 6, 9), 0, State.AROUND),
        (seen(3, 7, 9), 50, State.MATCHED),
        (seen(3, 10, 9), 50, State.AROUND),
        (seen(1, 6, 8), 0, State.BEYOND),
        (seen(1, 7, 8), 0, State.AROUND),
        (seen(None, None, 8), 0, State.MATCHED),
    ],
)
def test_the_worse_count_sets_the_state(
    ledger: Ledger, registry: Registry, row: UsageRow, tolerance: int, state: State
) -> None:
    """One count above what was recorded is enough; what the export does not say is not compared."""
    (line,) = against(ledger, registry, row, tolerance=tolerance).lines
    assert line.state is state


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counts=st.tuples(st.integers(0, 9), st.integers(0, 20), st.integers(0, 20)),
    more=st.integers(1, 9),
)
def test_more_at_the_provider_never_looks_better(
    ledger: Ledger, registry: Registry, counts: tuple[int, int, int], more: int
) -> None:
    """A row that went around still does when the provider counts more calls."""
    calls, given, made = counts
    (line,) = against(ledger, registry, seen(calls, given, made)).lines
    (larger,) = against(ledger, registry, seen(calls + more, given, made)).lines
    if line.state is State.AROUND:
        assert larger.state is State.AROUND
    assert (larger.state is State.AROUND) or calls + more <= 2


def test_other_days_and_models_are_rows_of_their_own(ledger: Ledger, registry: Registry) -> None:
    """A model nobody called through the proxy went around; a day without export is not compared."""
    found = against(ledger, registry, seen(model="strange"), seen(day=date(2026, 11, 23)))
    assert [(line.day.day, line.model, line.state.value) for line in found.lines] == [
        (23, MODEL, "around"),
        (24, MODEL, "beyond"),
        (24, "strange", "around"),
    ]
    assert (found.since, found.until) == (date(2026, 11, 23), DAY)
    alone = against(ledger, registry, seen(day=date(2026, 11, 23)))
    assert len(alone.lines) == 1


def test_keys_are_told_apart_where_somebody_names_them(ledger: Ledger, registry: Registry) -> None:
    """A key of the provider stands for an account here; one that nobody named went around."""
    found = against(ledger, registry, seen(), seen(1, 1, 1, key="other"), theirs="main")
    assert [(line.key, line.state.value) for line in found.lines] == [
        ("main", "matched"),
        ("other", "around"),
    ]


def test_days_can_be_chosen(ledger: Ledger, registry: Registry) -> None:
    """Rows of other days are left out; a choice of no days is refused."""
    scope = scope_of(registry, "csv", ["self-hosted"], {})
    rows = [seen(), seen(day=date(2026, 11, 1))]
    found = compare(ledger.database, scope, rows, since=DAY)
    assert [line.state for line in found.lines] == [State.MATCHED]
    with pytest.raises(ProxyError, match="lies before the first"):
        compare(ledger.database, scope, rows, since=DAY, until=date(2026, 11, 1))
    with pytest.raises(ProxyError, match="no row of"):
        compare(ledger.database, scope, rows, since=date(2026, 11, 25), until=date(2026, 11, 26))


def test_whose_export_it_is_must_be_known(registry: Registry) -> None:
    """A provider has its contracts; a generic table has those named, which the registry must have."""
    assert scope_of(registry, "google", [], {}).routes == {"google-gemini-api", "google-vertex"}
    with pytest.raises(ProxyError, match="does not say whose it is"):
        scope_of(registry, "csv", [], {})
    with pytest.raises(ProxyError, match="no route `nowhere`"):
        scope_of(registry, "csv", ["nowhere"], {})


def test_a_result_goes_on_record(ledger: Ledger, registry: Registry) -> None:
    """The entry says what was compared, the export's digest, and how much went around."""
    found = against(ledger, registry, seen(5, 10, 9), seen(None, 4, 1, model="strange"))
    scope = scope_of(registry, "csv", ["self-hosted"], {})
    made = put_on_record(ledger.log, scope, found, export="ab" * 32, actor="user:1")
    assert isinstance(made, AdminEntry)
    said = made.reconciled
    assert said is not None
    assert (said.provider, said.export, said.since, said.until) == (
        "csv", "ab" * 32, "2026-11-24", "2026-11-24",
    )  # fmt: skip
    assert (said.matched, said.around, said.beyond) == (0, 2, 0)
    assert (said.calls_around, said.tokens_around) == (None, 10)
