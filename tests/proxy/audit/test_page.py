"""The page answers each question, escapes what it shows, and reaches for nothing outside."""

import base64
import re
from hashlib import sha256
from html.parser import HTMLParser
from typing import override

import pytest

from proxy.audit.questions import QUESTIONS
from tests.proxy.audit.conftest import Told


class _Seen(HTMLParser):
    """The tags, ids and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.attributes: set[str] = set()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        found = dict(attrs)
        self.ids += [str(found["id"])] if "id" in found else []
        self.links |= {str(found["href"])} if "href" in found else set()


@pytest.fixture(scope="module")
def text(told: Told) -> str:
    """The page of the audit."""
    return (told.path / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def seen(text: str) -> _Seen:
    """What a browser sees."""
    parser = _Seen()
    parser.feed(text)
    return parser


def test_each_question_has_its_section(seen: _Seen) -> None:
    """Fifteen sections, each with an id of its own."""
    assert {each.name for each in QUESTIONS} <= set(seen.ids)
    assert len(seen.ids) == len(set(seen.ids))


def test_every_link_leads_into_the_bundle(told: Told, seen: _Seen) -> None:
    """An anchor is on the page, a path is a file of the audit, and nothing leads outside."""
    for link in seen.links:
        if link.startswith("#"):
            assert link[1:] in seen.ids
        else:
            assert (told.path / link).is_file(), link


def test_nothing_runs_and_nothing_is_fetched(text: str, seen: _Seen) -> None:
    """No script, no image, no form, no style but the one whose hash the policy names."""
    assert not seen.tags & {"script", "img", "iframe", "form", "link", "object", "embed"}
    assert not {
        name for name in seen.attributes if name.startswith("on") or name in ("style", "src")
    }
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in text
    assert "@import" not in style
    assert "url(" not in style


def test_what_people_wrote_is_escaped(text: str) -> None:
    """A reason with markup in it is shown, and never run."""
    assert "<b>whole</b>" not in text
    assert "&lt;b&gt;whole&lt;/b&gt; enough" in text


def test_no_word_claims_more_than_is_shown(text: str) -> None:
    """The page says what is proven, claimed and not covered, and nothing of compliance."""
    for words in ("Proven", "Claimed by the recorder", "Not covered"):
        assert text.count(f"<b>{words}</b>") == 15
    assert "compliant" not in text
