"""One tree of errors, each with a code, and room for where and what to do."""

import inspect
import re

import pytest

from proxy import errors
from proxy.errors import LedgerBusy, LedgerError, ProxyError, WireError

KINDS = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_a_proxy_error_with_a_slug(kind: type[ProxyError]) -> None:
    """Each error is one of the tree, and its code is a slug."""
    assert issubclass(kind, ProxyError)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code)


def test_codes_are_of_one_error_each() -> None:
    """No two errors share a code."""
    assert len({kind.code for kind in KINDS}) == len(KINDS)


def test_the_tree_is_drawn_as_it_is() -> None:
    """The drawing in the module's docstring names exactly the errors there are."""
    drawn = re.findall(r"[A-Z]\w+(?:Error|Busy)\b", inspect.getdoc(errors) or "")
    assert sorted(drawn) == errors.__all__


def test_an_error_says_what_where_and_what_to_do() -> None:
    """An error keeps its message, place and advice; one instance may have a code of its own."""
    error = WireError("no JSON", help="send JSON", where="$.x", code="bad-json")
    assert (str(error), error.message, error.help, error.where) == (
        "no JSON",
        "no JSON",
        "send JSON",
        "$.x",
    )
    assert (error.code, WireError.code) == ("bad-json", "wire")


def test_what_is_not_said_is_empty() -> None:
    """Without place, advice or code there are none, and the code is that of the kind."""
    error = LedgerBusy("no room")
    assert (error.help, error.where, error.code) == ("", "", "ledger-busy")
    assert isinstance(error, LedgerError)
