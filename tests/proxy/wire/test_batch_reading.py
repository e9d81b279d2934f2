"""The reader of calls about batches: recorded calls, any bytes, and lines in any pieces."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import WireError
from proxy.exchange import RequestHead, ResponseHead
from proxy.wire.batch import Ask
from proxy.wire.batch_form import FormStream
from proxy.wire.batch_openai import ask_of
from proxy.wire.batch_reading import BatchReader, Lines
from proxy.wire.dialects import FORMATS, format_for
from proxy.wire.document import compact

FOLDER = Path(__file__).parents[4] / "shared" / "exchanges"
SAMPLES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*batch*.json"))}


@given(
    st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=8),
    st.lists(st.integers(0, 200), max_size=8),
)
def test_lines_come_out_however_they_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    """Bytes in any pieces give the same lines; blank ones are passed over."""
    whole = b"\n".join(lines)
    edges = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    reader = Lines()
    found = [line for start, end in pairwise(edges) for line in reader.feed(whole[start:end])]
    assert found + reader.finish() == [line.strip() for line in lines if line.strip()]
    assert reader.finish() == []


@pytest.mark.parametrize("chunk", [b"x" * 11, b"x" * 11 + b"\n", b"a\n" + b"x" * 11 + b"\nb"])
def test_a_line_that_is_too_long_is_refused(chunk: bytes) -> None:
    """Memory holds no line beyond the limit, ended or not."""
    with pytest.raises(WireError) as caught:
        Lines(limit_bytes=10).feed(chunk)
    assert caught.value.code == "line-too-long"


def _reader(sample: dict[str, Any]) -> BatchReader:
    """A sample read as the proxy would, its request whole and its answer in pieces."""
    request, response = sample["request"], sample["response"]
    url = urlsplit(request["url"])
    head = RequestHead(method=request["method"], path=url.path, query=url.query)
    found = format_for(head, [name for name in FORMATS if name == sample["expected"]["dialect"]])
    assert found is not None
    reader = found.reader(head)
    assert isinstance(reader, BatchReader)
    reader.request(request["body"]["data"].encode() or b"{}")
    reader.respond(ResponseHead(status=response["status"]))
    body = response["body"]["data"].encode()
    for start in range(0, len(body), 1000):
        reader.feed(body[start : start + 1000])
    exchange = reader.finish(is_clean=True)
    assert exchange.answer.is_complete
    assert exchange.request.wire_format == sample["expected"]["dialect"]
    return reader


def _asks(sample: dict[str, Any], reader: BatchReader) -> list[Ask]:
    if reader.door.does != "upload":
        return list(reader.asked.asks)
    types = {name.lower(): value for name, value in sample["request"]["headers"]}
    stream, lines = FormStream(types["content-type"]), Lines()
    asks = lines.feed(stream.feed(sample["request"]["body"]["data"].encode())) + lines.finish()
    assert stream.fields["purpose"] == sample["expected"]["purpose"]
    return [ask_of(json.loads(line)) for line in asks]


def test_samples_read_as_expected(subtests: pytest.Subtests) -> None:
    """Each recorded call about a batch says what its `expected` block says."""
    for name, sample in SAMPLES.items():
        with subtests.test(name):
            expected, reader = sample["expected"], _reader(sample)
            asks = _asks(sample, reader)
            if "request_ids" in expected:
                assert [ask.custom_id for ask in asks] == expected["request_ids"]
                assert (
                    sorted({str(ask.body["model"]) for ask in asks}) == expected["models_requested"]
                )
            if "batch" in expected:
                batch = expected["batch"]
                assert reader.notice.batch == batch["id"]
                is_ended = batch["status"] in {"ended", "completed"}
                assert reader.notice.state == ("ended" if is_ended else "open")
            results = [reader.result(line) for line in reader.drain()]
            wanted = expected.get("items", [])
            assert [result.custom_id for result in results] == [one["custom_id"] for one in wanted]
            assert [not result.is_error for result in results] == [one["ok"] for one in wanted]


@given(st.binary(max_size=200), st.sampled_from([200, 404, 500]))
def test_any_answer_is_read_or_has_a_problem(answer: bytes, status: int) -> None:
    """No bytes make a reader of batches raise anything but a `WireError`."""
    for path in ("/v1/messages/batches/b/results", "/v1/messages/batches/b"):
        head = RequestHead(method="GET", path=path)
        found = format_for(head, ["anthropic.batches"])
        assert found is not None
        reader = found.reader(head)
        assert isinstance(reader, BatchReader)
        reader.respond(ResponseHead(status=status))
        reader.feed(answer)
        assert not reader.finish(is_clean=True).answer.choices
        for line in reader.drain():
            try:
                reader.result(line)
            except WireError as error:
                assert error.code  # noqa: PT017 - any of them will do


def test_a_reader_without_an_answer_says_so() -> None:
    """A call whose answer never came has a problem, and names no batch."""
    head = RequestHead(method="POST", path="/v1/messages/batches")
    found = format_for(head, ["anthropic.batches"])
    assert found is not None
    reader = found.reader(head)
    request = compact({"requests": []}).encode()
    assert reader.request(request).operation == "batch"
    answer = reader.finish().answer
    assert (answer.problem, answer.response_id, answer.is_complete) == ("no-response", None, False)
