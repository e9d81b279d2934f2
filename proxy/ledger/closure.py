"""Whether a bundle holds together: all that its entries name is here, and all here is what they say.

Every entry has been shown to stand in the log. What is checked here: the last entry
commits to the others; each policy, source and grant that an entry names is present and unchanged;
each exchange has its call; the export key is the log's; tables say what the leaves say; and the rows
of a dataset are admitted exchanges, their texts what was sealed.
"""

import json
from collections.abc import Mapping
from hashlib import sha256

from proxy.errors import BundleError, CanonicalError
from proxy.ledger.bundle import ENTRIES, EXPORT, EXPORT_KEY, OpenBundle, openings_digest
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.census import Census, Running
from proxy.ledger.columns import hash_rows, no_table, row_parts
from proxy.ledger.crew import Crew
from proxy.ledger.leaf import Leaf
from proxy.ledger.lessons import Lessons
from proxy.ledger.merkle import Frontier
from proxy.ledger.openings import Openings
from proxy.ledger.release import check_releases
from proxy.ledger.report import Report
from proxy.ledger.tables import TABLES

__all__ = ["Closure", "policy_digest"]

_SUBJECTS = {"audit": "export", "dataset": "dataset"}


class Closure:
    """What of a bundle holds together, given its entries and openings."""

    def __init__(
        self,
        bundle: OpenBundle,
        census: Census,
        openings: Openings,
        crew: Crew,
        intact: frozenset[str],
        report: Report,
    ) -> None:
        self._bundle = bundle
        self._census = census
        self._openings = openings
        self._crew = crew
        self._intact = intact
        """Files that the signature vouches for: no other is handed to pyarrow."""
        self._report = report

    def check(self, now: str | None) -> None:
        """Note in the report what of the closure holds and what does not.

        Raises:
            BundleError: a file cannot be read.
        """
        subject = self._check_subject()
        self._check_documents()
        self._check_export_key()
        check_releases(self._census.others, self._report)
        for flaw in self._census.flaws:
            self._report.refute(flaw.code, ENTRIES, flaw.message)
        if self._census.flaws:
            return
        self._check_tables(subject)
        if subject is not None and subject.kind == "dataset":
            lessons = Lessons(self._bundle, self._census, self._openings, subject, self._report)
            lessons.check(self._intact, now, self._crew)

    def _check_subject(self) -> Leaf | None:
        report, about = self._report, self._bundle.about()
        kind = _SUBJECTS.get(str(about.get("kind")))
        subject = self._census.last
        if subject is None or (subject.kind, subject.id) != (kind, about.get("subject")):
            report.refute(
                "subject", ENTRIES, f"the last entry is not the one that `{EXPORT}` says made this"
            )
            return None
        _check_about(about, subject, report)
        if self._census.digest != subject.text("entries"):
            report.refute(
                "entries", ENTRIES, f"entry `{subject.id}` commits to other entries than these"
            )
        else:
            report.proven.append(f"these are exactly the entries that `{subject.id}` commits to")
        if openings_digest(self._openings) == subject.text("openings"):
            report.proven.append(
                f"{len(self._openings)} openings are all that `{subject.id}` disclosed"
            )
        else:
            report.not_covered.append(
                f"which of the seals that `{subject.id}` opened are open here"
            )
        return subject

    def _check_documents(self) -> None:
        named, wrong = self._census.named, 0
        for folder, digest in sorted(named):
            path = f"{folder}/{digest}.{'yaml' if folder == 'grants' else 'json'}"
            try:
                data = self._bundle.read(path)
                found = policy_digest(data) if folder == "policies" else sha256(data).hexdigest()
            except BundleError as error:
                self._report.note(error, where=path)
                wrong += 1
                continue
            if found != digest:
                self._report.refute(
                    "document", path, "the document is not the one that the entries name"
                )
                wrong += 1
        if not wrong:
            self._report.proven.append(
                f"all {len(named)} policy bundles, sources and grants that entries name are here, "
                "unchanged"
            )

    def _check_export_key(self) -> None:
        pem = self._bundle.read(EXPORT_KEY).decode(errors="replace").strip()
        is_known = False
        for leaf in self._census.others:
            is_export = leaf.kind == "key" and leaf.text("role") == "export"
            if is_export and leaf.text("public").strip() == pem:
                is_known = leaf.text("action") == "create"
        if is_known:
            self._report.proven.append("the export key is the log's: an entry made it")
        else:
            self._report.refute(
                "export-key", EXPORT_KEY, "no `key` entry here says that this key is the log's"
            )

    def _check_tables(self, subject: Leaf | None) -> None:
        roots = (subject.record("tables") if subject else None) or {}
        names = sorted(TABLES.keys() | roots.keys())
        wrong = 0
        for name in names:
            path = f"tables/{name}.parquet"
            if path in self._bundle.names and path not in self._intact:
                wrong += 1
                continue
            try:
                is_so = self._is_table(path, self._census.rows.get(name), roots.get(name))
            except ImportError:
                self._report.not_covered.append("tables: pyarrow is not installed")
                return
            except BundleError as error:
                self._report.note(error, where=path)
                wrong += 1
                continue
            if not is_so:
                self._report.refute("table", path, "the table does not say what the leaves say")
                wrong += 1
        if not wrong:
            self._report.proven.append(f"{len(names)} tables say what the leaves say")

    def _is_table(self, path: str, expected: Running | None, root: Json) -> bool:
        """Whether a file has the rows that leaves give, if they give it, and a root if there is one.

        Rows are the same where the hashes of their canonical bytes are.
        """
        parts = row_parts(self._bundle.pieces.path(path))
        if expected is not None and expected.count != sum(part.count for part in parts):
            return False  # a few bytes can hold more rows than anybody can hash
        found, frontier = Running(), Frontier()
        for hashed in self._crew.each(hash_rows, parts, len(parts)):
            if hashed.problem == "parquet":
                raise no_table()
            if hashed.problem:
                return False
            found.add(hashed.hashes, hashed.count)
            frontier = frontier.add(hashed.peaks)
        is_expected = expected is None or expected.digest() == found.digest()
        return is_expected and (root is None or frontier.root().hex() == root)


def policy_digest(document: bytes) -> str:
    """The digest of a policy bundle, from its document as a bundle of files keeps it.

    Raises:
        BundleError: the bytes are no such document.
    """
    try:
        fields = json.loads(document)
        texts = fields["documents"]
        digests = {path: sha256(text.encode()).hexdigest() for path, text in texts.items()}
        rest = {name: fields[name] for name in ("language", "organisation", "approvals", "revoked")}
        return sha256(canonical(rest | {"documents": digests})).hexdigest()
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        CanonicalError,
    ) as error:
        raise BundleError("this is no policy bundle", help="get the bundle again") from error


def _check_about(about: Mapping[str, Json], subject: Leaf, report: Report) -> None:
    for name in ("at", "query", "recipient"):
        if name in about and about[name] != subject.fields.get(name):
            report.refute(name, EXPORT, f"`{name}` is not what `{subject.id}` commits to")
