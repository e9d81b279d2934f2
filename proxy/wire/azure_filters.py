"""What Azure's content filters say of an answer, beside its choices (Azure OpenAI, "Content filtering").

A filter that took words out says `filtered`. Those for protected material say `detected` where they know a
text that is quoted word for word, and so whether they do: `false` is a statement, absent is none.
"""

from collections.abc import Mapping

from proxy.exchange import Json

__all__ = ["is_filtered", "is_verbatim"]

_PROTECTED = ("protected_material_text", "protected_material_code")


def is_filtered(results: Json) -> bool:
    """Whether one of the filters took words out."""
    return any(found.get("filtered") is True for found in _named(results).values())


def is_verbatim(results: Json) -> bool | None:
    """Whether a filter knows a text that is quoted; None where no filter looked."""
    named = _named(results)
    looked = [named[name].get("detected") for name in _PROTECTED if name in named]
    stated = [found for found in looked if isinstance(found, bool)]
    return any(stated) if stated else None


def _named(results: Json) -> Mapping[str, dict[str, Json]]:
    fields = results if isinstance(results, dict) else {}
    return {name: found for name, found in fields.items() if isinstance(found, dict)}
