"""Who answered, once for each contract and model; and the leaves that the response gate admitted."""

import json
from dataclasses import replace

from proxy.store.log import Pending
from proxy.store.sightings import admitted_leaves, sightings
from tests.proxy.store.ledgers import Ledger, Verdict, call, exchange, refused


def of_model(pending: Pending, model: str) -> Pending:
    """The same exchange, answered by another model."""
    return replace(pending, entry=pending.entry.model_copy(update={"facts": {"model.id": model}}))


def test_each_contract_and_model_comes_once(ledger: Ledger) -> None:
    """With the number of answers and the leaves of the last; what did not end well counts nothing."""
    for model in ("acme-1", "acme-2", "acme-1"):
        begun = call()
        last = of_model(exchange(begun.entry.id), model)
        ledger.log.append([begun, last])
    broken = call()
    ledger.log.append([broken, exchange(broken.entry.id, outcome="cut", verdict=None)])
    ledger.log.append(refused(verdict="forbid"))
    with ledger.database.read() as connection:
        found = sightings(connection)
    assert [(json.loads(one.end)["facts"], one.exchanges) for one in found] == [
        ({"model.id": "acme-2"}, 1),
        ({"model.id": "acme-1"}, 2),
    ]
    assert json.loads(found[-1].end)["id"] == last.entry.id
    assert json.loads(found[-1].call)["id"] == begun.entry.id


def test_admitted_leaves_are_all_there(ledger: Ledger) -> None:
    """However many pages they fill; those held back or never judged are left out."""
    ends: list[Pending] = []
    verdicts: list[Verdict | None] = ["permit", "review", "permit", "permit", None, "forbid"]
    for verdict in verdicts:
        begun = call()
        ends.append(exchange(begun.entry.id, verdict=verdict))
        ledger.log.append([begun, ends[-1]])
    with ledger.database.read() as connection:
        whole = list(admitted_leaves(connection))
        for page in (1, 2, 3):
            assert list(admitted_leaves(connection, page=page)) == whole
    assert [json.loads(leaf)["id"] for leaf in whole] == [ends[at].entry.id for at in (0, 2, 3)]
