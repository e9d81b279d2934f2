"""The shape of a model call: told from its path and its body together, whoever it goes to."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.exchange import RequestHead
from proxy.wire.shape import Shape, is_claimed, may_be_object, shape_of, shape_of_head

TURNS = [{"role": "user", "content": "hello"}]
CONTENTS = [{"role": "user", "parts": [{"text": "hello"}]}]
CHAT = {"model": "m", "messages": TURNS}
ASKED = {"model": "m", "input": "hello"}


def _head(path: str, content_type: str = "application/json", method: str = "POST") -> RequestHead:
    return RequestHead(method=method, path=path, headers=(("content-type", content_type),))


def _form(*names: str) -> bytes:
    parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\nx\r\n' for name in names]
    return "".join([*parts, "--b--\r\n"]).encode()


CALLS = [
    ("/any/prefix/chat/completions", CHAT, "chat", "openai"),
    ("/chat/completions", {"messages": TURNS}, "chat", "openai"),
    ("/v1/completions", {"model": "m", "prompt": "hello"}, "completion", "openai"),
    ("/v1/responses", ASKED, "chat", "openai"),
    ("/v1/embeddings", ASKED, "embedding", "openai"),
    ("/openai/deployments/mine/embeddings", {"input": "hello"}, "embedding", "openai"),
    ("/v1/rerank", {"model": "m", "query": "q", "documents": []}, "rerank", "plain"),
    ("/v1/images/generations", {"model": "m", "prompt": "a cat"}, "image", "openai"),
    ("/proxy/v1/messages", {**CHAT, "max_tokens": 9}, "chat", "anthropic"),
    ("/v1beta/models/g:generateContent", {"contents": CONTENTS}, "chat", "gemini"),
    ("/v1beta/models/g:streamGenerateContent", {}, "chat", "gemini"),
    ("/model/m/converse", {"messages": TURNS}, "chat", "bedrock"),
    ("/model/m/invoke", {"inputText": "hello"}, "chat", "bedrock"),
    ("/v2/chat", CHAT, "chat", "cohere"),
    ("/v1/chat", {"model": "c", "message": "hello"}, "chat", "cohere"),
    ("/v1/batches", {"input_file_id": "f", "endpoint": "/v1/x"}, "batch", "openai"),
    ("/v1/messages/batches", {"requests": []}, "batch", "anthropic"),
    ("/v1/realtime/sessions", {"model": "m"}, "realtime", "openai"),
    ("/v1/realtime/client_secrets", {"session": {"type": "realtime"}}, "realtime", "openai"),
    ("/v1/predictions", {"version": "v", "input": {"prompt": "x"}}, "completion", "plain"),
    ("/api/chat", CHAT, "chat", "ollama"),
    ("/api/generate", {"model": "m", "prompt": "hello"}, "completion", "ollama"),
    ("/v1/conversations", {"model": "m", "inputs": "hello"}, "chat", "plain"),
    ("/generate", {"inputs": "hello", "parameters": {"max_new_tokens": 9}}, "completion", "plain"),
    ("/tgi/generate", {"inputs": "hello", "parameters": {"seed": 9}}, "completion", "plain"),
    ("/generate_stream", {"inputs": "hello"}, "completion", "plain"),
    ("/generate", {"prompt": "hello", "max_tokens": 9}, "completion", "plain"),
    ("/", {"inputs": "hello", "parameters": {"do_sample": True}}, "completion", "plain"),
    ("/v1/threads/runs", {"assistant_id": "a", "thread": {}}, "chat", "openai"),
    ("/v1/threads/t/runs", {"assistant_id": "a"}, "chat", "openai"),
    (
        "/api/v1/services/aigc/text-generation/generation",
        {"model": "q", "input": {"messages": TURNS}},
        "chat",
        "plain",
    ),
    ("/nobody/knows", {"model": "q", "input": {"messages": TURNS}}, "chat", "plain"),
    ("/nobody/knows", CHAT, "chat", "openai"),
    ("/nobody/knows", {"model": "m", "input": TURNS}, "chat", "openai"),
    ("/nobody/knows", {"contents": CONTENTS}, "chat", "gemini"),
    ("/nobody/knows", {"contents": CONTENTS[0]}, "chat", "gemini"),
    (
        "/nobody/knows",
        {"model": "m", "prompt": "hello", "max_tokens": 9},
        "completion",
        "openai",
    ),
]


@pytest.mark.parametrize(("path", "doc", "operation", "family"), CALLS)
def test_model_calls_are_known(
    path: str, doc: dict[str, object], operation: str, family: str
) -> None:
    """Each format's call is known by path and body, under any prefix; a conversation by itself."""
    shape = shape_of(_head(path), json.dumps(doc).encode())
    assert shape == Shape(operation=operation, family=family)


