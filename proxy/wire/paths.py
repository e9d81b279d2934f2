"""What the path and the query of a request say to formats that are recognised by them."""

from urllib.parse import parse_qs, unquote

__all__ = ["deployment_of", "ends_with", "is_asked"]


def ends_with(path: str, pattern: str) -> bool:
    """Whether a canonical path ends in a pattern of whole segments.

    `*` stands for any one of them; `*:word` for one that ends in `:word`.
    """
    wanted = pattern.split("/")[1:]
    segments = path.split("/")[1:]
    return len(segments) >= len(wanted) and all(
        segment == name or (name.startswith("*") and _ends(segment, name[1:]))
        for segment, name in zip(segments[-len(wanted) :], wanted, strict=True)
    )


def _ends(segment: str, rest: str) -> bool:
    """Whether a segment is more than a rest that it ends in."""
    return segment.endswith(rest) and len(segment) > len(rest)


def is_asked(query: str, name: str) -> bool:
    """Whether a query sets a flag, such as `stream=true`."""
    return parse_qs(query).get(name, [""])[-1].lower() in {"true", "1"}


def deployment_of(path: str) -> str | None:
    """The deployment that a path of Azure names, which answers whatever model the body names.

    It is the customer's own word, no model's name (`/openai/deployments/{deployment}/…`).
    """
    after = path.partition("/openai/deployments/")[2]
    name, slash, _ = after.partition("/")
    return unquote(name) if name and slash else None
