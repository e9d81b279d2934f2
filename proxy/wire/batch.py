"""Batches: requests sent many at once and answered hours later, each a call of its own.

Values that all formats of batches share. A format brings its `Door`s, what a create call asks, what an
answer says of a batch and how one result reads; `proxy.wire.batch_reading` does the rest.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from proxy.errors import WireError
from proxy.exchange import RequestHead
from proxy.wire.document import Object, compact, object_, read_object, text

__all__ = [
    "Ask",
    "Asked",
    "BatchFormat",
    "Does",
    "Door",
    "Notice",
    "Result",
    "fit",
    "identity",
    "names",
    "only",
    "path_of",
    "state_of",
    "twice",
    "unique",
]

_PATH = re.compile(r"/[A-Za-z0-9._/:-]{1,255}")

type Does = Literal["create", "read", "results", "upload", "file"]
"""What a call about batches does: `create` sends requests, `read` asks how a batch stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request of a batch: `path` and `body` are those it would have if it were sent alone."""

    custom_id: str
    path: str
    body: Object

    def sealed(self) -> bytes:
        """The bytes that are sealed as this line's request: all that reading it again takes."""
        whole: Object = {"custom_id": self.custom_id, "path": self.path, "body": self.body}
        return compact(whole).encode("utf-8", "backslashreplace")

    @classmethod
    def opened(cls, sealed: bytes) -> "Ask":
        """The request that was sealed.

        Raises:
            WireError: the bytes are not those of `sealed`.
        """
        doc = read_object(sealed, of="the sealed request")
        return cls(
            custom_id=text(doc, "custom_id") or "",
            path=text(doc, "path") or "",
            body=object_(doc, "body") or {},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One answer of a batch.

    `status` is the HTTP status as the provider states it, None where it does not. `body` is the
    answer as if the request had been sent alone, or its error; None where the provider never got to
    it, and `reason` is then a slug. `path` is where such an answer would come from, if that is not
    the path that was asked.
    """

    custom_id: str
    status: int | None = None
    body: Object | None = None
    is_error: bool = False
    reason: str | None = None
    path: str | None = None

    @property
    def choices(self) -> int:
        """How many alternatives of a teacher's words it holds, without reading them."""
        if self.body is None or self.is_error:
            return 0
        found = self.body.get("choices", self.body.get("candidates"))
        return len(found) if isinstance(found, list) else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What an answer says of a batch, or of a file for one, in the provider's own ids."""

    batch: str | None = None
    state: Literal["open", "ended"] | None = None
    input: str | None = None
    """The file of requests."""
    outputs: tuple[str, ...] = ()
    """Where results stand: files, the batch itself where they are fetched under its id, or its pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a create call asks: requests in its body, or in files that were sent before."""

    asks: tuple[Ask, ...] = ()
    files: tuple[str, ...] = ()
    line: Callable[[Object], Ask] | None = None
    """How a line of these files reads."""


@dataclass(frozen=True, slots=True)
class Door:
    """One method and the end of a path.

    A segment that begins with `*` names the batch or file, up to the words that follow the `*`.
    """

    method: str
    suffix: str
    does: Does
    operation: Literal["batch", "file"] = "batch"
    is_lines: bool = False
    """Whether its answer is one JSON object a line."""

    def fits(self, head: RequestHead) -> bool:
        """Whether a request goes through this door."""
        wanted, found = self.suffix.split("/")[1:], head.path.split("/")[1:]
        return (
            head.method == self.method
            and len(found) >= len(wanted)
            and all(map(_is_segment, found[-len(wanted) :], wanted))
        )

    def subject(self, path: str) -> str | None:
        """The batch or file that a path names."""
        for name, segment in zip(self.suffix.split("/")[::-1], path.split("/")[::-1], strict=False):
            if name.startswith("*"):
                return segment.removesuffix(name[1:])
        return None


def _is_segment(segment: str, wanted: str) -> bool:
    if not wanted.startswith("*"):
        return segment == wanted
    rest = segment.removesuffix(wanted[1:])
    return rest + wanted[1:] == segment and rest != "" and ":" not in rest


class BatchFormat(Protocol):
    """One provider's way of batches: a `proxy.wire.format.WireFormat` whose readers say more."""

    @property
    def name(self) -> str:
        """The format's id, such as `anthropic.batches`."""

    @property
    def doors(self) -> Sequence[Door]:
        """The calls it reads, the first that fits first."""

    def named(self, subject: str) -> str:
        """The id of the batch or file that a path names, as answers write it."""

    def asked(self, doc: Object, head: RequestHead) -> Asked:
        """What the body of a create call asks.

        Raises:
            WireError: it is none, or one that cannot be read line by line.
        """

    def notice(self, doc: Object) -> Notice:
        """What an answer says of a batch."""

    def results(self, doc: Object) -> list[Object]:
        """The results that stand inside an answer, each as `result` reads it."""

    def result(self, doc: Object) -> Result:
        """One result.

        Raises:
            WireError: it is none.
        """


def fit(form: BatchFormat, head: RequestHead) -> Door | None:
    """The door of a format that a request goes through."""
    return next((door for door in form.doors if door.fits(head)), None)


def path_of(value: str | None, *, at: str) -> str:
    """The path that a line of a batch names.

    Raises:
        WireError: it names none that can be told from every other.
    """
    if value is None or not _PATH.fullmatch(value) or "//" in value or "/." in value:
        raise WireError(
            f"`{at}` names no path of the provider",
            code="wrong-type",
            where=at,
            help="write a path such as `/v1/chat/completions`",
        )
    return value


def unique(asks: Iterator[Ask]) -> tuple[Ask, ...]:
    """The requests of one batch, each under an id of its own.

    Raises:
        WireError: two share an id.
    """
    found: dict[str, Ask] = {}
    for ask in asks:
        if ask.custom_id in found:
            raise twice(ask.custom_id)
        found[ask.custom_id] = ask
    return tuple(found.values())


def twice(custom_id: str) -> WireError:
    """The refusal of a batch in which two requests share an id."""
    shown = custom_id[:40].encode("ascii", "replace").decode()
    return WireError(
        f"two requests of the batch share the id `{shown}`",
        code="duplicate-custom-id",
        help="give each request an id of its own: its answer is told by it",
    )


def identity(value: str | None, *, at: str) -> str:
    """The id of one request.

    Raises:
        WireError: there is none.
    """
    if not value:
        raise WireError(
            f"`{at}` is not there",
            code="no-custom-id",
            where=at,
            help="give each request an id of its own: its answer is told by it",
        )
    return value


def only(doc: Object, known: frozenset[str]) -> None:
    """Make sure that a call says nothing that is not known: it could bring requests of its own.

    Raises:
        WireError: `unknown-field`.
    """
    strange = sorted(key for key, value in doc.items() if value is not None and key not in known)
    if strange:
        shown = strange[0][:40].encode("ascii", "backslashreplace").decode()
        raise WireError(
            f"`{shown}` is not known of a batch, and may change what it asks",
            code="unknown-field",
            where=f"$.{shown}",
            help=f"leave it out; {', '.join(f'`{name}`' for name in sorted(known))} are read",
        )


def state_of(word: str | None, ended: frozenset[str]) -> Literal["open", "ended"] | None:
    """How a batch stands, by the provider's word for it."""
    if word is None:
        return None
    return "ended" if word in ended else "open"


def names(doc: Mapping[str, object], *keys: str) -> tuple[str, ...]:
    """The texts under these keys that there are."""
    found = (doc.get(key) for key in keys)
    return tuple(value for value in found if isinstance(value, str) and value)