INNOCENT = [
    ("/search/completions", {"q": "shoes"}),
    ("/search/completions", {"model": "A4", "query": "tyres"}),
    ("/survey/responses", {"input": "yes"}),
    ("/survey/responses", {"model": "A4", "answer": "yes"}),
    ("/forum/v1/messages", {"messages": ["hello"]}),
    ("/forum/v1/messages", {"messages": []}),
    ("/v1/chat", {"message": "hello"}),
    ("/shop/rerank", {"model": "A4"}),
    ("/v1/messages/count_tokens", {"model": "m", "text": "x"}),
    ("/cars", {"model": "A4", "input": "tyres"}),
    ("/cars", {"model": "A4", "prompt": "tyres"}),
    ("/mail", {"messages": TURNS}),
    ("/mail", {"model": 4, "messages": TURNS}),
    ("/v1/batches", {"size": 3}),
    ("/weather/v1/predictions", {"input": {"city": "x"}}),
    ("/v1/realtime/sessions", {"name": "x"}),
    ("/generate", {"inputs": "hello"}),
    ("/generate", {"inputs": ["hello"], "parameters": {"max_new_tokens": 9}}),
    ("/report/generate", {"prompt": "hello"}),
    ("/form", {"inputs": "hello", "parameters": {"seed": 9}}),
    ("/ci/runs", {"assistant": "a"}),
    ("/ci/runs", {"assistant_id": 7}),
    ("/cars", {"model": "A4", "input": {"messages": ["hello"]}}),
    ("/docs", {"contents": [{"chapter": 1}]}),
    ("/docs", {"contents": "chapter"}),
    ("/docs", []),
    ("/docs", "text"),
]


@pytest.mark.parametrize(("path", "doc"), INNOCENT)
def test_other_requests_are_not(path: str, doc: object) -> None:
    """A path alone, or a word in common, makes no model call."""
    assert shape_of(_head(path), json.dumps(doc).encode()) is None


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 200_000, b'{"a": NaN, "b"'])
def test_what_is_no_json_is_no_call(body: bytes) -> None:
    """A body that no server could read as JSON is no model call."""
    assert shape_of(_head("/v1/chat/completions"), body) is None


def test_the_lenient_reading_counts() -> None:
    """What our readers would refuse, and a lenient gateway would take, is a model call."""
    twice = b'{"model": "a", "model": "b", "messages": [{"role": "user"}], "x": NaN}'
    assert shape_of(_head("/v1/chat/completions"), twice) is not None
    assert shape_of(_head("/odd"), "\ufeff".encode() + json.dumps(CHAT).encode()) is not None
    assert shape_of(_head("/odd"), json.dumps(CHAT).encode("utf-16")) is not None


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_conversation_is_one_by_any_method(method: str) -> None:
    """No other method hides it."""
    body = json.dumps(CHAT).encode()
    assert shape_of(_head("/v1/chat/completions", method=method), body) is not None


