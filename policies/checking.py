"""The whole check of a bundle: lints, tests, coverage and mutation score, as one list of findings."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from policies.bundle import Bundle
from policies.diagnostics import Diagnostic, Severity, quoted
from policies.excerpts import Excerpts
from policies.lint import lint
from policies.mutants import Mutation, Survivor, mutate
from policies.testing import CaseResult, Report, is_of_library, run_suites

__all__ = ["Checked", "check"]

_NONE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found. Where the files make no bundle there is nothing but findings."""

    findings: tuple[Diagnostic, ...]
    """In the order of the files: errors of the files, lints, cases that fail, surviving mutants."""
    bundle: Bundle | None = None
    report: Report | None = None
    mutation: Mutation | None = None
    """Of the workspace's own policies; of the library where it has none."""

    @property
    def errors(self) -> int:
        """How many findings are errors; a case that fails is one."""
        return sum(each.severity is Severity.ERROR for each in self.findings)

    @property
    def is_fine(self) -> bool:
        """Whether the bundle may take effect; warnings alone are fine."""
        return self.bundle is not None and not self.errors


def check(
    bundle: Bundle,
    *,
    on: datetime,
    is_mutated: bool = True,
    resting: Mapping[str, int] = _NONE,
) -> Checked:
    """What is to be said of a bundle as of an instant.

    `resting` says how many admitted examples rest on a grant, by its id, where a ledger knows.

    `is_mutated` is whether the rules are changed one by one to see whether the tests notice, which
    takes longer than all the rest.
    """
    excerpts = Excerpts(bundle.documents)
    report = run_suites(bundle)
    mutation = mutate(_own(bundle)) if is_mutated else None
    found = [
        *bundle.warnings,
        *lint(bundle, on=on, untested=report.unhit_rules, idle=report.idle, resting=resting),
        *(_failure(result, excerpts) for result in report.failures),
        *(_survivor(each, excerpts) for each in _listed(report, mutation)),
    ]
    return Checked(findings=_ordered(found), bundle=bundle, report=report, mutation=mutation)


def _ordered(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(findings, key=lambda each: (each.place.file, each.place.line)))


def _failure(result: CaseResult, excerpts: Excerpts) -> Diagnostic:
    return excerpts.error(
        "test-failed",
        result.where,
        f"the case {quoted(result.case.name)} fails: {result.difference}",
        "change the rules, or what the case expects of them",
    )


def _own(bundle: Bundle) -> Bundle:
    """The bundle with only those policies to change that are the workspace's to test."""
    own = tuple(policy for policy in bundle.policies if not is_of_library(policy.where))
    return replace(bundle, policies=own) if own else bundle


def _listed(report: Report, mutation: Mutation | None) -> Iterator[Survivor]:
    """The survivors worth a word: that a rule is reached by no case is said once, not for each change."""
    for survivor in mutation.survivors if mutation is not None else ():
        if survivor.rule not in report.unhit_rules:
            yield survivor


def _survivor(survivor: Survivor, excerpts: Excerpts) -> Diagnostic:
    return excerpts.warning(
        "survivor",
        survivor.where,
        f"no test case notices a change of {quoted(survivor.rule)}: {survivor.change}",
        survivor.hint,
    )
