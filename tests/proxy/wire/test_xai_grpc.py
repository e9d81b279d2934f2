"""Claims on xAI's format; what its answers say is in the transcripts."""

import pytest
from xai_sdk.proto import chat_pb2

from proxy.errors import WireError
from proxy.exchange import RequestHead, ResponseHead
from proxy.wire.dialects import format_for
from proxy.wire.grpc import Trailed
from proxy.wire.xai_grpc import XaiGrpc
from tests.proxy.wire import playback
from tests.proxy.wire.test_grpc import framed

CASES = playback.cases("xai.grpc")


@pytest.mark.parametrize(
    ("path", "name", "operation"),
    [
        ("/xai_api.Chat/GetCompletion", "xai.grpc", "chat"),
        ("/xai_api.Chat/GetCompletionChunk", "xai.grpc", "chat"),
        ("/xai_api.Chat/StartDeferredCompletion", "xai.grpc", "chat"),
        ("/xai_api.Chat/GetDeferredCompletion", "xai.grpc", "chat"),
        ("/xai_api.Chat/GetStoredCompletion", "xai.grpc", "chat"),
        ("/xai_api.Chat/DeleteStoredCompletion", "plain", "other"),
        ("/xai_api.Models/ListLanguageModels", "plain", "models"),
        ("/xai_api.Tokenize/TokenizeText", "plain", "count-tokens"),
        ("/xai_api.Chat/CompactContext", None, None),
        ("/xai_api.Image/GenerateImage", None, None),
        ("/other.Chat/GetCompletion", None, None),
    ],
)
def test_what_it_claims(path: str, name: str | None, operation: str | None) -> None:
    """The methods that bring a model's words, and a few that bring none; the rest is nobody's."""
    head = RequestHead(method="POST", path=path)
    found = format_for(head, ["xai.grpc"])
    assert (found and found.name, found and found.claims(head)) == (name, operation)
    assert XaiGrpc().claims(RequestHead(method="GET", path=path)) is None


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("unary", "stream"))])
def test_nothing_is_complete_without_its_status(name: str) -> None:
    """Cut at any byte, and whole but without a status, an answer is not complete."""
    case = CASES[name]
    for end in range(len(case.answer) + 1):
        reader = playback.begin(case)
        reader.feed(case.answer[:end])
        assert not reader.is_terminal
        assert not reader.finish(is_clean=True).answer.is_complete


@pytest.mark.parametrize("end", [0, 3, 30])
def test_a_status_behind_a_cut_answer(end: int) -> None:
    """A status that comes before all bytes of a message does not make the answer whole."""
    case = CASES["unary"]
    reader = playback.begin(case)
    reader.feed(case.answer[:end])
    assert isinstance(reader, Trailed)
    reader.trailers((("grpc-status", "0"),))
    answer = reader.finish().answer
    assert (answer.is_complete, answer.problem) == (False, "cut-frame" if end else "not-an-answer")


def test_one_call_has_one_answer() -> None:
    """Two messages where one is due are no answer of this method; after the status nothing counts."""
    case = CASES["unary"]
    reader = playback.begin(case)
    reader.feed(case.answer * 2)
    assert isinstance(reader, Trailed)
    reader.trailers((("grpc-status", "0"),))
    reader.feed(b"\xff\xff\xff\xff\xff")
    assert (reader.is_terminal, reader.finish().answer.problem) == (True, "not-an-answer")


def test_bytes_that_are_no_answer_spend_the_reader() -> None:
    """What cannot be read is an error once, and poisons what was read before."""
    reader = playback.begin(CASES["unary"])
    with pytest.raises(WireError):
        reader.feed(framed(b"\x0b"))
    reader.feed(CASES["unary"].answer)
    assert reader.finish().answer.problem == "malformed-protobuf"


def test_an_answer_that_never_came() -> None:
    """Without a head there is no status of HTTP, and a reason why."""
    case = CASES["unary"]
    head = RequestHead(method="POST", path=case.path)
    reader = XaiGrpc().reader(head)
    reader.request(case.request)
    answer = reader.finish().answer
    assert (answer.status, answer.problem, answer.is_complete) == (0, "no-response", False)


def test_the_id_of_the_request_is_kept() -> None:
    """The provider's own id is taken from the head."""
    reader = playback.begin(CASES["unary"])
    reader.respond(ResponseHead(status=200, headers=(("x-request-id", "r-7"),)))
    assert reader.finish().provider_request_id == "r-7"


def test_a_page_is_kept_in_part() -> None:
    """Of a long page of a gateway as much is read as an error needs."""
    reader = playback.begin(CASES["unary-page"])
    for _ in range(20):
        reader.feed(b"x" * 10_000)
    error = reader.finish().answer.error
    assert error is not None
    assert len(error.message or "") == 500


@pytest.mark.parametrize("name", [name for name in CASES if name != "unary-page"])
def test_the_sdks_messages_read_the_same_bytes(name: str) -> None:
    """What the transcripts hold parses as the SDK's own messages."""
    case = CASES[name]
    kinds = {
        "GetCompletion": chat_pb2.GetCompletionsRequest,
        "GetCompletionChunk": chat_pb2.GetCompletionsRequest,
        "GetStoredCompletion": chat_pb2.GetStoredCompletionRequest,
    }
    kind = kinds.get(case.path.rpartition("/")[2])
    if kind is not None:
        kind.FromString(case.request[5:])
    assert case.request[:1] == b"\0"


def test_an_answer_that_is_fetched_has_no_prompt() -> None:
    """The request that fetches an answer is read, and says nothing of who was asked."""
    reader = playback.begin(CASES["stored"])
    with pytest.raises(WireError):
        playback.begin(CASES["stored"]).request(framed(b"\x0b"))
    request = reader.request(CASES["stored"].request)
    assert (request.model_asked, request.is_whole) == (None, False)


def test_other_header_fields_end_nothing() -> None:
    """A head without a status leaves the end open."""
    reader = playback.begin(CASES["unary"])
    assert isinstance(reader, Trailed)
    reader.trailers((("content-type", "application/grpc"),))
    assert not reader.is_terminal
