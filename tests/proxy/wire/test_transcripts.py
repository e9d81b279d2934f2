"""Claims on the transcripts themselves: all are played, all name their source, none holds a key."""

import re
from pathlib import Path

import pytest

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
