"""The pages of `docs/reference/diagnostics`: one for each code, with what to avoid and what to prefer."""

from collections.abc import Callable, Mapping
from functools import partial

from policies.codes import CODES, PAGES, Code
from policies.diagnostics import render
from tests.docs_page import page, table
from tests.policies.examples import Example, examples, findings_of

__all__ = ["diagnostics_pages"]


def diagnostics_pages() -> Mapping[str, Callable[[], str]]:
    """Each page by its path."""
    pages: dict[str, Callable[[], str]] = {f"{PAGES}/README.md": _index}
    return pages | {f"{PAGES}/{slug}.md": partial(_code, code) for slug, code in CODES.items()}


def _index() -> str:
    rows = (
        (f"[`{slug}`]({slug}.md)", code.severity.value, code.title) for slug, code in CODES.items()
    )
    return page(
        "Diagnostics",
        "What `inbond policy check` may find, by the code that stands in brackets.\n"
        "An error stops the policies from taking effect; a warning is for a person to look at.",
        table(("code", "severity", "it is about"), rows),
    )


def _code(code: Code) -> str:
    example = examples()[code.slug]
    blocks = [
        "\n".join([f"*{code.severity.value.capitalize()}: {code.title}.*", "", *code.sentences])
    ]
    blocks.append(f"## Avoid\n\n{_shown(example.avoid)}")
    if example.note:
        blocks.append(example.note)
    if said := _said(example):
        blocks.append(f"It says:\n\n```text\n{said}```")
    blocks.append(f"## Prefer\n\n{_shown(example.prefer)}")
    return page(f"`{code.slug}`", *blocks)


def _shown(text: str) -> str:
    return f"```{'console' if text.startswith('$ ') else 'yaml'}\n{text}```"


def _said(example: Example) -> str:
    """What loading and linting say about what to avoid; nothing where tests or files say it."""
    if example.frame == "files":
        return ""
    found = findings_of(example.bad(), is_approved=example.code != "not-approved")
    return "\n".join(render(each) for each in found if each.code == example.code)
