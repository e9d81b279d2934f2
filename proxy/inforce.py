"""The policy bundle in force: read from the workspace, put on record, read back by its digest.

A worker reads policies from the ledger, never from disk: what decides is what is on record, and any
decision can be made again from the documents stored beside the log (design §5).
"""

import json
from typing import TypedDict

from policies.bundle import Bundle, bundle_of, load_bundle
from policies.testing import run_suites
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import LedgerError, ProxyError
from proxy.ledger.canonical import canonical
from proxy.ledger.entry import PolicyEntry, TermsEntry
from proxy.settings import Settings
from proxy.store.log import Document, Log, Pending
from proxy.store.queries import approvals, documents, held_documents, latest_policy
from proxy.store.session import Database

__all__ = [
    "bundle_at",
    "bundle_in_force",
    "digest_in_force",
    "put_in_force",
    "tested_bundle",
    "workspace_bundle",
]


class _Written(TypedDict):
    language: int
    organisation: str
    documents: dict[str, str]
    approvals: list[str]
    revoked: list[str]


def workspace_bundle(settings: Settings, database: Database) -> Bundle:
    """The bundle that the workspace's files and the ledger's approvals make now.

    Raises:
        PolicyError: the files have errors.
        LedgerError: the ledger cannot be read.
    """
    with database.read() as connection:
        known = approvals(connection)
    return load_bundle(
        settings.directory,
        organisation=settings.organisation,
        approvals=known.approved,
        revoked=known.revoked,
    )


def tested_bundle(settings: Settings, database: Database) -> Bundle:
    """The workspace's bundle, once its policy tests have passed.

    Raises:
        PolicyError: the files have errors.
        ProxyError: a policy test fails.
        LedgerError: the ledger cannot be read.
    """
    bundle = workspace_bundle(settings, database)
    failures = run_suites(bundle).failures
    if failures:
        first = failures[0]
        raise ProxyError(
            f"policy tests fail: {len(failures)}; the first is `{first.case.name}`: "
            f"{first.difference}",
            help="`inbond policy check` names them all; mend the rules or the tests",
            where=str(first.where),
            code="policy-tests",
        )
    return bundle


def digest_in_force(database: Database) -> str | None:
    """The digest of the bundle that was put in force last; None where there is none.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with database.read() as connection:
        last = latest_policy(connection)
    return None if last is None else last.entry.bundle


def put_in_force(log: Log, bundle: Bundle, actor: str) -> bool:
    """Put a bundle on record as the one in force; whether that changed anything.

    Its files, the terms its rules cite and its grants are stored beside the log, so that every
    digest a leaf names can be opened.

    Raises:
        LedgerError: the ledger cannot be written.
    """
    with log.database.read() as connection:
        last = latest_policy(connection)
        known_terms = held_documents(connection, list(bundle.sources))
    if last is not None and last.entry.bundle == bundle.digest:
        return False
    at = stamp(utc_now())
    entry = PolicyEntry(
        id=new_id(),
        at=at,
        actor=actor,
        bundle=bundle.digest,
        meaning=bundle.meaning,
        overrides=list(bundle.overrides),
        nonce=new_nonce(),
    )
    written = Document(digest=bundle.digest, kind="policy", content=_document(bundle))
    grants = tuple(
        Document(
            digest=grant.digest, kind="grant", content=bundle.documents[grant.where.file].encode()
        )
        for grant in bundle.grants
    )
    terms = [
        Pending(
            TermsEntry(
                id=new_id(),
                at=at,
                actor=actor,
                digest=digest,
                policy=source.where.file,
                source=source.id,
                nonce=new_nonce(),
            ),
            documents=(Document(digest=digest, kind="terms", content=source.record.encode()),),
        )
        for digest, source in sorted(bundle.sources.items())
        if digest not in known_terms
    ]
    log.append([*terms, Pending(entry, documents=(written, *grants))])
    return True


def bundle_in_force(database: Database) -> Bundle:
    """The bundle that was put in force last.

    Raises:
        LedgerError: there is none, or the ledger cannot be read.
    """
    digest = digest_in_force(database)
    if digest is None:
        raise LedgerError(
            "no policies are in force",
            help="start with `inbond up` or `inbond proxy`, which put the workspace's in force",
            code="no-policies",
        )
    return bundle_at(database, digest)


def bundle_at(database: Database, digest: str) -> Bundle:
    """The bundle of a digest, from the documents stored beside the log.

    Raises:
        LedgerError: it is not stored, or is not what its digest says.
    """
    with database.read() as connection:
        found = documents(connection, [digest])
    if digest not in found:
        raise LedgerError(
            f"the policy bundle `{digest}` is not stored here",
            help="restore the database from a backup that has it",
        )
    written: _Written = json.loads(found[digest].content)
    bundle = bundle_of(
        written["documents"],
        organisation=written["organisation"],
        approvals=frozenset(written["approvals"]),
        revoked=frozenset(written["revoked"]),
    )
    if bundle.digest != digest:
        raise LedgerError(
            f"the stored policy bundle has digest `{bundle.digest}`, not `{digest}`",
            help="run `inbond ledger verify`; if it finds nothing, this inbond is of another version",
        )
    return bundle


def _document(bundle: Bundle) -> bytes:
    return canonical(
        {
            "language": bundle.language,
            "organisation": bundle.organisation,
            "documents": dict(bundle.documents),
            "approvals": sorted(bundle.approvals),
            "revoked": sorted(bundle.revoked),
        }
    )
