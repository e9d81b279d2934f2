"""What may be learned of an import, as its entries say it. Pure, standard library alone.

An import is admitted on evidence. What it declares of a teacher's answers is somebody's word, so that
a person has to vouch for it. Whoever withdraws an import takes back all of it, for good.
"""

from collections.abc import Collection, Iterable

from proxy.ledger.leaf import Leaf

__all__ = ["IMPORTED", "NO_MODEL", "Imports", "import_problem"]

IMPORTED = "imported"
"""The fact `route` of an example that no contract of a teacher binds."""
NO_MODEL = "no-model"
"""The fact `model.id` of an example that no model answered."""


def import_problem(origin: str, evidence: Collection[str], actions: Collection[str]) -> str:
    """Why nothing of an import may be learned: a slug, empty where it may.

    `actions` are those of all entries on it, in any order.
    """
    if "admit" not in actions:
        return "import-unknown"
    if not evidence:
        return "no-evidence"
    if "withdraw" in actions:
        return "import-withdrawn"
    return "not-confirmed" if origin == "teacher" and "confirm" not in actions else ""


class Imports:
    """The imports among the leaves of a bundle."""

    def __init__(self, leaves: Iterable[Leaf]) -> None:
        self._admitted: dict[str, Leaf] = {}
        self._actions: dict[str, list[str]] = {}
        for leaf in leaves:
            if leaf.kind == "import":
                batch, action = leaf.text("batch"), leaf.text("action")
                self._actions.setdefault(batch, []).append(action)
                if action == "admit" and leaf.id == batch:
                    self._admitted[batch] = leaf

    def problem(self, call: Leaf) -> str:
        """Why nothing may be learned of what a call brought, as words after "an example"; else empty."""
        named = call.fields.get("imported")
        if named is None and call.text("facts", "route") != IMPORTED:
            return ""
        slug = self._slug(str(named))
        return f"is of an import that may not be learned from ({slug})" if slug else ""

    def claims(self, calls: Iterable[Leaf]) -> list[str]:
        """What a verifier cannot prove of the examples of these calls, in one sentence or none."""
        count = sum(1 for call in calls if call.fields.get("imported") is not None)
        if not count:
            return []
        return [
            f"where {count} imported examples come from, and what their evidence says of rights"
        ]

    def _slug(self, batch: str) -> str:
        leaf = self._admitted.get(batch)
        if leaf is None:
            return "import-unknown"
        return import_problem(leaf.text("origin"), leaf.texts("evidence"), self._actions[batch])
