"""Whether a bundle holds together: all that its entries name is here, and all here is what they say.

Everything in `leaves` has been shown to stand in the log. What is checked here: the last entry
commits to the others; each policy, source and grant that an entry names is present and unchanged;
each exchange has its call; the export key is the log's; tables say what the leaves say; and the rows
of a dataset are admitted exchanges, their texts what was sealed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256

from proxy.errors import BundleError, CanonicalError
from proxy.ledger.bundle import (
    ENTRIES,
    EXAMPLES,
    EXPORT,
    EXPORT_KEY,
    MANIFEST,
    OpenBundle,
    Opening,
    entries_digest,
    openings_digest,
)
from proxy.ledger.canonical import Json, canonical
from proxy.ledger.contributors import Kinship
from proxy.ledger.example import ExampleRow, ManifestLine, read_manifest, rows_root, texts_of
from proxy.ledger.leaf import Leaf, named_digests
from proxy.ledger.report import Report
from proxy.ledger.tables import TABLES, is_table

__all__ = ["check_closure", "policy_digest"]

_SUBJECTS = {"audit": "export", "dataset": "dataset"}


def check_closure(
    bundle: OpenBundle,
    leaves: Sequence[Leaf],
    openings: Mapping[str, Opening],
    *,
    intact: frozenset[str],
    now: str | None,
    report: Report,
) -> None:
    """Note in the report what of the closure holds and what does not.

    `intact` are the files that the signature vouches for: no other is handed to pyarrow.

    Raises:
        BundleError: a file cannot be read.
    """
    subject = _check_subject(bundle, leaves, openings, report)
    _check_documents(bundle, leaves, report)
    _check_export_key(bundle, leaves, report)
    if not _check_exchanges(leaves, report):
        return
    _check_tables(bundle, leaves, subject, intact, report)
    if subject is not None and subject.kind == "dataset":
        _Dataset(bundle, leaves, openings, subject, report).check(intact, now)


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


def _check_subject(
    bundle: OpenBundle,
    leaves: Sequence[Leaf],
    openings: Mapping[str, Opening],
    report: Report,
) -> Leaf | None:
    about = bundle.about()
    kind = _SUBJECTS.get(str(about.get("kind")))
    subject = leaves[-1] if leaves else None
    if subject is None or (subject.kind, subject.id) != (kind, about.get("subject")):
        report.refute(
            "subject", ENTRIES, f"the last entry is not the one that `{EXPORT}` says made this"
        )
        return None
    _check_about(about, subject, report)
    if entries_digest(leaf.data for leaf in leaves[:-1]) != subject.text("entries"):
        report.refute(
            "entries", ENTRIES, f"entry `{subject.id}` commits to other entries than these"
        )
    else:
        report.proven.append(f"these are exactly the entries that `{subject.id}` commits to")
    if openings_digest(openings) == subject.text("openings"):
        report.proven.append(f"{len(openings)} openings are all that `{subject.id}` disclosed")
    else:
        report.not_covered.append(f"which of the seals that `{subject.id}` opened are open here")
    return subject


def _check_about(about: Mapping[str, Json], subject: Leaf, report: Report) -> None:
    is_query = about.get("query", subject.fields.get("query")) == subject.fields.get("query")
    if not is_query:
        report.refute("query", EXPORT, f"the query is not the one that `{subject.id}` commits to")


def _check_documents(bundle: OpenBundle, leaves: Iterable[Leaf], report: Report) -> None:
    named = {(folder, digest) for leaf in leaves for folder, digest in named_digests(leaf)}
    wrong = 0
    for folder, digest in sorted(named):
        path = f"{folder}/{digest}.{'yaml' if folder == 'grants' else 'json'}"
        try:
            data = bundle.read(path)
            found = policy_digest(data) if folder == "policies" else sha256(data).hexdigest()
        except BundleError as error:
            report.note(error, where=path)
            wrong += 1
            continue
        if found != digest:
            report.refute("document", path, "the document is not the one that the entries name")
            wrong += 1
    if not wrong:
        report.proven.append(
            f"all {len(named)} policy bundles, sources and grants that entries name are here, unchanged"
        )


def _check_export_key(bundle: OpenBundle, leaves: Iterable[Leaf], report: Report) -> None:
    pem = bundle.read(EXPORT_KEY).decode(errors="replace").strip()
    is_known = False
    for leaf in leaves:
        is_export = leaf.kind == "key" and leaf.text("role") == "export"
        if is_export and leaf.text("public").strip() == pem:
            is_known = leaf.text("action") == "create"
    if is_known:
        report.proven.append("the export key is the log's: an entry made it")
    else:
        report.refute(
            "export-key", EXPORT_KEY, "no `key` entry here says that this key is the log's"
        )


def _check_exchanges(leaves: Sequence[Leaf], report: Report) -> bool:
    calls: dict[str, str | None] = {}
    ids: set[str] = set()
    before = len(report.findings)
    for leaf in leaves:
        if leaf.id in ids:
            report.refute("entry", ENTRIES, f"two entries have the id `{leaf.id}`")
        ids.add(leaf.id)
        if leaf.kind == "call":
            calls[leaf.id] = None
        elif leaf.kind == "exchange":
            call = leaf.text("call")
            if calls.get(call, leaf.id) is not None:
                report.refute(
                    "call", ENTRIES, f"exchange `{leaf.id}` has no call of its own before it"
                )
            calls[call] = leaf.id
        elif leaf.kind in ("decision", "judgement") and leaf.text("exchange") not in ids:
            report.refute("exchange", ENTRIES, f"`{leaf.id}` is about an exchange that is not here")
    for call_leaf, name in Kinship(leaves).absent():
        report.refute(
            "contributor",
            ENTRIES,
            f"call `{call_leaf.id}` was made from `{name}`, which is not here",
        )
    return len(report.findings) == before


def _check_tables(
    bundle: OpenBundle,
    leaves: Iterable[Leaf],
    subject: Leaf | None,
    intact: frozenset[str],
    report: Report,
) -> None:
    roots = (subject.record("tables") if subject else None) or {}
    names = sorted(TABLES.keys() | roots.keys())
    wrong = 0
    for name in names:
        path = f"tables/{name}.parquet"
        if path in bundle.names and path not in intact:
            wrong += 1
            continue
        try:
            pairs = ((leaf.seq, leaf.fields) for leaf in leaves)
            is_so = is_table(bundle.read(path), name, pairs, roots.get(name))
        except ImportError:
            report.not_covered.append("tables: pyarrow is not installed")
            return
        except BundleError as error:
            report.note(error, where=path)
            wrong += 1
            continue
        except CanonicalError:
            is_so = False
        if not is_so:
            report.refute("table", path, "the table does not say what the leaves say")
            wrong += 1
    if not wrong:
        report.proven.append(f"{len(names)} tables say what the leaves say")


class _Dataset:
    """The rows of a dataset against the leaves."""

    def __init__(
        self,
        bundle: OpenBundle,
        leaves: Sequence[Leaf],
        openings: Mapping[str, Opening],
        subject: Leaf,
        report: Report,
    ) -> None:
        self._bundle = bundle
        self._openings = openings
        self._subject = subject
        self._report = report
        self._leaves = {leaf.id: leaf for leaf in leaves}
        self._admitted = _admitted(leaves)
        self._kinship = Kinship(leaves)

    def check(self, intact: frozenset[str], now: str | None) -> None:
        """Note whether the dataset is what its entry says, and every row an admitted exchange."""
        self._check_validity(now)
        manifest = self._check_manifest()
        if EXAMPLES not in intact:
            self._report.refute("rows", EXAMPLES, "the examples are absent or not those signed")
            return
        try:
            rows = self._bundle.examples()
            root = rows_root(row.to_row() for row in rows)
        except ImportError:
            self._report.doubt("rows", EXAMPLES, "pyarrow is not installed: no example can be read")
            return
        except CanonicalError:
            root = ""
        if (root, len(rows)) != (self._subject.text("root"), self._subject.fields["rows"]):
            self._report.refute("rows", EXAMPLES, "the examples do not hash to the dataset's root")
            return
        problems = [(row, self._problem(row, manifest)) for row in rows]
        problems += [(row, "stands twice") for row in _repeated(rows)]
        for row, problem in problems:
            if problem:
                self._report.refute("row", EXAMPLES, f"example `{row.example}` {problem}")
        if not any(problem for _, problem in problems):
            self._report.proven.append(
                f"{len(rows)} examples are complete exchanges that were admitted, "
                "their texts what was sealed at the time"
            )
            self._report.claimed.append("the provider, licence and duties of each example")

    def _check_validity(self, now: str | None) -> None:
        until = self._subject.text("valid_until")
        if now is None:
            self._report.not_covered.append(
                f"whether the dataset is still valid: it was until {until}"
            )
            return
        try:
            is_past = datetime.fromisoformat(now) >= datetime.fromisoformat(until)
        except (ValueError, TypeError):
            is_past = True
        if is_past:
            self._report.doubt("expired", ENTRIES, f"the dataset was valid until {until}")

    def _check_manifest(self) -> dict[str, ManifestLine]:
        data = self._bundle.read(MANIFEST)
        if sha256(data).hexdigest() != self._subject.text("manifest"):
            self._report.refute("manifest", MANIFEST, "the manifest is not the one committed to")
            return {}
        try:
            lines = {line.exchange: line for line in read_manifest(data)}
        except BundleError as error:
            self._report.note(error, where=MANIFEST)
            return {}
        self._report.proven.append(
            f"the manifest of {len(lines)} exchanges considered is the one committed to"
        )
        return lines

    def _problem(self, row: ExampleRow, manifest: Mapping[str, ManifestLine]) -> str:
        """Why a row is not what it says; empty when it is."""
        exchange = self._leaves.get(row.exchange)
        if exchange is None or exchange.kind != "exchange" or exchange.seq != row.seq:
            return "is of an exchange that is not here"
        line = manifest.get(row.exchange)
        if line is None or (line.verdict, line.seq) != ("permit", row.seq):
            return "is of an exchange that the manifest does not permit"
        return (
            self._admission_problem(exchange)
            or self._label_problem(row, exchange)
            or self._family_problem(row, exchange)
            or self._text_problem(row, exchange)
        )

    def _admission_problem(self, exchange: Leaf) -> str:
        is_complete = exchange.text("outcome") == "complete" and exchange.fields["is_whole"]
        if not is_complete or exchange.fields["problem"] is not None:
            return "is of an exchange that is not whole"
        return "" if exchange.id in self._admitted else "is of an exchange that was not admitted"

    def _label_problem(self, row: ExampleRow, exchange: Leaf) -> str:
        call = self._leaves[exchange.text("call")]
        expected = {
            "example": f"{row.exchange}#{row.choice}",
            "call": call.id,
            "verdict": "permit",
            "student": self._subject.text("student"),
            "bundle": self._subject.text("decision_bundle"),
            "project": call.text("facts", "project"),
            "route": call.text("facts", "route"),
            "model": exchange.text("facts", "model.id"),
            "exchange_at": exchange.text("decision", "exchange_at"),
            "answer_seal": exchange.text("answer", "seal"),
        }
        for name, value in expected.items():
            if getattr(row, name) != value:
                return f"does not have the `{name}` that the log has: `{value}`"
        for folder, ending, digests in (
            ("terms", "json", row.terms),
            ("grants", "yaml", row.grants),
        ):
            for digest in digests:
                if digest not in self._subject.texts(folder):
                    return f"rests on `{folder}/{digest}.{ending}`, which the dataset does not name"
        return ""

    def _family_problem(self, row: ExampleRow, exchange: Leaf) -> str:
        """Why what an example rests on is not what the log says, or may not be learned from."""
        family = self._kinship.of(exchange)
        for name in family.exchanges:
            found = self._leaves.get(name)
            if found is None or found.kind != "exchange":
                return f"rests on `{name}`, which is not here"
            if problem := self._admission_problem(found):
                return f"rests on `{name}`, which {problem}"
        for name in family.sources:
            if problem := self._kinship.source_problem(name):
                return f"rests on the source `{name}`, which {problem}"
        if row.contributors != family.ids:
            return "names other contributors than the log has"
        return ""

    def _text_problem(self, row: ExampleRow, exchange: Leaf) -> str:
        opening = self._openings.get(exchange.text("answer", "seal"))
        if opening is None:
            return "has no opening: nothing shows that its text was sealed"
        try:
            sealed = texts_of(opening.body, row.choice)
            is_same = sealed.normalised() == row.texts.normalised()
        except BundleError as error:
            return f"is not in what was sealed: {error.message}"
        return "" if is_same else "has another text than was sealed"


def _admitted(leaves: Iterable[Leaf]) -> set[str]:
    """The exchanges whose latest word, of the response gate or of a person later, is yes.

    A reversed clearance is a no; a judgement supplies facts, which ends a review and no prohibition.
    """
    verdicts: dict[str, str] = {}
    for leaf in leaves:
        if leaf.kind == "exchange" and leaf.record("decision") is not None:
            verdicts[leaf.id] = leaf.text("decision", "verdict")
        elif leaf.kind == "decision" and leaf.text("gate") != "request":
            is_clear = leaf.text("action") == "clear"
            verdicts[leaf.text("exchange")] = "permit" if is_clear else "forbid"
        elif leaf.kind == "judgement" and verdicts.get(leaf.text("exchange")) == "review":
            verdicts[leaf.text("exchange")] = "permit"
    return {exchange for exchange, verdict in verdicts.items() if verdict == "permit"}


def _repeated(rows: Iterable[ExampleRow]) -> list[ExampleRow]:
    first: dict[str, ExampleRow] = {}
    return [row for row in rows if first.setdefault(row.example, row) is not row]
