"""The detectors there are: kept libraries that are no part of inbond, behind `proxy.detect.Detector`.

They come with the extra `detectors`, and are off until the settings name one.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import Any

from proxy.detect import Detector, Detectors, Kind
from proxy.errors import SettingsError
from proxy.settings import DetectorSettings

__all__ = ["load_detectors"]

_NO_SECRET = frozenset({"Public IP (ipv4)"})
"""What detect-secrets finds in code, and what is no secret in a conversation."""
_RECOGNIZERS = (
    "CreditCardRecognizer",
    "EmailRecognizer",
    "IbanRecognizer",
    "IpRecognizer",
    "PhoneRecognizer",
    "UsSsnRecognizer",
)
"""Those of Presidio that need no model of a language."""
_LEAST_SCORE = 0.4
"""What Presidio is surer of than of any nine digits."""


def load_detectors(settings: DetectorSettings) -> Detectors:
    """The detectors that the settings name.

    Raises:
        SettingsError: `no-detector`: the library of one is not installed.
    """
    named: dict[Kind, str | None] = {"pii": settings.pii, "secret": settings.secrets}
    by_kind = {kind: _MAKERS[name]() for kind, name in named.items() if name is not None}
    return Detectors(by_kind, timeout_s=settings.timeout_s)


class _Secrets:
    """Keys and tokens by the way they are written, as detect-secrets knows them; no guesses."""

    def __init__(self, patterns: Sequence[re.Pattern[str]]) -> None:
        self._patterns = patterns

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        for pattern in self._patterns:
            yield from (match.span() for match in pattern.finditer(text))


def _detect_secrets() -> Detector:
    base = _imported("detect_secrets.plugins.base", "secrets", "detect-secrets").RegexBasedDetector
    plugins = import_module("detect_secrets.core.plugins.util")
    found: Mapping[str, Any] = plugins.get_mapping_from_secret_type_to_class()
    return _Secrets(
        [
            pattern
            for name, plugin in found.items()
            if issubclass(plugin, base) and name not in _NO_SECRET
            for pattern in plugin().denylist
        ]
    )


class _Personal:
    """What identifies a person by the way it is written: addresses, numbers of cards and phones."""

    def __init__(self, recognizers: Sequence[Any]) -> None:
        self._recognizers = recognizers

    def find(self, text: str) -> Iterable[tuple[int, int]]:
        for recognizer in self._recognizers:
            for result in recognizer.analyze(text, recognizer.supported_entities, None):
                if result.score >= _LEAST_SCORE:
                    yield result.start, result.end


def _presidio() -> Detector:
    known = _imported("presidio_analyzer.predefined_recognizers", "pii", "presidio")
    return _Personal([getattr(known, name)() for name in _RECOGNIZERS])


def _imported(module: str, key: str, name: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise SettingsError(
            f"`detectors.{key}` names `{name}`, and its library is not installed",
            help="install inbond with its extra: `uv pip install 'inbond[detectors]'`",
            where=f"detectors.{key}",
            code="no-detector",
        ) from error


_MAKERS: Mapping[str, Callable[[], Detector]] = MappingProxyType(
    {"detect-secrets": _detect_secrets, "presidio": _presidio}
)
