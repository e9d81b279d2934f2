"""Tests of proxy.faults."""

from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from proxy.faults import Source, faults, raise_first, wrong
from proxy.yamlfile import FileError, Loc, read_document


def _even(value: int) -> int:
    if value % 2:
        message = "an even number is needed"
        raise ValueError(message)
    return value


def _red(value: str) -> str:
    if value != "red":
        raise wrong("not-red", f"`{value}` is not {{red}}", "paint it")
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Inner(_Strict):
    """A section."""

    size: int | None = Field(default=None, ge=1, description="how large")
    kind: Literal["a", "b"] = "a"


class Outer(_Strict):
    """A file."""

    inner: Inner | None = None
    word: str = Field(default="w", min_length=1, pattern="^[a-z]+$", description="a word")
    even: Annotated[int, AfterValidator(_even)] = Field(default=0, description="an even number")
    red: Annotated[str, AfterValidator(_red)] = "red"
    named: dict[str, Inner] = {}
    plain: int = 0


def check(
    text: str, *, quiet: frozenset[str] = frozenset(), variables: dict[Loc, str] | None = None
) -> list[FileError]:
    """What the model finds wrong with a text."""
    document = read_document(text, "f.yaml")
    source = Source(document=document, variables=variables or {}, quiet=quiet)
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(document.value)
    return faults(caught.value, Outer, source)


@pytest.mark.parametrize(
    ("text", "code", "message", "fix"),
    [
        ("even: 3", "bad-value", "`even`: an even number is needed", "`even` is an even number"),
        ("red: blue", "not-red", "`red`: `blue` is not {red}", "paint it"),
        ("word: ''", "bad-value", "`word` must not be empty", "`word` is a word"),
        ("word: A1", "bad-value", "`word` cannot be `A1`", "`word` is a word"),
        (
            "inner: {size: 0}",
            "bad-value",
            "`inner.size` must be at least 1, not `0`",
            "`inner.size` is how large",
        ),
        (
            "inner: {kind: c}",
            "bad-value",
            "`inner.kind` must be `a` or `b`, not `c`",
            "`inner.kind` is described in the reference",
        ),
        (
            "named: {x: {sizes: 1}}",
            "unknown-key",
            "unknown key `sizes` in `named.x`",
            "did you mean `size`?",
        ),
        ("inner: [1]", "bad-value", "`inner` must be a mapping", None),
    ],
)
def test_each_kind_of_mistake_has_its_words(
    text: str, code: str, message: str, fix: str | None
) -> None:
    """What the model finds is said in the words of the file, not of Python."""
    (error,) = check(text)
    assert (error.code, error.message) == (code, message)
    assert fix is None or error.help == fix


def test_a_quiet_value_is_not_shown() -> None:
    """Under a quiet key neither value, excerpt nor unknown key is repeated."""
    quiet = frozenset({"word", "named"})
    (value,) = check("word: SECRET", quiet=quiet)
    (unknown,) = check("named: {x: {SECRET: 1}}", quiet=quiet)
    assert value.message == "`word` is not usable"
    assert unknown.message == "unknown key in `named.x`"
    assert value.excerpt == unknown.excerpt == ""


def test_a_variable_is_named_instead_of_the_file() -> None:
    """What came from the environment is reported there."""
    (error,) = check("inner: {size: 0}", variables={("other",): "O", ("inner", "size"): "V"})
    assert error.where == "V"


def test_what_has_no_place_of_its_own_is_reported_around_it() -> None:
    """A value that is nowhere in the file is reported at what stands around it, or at the top."""
    document = read_document("inner: {size: 1}", "f.yaml")
    source = Source(document=document, variables={})
    inside = source.error(("inner", "gone", 3), "m", fix="", code="c", is_key=False)
    outside = source.error(("gone",), "m", fix="", code="c", is_key=True)
    assert (inside.where, outside.where) == ("f.yaml:1:9", "f.yaml:1:1")


def test_the_first_error_carries_the_others() -> None:
    """Errors are raised as one, in the order of the file; no error raises nothing."""
    raise_first([])
    document = read_document("a: 1\nb: 2\n", "f.yaml")
    late = document.error(document.keys["b",], "late", fix="", code="c")
    early = document.error(document.keys["a",], "early", fix="", code="c")
    elsewhere = FileError("elsewhere", fix="", where="V", code="c")
    with pytest.raises(FileError) as caught:
        raise_first([late, early, elsewhere])
    assert caught.value is elsewhere
    assert caught.value.also == (early, late)
