"""`inbond policy diff`: what two sets of policies decide differently, on what is on record."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep

import click

from policies.bundle import Bundle, load_bundle
from policies.diff import Difference, Edit, Flip, diff
from policies.model import Fact
from policies.witness import Witness, witnesses
from policies.wording import value_text
from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, note, print_record
from proxy.cli.workspace import with_settings
from proxy.clock import stamp, utc_now
from proxy.errors import SettingsError
from proxy.inforce import bundle_at, bundle_in_force, digest_in_force
from proxy.replay import Held, Learned, Replay, held_datasets, runs_on
from proxy.settings import Settings
from proxy.store.queries import approvals, entries
from proxy.store.session import Database

__all__ = ["diff_command"]

_DIGEST = re.compile(r"[0-9a-f]{8,64}")
_DAYS = re.compile(r"([1-9][0-9]{0,3})d")
_IN_FORCE = "ledger"
_POLL_SECONDS = 1.0
_POLL_EXAMPLES = 1_000
"""How many exchanges are named of those that flip alike between two looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """Two bundles, what differs, and what that touches."""

    difference: Difference
    witnesses: Sequence[Witness]
    held: Sequence[Held]
    learned: Sequence[Learned]
    last: int
    """The place of the last exchange that was replayed."""

    @property
    def touched(self) -> dict[str, int]:
        """How many of its exchanges flip at the dataset gate, for each dataset."""
        found: dict[str, int] = {}
        for flip in self.difference.flips:
            for dataset, count in flip.datasets.items():
                found[dataset] = found.get(dataset, 0) + count
        return found


@click.command("diff")
@click.argument("old")
@click.argument("new", required=False)
@click.option("--since", metavar="90d|DATE", help="Only exchanges called since then; else all.")
@click.option("--on", "on", metavar="DATE", help="What day today is; else today.")
@click.option(
    "--follow",
    "is_followed",
    is_flag=True,
    help="Go on with each new exchange until Ctrl-C: NEW beside the live policies, deciding nothing.",
)
@json_option
@with_settings
def diff_command(  # noqa: PLR0913 - one parameter for each option
    settings: Settings,
    *,
    old: str,
    new: str | None,
    since: str | None,
    on: str | None,
    is_followed: bool,
    is_json: bool,
) -> None:
    """Replay what is on record through OLD and NEW, and list the verdicts that flip.

    OLD and NEW are workspaces (folders), the digest of a policy bundle that was in force, or `ledger`
    for the one in force; NEW is the workspace where it is left out. Exits with 1 where a verdict flips.
    """
    now = utc_now()
    today = now if on is None else _date(on, "--on")
    start = None if since is None else _since(since, now)
    with open_ledger(settings) as ledger:
        database = ledger.database
        before = _bundle(settings, database, old)
        after = _bundle(settings, database, str(settings.directory) if new is None else new)
        note("replaying what is on record…")
        compared = _compare(settings, database, before, after, today, start)
        if is_json:
            for record in _json(before, after, compared):
                print_record(record, is_json=True)
        else:
            _print(_text(before, after, compared, today))
        has_flips = bool(compared.difference.flips)
        if is_followed:
            live = _Live(database, before, after, compared.last, is_reread=old == _IN_FORCE)
            note("following what comes; Ctrl-C ends it…")
            has_flips |= live.follow(is_json=is_json)
    click.get_current_context().exit(1 if has_flips else 0)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo("".join(char if char.isprintable() else "�" for char in line))


