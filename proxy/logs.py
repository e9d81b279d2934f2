"""Logs: one set-up for structlog and the standard library, and no credential in either (P4)."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import TextIO

import structlog
from structlog.typing import Processor

from proxy.redaction import redact_fields

__all__ = ["configure_logs", "redact"]


def redact(_: object, __: str, event: MutableMapping[str, object]) -> Mapping[str, object]:
    """A structlog processor: the event without credentials."""
    return redact_fields(event)


class _Bridge(logging.Handler):
    """Sends what libraries log through the same processors."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record; a broken format string costs its arguments and nothing else."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        error = record.exc_info[1] if record.exc_info else None
        log = structlog.get_logger().bind(logger=record.name)
        log.log(record.levelno, message, **({"exc_info": error} if error else {}))


def configure_logs(stream: TextIO | None = None, *, is_service: bool, level: str = "info") -> None:
    """Send all logs to a stream (standard error): JSON lines for services, else text for people.

    Called once, by the command that starts a process.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    target = stream or sys.stderr
    plain = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
    )
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False) if is_service else plain
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            # The traceback becomes text first: locals are never in it, and what is gets redacted.
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(max(threshold, logging.WARNING))
