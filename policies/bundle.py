"""The policy bundle: directories read, documents linked, digests taken. Immutable once built."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from policies.counters import meaning_with
from policies.diagnostics import Diagnostic, Findings, Span, quoted
from policies.documents import Links, read_grant, read_student, read_suite
from policies.engine import Matrix, compile_rules
from policies.meaning import meaning_of, sha256_of
from policies.model import Counter, Grant, Layer, Policy, Rule, Source, Student, Suite
from policies.nodes import Fields
from policies.rules import read_policy
from policies.source import decode, parse, split_lines

__all__ = ["LANGUAGE", "LIBRARY", "Bundle", "bundle_of", "load_bundle"]

LANGUAGE = 1
"""The version of the policy language: the `inbond:` key of each file."""

LIBRARY = Path(__file__).parent / "library"
"""The library of hosts, routers and models that ships with the package."""

_LIBRARY_FOLDERS = ("hosts", "models", "routers")
_WORKSPACE_FOLDERS = (*_LIBRARY_FOLDERS, "organisation", "grants", "students", "tests")
_KIND_OF_FOLDER: Mapping[str, str] = {
    "grants": "grant",
    "students": "student",
    "tests": "test",
}
_LAYER_OF_FOLDER: Mapping[str, Layer] = {
    "hosts": Layer.HOST,
    "models": Layer.MODEL,
    "organisation": Layer.ORGANISATION,
    "routers": Layer.ROUTER,
}
_PATH = re.compile(r"(library/)?([a-z]+)/([A-Za-z0-9_][A-Za-z0-9._-]*\.yaml)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """All policies in force together, linked and compiled; the same documents give the same one."""

    digest: str
    """sha256 (hex) of canonical JSON of language, organisation, documents, approvals, revoked."""
    meaning: str
    """sha256 (hex) of rules, grants and counters: edits of comments and layout do not change it."""
    language: int
    documents: Mapping[str, str]
    """Path to text: `library/hosts/x.yaml`, `organisation/x.yaml`."""
    policies: tuple[Policy, ...]
    rules: tuple[Rule, ...]
    """Sorted by id."""
    grants: tuple[Grant, ...]
    counters: tuple[Counter, ...]
    """Sorted by name."""
    students: Mapping[str, Student]
    suites: tuple[Suite, ...]
    sources: Mapping[str, Source]
    """By digest."""
    overrides: tuple[str, ...]
    """Paths of workspace files that replace a library file of the same id."""
    approvals: frozenset[str]
    revoked: frozenset[str]
    organisation: str
    warnings: tuple[Diagnostic, ...]
    matrix: Matrix


def bundle_of(
    documents: Mapping[str, str],
    *,
    organisation: str,
    approvals: frozenset[str] = frozenset(),
    revoked: frozenset[str] = frozenset(),
) -> Bundle:
    """The bundle that documents make; the same documents and approvals make the same one.

    `approvals` and `revoked` are sha256 (hex) of files as text in UTF-8: a grant, an override of a
    library file or a judgement on `competes_with` takes effect only when approved.

    Raises:
        PolicyError: it carries every error found.
    """
    findings = Findings()
    files = _files(documents, findings)
    findings.stop()
    links = Links(organisation=organisation, approvals=approvals, revoked=revoked)
    policies, overrides = _policies(files, links, findings)
    counters = _counters(policies, files, findings)
    # What refers to a policy that cannot be read would only repeat its errors.
    findings.stop()
    linked = _Linked(policies, links)
    grants, students, suites = linked.read(files, findings)
    findings.stop()
    rules = tuple(sorted(linked.links.rules.values(), key=lambda rule: rule.id))
    # One by one: letting go of all nodes at once would hold up every other thread for that long.
    while files:
        files.pop()
    return Bundle(
        digest=_digest(documents, links),
        meaning=meaning_with(counters, meaning_of(rules, grants)),
        language=LANGUAGE,
        documents=MappingProxyType(dict(sorted(documents.items()))),
        policies=policies,
        rules=rules,
        grants=grants,
        counters=counters,
        students=MappingProxyType({student.id: student for student in students}),
        suites=suites,
        sources=MappingProxyType(
            {source.digest: source for policy in policies for source in policy.sources.values()}
        ),
        overrides=overrides,
        approvals=approvals,
        revoked=revoked,
        organisation=organisation,
        warnings=findings.warnings,
        matrix=compile_rules(rules, grants),
    )


def load_bundle(
    workspace: Path | None,
    *,
    organisation: str,
    approvals: frozenset[str] = frozenset(),
    revoked: frozenset[str] = frozenset(),
    library: Path = LIBRARY,
) -> Bundle:
    """The bundle of the library and of a workspace's `policies/`.

    Raises:
        PolicyError: a file cannot be read, or the documents make no bundle.
    """
    findings = Findings()
    documents = _read_folders(library, "library/", _LIBRARY_FOLDERS, findings)
    if workspace is not None:
        documents |= _read_folders(workspace / "policies", "", _WORKSPACE_FOLDERS, findings)
    findings.stop()
    return bundle_of(documents, organisation=organisation, approvals=approvals, revoked=revoked)


def _read_folders(
    top: Path, prefix: str, folders: Iterable[str], findings: Findings
) -> dict[str, str]:
    found: dict[str, str] = {}
    for folder in folders:
        for path in sorted((top / folder).glob("*.yaml")):
            name = f"{prefix}{folder}/{path.name}"
            text = _read_file(top, path, name, findings)
            if text is not None:
                found[name] = text
    return found


def _read_file(top: Path, path: Path, name: str, findings: Findings) -> str | None:
    """The text of a file inside `top`; links that lead out are refused."""
    span = Span(name, 1, 1, 1, "")
    if not path.resolve().is_relative_to(top.resolve()):
        findings.error(
            "outside",
            f"{quoted(name)} leads out of its folder",
            span,
            "put a copy of the file here",
        )
        return None
    try:
        data = path.read_bytes()
    except OSError as error:
        findings.error(
            "unreadable",
            f"{quoted(name)} cannot be read: {(error.strerror or 'no reason given').lower()}",
            span,
            "check that it is a file and that its mode lets you read it",
        )
        return None
    return decode(name, data, findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """One document, parsed."""

    path: str
    folder: str
    kind: str
    root: Fields
    digest: str
    is_library: bool


def _files(documents: Mapping[str, str], findings: Findings) -> list[_File]:
    found = []
    for path, text in sorted(documents.items()):
        parts = _PATH.fullmatch(path)
        if parts is None or parts[2] not in _WORKSPACE_FOLDERS:
            findings.error(
                "bad-path",
                f"{quoted(path)} is no path of a policy file",
                Span(path, 1, 1, 1, split_lines(text)[0]),
                f"use a folder of: {', '.join(_WORKSPACE_FOLDERS)}; and a plain name in `.yaml`",
            )
            continue
        root = parse(path, text, findings)
        if root is None:
            continue
        kind = _kind(parts[2], parts[3], root, findings)
        if kind is not None:
            found.append(
                _File(
                    path=path,
                    folder=parts[2],
                    kind=kind,
                    root=root,
                    digest=hashlib.sha256(text.encode()).hexdigest(),
                    is_library=parts[1] is not None,
                )
            )
    return found


def _kind(folder: str, name: str, root: Fields, findings: Findings) -> str | None:
    """The kind of file that belongs at this path, where the file is of it."""
    is_test = name.endswith(".test.yaml")
    kind = "test" if is_test else _KIND_OF_FOLDER.get(folder, "policy")
    if kind in root.values:
        return kind
    findings.error(
        "kind",
        f"the file says no `{kind}: ID`, as files in this place do",
        root.span,
        f"start it with `inbond: 1` and `{kind}: ID`, or move it",
    )
    return None


def _policies(
    files: Iterable[_File], links: Links, findings: Findings
) -> tuple[tuple[Policy, ...], tuple[str, ...]]:
    """The policies in force, by id, and the paths of the overrides among them."""
    found: dict[str, tuple[_File, Policy]] = {}
    overrides: list[str] = []
    for file in sorted((f for f in files if f.kind == "policy"), key=lambda f: not f.is_library):
        policy = read_policy(file.root, links.organisation, findings)
        if policy is None:
            continue
        _check_layer(file, policy, findings)
        span = file.root.values["policy"].span
        before = found.get(policy.id)
        if before is None:
            found[policy.id] = file, policy
        elif not before[0].is_library or file.is_library or file.folder == "organisation":
            _duplicate("policy", policy.id, before[0].path, span, findings)
        elif links.approves(file.digest):
            found[policy.id] = file, policy
            overrides.append(file.path)
        else:
            findings.warning(
                "not-approved",
                f"this override of {quoted(before[0].path)} is not approved, so the library's file holds",
                span,
                "have somebody else approve this file: `inbond policy approve`",
            )
    return tuple(policy for _, (_, policy) in sorted(found.items())), tuple(overrides)


def _check_layer(file: _File, policy: Policy, findings: Findings) -> None:
    layer = _LAYER_OF_FOLDER[file.folder]
    if layer not in policy.layers:
        findings.error(
            "bad-layer",
            f"a policy in `{file.folder}` speaks for the layer `{layer}`",
            file.root.keys["layer"],
            f"add `{layer}` to its layers, or move the file",
        )


def _duplicate(kind: str, name: str, first: str, span: Span, findings: Findings) -> None:
    findings.error(
        "duplicate-id",
        f"the {kind} {quoted(name)} is given twice; the first is {quoted(first)}",
        span,
        f"give each {kind} an id of its own",
    )


def _counters(
    policies: Iterable[Policy], files: Iterable[_File], findings: Findings
) -> tuple[Counter, ...]:
    """The counters of the policies in force, by name: `counter.NAME` is one fact of a call."""
    roots = {file.path: file.root for file in files}
    found: dict[str, Counter] = {}
    for counter in (each for policy in policies for each in policy.counters.values()):
        first = found.setdefault(counter.name, counter)
        if first is not counter:
            declared = roots[counter.where.file].values["counters"]
            assert isinstance(declared, Fields)  # noqa: S101 - a counter was read from it
            span = declared.keys[counter.name]
            _duplicate("counter", counter.name, first.where.file, span, findings)
    return tuple(counter for _, counter in sorted(found.items()))


class _Linked:
    """What is read after the policies, against them."""

    def __init__(self, policies: tuple[Policy, ...], links: Links) -> None:
        parties: dict[str, frozenset[Layer]] = {}
        for policy in policies:
            parties[policy.party] = parties.get(policy.party, frozenset()) | policy.layers
        self.links = Links(
            organisation=links.organisation,
            rules={rule.id: rule for policy in policies for rule in policy.rules},
            parties=parties,
            counters=frozenset(name for policy in policies for name in policy.counters),
            approvals=links.approvals,
            revoked=links.revoked,
        )

    def read(
        self, files: Iterable[_File], findings: Findings
    ) -> tuple[tuple[Grant, ...], tuple[Student, ...], tuple[Suite, ...]]:
        grants: dict[str, Grant] = {}
        students: dict[str, Student] = {}
        suites: dict[str, Suite] = {}
        for file in files:
            match file.kind:
                case "grant":
                    grant = read_grant(file.root, file.digest, self.links, findings)
                    _add(file, grant, grants, findings)
                case "student":
                    student = read_student(file.root, file.digest, self.links, findings)
                    _add(file, student, students, findings)
                case "test":
                    _add(file, read_suite(file.root, self.links, findings), suites, findings)
                case _:
                    pass
        return tuple(grants.values()), tuple(students.values()), tuple(suites.values())


def _add[T: (Grant, Student, Suite)](
    file: _File, value: T | None, found: dict[str, T], findings: Findings
) -> None:
    if value is None:
        return
    if value.id in found:
        span = file.root.values[file.kind].span
        _duplicate(file.kind, value.id, found[value.id].where.file, span, findings)
    found.setdefault(value.id, value)


def _digest(documents: Mapping[str, str], links: Links) -> str:
    return sha256_of(
        {
            "language": LANGUAGE,
            "organisation": links.organisation,
            "documents": {
                path: hashlib.sha256(text.encode()).hexdigest() for path, text in documents.items()
            },
            "approvals": sorted(links.approvals),
            "revoked": sorted(links.revoked),
        }
    )