class _Live:
    """A candidate beside the live policies: each new exchange is put before both, and nothing is decided."""

    def __init__(
        self, database: Database, old: Bundle, new: Bundle, after: int, *, is_reread: bool
    ) -> None:
        self._database = database
        self._old = old
        self._new = new
        self._after = after
        self._is_reread = is_reread
        """Whether the old side is whatever is in force, so that a reload is followed too."""

    def follow(self, *, is_json: bool) -> bool:
        """Print flips as exchanges end, until Ctrl-C; whether there was any.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        has_flips = False
        with suppress(KeyboardInterrupt):
            while True:
                difference = self._next()
                has_flips |= bool(difference.flips)
                for flip in difference.flips:
                    if is_json:
                        print_record(_flip_record(flip), is_json=True)
                    else:
                        _print(_flip(flip, difference.edits))
                sleep(_POLL_SECONDS)
        return has_flips

    def _next(self) -> Difference:
        """What the exchanges that ended since show."""
        if self._is_reread:
            self._reread()
        with self._database.read() as connection:
            replay = Replay(connection, (), today=utc_now(), after=self._after)
            found = diff(self._old, self._new, replay, examples=_POLL_EXAMPLES)
        self._after = replay.last
        return found

    def _reread(self) -> None:
        digest = digest_in_force(self._database)
        if digest is not None and digest != self._old.digest:
            note(f"the live policies are now {digest[:12]}")
            self._old = bundle_at(self._database, digest)


def _compare(
    settings: Settings,
    database: Database,
    old: Bundle,
    new: Bundle,
    today: datetime,
    since: datetime | None,
) -> _Compared:
    with database.read() as connection:
        held = held_datasets(connection, settings.datasets_directory)
        replay = Replay(connection, held, today=today, since=since)
        found = diff(old, new, replay)
        touched = {name for flip in found.flips for name in flip.datasets}
        learned = runs_on(connection, (each for each in held if each.dataset in touched))
    return _Compared(
        difference=found,
        witnesses=witnesses(old, new, found.edits, today),
        held=held,
        learned=learned,
        last=replay.last,
    )


def _bundle(settings: Settings, database: Database, name: str) -> Bundle:
    """The bundle that OLD or NEW names.

    Raises:
        SettingsError: it names no folder with policies and no bundle of the ledger.
        PolicyError: the folder's policies have errors.
        LedgerError: the ledger cannot be read.
    """
    if name == _IN_FORCE:
        return bundle_in_force(database)
    folder = Path(name)
    if (folder / "policies").is_dir():
        with database.read() as connection:
            known = approvals(connection)
        return load_bundle(
            folder,
            organisation=settings.organisation,
            approvals=known.approved,
            revoked=known.revoked,
        )
    digest = _digest(database, name)
    if digest is None:
        has_folder = (
            "it has no folder `policies`" if folder.is_dir() else "there is none of this name"
        )
        raise SettingsError(
            f"`{name}` is no workspace and no policy bundle on record: {has_folder}",
            help="give a workspace, `ledger`, or at least 8 digits of a bundle's digest",
            code="unknown-bundle",
        )
    return bundle_at(database, digest)


def _digest(database: Database, start: str) -> str | None:
    """The digest of the one bundle on record that starts so."""
    if not _DIGEST.fullmatch(start):
        return None
    found: set[str] = set()
    after = -1
    with database.read() as connection:
        while page := entries(connection, after=after, kind="policy"):
            found |= {str(getattr(item.entry, "bundle", "")) for item in page}
            after = page[-1].seq
    matching = sorted(digest for digest in found if digest.startswith(start))
    if len(matching) > 1:
        raise SettingsError(
            f"`{start}` is the start of {len(matching)} policy bundles",
            help="give more digits of the digest",
            code="unknown-bundle",
        )
    return matching[0] if matching else None


def _since(text: str, now: datetime) -> datetime:
    days = _DAYS.fullmatch(text)
    return now - timedelta(days=int(days[1])) if days else _date(text, "--since")


def _date(text: str, option: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        others = " or a number of days such as `90d`" if option == "--since" else ""
        raise SettingsError(
            f"`{text}` is not a date",
            help=f"write `{option} 2026-11-24`{others}",
            code="usage",
        ) from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _text(old: Bundle, new: Bundle, compared: _Compared, today: datetime) -> Iterator[str]:
    difference = compared.difference
    yield f"old {old.digest[:12]}, {len(old.rules)} rules"
    yield f"new {new.digest[:12]}, {len(new.rules)} rules"
    if not difference.edits:
        same = "the same policies" if old.digest == new.digest else "the same in meaning"
        yield f"old and new are {same}"
    for edit in difference.edits:
        yield f"  {edit.kind} {edit.id}: {edit.change}"
    verdicts = sum(difference.decisions.values())
    yield (
        f"replayed {difference.exchanges:,} exchanges, {verdicts:,} verdicts, "
        f"as of {today.date().isoformat()}"
    )
    for flip in difference.flips:
        yield from _flip(flip, difference.edits)
    if not difference.flips:
        yield "no verdict flips"
    yield from _datasets(compared)
    for witness in compared.witnesses:
        yield (
            f"{witness.edit.kind} {witness.edit.id} ({witness.edit.change}) would decide otherwise: "
            f"{witness.gate} gate, {witness.before} -> {witness.after}, "
            f"on {witness.at.date().isoformat()} where"
        )
        yield from (f"    {name} = {value_text(v)}" for name, v in sorted(witness.facts.items()))


def _flip(flip: Flip, edits: Sequence[Edit]) -> Iterator[str]:
    changes = {edit.id: edit.change for edit in edits if edit.kind == "rule"}
    yield f"{flip.gate} gate, {flip.before} -> {flip.after}: {flip.count:,} flips"
    for rule in flip.rules:
        yield f"    rule {rule} ({changes.get(rule, 'not changed itself')})"
    yield from (f"    grant {grant} applies in one of both" for grant in flip.grants)
    if flip.silent:
        yield f"    now silent: {', '.join(flip.silent)}"
    more = flip.count - len(flip.examples)
    yield f"    {', '.join(flip.examples)}{f' and {more:,} more' if more > 0 else ''}"


def _datasets(compared: _Compared) -> Iterator[str]:
    students = {each.dataset: each.student for each in compared.held}
    for dataset, count in sorted(compared.touched.items()):
        yield f"dataset {dataset} for student {students[dataset]}: {count:,} of its exchanges flip"
        for run in compared.learned:
            if dataset in run.datasets:
                yield f"    student {run.student} was trained on it in run {run.run}"
    for each in compared.held:
        if each.problem:
            yield f"dataset {each.dataset} is not covered: {each.problem}"


def _json(old: Bundle, new: Bundle, compared: _Compared) -> Iterator[dict[str, object]]:
    difference = compared.difference
    for edit in difference.edits:
        yield {"kind": "edit", "of": edit.kind, "id": edit.id, "change": edit.change}
    for flip in difference.flips:
        yield _flip_record(flip)
    touched = compared.touched
    for each in compared.held:
        if each.dataset in touched or each.problem:
            yield {
                "kind": "dataset",
                "dataset": each.dataset,
                "student": each.student,
                "flips": touched.get(each.dataset),
                "not_covered": each.problem or None,
                "runs": [
                    {"run": run.run, "student": run.student}
                    for run in compared.learned
                    if each.dataset in run.datasets
                ],
            }
    for witness in compared.witnesses:
        yield {
            "kind": "witness",
            "of": witness.edit.kind,
            "id": witness.edit.id,
            "gate": witness.gate.value,
            "at": stamp(witness.at),
            "before": witness.before.value,
            "after": witness.after.value,
            "facts": {name: _plain(value) for name, value in sorted(witness.facts.items())},
        }
    yield {
        "kind": "summary",
        "old": old.digest,
        "new": new.digest,
        "exchanges": difference.exchanges,
        "verdicts": {gate.value: count for gate, count in difference.decisions.items()},
        "flips": sum(flip.count for flip in difference.flips),
    }


def _flip_record(flip: Flip) -> dict[str, object]:
    return {
        "kind": "flip",
        "gate": flip.gate.value,
        "before": flip.before.value,
        "after": flip.after.value,
        "count": flip.count,
        "rules": list(flip.rules),
        "grants": list(flip.grants),
        "silent": [layer.value for layer in flip.silent],
        "examples": list(flip.examples),
        "datasets": dict(flip.datasets),
    }


def _plain(value: Fact) -> object:
    return sorted(value) if isinstance(value, frozenset) else value
