"""Tests of proxy.anchor_http."""

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from proxy.anchor_http import Asker
from proxy.errors import LedgerError


def asker(answer: Callable[[httpx.Request], httpx.Response], timeout_s: float = 5.0) -> Asker:
    """Asks a stand-in."""
    return Asker(
        url="https://w.example/x/", timeout_s=timeout_s, transport=httpx.MockTransport(answer)
    )


def test_a_question_and_its_answer() -> None:
    """Path, body and type arrive; status, type and body come back."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(409, content=b"5\n", headers={"content-type": "Text/X; a=b"})

    found = asker(answer).post("add-checkpoint", b"old", "text/plain")
    assert (found.status, found.media_type, found.body) == (409, "text/x", b"5\n")
    asker(answer).get("ab/checkpoint")
    asker(answer).post("", b"", "a/b")
    assert [str(each.url) for each in seen] == [
        "https://w.example/x/add-checkpoint",
        "https://w.example/x/ab/checkpoint",
        "https://w.example/x/",
    ]
    assert seen[0].headers["content-type"] == "text/plain"


def test_redirects_are_not_followed() -> None:
    """An answer that leads elsewhere is an answer of its own."""
    elsewhere = httpx.Response(302, headers={"location": "http://127.0.0.1/"})
    assert asker(lambda _: elsewhere).get("").status == 302


def test_a_long_answer_is_not_read() -> None:
    """More than a cosignature or a time-stamp can be is an outage."""
    with pytest.raises(LedgerError, match="more than it may") as caught:
        asker(lambda _: httpx.Response(200, content=b"x" * 300_000)).get("")
    assert caught.value.code == "unreachable"


def test_a_dripping_answer_is_given_up() -> None:
    """The time-out is of the whole answer, not of each piece."""

    def drip() -> Iterator[bytes]:
        while True:
            time.sleep(0.02)
            yield b"x"

    with pytest.raises(LedgerError, match=r"within 0\.1 s"):
        asker(lambda _: httpx.Response(200, content=drip()), timeout_s=0.1).get("")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (httpx.ConnectError("Connection refused"), "cannot be asked: connection refused"),
        (httpx.ReadTimeout("slow"), r"did not answer within 5 s"),
        (httpx.RemoteProtocolError(""), "cannot be asked: remoteprotocolerror"),
    ],
)
def test_an_outage_says_what_it_was(error: httpx.HTTPError, message: str) -> None:
    """Whatever keeps an answer away is an outage with its reason."""

    def answer(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(LedgerError, match=message) as caught:
        asker(answer).get("")
    assert (caught.value.code, caught.value.where) == ("unreachable", "https://w.example/x/")
