"""Answers that are bare text: Titan, Llama, Mistral and others, as Bedrock's invoke carries them.

Each vendor has a word of its own for the text, the reason and the counts (AWS user guide, "Inference
request parameters and response fields for foundation models").
"""

from proxy.exchange import Choice, Json, TeacherError, Usage
from proxy.wire.document import Object, object_, objects, read_object, text, whole
from proxy.wire.sse import Event

__all__ = ["TextAssembly"]

_LISTS = ("results", "outputs", "generations", "choices", "completions")
_TEXTS = ("outputText", "generation", "text", "completion")
_REASONS = ("completionReason", "stop_reason", "finish_reason", "stopReason")
_READ = ("inputTextTokenCount", "prompt_token_count")
_WRITTEN = ("totalOutputTextTokenCount", "tokenCount", "generation_token_count")
_FIGURES = ("embedding", "embeddings", "embeddingsByType", "relevance_score")


class TextAssembly:
    """Puts an answer together from one object, or from pieces of the same shape."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.response_id: str | None = None
        self.error: TeacherError | None = None
        self.problem: str | None = None
        self._texts: dict[int, list[str]] = {}
        self._reasons: dict[int, str] = {}
        self._counts: Object = {}

    @property
    def is_terminal(self) -> bool:
        """Never: Bedrock's own last chunk says so."""
        return False

    @property
    def is_finished(self) -> bool:
        """Whether every text was given a reason to end."""
        return bool(self._texts) and self._texts.keys() == self._reasons.keys()

    def event(self, event: Event) -> None:
        """Take one piece.

        Raises:
            WireError: it is no object.
        """
        self.document(read_object(event.data, of="an event of the stream"))

    def document(self, doc: Object) -> None:
        """Take an object with texts; what has none is no answer that can be read.

        Raises:
            WireError: a field is of the wrong type.
        """
        self.response_id = _id(doc) or self.response_id
        listed = next((name for name in _LISTS if isinstance(doc.get(name), list)), None)
        pieces = [doc] if listed is None else objects(doc, listed)
        for index, piece in enumerate(pieces):
            self._add(index, piece)
        counted = {**doc, **(pieces[0] if len(pieces) == 1 else {})}
        said = [name for name in (*_READ, *_WRITTEN) if whole(counted, name) is not None]
        self._counts |= {name: counted[name] for name in said}

    def choices(self) -> tuple[Choice, ...]:
        """The texts in their order."""
        return tuple(
            Choice(
                index=index,
                text="".join(self._texts[index]),
                finish_reason=self._reasons.get(index),
            )
            for index in sorted(self._texts)
        )

    def usage(self) -> Usage | None:
        """The counts in the vendor's own words."""
        if not self._counts:
            return None
        raw: Json = {**self._counts}
        return Usage(input=self._count(_READ), output=self._count(_WRITTEN), raw=raw)

    def _count(self, names: tuple[str, ...]) -> int | None:
        found = (whole(self._counts, name) for name in names)
        return next((value for value in found if value is not None), None)

    def _add(self, index: int, piece: Object) -> None:
        if any(name in piece for name in _FIGURES):
            return
        if isinstance(piece.get("data"), dict):
            piece = _jurassic(piece)
        said = [text(piece, name) for name in _TEXTS if name in piece]
        reason = next((text(piece, name) for name in _REASONS if piece.get(name)), None)
        if not said and reason is None:
            self.problem = "unread-part"
            return
        self._texts.setdefault(index, []).extend(one for one in said if one)
        if reason is not None:
            self._reasons[index] = reason


def _id(doc: Object) -> str | None:
    """The id of the answer, which AI21 gives as a number."""
    said = doc.get("id")
    return str(said) if type(said) is int else text(doc, "id")


def _jurassic(piece: Object) -> Object:
    """A completion as AI21's first models give it: the text and the reason each lie one level deeper."""
    said = object_(piece, "data") or {}
    ended = object_(piece, "finishReason") or {}
    return {"text": said.get("text"), "finish_reason": ended.get("reason")}
