"""Claims on what is stored, uploaded or listed; which path is which is in the census."""

import pytest

from proxy.exchange import RequestHead, ResponseHead
from proxy.wire import side_doors
from proxy.wire.dialects import FORMATS, format_for
from tests.proxy.wire import playback

STORED = ("openai.stored", "anthropic.stored", "gemini.stored")
CASES = {
    f"{name}/{case}": transcript
    for name in STORED
    for case, transcript in playback.cases(name).items()
}


@pytest.mark.parametrize("name", CASES)
def test_transcripts(name: str) -> None:
    """Each transcript reads as its file says, cut as its file says."""
    case = CASES[name]
    assert playback.said(playback.play(case, case.cuts)) == case.expected


@pytest.mark.parametrize(
    ("method", "path", "problem"),
    [
        ("GET", "/v1/conversations/c/items", "unread-answer"),
        ("POST", "/v1/threads/t/runs", "unread-answer"),
        ("GET", "/v1/containers/c/files/f/content", "unread-answer"),
        ("DELETE", "/v1/conversations/c", None),
        ("GET", "/v1/containers/c/files", None),
    ],
)
def test_words_are_not_taken_for_silence(method: str, path: str, problem: str | None) -> None:
    """Where a good answer may hold a teacher's words, it is unread; an error holds none."""
    head = RequestHead(method=method, path=path)
    found = format_for(head, ["openai.stored"])
    assert found is not None
    for status, said in ((200, problem), (500, None)):
        reader = found.reader(head)
        reader.request(b"")
        reader.respond(ResponseHead(status=status))
        reader.feed(b'{"data": []}')
        answer = reader.finish(is_clean=True).answer
        assert (answer.choices, answer.problem) == ((), said)
        assert answer.is_complete == (said is None and status == 200)


def test_what_trains_elsewhere_is_in_no_table() -> None:
    """Fine-tuning, evals and keys of their own are claimed by no format at all."""
    for path in ("/v1/fine_tuning/jobs", "/v1/evals", "/v1/chatkit/sessions", "/v1/organization/x"):
        for method in ("GET", "POST"):
            assert format_for(RequestHead(method=method, path=path), list(FORMATS)) is None


def test_tables_are_whole() -> None:
    """Each table of this module is spoken by a format."""
    spoken = {id(door) for doors in FORMATS.values() for door in doors}
    tables = [getattr(side_doors, name) for name in side_doors.__all__]
    assert all(id(door) in spoken for table in tables for door in table)
