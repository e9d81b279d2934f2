"""Claims on errors of OpenAI's formats: every shape that hosts give them gives one error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.exchange import TeacherError
from proxy.wire.document import Object
from proxy.wire.openai_error import error_of


@pytest.mark.parametrize(
    ("doc", "error"),
    [
        (
            {"error": {"type": "t", "code": "c", "message": "m"}},
            TeacherError(type="t", code="c", message="m"),
        ),
        ({"error": {"code": 503, "message": "m"}}, TeacherError(code="503", message="m")),
        ({"error": {"code": True}}, TeacherError()),
        ({"error": "m"}, TeacherError(message="m")),
        ({"error": ["m", "n"]}, TeacherError(message='["m","n"]')),
        ({"code": "c", "error": "m"}, TeacherError(code="c", message="m")),
        (
            {"object": "error", "type": "t", "code": 400, "message": "m"},
            TeacherError(type="t", code="400", message="m"),
        ),
        ({"type": "error", "code": None, "message": "m"}, TeacherError(message="m")),
        ({"type": "error", "error": {"type": "t"}}, TeacherError(type="t")),
        ({"detail": "d"}, TeacherError(message="d")),
        ({"detail": [{"msg": "d"}]}, TeacherError(message='[{"msg":"d"}]')),
        ({"message": "", "detail": "d"}, TeacherError(message="d")),
        ({"code": 500, "msg": "m"}, TeacherError(code="500", message="m")),
        ({"ok": True}, TeacherError()),
    ],
)
def test_shapes(doc: Object, error: TeacherError) -> None:
    """An object, a text, or the body itself; an event's own type is not what went wrong."""
    assert error_of(doc) == error


@given(
    doc=st.dictionaries(
        st.sampled_from(["error", "type", "code", "message", "detail"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.just([1]) | st.just({"a": 1}),
    )
)
def test_no_error_is_refused_for_its_type(doc: Object) -> None:
    """An error that cannot be read whole is still an error."""
    assert isinstance(error_of(doc), TeacherError)
