"""Errors as the hosts of OpenAI's formats word them: one object, or one of the looser shapes."""

from proxy.exchange import Json, TeacherError
from proxy.wire.document import Object, compact

__all__ = ["error_of"]


def error_of(doc: Object) -> TeacherError:
    """The error a body, chunk or event names; empty where it names none.

    It is an object or a text under `error`, or fields of the body itself (OpenAI's API reference,
    Errors; FastAPI's `detail`; a text beside a `code`, as xAI words it; `msg`, as Z.ai's gateway does). Nothing here is refused for
    its type: an error that cannot be read whole is still an error.
    """
    found = doc.get("error")
    if isinstance(found, dict):
        return TeacherError(
            type=_word(found.get("type")),
            code=_word(found.get("code")),
            message=_message(found),
        )
    held = doc.get("base_resp")
    if isinstance(held, dict) and held.get("status_code") not in (None, 0):  # MiniMax's
        return TeacherError(
            code=_word(held.get("status_code")), message=_word(held.get("status_msg"))
        )
    kind = _word(doc.get("type")) or _word(doc.get("error_type"))  # as TGI and Hugging Face say
    return TeacherError(
        type=None if kind == "error" else kind,  # of an event: what it is, not what went wrong
        code=_word(doc.get("code")),
        message=_message(doc) if found is None else _text(found),
    )


def _message(fields: Object) -> str | None:
    for name in ("message", "detail", "msg"):
        if fields.get(name):
            return _text(fields[name])
    return None


def _text(value: Json) -> str:
    return value if isinstance(value, str) else compact(value)


def _word(value: Json) -> str | None:
    if isinstance(value, str) or value is None:
        return value
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else None
