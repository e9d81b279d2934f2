"""What a model found wrong with a file, as messages at places of that file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from proxy.yamlfile import Document, FileError, Loc, Place

__all__ = ["Source", "faults", "raise_first", "wrong"]

_KINDS = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "text",
    "tuple_type": "a list",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where values came from: a file, and environment variables that replaced parts of it.

    Values under a key of `quiet` are never shown: people paste secrets where names belong.
    """

    document: Document
    variables: Mapping[Loc, str]
    quiet: frozenset[str] = frozenset()

    def variable(self, loc: Loc) -> str | None:
        """The environment variable that a value came from, if one did."""
        return next((v for at, v in self.variables.items() if loc[: len(at)] == at), None)

    def error(self, loc: Loc, message: str, *, fix: str, code: str, is_key: bool) -> FileError:
        """An error about a key, or about its value."""
        if (variable := self.variable(loc)) is not None:
            return FileError(message, fix=fix, where=variable, code=code)
        places = self.document.keys if is_key else self.document.values
        error = self.document.error(_nearest(places, loc), message, fix=fix, code=code)
        if loc and loc[0] in self.quiet:
            error.excerpt = ""
        return error


def _nearest(places: Mapping[Loc, Place], loc: Loc) -> Place:
    """The place of a value, else of the closest thing around it."""
    for length in range(len(loc), 0, -1):
        if (place := places.get(loc[:length])) is not None:
            return place
    return Place(line=1, column=1)


def wrong(code: str, message: str, fix: str) -> PydanticCustomError:
    """What a validator raises: a code, a message and what to do about it."""
    # Values of what users wrote go in as context: their braces are no template.
    return PydanticCustomError(code, "{message}", {"message": message, "help": fix})


def faults(
    error: ValidationError, model: type[BaseModel], source: Source, under: Loc = ()
) -> list[FileError]:
    """Everything a model found wrong; `under` is where its value stands."""
    return [_fault(details, model, source, under) for details in error.errors()]


def raise_first(found: Iterable[FileError]) -> None:
    """Raise the first error of the file with the others in `also`; do nothing when there is none."""
    errors = sorted(found, key=_order)
    if errors:
        errors[0].also = tuple(errors[1:])
        raise errors[0]


def _order(error: FileError) -> tuple[int, int]:
    parts = error.where.rsplit(":", 2)
    return (int(parts[1]), int(parts[2])) if len(parts) == 3 else (0, 0)


def _fault(details: ErrorDetails, model: type[BaseModel], source: Source, under: Loc) -> FileError:
    loc: Loc = (*under, *details["loc"])
    name = _dotted(loc)
    context: dict[str, Any] = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            known = _known(model, details["loc"][:-1])
            return _unknown_key(loc, known, source)
        case "missing":
            message, code = f"`{name}` is missing", "missing-key"
            fix = f"add `{loc[-1]}`: {_described(model, details['loc'])}"
            return source.error(loc[:-1], message, fix=fix, code=code, is_key=False)
        case "value_error":
            message = f"`{name}`: {context['error']}"
            fix = f"`{name}` is {_described(model, details['loc'])}"
            return source.error(loc, message, fix=fix, code="bad-value", is_key=False)
        case kind if "message" in context:
            message = f"`{name}`: {context['message']}"
            return source.error(loc, message, fix=context["help"], code=kind, is_key=False)
        case kind:
            message = f"`{name}` {_complaint(kind, loc, details, source)}"
            fix = f"`{name}` is {_described(model, details['loc'])}"
            return source.error(loc, message, fix=fix, code="bad-value", is_key=False)


def _complaint(kind: str, loc: Loc, details: ErrorDetails, source: Source) -> str:
    value = details["input"]
    is_shown = isinstance(value, str | int | float) and loc[0] not in source.quiet
    if kind == "string_too_short":
        return "must not be empty"
    if (must := _must(kind, details)) is not None:
        return f"must be {must}, not `{value}`" if is_shown else f"must be {must}"
    return f"cannot be `{value}`" if is_shown else "is not usable"


def _must(kind: str, details: ErrorDetails) -> str | None:
    context: dict[str, Any] = details.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    if kind in _BOUNDS:
        key, word = _BOUNDS[kind]
        return f"{word} {context[key]:g}"
    if kind == "literal_error":
        return str(context["expected"]).replace("'", "`")
    return None


def _unknown_key(loc: Loc, known: list[str], source: Source) -> FileError:
    parent = f" in `{_dotted(loc[:-1])}`" if loc[:-1] else ""
    near = get_close_matches(str(loc[-1]), known, n=1)
    fix = f"did you mean `{near[0]}`?" if near else f"the keys here are {_listed(known)}"
    # A key under custody may be a pasted secret too.
    shown = f" `{loc[-1]}`" if near or loc[0] not in source.quiet else ""
    message = f"unknown key{shown}{parent}"
    return source.error(loc, message, fix=fix, code="unknown-key", is_key=True)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _dotted(loc: Loc) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)[1:]


def _field(model: type[BaseModel], loc: Loc) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """The model whose value stands at a location, and the field it is in."""
    at: type[BaseModel] | None = model
    field: FieldInfo | None = None
    for part in loc:
        if at is not None and part in at.model_fields:
            field = at.model_fields[str(part)]
            at = _model_in(field.annotation)
    return at, field


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = [_model_in(argument) for argument in getattr(annotation, "__args__", ())]
    return next((model for model in inner if model is not None), None)


def _known(model: type[BaseModel], loc: Loc) -> list[str]:
    at, _ = _field(model, loc)
    return sorted(at.model_fields) if at is not None else []


def _described(model: type[BaseModel], loc: Loc) -> str:
    _, field = _field(model, loc)
    return (field.description if field is not None else None) or "described in the reference"
