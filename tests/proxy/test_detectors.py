"""The detectors that settings can name: libraries of an extra, each behind the same interface."""

import re
import sys
from types import SimpleNamespace

import pytest

from proxy.detectors import _Personal, _Secrets, load_detectors
from proxy.errors import SettingsError
from proxy.exchange import Answer, Choice
from proxy.settings import DetectorSettings

SETTINGS = {
    "detect_secrets": DetectorSettings(secrets="detect-secrets", timeout_s=30),
    "presidio_analyzer": DetectorSettings(pii="presidio", timeout_s=30),
}
FOUND = {
    "detect_secrets": ("my key is AKIAIOSFODNN7EXAMPLE, keep it", {"response.secret": True}),
    "presidio_analyzer": ("write to ann.lee@example.org today", {"response.pii": True}),
}
CLEAN = "the quick brown fox jumps over the lazy dog"


async def _facts(settings: DetectorSettings, text: str) -> dict[str, bool]:
    detectors = load_detectors(settings)
    try:
        seen = await detectors.in_answer(Answer(status=200, choices=(Choice(index=0, text=text),)))
        return seen.facts("response")
    finally:
        detectors.close()


def test_all_are_off_by_default() -> None:
    """Without a word in the settings nothing is loaded."""
    assert not load_detectors(DetectorSettings()).is_on


@pytest.mark.parametrize("library", SETTINGS)
async def test_what_is_named_looks(library: str) -> None:
    """A library finds what it is for, and nothing else."""
    text, facts = FOUND[library]
    assert await _facts(SETTINGS[library], text) == facts
    assert await _facts(SETTINGS[library], CLEAN) == dict.fromkeys(facts, False)


@pytest.mark.parametrize(
    ("library", "module", "where"),
    [
        ("detect_secrets", "detect_secrets.plugins.base", "detectors.secrets"),
        ("presidio_analyzer", "presidio_analyzer.predefined_recognizers", "detectors.pii"),
    ],
)
def test_a_missing_library_is_named(
    monkeypatch: pytest.MonkeyPatch, library: str, module: str, where: str
) -> None:
    """The error says which setting asks for it, and what to install."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError) as caught:
        load_detectors(SETTINGS[library])
    assert (caught.value.code, caught.value.where) == ("no-detector", where)
    assert "inbond[detectors]" in caught.value.help


def test_every_pattern_is_tried() -> None:
    """Secrets are found where the library's own patterns match, each with its place."""
    detector = _Secrets([re.compile("AKIA[0-9]+"), re.compile("sk-[a-z]+")])
    assert list(detector.find("AKIA12 and sk-abc")) == [(0, 6), (11, 17)]


def test_what_is_unlikely_is_no_finding() -> None:
    """A recognizer's guess below the least score does not count."""

    class Recognizer:
        supported_entities = ("X",)

        def analyze(self, text: str, entities: object, artifacts: object) -> list[SimpleNamespace]:
            assert entities == ("X",)
            assert artifacts is None
            return [
                SimpleNamespace(start=0, end=len(text), score=0.05),
                SimpleNamespace(start=1, end=2, score=0.5),
            ]

    assert list(_Personal([Recognizer()]).find("text")) == [(1, 2)]
