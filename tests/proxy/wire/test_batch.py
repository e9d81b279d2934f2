"""What all formats of batches share: doors, lines in any pieces, requests sealed and opened."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.exchange import RequestHead
from proxy.wire.batch import Ask, Door, Result, path_of, unique


@pytest.mark.parametrize(
    ("suffix", "path", "subject"),
    [
        ("/batches", "/v1/batches", None),
        ("/batches/*", "/v1/batches/b1", "b1"),
        ("/batches/*/results", "/v1/batches/b1/results", "b1"),
        ("/batches/*:cancel", "/v1/batches/b1:cancel", "b1"),
        ("/models/*:batchGenerateContent", "/v1beta/models/m-1:batchGenerateContent", "m-1"),
    ],
)
def test_a_door_names_what_it_is_about(suffix: str, path: str, subject: str | None) -> None:
    """A segment behind the star is the batch or the file, without the verb behind a colon."""
    door = Door("GET", suffix, "read")
    assert door.fits(RequestHead(method="GET", path=path))
    assert not door.fits(RequestHead(method="POST", path=path))
    assert door.subject(path) == subject


@pytest.mark.parametrize(
    ("suffix", "path"),
    [
        ("/batches/*", "/v1/batches/b1:cancel"),
        ("/batches/*", "/v1/batches/b1/results"),
        ("/batches/*", "/batches"),
        ("/batches/*:cancel", "/v1/batches/:cancel"),
        ("/batches/*", "/v1/batches/"),
    ],
)
def test_other_paths_go_through_other_doors(suffix: str, path: str) -> None:
    """A verb, a further segment or no segment at all is something else."""
    assert not Door("GET", suffix, "read").fits(RequestHead(method="GET", path=path))


@given(st.text(max_size=20), st.dictionaries(st.text(max_size=5), st.integers() | st.text()))
def test_a_sealed_request_opens_as_it_was(custom_id: str, body: dict[str, Any]) -> None:
    """Whatever its id and its words, all that reading it again takes is in the sealed bytes."""
    ask = Ask(custom_id=custom_id, path="/v1/chat/completions", body=body)
    assert Ask.opened(ask.sealed()) == ask


def test_two_requests_of_one_id_are_refused() -> None:
    """An answer could be either's."""
    ask = Ask(custom_id="a", path="/x", body={})
    with pytest.raises(WireError) as caught:
        unique(iter([ask, ask]))
    assert caught.value.code == "duplicate-custom-id"


@pytest.mark.parametrize("path", [None, "", "v1/x", "/v1/../x", "//x", "/v1/x?y", "/a b", "/%2e"])
def test_a_path_that_could_be_another_is_refused(path: str | None) -> None:
    """A line names the path of its call plainly, or not at all."""
    with pytest.raises(WireError):
        path_of(path, at="$.url")
    assert path_of("/v1/chat/completions", at="$.url") == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("body", "is_error", "count"),
    [
        (None, False, 0),
        ({"error": {}}, True, 0),
        ({"choices": [1, 2]}, False, 2),
        ({"candidates": []}, False, 0),
        ({"content": []}, False, 1),
    ],
)
def test_choices_are_counted_unread(
    *, body: dict[str, Any] | None, is_error: bool, count: int
) -> None:
    """How much of a teacher a result holds is known before anybody reads it."""
    assert Result(custom_id="a", body=body, is_error=is_error).choices == count
