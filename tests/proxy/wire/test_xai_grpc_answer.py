"""Claims on xAI's answers beyond those of the transcripts."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xai_sdk.chat import Response
from xai_sdk.proto import chat_pb2, deferred_pb2, sample_pb2

from proxy.errors import WireError
from proxy.wire.protobuf import read_fields
from proxy.wire.xai_grpc_answer import CompletionAssembly

_ROLES = st.sampled_from([chat_pb2.ROLE_ASSISTANT, chat_pb2.ROLE_TOOL])
_PIECES = st.lists(st.tuples(st.integers(0, 2), _ROLES, st.text("abc", max_size=3)), max_size=8)


def _whole(message: chat_pb2.GetChatCompletionResponse) -> CompletionAssembly:
    parts = CompletionAssembly()
    parts.whole(read_fields(message.SerializeToString()))
    return parts


def _output(**more: object) -> chat_pb2.CompletionOutput:
    message = chat_pb2.CompletionMessage(role=chat_pb2.ROLE_ASSISTANT, **more)
    return chat_pb2.CompletionOutput(message=message, finish_reason=sample_pb2.REASON_STOP)


@given(pieces=_PIECES)
def test_chunks_join_as_the_sdk_joins_them(pieces: list[tuple[int, int, str]]) -> None:
    """The words of the model are those that the SDK puts together from the same chunks."""
    oracle = Response(chat_pb2.GetChatCompletionResponse(), None)
    parts = CompletionAssembly()
    roles: dict[int, int] = {}
    for index, role, word in pieces:
        delta = chat_pb2.Delta(content=word, role=roles.setdefault(index, role))
        output = chat_pb2.CompletionOutputChunk(index=index, delta=delta)
        chunk = chat_pb2.GetChatCompletionChunk(outputs=[output])
        oracle.process_chunk(chunk)
        parts.chunk(read_fields(chunk.SerializeToString()))
    spoken = {
        output.index: output.message.content
        for output in oracle.proto.outputs
        if output.message.role == chat_pb2.ROLE_ASSISTANT
    }
    assert {choice.index: choice.text for choice in parts.choices(2)} == spoken


def test_alternatives_and_steps() -> None:
    """Outputs are steps of one turn, unless several alternatives were asked for."""
    parts = _whole(chat_pb2.GetChatCompletionResponse(outputs=[_output(content=c) for c in "ab"]))
    assert [choice.text for choice in parts.choices(1)] == ["ab"]
    assert [choice.text for choice in parts.choices(2)] == ["a", "b"]
    assert CompletionAssembly().choices(1) == ()


def test_what_cannot_be_read_is_told() -> None:
    """A field that is not known in a message, and a call of an unknown kind, are a problem."""
    unknown = chat_pb2.GetChatCompletionResponse.FromString(
        b"\x12\x06\x1a\x04\x10\x02\x78\x01"  # outputs.message with a field 15
    )
    assert _whole(unknown).problem == "unread-part"
    call = chat_pb2.ToolCall(type=99, function=chat_pb2.FunctionCall(name="f"))
    answer = chat_pb2.GetChatCompletionResponse(outputs=[_output(tool_calls=[call])])
    assert _whole(answer).problem == "unread-part"


def test_another_model_in_mid_stream() -> None:
    """Who said which words is not known where the model's name changes."""
    parts = CompletionAssembly()
    for model in ("a", "", "b"):
        chunk = chat_pb2.GetChatCompletionChunk(model=model)
        parts.chunk(read_fields(chunk.SerializeToString()))
    assert (parts.model, parts.problem) == ("b", "model-changed")


def test_an_answer_says_who_speaks_and_why_it_ends() -> None:
    """Without a role, or a reason to end, an answer is not told to its end."""
    assert _whole(chat_pb2.GetChatCompletionResponse(outputs=[_output(content="a")])).is_told
    endless = chat_pb2.CompletionOutput(message=_output(content="a").message)
    assert not _whole(chat_pb2.GetChatCompletionResponse(outputs=[endless])).is_told
    nobody = chat_pb2.CompletionOutput(finish_reason=sample_pb2.REASON_STOP)
    assert not _whole(chat_pb2.GetChatCompletionResponse(outputs=[nobody])).is_told
    assert not CompletionAssembly().is_told


def test_a_reason_of_a_later_version_keeps_its_number() -> None:
    """A finish reason that is not known is not lost."""
    output = _output(content="a")
    output.finish_reason = 9
    (choice,) = _whole(chat_pb2.GetChatCompletionResponse(outputs=[output])).choices(1)
    assert choice.finish_reason == "9"


@pytest.mark.parametrize(
    ("status", "has_answer", "problem", "is_over"),
    [
        (deferred_pb2.DONE, True, None, True),
        (deferred_pb2.DONE, False, "not-an-answer", True),
        (deferred_pb2.PENDING, False, None, False),
        (deferred_pb2.EXPIRED, False, "deferred-expired", False),
        (deferred_pb2.FAILED, False, "deferred-failed", False),
        (17, False, "not-an-answer", False),
    ],
)
def test_what_was_deferred(
    status: int, problem: str | None, *, has_answer: bool, is_over: bool
) -> None:
    """Done, pending, expired and failed are told apart; done without an answer is none."""
    answer = chat_pb2.GetChatCompletionResponse(outputs=[_output(content="a")])
    message = chat_pb2.GetDeferredCompletionResponse(
        status=status,
        response=answer if has_answer else None,
    )
    parts = CompletionAssembly()
    parts.deferred(read_fields(message.SerializeToString()))
    assert (parts.problem, parts.is_over) == (problem, is_over)


@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever comes is taken or a `WireError`."""
    for take in (CompletionAssembly.whole, CompletionAssembly.chunk, CompletionAssembly.deferred):
        with contextlib.suppress(WireError):
            take(CompletionAssembly(), read_fields(b"\x12\x04" + data))


def test_what_was_started_has_an_id_and_no_words() -> None:
    """A deferred answer is named before it is there."""
    parts = CompletionAssembly()
    message = deferred_pb2.StartDeferredResponse(request_id="d1")
    parts.started(read_fields(message.SerializeToString()))
    assert (parts.response_id, parts.is_over, parts.choices(1)) == ("d1", False, ())
