"""Whether an exchange holds a text: what a person asks to be erased must be findable (promise P8).

Bodies are searched as they are stored, decrypted. Most are JSON, in which a text may stand escaped, or
escaped twice inside a tool's arguments: it is looked for in each of these spellings, composed and
decomposed. Pictures, sound and packed bodies hide texts: they are found by exchange or key.
"""

import json
from dataclasses import dataclass
from unicodedata import normalize

from proxy.errors import LedgerError
from proxy.store.batches import pieces_in
from proxy.store.bodies import Absent, read_body
from proxy.store.records import RecordedExchange
from proxy.store.session import Reading

__all__ = ["Needle", "holds_text"]


@dataclass(frozen=True, slots=True)
class Needle:
    """A text to look for, in each spelling that a body may have it in."""

    spellings: tuple[bytes, ...]

    @classmethod
    def of(cls, text: str) -> "Needle":
        """The spellings of a text; blanks at its ends do not count.

        Raises:
            LedgerError: there is no text.
        """
        if not text.strip():
            raise LedgerError(
                "the text to look for is empty",
                help="put the exact text into the file",
                code="empty-text",
            )
        plain = {normalize(form, text.strip()) for form in ("NFC", "NFD")} | {text.strip()}
        once = {_escaped(each, is_ascii=flag) for each in plain for flag in (True, False)}
        twice = {_escaped(each, is_ascii=flag) for each in once for flag in (True, False)}
        return cls(tuple(sorted(each.encode("utf-8", "replace") for each in plain | once | twice)))

    def is_in(self, data: bytes) -> bool:
        """Whether bytes hold the text in one of its spellings."""
        return any(spelling in data for spelling in self.spellings)


def holds_text(connection: Reading, recorded: RecordedExchange, needle: Needle) -> bool:
    """Whether what is stored of an exchange, or kept of its upload, holds a text.

    Raises:
        ProofError: what is stored is not what was sealed.
    """
    seals = [recorded.call.entry.request]
    end = None if recorded.exchange is None else recorded.exchange.entry
    if end is not None:
        seals += [record for record in (end.answer, end.wire, end.upload) if record is not None]
    for record in seals:
        body = read_body(connection, record.seal)
        if not isinstance(body, Absent) and needle.is_in(body):
            return True
    if end is None or end.upload is None:
        return False
    # A line is whole in one piece: no text stands across two.
    return any(needle.is_in(piece) for piece in pieces_in(connection, recorded.call.entry.id))


def _escaped(text: str, *, is_ascii: bool) -> str:
    return json.dumps(text, ensure_ascii=is_ascii)[1:-1]
