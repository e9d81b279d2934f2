"""What a workspace's ledger adds to a check: moved clauses, silence, and what rests on ending grants."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from policies.bundle import Bundle
from policies.diagnostics import Diagnostic, Severity, Span, quoted
from policies.lint import ending
from policies.model import Layer
from proxy.cli.policy_drift import drifted_rules
from proxy.cli.render import note
from proxy.errors import TermsError
from proxy.reliance import Unspoken, resting, unspoken
from proxy.route import TeacherSettings
from proxy.settings import FILE_NAME, load_settings
from proxy.store.session import Database, open_database

__all__ = ["Recorded", "on_record"]

_FOLDERS = {Layer.HOST: "hosts", Layer.ROUTER: "routers", Layer.MODEL: "models"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a ledger says about policies; nothing where there is none."""

    findings: tuple[Diagnostic, ...] = ()
    resting: Mapping[str, int] = field(default_factory=dict)
    """How many admitted examples rest on each grant that ends soon, by its id."""


def on_record(bundle: Bundle, directory: Path, at: datetime) -> Recorded:
    """What the ledger of a workspace says about its policies as of an instant.

    Raises:
        SettingsError: the settings are wrong.
        LedgerError: the ledger cannot be read.
    """
    if not (directory / FILE_NAME).exists():
        return Recorded()
    settings = load_settings(directory, os.environ, TeacherSettings)
    database = open_database(settings.database, directory=settings.directory)
    try:
        return Recorded(
            findings=(
                *map(_finding, unspoken(database, bundle, at)),
                *_drifted(bundle, database, settings.directory / "terms"),
            ),
            resting=resting(database, ending(bundle, at)),
        )
    finally:
        database.close()


def _drifted(bundle: Bundle, database: Database, terms: Path) -> tuple[Diagnostic, ...]:
    try:
        return drifted_rules(bundle, database, terms)
    except TermsError as error:
        note(f"the texts of terms were not looked at: {error.message}; {error.help}")
        return ()


def _finding(silent: Unspoken) -> Diagnostic:
    """A silence has no place of its own: it is shown where somebody would end it."""
    file = f"{_FOLDERS[silent.layer]}/{silent.name}.yaml"
    answers = "1 answer" if silent.exchanges == 1 else f"{silent.exchanges:,} answers"
    return Diagnostic(
        code="silent",
        severity=Severity.WARNING,
        message=f"no policy speaks for the {silent.layer} {quoted(silent.name)}: "
        f"nothing may be learned from its {answers} on record",
        span=Span(file, 1, 1, 1, ""),
        help="read its terms and write a policy for it, or leave its answers out",
    )
