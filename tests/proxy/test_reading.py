"""The stored reading holds all that was read, as JSON with one spelling."""

import json
from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from proxy.exchange import (
    Answer,
    Choice,
    Exchange,
    Json,
    Message,
    Request,
    TeacherError,
    ToolCall,
    Usage,
)
from proxy.reading import dump, reading_of

TEXT = st.text(max_size=8) | st.just("\ud800")
NAME = st.none() | TEXT
JSON: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
CALLS = st.lists(st.builds(ToolCall, id=NAME, name=NAME, arguments=TEXT), max_size=2).map(tuple)
MESSAGES = st.builds(
    Message,
    role=TEXT,
    text=TEXT,
    tool_calls=CALLS,
    tool_call_id=NAME,
    name=NAME,
    has_other_parts=st.booleans(),
)
CHOICES = st.builds(
    Choice,
    index=st.integers(0, 3),
    text=TEXT,
    refusal=NAME,
    tool_calls=CALLS,
    server_tools=st.lists(TEXT, max_size=2).map(tuple),
    logprobs=JSON,
)
EXCHANGES = st.builds(
    Exchange,
    request=st.builds(
        Request,
        wire_format=TEXT,
        operation=TEXT,
        model_asked=NAME,
        is_streamed=st.booleans(),
        messages=st.lists(MESSAGES, max_size=2).map(tuple),
        tools=JSON,
        temperature=st.none() | st.floats(allow_nan=False),
    ),
    answer=st.builds(
        Answer,
        status=st.integers(0, 599),
        choices=st.lists(CHOICES, max_size=2).map(tuple),
        usage=st.none() | st.builds(Usage, input=st.none() | st.integers(), raw=JSON),
        error=st.none() | st.builds(TeacherError, type=NAME, message=NAME),
    ),
    provider_request_id=NAME,
)


@given(exchange=EXCHANGES)
def test_a_reading_is_json_that_says_all(exchange: Exchange) -> None:
    """Any exchange, half surrogates included, gives a document from which its parts come back."""
    document = json.loads(reading_of(exchange, request_headers=(), answer_headers=()))
    assert document["v"] == 1
    answer = document["answer"]
    assert len(document["request"]["messages"]) == len(exchange.request.messages)
    assert [c["index"] for c in answer["choices"]] == [c.index for c in exchange.answer.choices]
    assert (answer["usage"] is None) is (exchange.answer.usage is None)
    assert (answer["error"] is None) is (exchange.answer.error is None)


@given(exchange=EXCHANGES)
def test_the_same_exchange_reads_the_same(exchange: Exchange) -> None:
    """A reading is a function of its exchange: the same bytes each time, in sorted order."""
    first = reading_of(exchange, request_headers=(), answer_headers=())
    assert first == reading_of(exchange, request_headers=(), answer_headers=())


def test_nothing_of_an_exchange_is_left_out() -> None:
    """Each field of requests, messages, answers, choices and usage stands in the document."""
    call = ToolCall(id="c", name="f", arguments="{}")
    exchange = Exchange(
        request=Request(
            wire_format="openai.chat",
            operation="chat",
            model_asked="acme-1",
            is_streamed=False,
            messages=(Message(role="user", text="Hi", tool_calls=(call,)),),
        ),
        answer=Answer(
            status=200,
            choices=(Choice(index=0, text="Hello", tool_calls=(call,)),),
            usage=Usage(output=1),
            error=TeacherError(code="x"),
        ),
    )
    document = json.loads(reading_of(exchange, request_headers=(), answer_headers=()))
    request, answer = document["request"], document["answer"]
    # Whether a system prompt or images were sent stands in the messages themselves.
    assert _names(Request) - request.keys() == {"has_system", "has_images"}
    assert request["messages"][0].keys() == _names(Message)
    assert answer.keys() == _names(Answer) | {"headers"}
    assert answer["choices"][0].keys() == _names(Choice)
    assert answer["choices"][0]["tool_calls"][0].keys() == _names(ToolCall)
    assert answer["usage"].keys() == _names(Usage)
    assert answer["error"].keys() == _names(TeacherError)


def _names(kind: type) -> set[str]:
    return {each.name for each in fields(kind)}


def test_headers_are_those_given() -> None:
    """The headers in a reading are the pairs it was given, in order."""
    exchange = Exchange(
        request=Request(wire_format="plain", operation="x", model_asked=None, is_streamed=False),
        answer=Answer(status=200),
    )
    data = reading_of(
        exchange,
        request_headers=(("accept", "*/*"),),
        answer_headers=(("date", "x"), ("date", "y")),
    )
    document = json.loads(data)
    assert document["request"]["headers"] == [["accept", "*/*"]]
    assert document["answer"]["headers"] == [["date", "x"], ["date", "y"]]


def test_a_dump_has_one_spelling() -> None:
    """Keys are sorted, blanks left out, and letters of all scripts written as they are."""
    assert dump({"b": [1, 2.5], "a": "é"}) == '{"a":"é","b":[1,2.5]}'
