"""What meets each duty of a release: a text that is written, the student's own name, or a paper.

Pure: what the workspace holds is handed in. A duty is met, open (the message says what to supply) or
clashing (no student can meet it together with another, or with what this one declares).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType

from proxy.release_obstacles import Owed

__all__ = [
    "CARD",
    "CHANGES",
    "LIMITS",
    "NOTICE",
    "Offer",
    "Settled",
    "State",
    "licence_paper",
    "own_licence_text",
    "settle",
]

CARD = "README.md"
NOTICE = "NOTICE"
LIMITS = "USE-RESTRICTIONS.md"
CHANGES = "CHANGES.md"

_WRITTEN: Mapping[str, str] = MappingProxyType(
    {
        "ai_disclosure": CARD,
        "attribution": NOTICE,
        "aup_flowdown": LIMITS,
        "display": CARD,
        "modified_files_notice": CHANGES,
        "public_statement": CARD,
        "use_limits": LIMITS,
    }
)
"""By kind of duty: the file of a release that meets it, which is written here."""

_PROMISED: Mapping[str, str] = MappingProxyType(
    {
        "breach_notification": "who reports a breach, to whom, and how soon",
        "delete_on_notice": "who deletes what, and how you would be told",
        "remote_restriction": "how you would comply where the licensor restricts use from afar",
        "vendor_notice": "when and how the vendor was told",
    }
)
"""By kind of duty: what a paper of the organisation must say, that nobody else gets."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")


