"""Imports for tests: files of chats, papers, and the command that brings them."""

import json
from pathlib import Path

from click.testing import Result

from tests.proxy.workshop import Workshop

__all__ = ["ANSWER", "bring", "bring_log", "brought", "chats", "paper"]

ANSWER = "Answer {}."


def chats(folder: Path, count: int = 3, *, name: str = "chats.jsonl", **more: object) -> Path:
    """A file of chats, each with a question and an answer of its own."""
    path = folder / name
    path.write_text(
        "".join(
            json.dumps(
                {
                    "messages": [
                        {"role": "user", "content": f"Question {name} {n}?"},
                        {"role": "assistant", "content": ANSWER.format(n)},
                    ],
                    **more,
                }
            )
            + "\n"
            for n in range(count)
        )
    )
    return path


def paper(folder: Path, text: str = "The text of the licence.") -> Path:
    """A paper that an import rests on."""
    path = folder / "licence.txt"
    path.write_text(text)
    return path


def bring(shop: Workshop, file: Path, *more: object, licence: str = "CC-BY-4.0") -> Result:
    """Import a file as the source `wiki`, on the paper beside it."""
    return shop.inbond(
        "import", file, "--source", "wiki", "--licence", licence, "--project", "garden",
        "--student", "gardener", "--evidence", paper(file.parent), "--reason", "open data",
        "--json", *more,
    )  # fmt: skip


def bring_log(shop: Workshop, file: Path, *more: object) -> Result:
    """Import a file as a log of answers of the workspace's own teacher."""
    return shop.inbond(
        "import", file, "--source", "old-log", "--licence", "Apache-2.0", "--project", "garden",
        "--student", "gardener", "--evidence", paper(file.parent), "--reason", "an earlier log",
        "--teacher", "house:smollm2", "--answered", "2026-11-20", "--json", *more,
    )  # fmt: skip


def brought(result: Result) -> dict[str, object]:
    """What an import that ended well says."""
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found
