"""Tests of proxy.logs."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from proxy.logs import configure_logs

CANARY = "canary-9a41"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Logs as they were before the test."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def fail(value: str) -> None:
    """Raise an error that repeats a value, and holds it in a local."""
    raise ValueError(f"x-api-key: {value}")


def logged(*, is_service: bool) -> str:
    """What our loggers and a library's log when all of them meet the canary."""
    stream = io.StringIO()
    configure_logs(stream, is_service=is_service)
    log = structlog.get_logger("inbond.test")
    log.info("call", headers=(("Authorization", f"Bearer {CANARY}"),), key_id="key:1")
    library = logging.getLogger("some.library")
    library.warning("url %s", f"https://h/?key={CANARY}")
    library.info("not of interest")
    library.error("%d", "not a number")
    try:
        fail(CANARY)
    except ValueError:
        log.exception("failed")
        library.exception("failed too")
    return stream.getvalue()


@pytest.mark.parametrize("is_service", [True, False])
def test_no_logger_shows_a_credential(is_service: bool) -> None:  # noqa: FBT001 - both forms of output
    """Neither our loggers nor a library's show the canary, tracebacks and their locals included."""
    text = logged(is_service=is_service)
    assert CANARY not in text
    assert "failed too" in text
    assert "some.library" in text
    assert "not of interest" not in text


def test_services_log_one_object_a_line() -> None:
    """JSON logs are one object a line, each with event, level and time."""
    lines = [json.loads(line) for line in logged(is_service=True).splitlines()]
    assert [line["event"] for line in lines] == [
        "call",
        "url https://h/?key=[redacted]",
        "%d",
        "failed",
        "failed too",
    ]
    assert all(line["at"].endswith("Z") and line["level"] for line in lines)
    assert "ValueError" in lines[3]["exception"]


def test_the_level_holds_for_all() -> None:
    """What is below the level is not logged."""
    stream = io.StringIO()
    configure_logs(stream, is_service=True, level="error")
    structlog.get_logger().warning("quiet")
    logging.getLogger("x").warning("quiet too")
    assert stream.getvalue() == ""


def test_logs_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a stream of their own, logs go to standard error."""
    configure_logs(is_service=True)
    structlog.get_logger().info("here")
    out, err = capsys.readouterr()
    assert (out, json.loads(err)["event"]) == ("", "here")