class State(StrEnum):
    """Where a duty stands."""

    MET = "met"
    OPEN = "open"
    CLASHING = "clashing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a student is to be released as, and the texts at hand."""

    name: str | None
    """As its declaration says."""
    licence: str | None
    """An SPDX identifier or a `LicenseRef-…`."""
    papers: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    """Files of the folder of papers, by path."""
    texts: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    """The newest text on record of a source, by `policy/source`."""
    licences: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    """Texts of licences that come with inbond, by identifier."""

    def licence_text(self, licence: str, sources: Iterable[str] = ()) -> bytes | None:
        """The text of a licence: as supplied, as recorded of a source that is cited, or as shipped."""
        supplied = _said(self.papers.get(licence_paper(licence)))
        recorded = [self.texts[name] for name in sources if name in self.texts]
        return supplied or (recorded[0] if recorded else None) or self.licences.get(licence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A duty, where it stands, and by what."""

    owed: Owed
    state: State
    by: str = ""
    """The file, paper or declaration that meets it."""
    fix: str = ""
    """What to do where it is not met."""
    text: bytes | None = None
    """Of the file or paper, where it is not written from all duties together."""

    @property
    def digest(self) -> str | None:
        """sha256 (hex) of the text."""
        return None if self.text is None else sha256(self.text).hexdigest()


def settle(owed: Iterable[Owed], offer: Offer) -> tuple[Settled, ...]:
    """Where each duty stands, in the same order."""
    listed = tuple(owed)
    return tuple(_settle(each, listed, offer) for each in listed)


def own_licence_text(settled: Iterable[Settled], offer: Offer) -> bytes | None:
    """The text of the student's own licence: as of a copy that a duty asks for, or as at hand."""
    if offer.licence is None:
        return None
    copies = (
        each.text
        for each in settled
        if (each.owed.kind, each.owed.value) == ("licence_copy", offer.licence)
    )
    return next(filter(None, copies), None) or offer.licence_text(offer.licence)


def licence_paper(licence: str) -> str:
    """Where the text of a licence lies among papers, and in a release."""
    return f"licences/{_UNSAFE.sub('-', licence)}.txt"


def _settle(owed: Owed, listed: tuple[Owed, ...], offer: Offer) -> Settled:
    kind = owed.kind
    match kind:
        case "name_prefix":
            return _name(owed, listed, offer)
        case "licence_passthrough":
            return _licence(owed, listed, offer)
        case "licence_copy":
            return _copy(owed, offer)
        case "notice_file":
            return _notice(owed, offer)
        case "redact":
            return Settled(owed=owed, state=State.MET, by="the stored copies")
    if kind in _WRITTEN:
        return Settled(owed=owed, state=State.MET, by=_WRITTEN[kind])
    return _promise(owed, offer)


def _name(owed: Owed, listed: Iterable[Owed], offer: Offer) -> Settled:
    others = [each.value for each in listed if each.kind == owed.kind]
    at_odds = [
        value
        for value in others
        if not value.startswith(owed.value) and not owed.value.startswith(value)
    ]
    if at_odds:
        return Settled(
            owed=owed,
            state=State.CLASHING,
            fix=f"another duty asks for a name that begins with `{at_odds[0]}`: train two students, "
            "each on the answers of one of them",
        )
    if offer.name is not None and offer.name.startswith(owed.value):
        return Settled(owed=owed, state=State.MET, by="name")
    has = "it has none" if offer.name is None else f"it is `{offer.name}`"
    return Settled(
        owed=owed,
        state=State.OPEN,
        fix=f"let `name:` of the student's declaration begin with `{owed.value}`: {has}",
    )


def _licence(owed: Owed, listed: Iterable[Owed], offer: Offer) -> Settled:
    others = {each.value for each in listed if each.kind == owed.kind} - {owed.value}
    if others:
        return Settled(
            owed=owed,
            state=State.CLASHING,
            fix=f"another duty asks for a release under `{min(others)}`: train two students, each on "
            "the answers of one of them",
        )
    if offer.licence == owed.value:
        return Settled(owed=owed, state=State.MET, by="licence")
    if offer.licence is not None:
        return Settled(
            owed=owed,
            state=State.CLASHING,
            fix=f"the student is to be released under `{offer.licence}`: say "
            f"`--licence {owed.value}`, or train without what brings this duty",
        )
    return Settled(owed=owed, state=State.OPEN, fix=f"say `--licence {owed.value}`")


def _copy(owed: Owed, offer: Offer) -> Settled:
    path = licence_paper(owed.value)
    text = offer.licence_text(owed.value, owed.sources)
    if text is not None:
        return Settled(owed=owed, state=State.MET, by=path, text=text)
    recorded = f", or `inbond terms import {owed.sources[0]} --file FILE`" if owed.sources else ""
    return Settled(
        owed=owed, state=State.OPEN, fix=f"put the licence's text into `papers/{path}`{recorded}"
    )


def _notice(owed: Owed, offer: Offer) -> Settled:
    """The value is the notice itself, a file that holds it, or says which notices to retain."""
    if not owed.value.endswith(".txt") and not owed.value.startswith("retain "):
        return Settled(owed=owed, state=State.MET, by=NOTICE)
    is_file = owed.value.endswith(".txt")
    path = owed.value if is_file else f"notices/{_slug(owed)}.txt"
    text = _said(offer.papers.get(path))
    if text is not None:
        return Settled(owed=owed, state=State.MET, by=NOTICE, text=text)
    return Settled(
        owed=owed, state=State.OPEN, fix=f"put the notices to pass on into `papers/{path}`"
    )


def _promise(owed: Owed, offer: Offer) -> Settled:
    path = f"{owed.kind}-{_slug(owed)}.md"
    text = _said(offer.papers.get(path))
    if text is not None:
        return Settled(owed=owed, state=State.MET, by=f"papers/{path}", text=text)
    asks = _PROMISED.get(owed.kind, "how it is met")
    return Settled(owed=owed, state=State.OPEN, fix=f"write into `papers/{path}` {asks}")


def _said(paper: bytes | None) -> bytes | None:
    """A paper that says something: a blank one meets no duty."""
    return paper if paper is not None and paper.strip() else None


def _slug(owed: Owed) -> str:
    """What tells papers for duties of one kind apart: the policy, and a few digits of the value."""
    policy = owed.rules[0].partition("/")[0] if owed.rules else "earlier"
    return f"{_UNSAFE.sub('-', policy)}-{sha256(owed.value.encode()).hexdigest()[:6]}"
