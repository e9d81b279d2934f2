"""Texts of terms from where they are published or kept: a file, an address, an archive's history.

What is fetched is what an operator asked for by name, and nothing in it is followed or run.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

import httpx
from bs4 import BeautifulSoup

from proxy.errors import TermsError

__all__ = ["LIMIT_BYTES", "Version", "fetch", "from_archive", "from_file"]

LIMIT_BYTES = 20 * 2**20
"""The largest document that is read."""

_TIMEOUT_S = 30.0
_HOPS = 5
_UNSEEN = ("script", "style", "noscript", "template", "svg", "head", "nav", "footer")
_BLOCKS = ("p", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "div", "section", "br", "dd", "dt")
_TEXTS = frozenset({"text/plain", "text/markdown"})
_PAGES = frozenset({"text/html", "application/xhtml+xml"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A text and how long it is known to have stood: `[taken_at, until]`."""

    content: str
    origin: Literal["file", "url", "archive"]
    taken_at: datetime
    until: datetime
    locator: str


def from_file(path: Path, *, taken_at: datetime) -> Version:
    """The text in a file: plain, Markdown, or a saved page.

    Raises:
        TermsError: it cannot be read, is too large, or is no text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise TermsError(
            f"the file cannot be read: {(error.strerror or 'unknown reason').lower()}",
            where=str(path),
            help="check the path and its permissions",
        ) from error
    is_page = path.suffix.lower() in {".html", ".htm", ".xhtml"}
    content = _text_of(data, "text/html" if is_page else "text/plain", None, where=str(path))
    return Version(
        content=content, origin="file", taken_at=taken_at, until=taken_at, locator=path.name
    )


def fetch(url: str, *, now: datetime, transport: httpx.BaseTransport | None = None) -> Version:
    """The text at an address, as it is served to this machine now.

    Raises:
        TermsError: the address is not https, does not answer with a text, or leads too far.
    """
    headers = {"accept": "text/html, text/plain, text/markdown", "user-agent": "inbond terms"}
    with httpx.Client(timeout=_TIMEOUT_S, headers=headers, transport=transport) as client:
        try:
            at, kind, charset, data = _download(client, url)
        except httpx.HTTPError as error:
            raise TermsError(
                f"no answer: {str(error) or type(error).__name__}",
                where=url,
                help="try again, or save the page and import it with `--file`",
            ) from error
    content = _text_of(data, kind, charset, where=at)
    return Version(content=content, origin="url", taken_at=now, until=now, locator=at)


def _download(client: httpx.Client, url: str) -> tuple[str, str, str | None, bytes]:
    for _ in range(_HOPS + 1):
        _refuse_open(url)
        with client.stream("GET", url) as answer:
            if answer.next_request is not None:
                url = str(answer.next_request.url)
                continue
            if answer.status_code != httpx.codes.OK:
                raise TermsError(
                    f"the address answers {answer.status_code}",
                    where=url,
                    help="check the address; a page behind a login is saved and imported as a file",
                )
            data = b""
            for chunk in answer.iter_bytes():
                data += chunk
                if len(data) > LIMIT_BYTES:
                    break
            kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            return url, kind, answer.charset_encoding, data
    raise TermsError(
        f"the address leads on more than {_HOPS} times",
        where=url,
        help="give the last address of the chain",
    )


def _refuse_open(url: str) -> None:
    """Terms read over an open line prove nothing; on this machine itself there is no line."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise TermsError("this is no address", where=url, help="write `https://…`") from error
    if parts.scheme == "https" and parts.host:
        return
    if parts.scheme == "http" and _is_loopback(parts.host):
        return
    raise TermsError(
        "terms are fetched over https only", where=url, help="give an address with `https://`"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _text_of(data: bytes, kind: str, charset: str | None, *, where: str) -> str:
    if len(data) > LIMIT_BYTES:
        raise TermsError(
            f"the document is larger than {LIMIT_BYTES // 2**20} MiB",
            where=where,
            help="save the part that holds the terms as text, and import that with `--file`",
        )
    if kind not in _TEXTS | _PAGES:
        raise TermsError(
            f"`{kind or 'nothing'}` is not a kind of text that can be read here",
            where=where,
            help="save the document as text or HTML, and import that with `--file`",
        )
    try:
        text = data.decode(charset or "utf-8")
    except (UnicodeDecodeError, LookupError) as error:
        raise TermsError(
            "the document is not text in the encoding it names",
            where=where,
            help="save it as UTF-8, and import that with `--file`",
        ) from error
    content = _lines_of_page(text) if kind in _PAGES else text
    if not content.strip():
        raise TermsError(
            "the document holds no text",
            where=where,
            help="a page that scripts fill in a browser is saved from there and imported as a file",
        )
    return content.replace("\r\n", "\n").replace("\r", "\n")


def _lines_of_page(text: str) -> str:
    page = BeautifulSoup(text, "html.parser")
    for hidden in page(_UNSEEN):
        hidden.decompose()
    for block in page(_BLOCKS):
        block.insert_before("\n")
        block.append("\n")
    lines = (" ".join(line.split()) for line in page.get_text().splitlines())
    return "\n".join(line for line in lines if line) + "\n"


def from_archive(repository: Path, path: str) -> tuple[Version, ...]:
    """Every version of a file in the history of a git repository, oldest first.

    An archive of terms (such as those of Open Terms Archive) commits a text when it changes: so each
    version stood until the next, and the last until the archive's newest commit.

    Raises:
        TermsError: it is no git repository, or has no such file.
    """
    commits = list(_commits(repository, path))
    if not commits:
        raise TermsError(
            f"the archive has no file `{path}`",
            where=str(repository),
            help="name the file by its path inside the repository, with `--path`",
        )
    newest = datetime.fromisoformat(_git(repository, "log", "-1", "--format=%cI").strip())
    ends = [*(at for _, at in commits[1:]), max(newest.astimezone(UTC), commits[-1][1])]
    return tuple(
        Version(
            content=_git(repository, "cat-file", "blob", f"{commit}:{path}"),
            origin="archive",
            taken_at=at,
            until=max(at, until),
            locator=f"{repository.resolve().name} {path} {commit}",
        )
        for (commit, at), until in zip(commits, ends, strict=True)
        if _holds(repository, commit, path)
    )


def _commits(repository: Path, path: str) -> Iterator[tuple[str, datetime]]:
    said = _git(repository, "log", "--reverse", "--format=%H %cI", "--", path)
    for line in said.splitlines():
        commit, _, at = line.partition(" ")
        yield commit, datetime.fromisoformat(at).astimezone(UTC)


def _holds(repository: Path, commit: str, path: str) -> bool:
    """Whether the file is there at this commit: a commit may delete it."""
    return bool(_git(repository, "ls-tree", "--name-only", commit, "--", path).strip())


def _git(repository: Path, *words: str) -> str:
    command = ["git", "--no-pager", "-c", "core.fsmonitor=false", "-C", str(repository), *words]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=120)
        return done.stdout.decode()
    except FileNotFoundError as error:
        raise TermsError(
            "git is not installed", help="install git, or import single versions with `--file`"
        ) from error
    except UnicodeDecodeError as error:
        raise TermsError(
            "the archive's file is not text in UTF-8",
            where=str(repository),
            help="import single versions with `--file`",
        ) from error
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
        raise TermsError(
            f"the archive cannot be read: {said.splitlines()[-1] if said else 'git failed'}",
            where=str(repository),
            help="give the folder of a git repository that holds its history (not a shallow copy)",
        ) from error
