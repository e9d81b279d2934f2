"""The page of figures that a monitoring system reads: the text format of Prometheus, version 0.0.4."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["MEDIA_TYPE", "metrics_text"]

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

type _Samples = Iterable[tuple[Mapping[str, str], int]]
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def metrics_text(report: Mapping[str, Any]) -> str:
    """The figures of a status report, given as plain values."""
    checkpoint = report["last_checkpoint"] or {}
    parts = [
        _gauge("well", "1 where calls can be made.", [({}, int(not report["problems"]))]),
        _gauge("workers", "Workers that are alive.", [({}, report["workers"])]),
        _gauge("ledger_entries", "Entries of the ledger.", [({}, report["ledger_size"])]),
        _gauge(
            "checkpoint_entries",
            "Entries under the last signed checkpoint.",
            [({}, checkpoint.get("size", 0))],
        ),
        _gauge(
            "recorded",
            "What the ledger has counted, by name.",
            (({"name": name}, count) for name, count in report["counts"].items()),
        ),
        *_counters(report["counted"]),
    ]
    return "".join(line for part in parts for line in part)


def _counters(counted: Iterable[Mapping[str, Any]]) -> Iterator[Iterator[str]]:
    """How far counters have counted; a rule with several limits on one counter shows the nearest."""
    nearest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for each in sorted(counted, key=lambda one: int(one["left"])):
        nearest.setdefault((each["counter"], each["rule"]), each)
    docs = {
        "value": "What the nearest group of the last callers has counted.",
        "limit": "The limit as the rule writes it.",
        "left": "How much more until the rule's test turns.",
    }
    for name, doc in docs.items():
        samples = [
            ({"counter": counter, "rule": rule}, each[name])
            for (counter, rule), each in nearest.items()
        ]
        yield _gauge(f"counter_{name}", doc, samples)


def _gauge(name: str, doc: str, samples: _Samples) -> Iterator[str]:
    yield f"# HELP inbond_{name} {doc}\n# TYPE inbond_{name} gauge\n"
    for labels, value in samples:
        said = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items())
        yield f"inbond_{name}{f'{{{said}}}' if said else ''} {value}\n"
