"""How imports stand, and the later words on them."""

from collections.abc import Iterator

import pytest
import time_machine

from proxy.cli.openledger import Ledger, open_ledger
from proxy.errors import LedgerError
from proxy.import_standing import papers_of, progress_of, settle, standing_of, standings
from tests.proxy.importing import bring, bring_log, brought, chats
from tests.proxy.workshop import NOW, Workshop


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger with open data and logs of a teacher's answers."""
    folder = tmp_path_factory.mktemp("standing")
    with time_machine.travel(NOW, tick=True):
        shop = Workshop.at(folder / "work")
        brought(bring(shop, chats(folder)))
        brought(bring_log(shop, chats(folder, name="log.jsonl")))
        brought(bring_log(shop, chats(folder, 1, name="gone.jsonl"), "--source", "gone-log"))
        with open_ledger(shop.settings) as opened:
            yield opened


def test_imports_stand_as_they_were_admitted(ledger: Ledger) -> None:
    """Open data waits for nobody; a teacher's log waits for a person. Papers are beside the log."""
    data, log, _ = standings(ledger.log)
    assert (data.entry.name, data.problem) == ("wiki", "")
    assert (log.entry.name, log.problem) == ("old-log", "not-confirmed")
    assert progress_of(ledger.log, data.entry) == 3
    assert list(papers_of(ledger.log, data.entry).values()) == [b"The text of the licence."]
    lost = data.entry.model_copy(update={"evidence": ["00" * 32]})
    with pytest.raises(LedgerError, match="not stored beside it"):
        papers_of(ledger.log, lost)


@pytest.mark.parametrize(
    ("reason", "message"), [(" ", "the reason is empty"), ("known", "waits for nobody")]
)
def test_only_what_waits_is_confirmed(ledger: Ledger, reason: str, message: str) -> None:
    """A word without a reason, and one that nothing waits for, are refused."""
    data, log, _ = standings(ledger.log)
    batch = (log if reason == " " else data).entry.batch
    with pytest.raises(LedgerError, match=message):
        settle(ledger.log, batch, "confirm", actor="user:2", reason=reason, at=NOW)


def test_an_unknown_import_is_named(ledger: Ledger) -> None:
    """The nearest one is offered, or where to look."""
    batch = standings(ledger.log)[0].entry.batch
    with pytest.raises(LedgerError, match="no import") as caught:
        standing_of(ledger.log, batch[:-1])
    assert caught.value.help == f"did you mean `{batch}`?"


def test_a_withdrawal_is_for_good(ledger: Ledger) -> None:
    """What was vouched for can be taken back; what was taken back can be neither."""
    batch = standings(ledger.log)[2].entry.batch
    settle(ledger.log, batch, "confirm", actor="user:2", reason="compared", at=NOW)
    assert standing_of(ledger.log, batch).problem == ""
    said = settle(ledger.log, batch, "withdraw", actor="user:3", reason=" wrong file ", at=NOW)
    assert (said.action, said.actor, said.reason) == ("withdraw", "user:3", "wrong file")
    assert standing_of(ledger.log, batch).problem == "import-withdrawn"
    with pytest.raises(LedgerError, match="was withdrawn"):
        settle(ledger.log, batch, "confirm", actor="user:2", reason="compared", at=NOW)
