"""Texts of terms: from files, real servers and real git histories; everything else is refused."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from proxy.errors import TermsError
from proxy.texts import LIMIT_BYTES, fetch, from_archive, from_file

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PAGE = """<html><head><title>T</title><script>var x = "3.3 hidden"</script></head><body>
<nav>Home</nav><h2>3. Restrictions</h2><p>3.3 Customer will not <b>build</b> rivals.</p>
<ul><li>(a) resell</li><li>(b) scrape</li></ul></body></html>"""

type Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def served(answer: Answer) -> Iterator[str]:
    """The address of a server that gives this answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def page(body: bytes, kind: str = "text/html; charset=utf-8", status: int = 200) -> Answer:
    """A server's answer with this body."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("content-type", kind)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def leading_to(location: str) -> Answer:
    """A server's answer that leads on."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("location", location)
        handler.send_header("content-length", "0")
        handler.end_headers()

    return answer


def git(folder: Path, *words: str, at: str = "2026-01-01T00:00:00Z") -> None:
    """Run git with a fixed date and author."""
    names = {
        f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    dates = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
    command = ["git", "-C", str(folder), *words]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **names, **dates})


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A git repository with three versions of one text, one of them deleted in between."""
    folder = tmp_path / "versions"
    folder.mkdir()
    git(folder, "init", "-q")
    for day, words in (("01", "one"), ("05", "two"), ("09", None), ("11", "three")):
        file = folder / "Some Service" / "Terms.md"
        file.parent.mkdir(exist_ok=True)
        if words is None:
            file.unlink()
        else:
            file.write_text(words)
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "x", at=f"2026-01-{day}T00:00:00Z")
    (folder / "other.md").write_text("x")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "x", at="2026-02-01T00:00:00Z")
    return folder


def test_a_text_file_is_read_as_it_is(tmp_path: Path) -> None:
    """Plain text and Markdown stay as written; only line ends are made one kind."""
    (tmp_path / "terms.md").write_bytes(b"# 3. One\r\nTwo\r\n")
    version = from_file(tmp_path / "terms.md", taken_at=NOW)
    assert version.content == "# 3. One\nTwo\n"
    assert (version.taken_at, version.until, version.locator) == (NOW, NOW, "terms.md")


def test_a_page_is_read_as_its_lines(tmp_path: Path) -> None:
    """What a reader sees, block by block; nothing of scripts, styles and navigation."""
    (tmp_path / "terms.html").write_text(PAGE)
    content = from_file(tmp_path / "terms.html", taken_at=NOW).content
    assert content.splitlines() == [
        "3. Restrictions",
        "3.3 Customer will not build rivals.",
        "(a) resell",
        "(b) scrape",
    ]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("terms.txt", b"\xff\xfe\x00", "not text in the encoding"),
        ("terms.txt", b" \n", "holds no text"),
        ("terms.html", b"<script>all()</script>", "holds no text"),
        ("terms.txt", b"x" * (LIMIT_BYTES + 1), "larger than 20 MiB"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    """Each with the reason, the place and what to do."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(TermsError, match=message) as caught:
        from_file(tmp_path / name, taken_at=NOW)
    assert caught.value.where.endswith(name)
    assert caught.value.help


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The system's reason is said."""
    with pytest.raises(TermsError, match="no such file"):
        from_file(tmp_path / "none.txt", taken_at=NOW)


def test_a_page_is_fetched() -> None:
    """As a reader sees it, with the address it came from."""
    with served(page(PAGE.encode())) as url:
        version = fetch(f"{url}/terms", now=NOW)
    assert "3.3 Customer will not build rivals." in version.content
    assert (version.locator, version.taken_at) == (f"{url}/terms", NOW)


def test_a_text_is_fetched_in_its_own_encoding() -> None:
    """The charset of the answer counts."""
    with served(page("3. Geschäft".encode("latin-1"), "text/plain; charset=latin-1")) as url:
        assert fetch(url, now=NOW).content == "3. Geschäft"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (page(b"gone", status=404), "answers 404"),
        (page(b"%PDF-1.7", "application/pdf"), "`application/pdf` is not a kind of text"),
        (page(b"x" * (LIMIT_BYTES + 1), "text/plain"), "larger than 20 MiB"),
        (leading_to("http://terms.example.org/"), "over https only"),
        (leading_to("file:///etc/passwd"), "over https only"),
        (leading_to("/again"), "leads on more than 5 times"),
    ],
)
def test_an_answer_that_is_no_text_is_refused(answer: Answer, message: str) -> None:
    """Errors, other kinds, too much of it, and ways that lead into the open or nowhere."""
    with served(answer) as url, pytest.raises(TermsError, match=message) as caught:
        fetch(url, now=NOW)
    assert caught.value.help


@pytest.mark.parametrize(
    "url", ["http://example.org/terms", "ftp://example.org/", "terms", "https://", "http://[::1"]
)
def test_an_address_that_proves_nothing_is_refused(url: str) -> None:
    """Nothing is fetched over an open line."""
    with pytest.raises(TermsError, match=r"over https only|no address"):
        fetch(url, now=NOW)


def test_nobody_answers() -> None:
    """A closed port is an error with the address and what to do."""
    with served(page(b"x")) as url:
        pass
    with pytest.raises(TermsError, match="no answer") as caught:
        fetch(url, now=NOW)
    assert caught.value.where == url


def test_an_archive_gives_every_version_and_how_long_it_stood(archive: Path) -> None:
    """Until the next commit of the file, deletion included; the last until the newest commit."""
    versions = from_archive(archive, "Some Service/Terms.md")
    assert [(v.content, v.taken_at.day, v.until.day, v.until.month) for v in versions] == [
        ("one", 1, 5, 1),
        ("two", 5, 9, 1),
        ("three", 11, 1, 2),
    ]
    assert versions[0].locator.startswith("versions Some Service/Terms.md ")


@pytest.mark.parametrize("path", ["none.md", "--all", "../outside", ":(top)other"])
def test_an_archive_without_the_file(archive: Path, path: str) -> None:
    """A path is never taken for an option, and never leads out."""
    with pytest.raises(TermsError):
        from_archive(archive, path)


def test_a_folder_that_is_no_archive(tmp_path: Path) -> None:
    """What git says, in one line, and what to give instead."""
    with pytest.raises(TermsError, match="archive cannot be read") as caught:
        from_archive(tmp_path, "x.md")
    assert "git repository" in caught.value.help