@pytest.mark.parametrize(
    ("path", "names", "operation"),
    [
        ("/v1/audio/transcriptions", ("file", "model"), "audio"),
        ("/openai/deployments/d/audio/translations", ("file",), "audio"),
        ("/v1/images/edits", ("model", "image"), "image"),
        ("/v1/images/edits", ("image",), None),
        ("/upload", ("model", "file"), None),
    ],
)
def test_forms(path: str, names: tuple[str, ...], operation: str | None) -> None:
    """A form is a model call where a known path takes one and a model is named."""
    shape = shape_of(_head(path, "multipart/form-data; boundary=b"), _form(*names))
    assert (shape and shape.operation) == operation


def test_an_object_is_one_whatever_it_is_called() -> None:
    """A content type that says form hides no conversation from a server that looks for itself."""
    head = _head("/odd", "multipart/form-data; boundary=b")
    assert shape_of(head, json.dumps(CHAT).encode()) is not None


def test_a_broken_form_under_a_known_path_is_taken_for_a_call() -> None:
    """What cannot be read there is not let pass."""
    head = _head("/v1/audio/transcriptions", "multipart/form-data")
    assert shape_of(head, b"x") is not None


@pytest.mark.parametrize(
    ("path", "content_type", "upgrade", "family"),
    [
        ("/v1/realtime", "", "websocket", "plain"),
        ("/gateway/v1/responses", "", "websocket", "plain"),
        ("/survey/responses", "", "websocket", None),
        ("/v1/responses", "", None, None),
        ("/ws/x.BidiGenerateContent", "", "WebSocket", "plain"),
        ("/ws/x.BidiGenerateContentConstrained", "", "websocket", "plain"),
        ("/feed", "", "websocket", None),
        ("/v1/realtime", "", None, None),
        ("/v1/realtime", "", "h2c", None),
        ("/xai_api.Chat/GetCompletion", "application/grpc", None, "grpc"),
        ("/xai_api.Chat/GetCompletion", "application/grpc+proto", None, "grpc"),
        ("/xai_api.Chat/GetCompletion", "application/json", None, None),
        ("/shop.Carts/Get", "application/grpc", None, None),
    ],
)
def test_heads_that_prove_a_call(
    path: str, content_type: str, upgrade: str | None, family: str | None
) -> None:
    """A model's socket and a method of gRPC are known before any body."""
    shape = shape_of_head(_head(path, content_type), upgrade=upgrade)
    assert (shape and shape.family) == family


@pytest.mark.parametrize(
    ("start", "may_be"),
    [
        (b"", None),
        (b" \r\n\t", None),
        (b"\xef\xbb\xbf", None),
        (b"  {", True),
        (b"\xef\xbb\xbf{", True),
        (b"\xff\xfe{\0", True),
        (b"\0{", True),
        (b"[", False),
        (b"--b", False),
        (b"\x89PNG", False),
        (b"\xff\xd8\xff", False),
    ],
)
def test_how_an_object_begins(start: bytes, *, may_be: bool | None) -> None:
    """The first byte that is no white space says whether a body may be an object."""
    assert may_be_object(start) is may_be


def test_paths_are_claimed() -> None:
    """A path of a known format is known before the body; lists of models are nobody's words."""
    assert is_claimed(_head("/x/chat/completions"))
    assert not is_claimed(_head("/x/models", method="GET"))
    assert not is_claimed(_head("/x"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["model", "messages", "role", "contents", "parts", "input", "stream", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    path=st.sampled_from([path for path, *_ in CALLS] + ["/", "/x"]),
    body=st.binary(max_size=40) | _JSON.map(lambda doc: json.dumps(doc).encode()),
    content_type=st.sampled_from(["application/json", "multipart/form-data; boundary=b", ""]),
)
def test_any_request_is_judged(path: str, body: bytes, content_type: str) -> None:
    """No path and no body raises."""
    shape = shape_of(_head(path, content_type), body)
    assert shape is None or shape.operation
