"""Policies that change while the proxy runs: taken up when they are sound, and else left alone.

One process of a workspace watches its files and the ledger's approvals. What it finds is loaded and
its tests are run there, and only a bundle that passes is put in force. Each worker follows what is in
force and takes it up in one step: calls under way end by the bundle they began with.
"""

import asyncio
import contextlib
import gc
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypedDict

from policies.bundle import Bundle
from policies.diagnostics import Diagnostic, PolicyError
from policies.model import Gate
from policies.standing import standing_at
from proxy.clock import new_id, new_nonce, stamp, utc_now
from proxy.errors import LedgerError, ProxyError
from proxy.inforce import bundle_at, bundle_in_force, digest_in_force, put_in_force, tested_bundle
from proxy.keyfile import replace_file
from proxy.ledger.entry import AdminEntry
from proxy.settings import Settings
from proxy.store.log import Log, Pending
from proxy.store.queries import approvals
from proxy.store.session import Database

__all__ = ["Follower", "Turn", "Watch", "refused_policies"]

_FILE = "policies.json"
_STEP_S = 0.0002
"""How long a thread that loads policies runs before calls get their turn."""


class Turn(NamedTuple):
    """What came of a change: the bundle in force, and why that is not the workspace's own."""

    bundle: str
    """Its digest."""
    problem: str | None = None
    warnings: tuple[Diagnostic, ...] = ()
    """What was found in a bundle that was taken up."""


class _Refused(TypedDict):
    at: str
    problem: str


class _Look(NamedTuple):
    """All that the workspace's bundle is made of, seen from outside."""

    files: tuple[tuple[str, int, int, int], ...]
    approved: frozenset[str]
    revoked: frozenset[str]


class Watch:
    """Puts a workspace's policies in force, at the start and whenever they have changed."""

    def __init__(self, settings: Settings, log: Log, actor: str) -> None:
        self._settings = settings
        self._log = log
        self._actor = actor
        self._path = settings.run_directory / _FILE
        self._taken: _Look | None = None
        self._before: _Look | None = None

    def start(self) -> Turn:
        """Put the workspace's policies in force; where they are not sound, the last that were stay.

        Raises:
            PolicyError: they have errors, and none were in force before.
            ProxyError: their tests fail, and none were in force before.
            LedgerError: the ledger cannot be read or written.
        """
        self._taken = self._look()
        try:
            return self._take()
        except LedgerError:
            raise
        except (PolicyError, ProxyError) as error:
            if digest_in_force(self._log.database) is None:
                raise
            last = bundle_in_force(self._log.database)
            return self._refuse(last.digest, error)

    def turn(self) -> Turn | None:
        """What came of a change since the last time; None where there is none, or it goes on.

        A change is taken up once two looks in a row find the same: half of it decides nothing.

        Raises:
            LedgerError: the ledger cannot be read or written; the change is taken up another time.
        """
        seen, before = self._look(), self._before
        self._before = seen
        if seen in (self._taken, None) or seen != before:
            return None
        try:
            turn = self._take()
        except LedgerError:
            raise
        except (PolicyError, ProxyError) as error:
            turn = self._refuse(digest_in_force(self._log.database) or "", error)
        self._taken = seen
        return turn

    def _look(self) -> _Look | None:
        """What there is now; None where a file went away meanwhile."""
        with self._log.database.read() as connection:
            known = approvals(connection)
        top = self._settings.directory / "policies"
        try:
            files = tuple(_seen(path) for path in sorted(top.glob("*/*.yaml")))
        except OSError:
            return None
        return _Look(files, known.approved, known.revoked)

    def _take(self) -> Turn:
        bundle = tested_bundle(self._settings, self._log.database)
        put_in_force(self._log, bundle, self._actor)
        with contextlib.suppress(OSError):
            self._path.unlink()
        return Turn(bundle.digest, warnings=bundle.warnings)

    def _refuse(self, last: str, error: PolicyError | ProxyError) -> Turn:
        """Say, on record and in the status, why what is in force stays."""
        problem = _words(error)
        at = stamp(utc_now())
        said: _Refused = {"at": at, "problem": problem}
        with contextlib.suppress(
            OSError
        ):  # a full disk hides this from the status, and ends nothing
            replace_file(self._path, json.dumps(said).encode(), mode=0o600)
        entry = AdminEntry(
            id=new_id(),
            at=at,
            actor=self._actor,
            action="policies-refused",
            reason=problem,
            nonce=new_nonce(),
        )
        self._log.append([Pending(entry)])
        return Turn(last, problem)


def _seen(path: Path) -> tuple[str, int, int, int]:
    found = path.stat()
    return str(path), found.st_ino, found.st_mtime_ns, found.st_size


def _words(error: PolicyError | ProxyError) -> str:
    """An error in one line, with its place."""
    if isinstance(error, PolicyError):
        first, *more = error.diagnostics
        place = first.span
        rest = f" (and {len(more)} more)" if more else ""
        return f"{place.file}:{place.line}:{place.column}: {first.message}{rest}"
    return f"{error.where}: {error.message}" if error.where else error.message


def refused_policies(settings: Settings) -> str | None:
    """Why the workspace's policies are not in force, where a running proxy refused them."""
    try:
        said: _Refused = json.loads((settings.run_directory / _FILE).read_bytes())
        return str(said["problem"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Follower[T]:
    """Keeps one worker at the bundle in force. What it fails to load leaves the last in place."""

    def __init__(self, database: Database, digest: str, make: Callable[[Bundle], T]) -> None:
        """`digest` is of the bundle the worker has; `make` gives, off the loop, what it works with."""
        self.digest = digest
        self.problem: str | None = None
        self._database = database
        self._make = make
        self._refused = ""

    async def look(self) -> T | None:
        """What to work with from now on, where another bundle has come into force."""
        try:
            wanted = await asyncio.to_thread(digest_in_force, self._database)
            if wanted is None or wanted in (self.digest, self._refused):
                return None
            return await self._follow(wanted)
        except LedgerError as error:
            self.problem = _words(error)
            return None

    async def _follow(self, digest: str) -> T | None:
        try:
            made = await asyncio.to_thread(self._load, digest)
        except PolicyError as error:
            # It will not get better: unlike a ledger that is away, it is not tried each second.
            self._refused, self.problem = digest, _words(error)
            return None
        self.digest, self.problem = digest, None
        return made

    def _load(self, digest: str) -> T:
        with _in_small_steps():
            bundle = bundle_at(self._database, digest)
            now = utc_now()
            for gate in Gate:
                standing_at(bundle.matrix, gate, now, now)
            return self._make(bundle)


@contextlib.contextmanager
def _in_small_steps() -> Iterator[None]:
    """Let other threads in often, and keep the garbage collector off what is being made.

    What was made, and what calls left behind meanwhile, is then passed over by the collector for
    good: walking over it once would hold up calls for longer than all else here.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_STEP_S)
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        sys.setswitchinterval(before)
