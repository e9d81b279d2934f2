"""The texts of a release, but for its card: NOTICE, use restrictions, changes, copies of licences. Pure."""

from collections.abc import Iterable, Sequence

from proxy.release_duties import CHANGES, LIMITS, NOTICE, Offer, Settled, own_licence_text
from proxy.release_gate import Prospect

__all__ = ["LICENCE_FILE", "release_texts"]

LICENCE_FILE = "LICENSE"
"""The text of the licence that the student is released under."""


def release_texts(prospect: Prospect, settled: Sequence[Settled], offer: Offer) -> dict[str, bytes]:
    """The files by path; one that nothing asks for is left out."""
    title = offer.name or prospect.student.id
    found = {
        NOTICE: _notice(title, settled),
        LIMITS: _limits(title, _of(settled, "use_limits", "aup_flowdown")),
        CHANGES: _changes(title, prospect, settled),
    }
    files = {path: text.encode() for path, text in found.items() if text}
    copies = _of(settled, "licence_copy")
    files |= {each.by: each.text for each in copies if each.text is not None}
    own = own_licence_text(settled, offer)
    return files if own is None else files | {LICENCE_FILE: own}


def _of(settled: Iterable[Settled], *kinds: str) -> list[Settled]:
    return [each for each in settled if each.owed.kind in kinds]


def _notice(title: str, settled: Sequence[Settled]) -> str:
    lines = [each.owed.value for each in _of(settled, "display", "attribution")]
    lines += [
        each.owed.value if each.text is None else _decoded(each.text)
        for each in _of(settled, "notice_file")
    ]
    return "\n\n".join([title, *dict.fromkeys(lines)]) + "\n" if lines else ""


def _limits(title: str, limits: Sequence[Settled]) -> str:
    if not limits:
        return ""
    items = "\n".join(f"- {each.owed.value}{_origin(each)}" for each in limits)
    return f"""# Use restrictions of {title}

Whoever uses {title}, or passes it or what is made from it on, is bound by each of these, and binds whoever gets it from them.

{items}
"""


def _origin(each: Settled) -> str:
    return f" (from {', '.join(each.owed.sources)})" if each.owed.sources else ""


def _changes(title: str, prospect: Prospect, settled: Sequence[Settled]) -> str:
    if not _of(settled, "modified_files_notice"):
        return ""
    bases = ", ".join(prospect.bases) or "its base"
    weights = "\n".join(f"- {name}" for name in sorted(prospect.run.weights))
    return f"""# Changed files

{title} began as {bases}.
Training by run {prospect.run.run} changed these files, recorded on {prospect.run.at[:10]}:

{weights}
"""


def _decoded(text: bytes) -> str:
    return text.decode(errors="replace").strip()
