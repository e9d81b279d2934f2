"""What every made page has: its title, the note that it is made, and tables."""

from collections.abc import Iterable

__all__ = ["page", "table"]

_MADE = "<!-- Made from the code by `python -m tests.docs`. Change the code, then run it again. -->"


def page(title: str, *blocks: str) -> str:
    """A page of blocks under a title."""
    return "\n\n".join([f"# {title}", _MADE, *(block.strip("\n") for block in blocks)]) + "\n"


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table; cells are markdown on one line."""
    ruled = [heads, ("---",) * len(heads), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in ruled
    )
