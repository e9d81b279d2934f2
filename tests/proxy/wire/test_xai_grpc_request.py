"""Claims on xAI's requests beyond those of the transcripts."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xai_sdk.chat import file, image, system, tool, tool_result, user
from xai_sdk.proto import chat_pb2

from proxy.errors import WireError
from proxy.exchange import Request
from proxy.wire.xai_grpc_request import read_request


def _read(*messages: chat_pb2.Message, **more: object) -> Request:
    asked = chat_pb2.GetCompletionsRequest(model="m", messages=messages, **more)
    return read_request(asked.SerializeToString(), is_streamed=False)


def test_what_the_sdks_own_makers_make() -> None:
    """Roles, texts and tools read as the SDK's functions were given them."""
    read = _read(
        system("Be brief."),
        user("What is this?", image("https://example.org/a.png")),
        tool_result("wet"),
        tools=[tool("weather", "The weather", {"type": "object"})],
    )
    spoken = [(m.role, m.text, m.has_other_parts) for m in read.messages]
    assert spoken == [
        ("system", "Be brief.", False),
        ("user", "What is this?", True),
        ("tool", "wet", False),
    ]
    assert (read.has_system, read.has_images, read.is_whole) == (True, True, True)
    assert isinstance(read.tools, list)
    assert read.max_tokens is read.temperature is None


def test_state_that_the_provider_holds() -> None:
    """Files by id, sealed reasoning and an earlier response make a prompt known only in part."""
    sealed = chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, encrypted_content="x")
    assert not _read(user("see", file("file-1"))).is_whole
    assert not _read(sealed, user("go on")).is_whole
    later = _read(user("go on"), previous_response_id="r0")
    assert (later.is_whole, later.is_continued, later.previous_response_id) == (False, True, "r0")
    assert not _read(user("see", file("file-1")), previous_response_id="r0").is_continued


def test_the_tools_of_the_provider_are_named_by_kind() -> None:
    """What stands in a server-side tool is not kept; live search counts as one."""
    mcp = chat_pb2.Tool(mcp=chat_pb2.MCP(server_label="s", authorization="hidden"))
    search = chat_pb2.SearchParameters(mode=chat_pb2.AUTO_SEARCH_MODE)
    read = _read(user("go"), tools=[mcp, chat_pb2.Tool()], search_parameters=search)
    assert read.tools == [{"type": "mcp"}, {"type": "unknown"}, {"type": "live_search"}]
    off = chat_pb2.SearchParameters(mode=chat_pb2.OFF_SEARCH_MODE)
    assert _read(user("go"), search_parameters=off).tools is None


def test_odd_roles_and_calls() -> None:
    """A role of a later version keeps its number; a call without a function has no name."""
    odd = chat_pb2.Message(role=17, tool_calls=[chat_pb2.ToolCall(id="c")])
    (message,) = _read(odd).messages
    assert message.role == "17"
    assert message.tool_calls[0].name is None


@pytest.mark.parametrize(
    ("request_", "code", "where"),
    [
        (chat_pb2.GetCompletionsRequest(), "missing-model", "$.2"),
        (chat_pb2.GetCompletionsRequest(model="m"), "missing-messages", "$.1"),
    ],
)
def test_what_is_missing(request_: chat_pb2.GetCompletionsRequest, code: str, where: str) -> None:
    """Without a model or messages a request is refused, and says where."""
    with pytest.raises(WireError) as raised:
        read_request(request_.SerializeToString(), is_streamed=False)
    assert (raised.value.code, raised.value.where) == (code, where)


@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever comes is a request or a `WireError`."""
    with contextlib.suppress(WireError):
        read_request(b"\x12\x01m" + data, is_streamed=True)
