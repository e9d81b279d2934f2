"""What the request bodies of all JSON formats share: a model, messages, and content in parts."""

from proxy.errors import WireError
from proxy.exchange import Json
from proxy.wire.document import Object, objects, text

__all__ = ["content_parts", "entries_of", "holds_file", "model_of", "role_of", "texts_of"]


def model_of(doc: Object) -> str:
    """The model a body names.

    Raises:
        WireError: `missing-model`.
    """
    model = text(doc, "model")
    if model:
        return model
    raise WireError(
        "the request names no `model`",
        code="missing-model",
        where="$.model",
        help="name the teacher: without it no licence can be looked up",
    )


def entries_of(doc: Object) -> list[Object]:
    """The messages of a body, at least one.

    Raises:
        WireError: `missing-messages`.
    """
    entries = objects(doc, "messages")
    if entries:
        return entries
    raise WireError(
        "the request has no `messages`",
        code="missing-messages",
        where="$.messages",
        help="send at least one message",
    )


def role_of(entry: Object, at: str) -> str:
    """The role of a message.

    Raises:
        WireError: `missing-role`.
    """
    role = text(entry, "role", at)
    if role:
        return role
    raise WireError(
        f"`{at}` has no `role`",
        code="missing-role",
        where=f"{at}.role",
        help="say who speaks: `user`, `assistant`, …",
    )


def content_parts(entry: Object, key: str, at: str) -> list[Object]:
    """The content under a key as parts; a plain text is one part of type `text`.

    Raises:
        WireError: `wrong-type`: it is neither text nor a list of objects.
    """
    content = entry.get(key)
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if isinstance(content, list):
        return objects(entry, key, at)
    raise WireError(
        f"`{at}.{key}` should be text or a list of parts",
        code="wrong-type",
        where=f"{at}.{key}",
        help="give text, or a list of objects with a `type`",
    )


def texts_of(parts: list[Object], at: str) -> list[str]:
    """The texts of the parts that are text, in order; `at` is the JSON path of the list."""
    return [text(part, "text", f"{at}[]") or "" for part in parts if part.get("type") == "text"]


def holds_file(content: Json) -> bool:
    """Whether a part of a content, or a part within it, is a file that lies with the provider."""
    if not isinstance(content, list):
        return False
    return any(isinstance(part, dict) and _is_file(part) for part in content)


def _is_file(part: Object) -> bool:
    inner = [part, *(value for value in part.values() if isinstance(value, dict))]
    return any(each.get("file_id") for each in inner) or holds_file(part.get("content"))
