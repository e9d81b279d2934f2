"""Claims on docs/guides/add-a-dialect.md: its file and its transcript, in a folder of their own, are enough."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.exchange import Exchange, RequestHead, ResponseHead
from proxy.providers import packaged_entries
from proxy.wire.format import WireFormat
from tests.proxy.wire import playback
from tests.proxy.wire.playback import Transcript

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "add-a-dialect.md").read_text()


def _shown(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def acme(tmp_path: Path) -> Iterator[WireFormat]:
    """The format of the guide, from a file that holds what the guide shows."""
    path = tmp_path / "acme.py"
    path.write_text(_shown("python")[0])
    spec = importlib.util.spec_from_file_location("acme", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["acme"] = module
    spec.loader.exec_module(module)
    yield module.AcmeSpeak()
    del sys.modules["acme"]


@pytest.fixture
def transcript(tmp_path: Path) -> Transcript:
    """The transcript of the guide."""
    path = tmp_path / "acme.speak" / "stream.yaml"
    path.parent.mkdir()
    path.write_text(_shown("yaml")[1])
    return playback.load(path)


def _play(
    acme: WireFormat, case: Transcript, answer: bytes, cuts: range | tuple[int, ...]
) -> Exchange:
    reader = acme.reader(RequestHead(method=case.method, path=case.path))
    reader.request(case.request)
    reader.respond(ResponseHead(status=case.status, headers=tuple(case.headers.items())))
    playback.feed(reader, playback.pieces(answer, cuts))
    return reader.finish(is_clean=case.is_clean)


def test_one_file_and_one_transcript_are_enough(acme: WireFormat, transcript: Transcript) -> None:
    """The guide's format claims its request, and reads its transcript whole and byte by byte."""
    assert acme.claims(RequestHead(method="POST", path=transcript.path)) == "chat"
    assert acme.claims(RequestHead(method="GET", path=transcript.path)) is None
    answer = transcript.answer
    for cuts in (transcript.cuts, range(len(answer))):
        assert playback.said(_play(acme, transcript, answer, cuts)) == transcript.expected


def test_a_cut_stream_is_never_complete(acme: WireFormat, transcript: Transcript) -> None:
    """Cut at any byte before the end of its terminal frame the answer is not complete."""
    assert transcript.terminal is not None
    whole = transcript.answer.index(transcript.terminal) + len(transcript.terminal.rstrip())
    for end in range(whole):
        assert not _play(acme, transcript, transcript.answer[:end], ()).answer.is_complete


def test_its_row_is_a_row() -> None:
    """The row that the guide shows for a host is one of the registry."""
    (entry,) = packaged_entries(_shown("yaml")[0])
    assert (entry.id, entry.formats) == ("acme", ("openai.chat", "openai.embeddings"))


@pytest.mark.parametrize("name", re.findall(r"`((?:proxy|tests|policies)/[\w./-]+)`", GUIDE))
def test_the_files_it_names_are_there(name: str) -> None:
    """Each path of the guide exists, but for those of the made-up format."""
    assert "acme" in name or (Path(__file__).parents[3] / name).exists()
