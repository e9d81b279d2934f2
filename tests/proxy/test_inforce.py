"""The policy bundle in force: what decides is what is on record, and opens by its digest."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from policies.bundle import bundle_of
from proxy.errors import LedgerError
from proxy.inforce import bundle_at, bundle_in_force, put_in_force, workspace_bundle
from proxy.ledger.closure import policy_digest
from proxy.ledger.entry import PolicyEntry, TermsEntry
from proxy.settings import Settings
from proxy.store.log import leaf_of
from proxy.store.queries import documents, entries
from proxy.store.tables import DocumentRow
from tests.policies.acme import DOCUMENTS, GRANT, HOUSE, ORGANISATION, approved, digest
from tests.proxy.store.ledgers import Ledger, grant_entry, open_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    opened = open_ledger(tmp_path)
    yield opened
    opened.database.close()


def _kinds(ledger: Ledger) -> list[str]:
    with ledger.database.read() as connection:
        return [stored.entry.kind for stored in entries(connection)]


def test_what_was_put_in_force_decides(ledger: Ledger) -> None:
    """The bundle read back from the ledger is the one that was put in force, to the digest."""
    bundle = approved(DOCUMENTS)
    assert put_in_force(ledger.log, bundle, "user:one")
    found = bundle_in_force(ledger.database)
    assert (found.digest, found.meaning) == (bundle.digest, bundle.meaning)
    assert found.documents == bundle.documents
    assert found.grants == bundle.grants


def test_the_same_bundle_is_put_in_force_once(ledger: Ledger) -> None:
    """Putting in force what is in force already writes nothing."""
    bundle = approved(DOCUMENTS)
    put_in_force(ledger.log, bundle, "user:one")
    size = ledger.log.size
    assert not put_in_force(ledger.log, bundle, "user:one")
    assert ledger.log.size == size


def test_every_digest_on_record_opens(ledger: Ledger) -> None:
    """Terms come before the policies that cite them; their texts and the grants' are stored."""
    put_in_force(ledger.log, approved(DOCUMENTS), "user:one")
    with ledger.database.read() as connection:
        terms, policy = (stored.entry for stored in entries(connection))
        assert isinstance(terms, TermsEntry)
        assert isinstance(policy, PolicyEntry)
        stored = documents(connection, [terms.digest, policy.bundle, digest(GRANT)])
    assert policy_digest(stored[policy.bundle].content) == policy.bundle
    assert sha256(stored[terms.digest].content).hexdigest() == terms.digest
    assert stored[digest(GRANT)].content == GRANT.encode()
    assert stored[policy.bundle].kind == "policy"


def test_terms_are_recorded_once(ledger: Ledger) -> None:
    """A later bundle that cites the same terms adds its own entry alone; both still open."""
    first = approved(DOCUMENTS)
    put_in_force(ledger.log, first, "user:one")
    changed: Mapping[str, str] = {
        **DOCUMENTS,
        "organisation/house-rules.yaml": HOUSE.replace("50_000", "40_000"),
    }
    second = bundle_of(changed, organisation=ORGANISATION, approvals=first.approvals)
    assert put_in_force(ledger.log, second, "user:one")
    assert _kinds(ledger) == ["terms", "policy", "policy"]
    assert bundle_in_force(ledger.database).digest == second.digest
    assert bundle_at(ledger.database, first.digest).digest == first.digest


def test_no_number_of_files_is_too_many(ledger: Ledger) -> None:
    """A bundle of a thousand files and approvals has a leaf like any other, and opens by its digest."""
    many = {
        f"organisation/house-{at}.yaml": HOUSE.replace("house-rules", f"house-{at}").replace(
            "per-day", f"per-day-{at}"
        )
        for at in range(600)
    }
    more = frozenset(digest(str(number)) for number in range(1_000))
    bundle = bundle_of({**DOCUMENTS, **many}, organisation=ORGANISATION, approvals=more)
    assert put_in_force(ledger.log, bundle, "user:one")
    assert bundle_in_force(ledger.database).documents == bundle.documents
    with ledger.database.read() as connection:
        policy = [stored.entry for stored in entries(connection)][-1]
    assert len(leaf_of(policy)) < 1_000


def test_without_policies_nothing_is_in_force(ledger: Ledger) -> None:
    """An installation that never started has no policies, and the message says how to get them."""
    with pytest.raises(LedgerError, match="no policies are in force") as caught:
        bundle_in_force(ledger.database)
    assert caught.value.code == "no-policies"


def test_a_bundle_that_is_gone_is_said_to_be(ledger: Ledger) -> None:
    """Where the stored text is missing, nothing decides in its place (P9)."""
    bundle = approved(DOCUMENTS)
    put_in_force(ledger.log, bundle, "user:one")
    with ledger.database.write() as connection:
        connection.execute(delete(DocumentRow))
    with pytest.raises(LedgerError, match="is not stored here"):
        bundle_in_force(ledger.database)


def test_a_bundle_that_was_changed_does_not_decide(ledger: Ledger) -> None:
    """A stored text that makes another bundle than its digest says is refused."""
    bundle = approved(DOCUMENTS)
    put_in_force(ledger.log, bundle, "user:one")
    with ledger.database.write() as connection:
        (content,) = connection.execute(
            DocumentRow.__table__.select().where(DocumentRow.digest == bundle.digest)
        ).scalars("content")
        connection.execute(
            update(DocumentRow)
            .where(DocumentRow.digest == bundle.digest)
            .values(content=content.replace(b"50_000", b"60_000"))
        )
    with pytest.raises(LedgerError, match="the stored policy bundle has digest"):
        bundle_in_force(ledger.database)


def test_a_workspace_counts_what_the_ledger_approved(ledger: Ledger, tmp_path: Path) -> None:
    """The workspace's files and the ledger's approvals make the bundle; a revocation counts too."""
    settings = Settings(inbond=1, organisation=ORGANISATION, directory=tmp_path)
    for path, text in DOCUMENTS.items():
        file = settings.policies_directory / path.removeprefix("library/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (grant,) = workspace_bundle(settings, ledger.database).grants
    assert not grant.is_approved
    ledger.log.append(
        [grant_entry("propose", digest(GRANT)), grant_entry("approve", digest(GRANT))]
    )
    (grant,) = workspace_bundle(settings, ledger.database).grants
    assert grant.is_approved
    ledger.log.append([grant_entry("revoke", digest(GRANT))])
    (grant,) = workspace_bundle(settings, ledger.database).grants
    assert grant.is_revoked
