"""Errors carry what happened, where, and what to do."""

import pytest

from student import errors
from student.errors import ConfigError, StudentError


def test_an_error_says_what_where_and_what_to_do() -> None:
    """The message is the exception's text; place, help and code stand beside it."""
    error = StudentError("it broke", help="mend it", where="row 3", code="broken")
    assert (str(error), error.help, error.where, error.code) == (
        "it broke",
        "mend it",
        "row 3",
        "broken",
    )


def test_wrong_use_and_findings_end_differently() -> None:
    """Wrong use exits with 2, findings with 1."""
    assert (ConfigError("x").exit_status, StudentError("x").exit_status) == (2, 1)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_one_of_the_tree(name: str) -> None:
    """All errors of the package have one base, and the tree in the module names them."""
    assert issubclass(getattr(errors, name), StudentError)
    assert errors.__doc__ is not None
    assert name in errors.__doc__
