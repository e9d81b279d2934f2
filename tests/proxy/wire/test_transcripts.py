"""Claims on the transcripts themselves: all are played, all name their source, none holds a key."""

import contextlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.wire.dialects import FORMATS
from tests.proxy.wire import playback

FILES = sorted(path for path in playback.FOLDER.rglob("*") if path.is_file())
_SECRET = re.compile(r"authorization|api-key|cookie|sk-|ib_", re.IGNORECASE)


def test_every_transcript_is_played() -> None:
    """Each file lies where the tests of a known format play it; none is left over."""
    played = {
        playback.FOLDER / name / f"{case}.yaml" for name in FORMATS for case in playback.cases(name)
    }
    assert played == set(FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_transcripts_name_their_source(path: Path) -> None:
    """Each transcript names the public reference it was made from, and holds no credential."""
    case = playback.load(path)
    assert len(case.source) > 20
    assert not _SECRET.search(path.read_text())
    assert all(0 < cut <= len(case.answer) for cut in case.cuts) or not case.answer


def test_every_format_has_transcripts() -> None:
    """No format is without transcripts."""
    assert all(playback.cases(name) for name in FORMATS)


CASES = {
    f"{name}/{case}": transcript
    for name in FORMATS
    for case, transcript in playback.cases(name).items()
}
STREAMS = {name: case for name, case in CASES.items() if case.terminal is not None}


@pytest.mark.parametrize("name", CASES)
def test_a_transcript_reads_as_it_says(name: str) -> None:
    """Each transcript gives the exchange of its file, cut as its file says."""
    case = CASES[name]
    assert playback.said(playback.play(case, case.cuts)) == case.expected


@pytest.mark.parametrize("name", CASES)
def test_every_byte_alone(name: str) -> None:
    """An answer that comes byte by byte gives the same exchange."""
    case = CASES[name]
    assert playback.said(playback.play(case, range(len(case.answer)))) == case.expected


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_cuts_do_not_matter(name: str, cuts: list[int]) -> None:
    """However the network cuts an answer, the same exchange comes out."""
    assert playback.said(playback.play(CASES[name], cuts)) == CASES[name].expected


@pytest.mark.parametrize("name", STREAMS)
def test_a_truncated_stream_is_never_complete(name: str) -> None:
    """A stream cut at any byte before the end of its terminal frame is not complete."""
    case = STREAMS[name]
    assert case.terminal is not None
    whole = case.answer.index(case.terminal) + len(case.terminal)
    for end in range(len(case.answer) + 1):
        reader = playback.begin(case)
        playback.feed(reader, [case.answer[:end]])
        answer = reader.finish(is_clean=case.is_clean).answer
        is_complete = end >= whole and case.expected["answer"].get("is_complete", False)
        assert answer.is_complete == is_complete or case.answer[end:whole].isspace()


@pytest.mark.parametrize("name", sorted({name.partition("/")[0] for name in CASES}))
@settings(max_examples=100, deadline=None)
@given(answer=st.binary(max_size=60), request=st.binary(max_size=40), at=st.integers(0, 5))
def test_any_bytes_are_read_or_refused(name: str, answer: bytes, request: bytes, at: int) -> None:
    """Whatever comes in any framing gives an exchange or a `WireError`, and nothing else."""
    case = list(playback.cases(name).values())[at % len(playback.cases(name))]
    reader = playback.begin(case)
    playback.feed(reader, [case.answer[: at * 40] + answer])
    assert reader.finish().answer.status == case.status
    with contextlib.suppress(WireError):
        playback.begin(replace(case, request=request))
