"""Erased exchanges in a bundle: none may be in a dataset that was sealed later (promise P8).

That an opening of an erased body is absent is as it should be; the proofs need none.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from proxy.errors import BundleError
from proxy.ledger.bundle import MANIFEST, OpenBundle
from proxy.ledger.example import read_manifest
from proxy.ledger.leaf import Leaf
from proxy.ledger.report import Report
from proxy.ledger.tables import from_parquet

__all__ = ["check_erasures"]

_EXAMPLES = "tables/examples.parquet"


def check_erasures(
    bundle: OpenBundle, leaves: Sequence[Leaf], intact: frozenset[str], report: Report
) -> None:
    """Note in the report whether a dataset here has rows of what was erased before it.

    `intact` are the files that the signature vouches for.

    Raises:
        BundleError: a file cannot be read.
    """
    erased = _erased(leaves)
    if not erased:
        return
    is_dataset = bundle.about().get("kind") == "dataset"
    where = MANIFEST if is_dataset else _EXAMPLES
    unlisted: list[str] = []
    if where not in intact:
        report.not_covered.append(
            f"erased rows in later datasets: `{where}` is not what was signed"
        )
        return
    try:
        if is_dataset:
            wrong = _in_dataset(bundle, erased)
        else:
            later = [leaf for leaf in leaves if leaf.kind == "dataset"]
            wrong, unlisted = _in_audit(bundle, erased, later)
    except ImportError:
        report.not_covered.append("erased rows in later datasets: pyarrow is not installed")
        return
    for exchange, dataset in sorted(wrong.items()):
        report.refute(
            "erased-row",
            where,
            f"exchange `{exchange}` was erased before dataset `{dataset}` was sealed with it",
        )
    if unlisted:
        report.not_covered.append(
            f"erased rows in {len(unlisted)} later datasets whose examples are not all listed here"
        )
    elif not wrong:
        report.proven.append(
            f"none of the {len(erased)} erased exchanges is in a dataset here that was sealed later"
        )


def _erased(leaves: Iterable[Leaf]) -> dict[str, int]:
    """The first place at which each exchange was erased."""
    erased: dict[str, int] = {}
    for leaf in leaves:
        if leaf.kind == "erase":
            for exchange in leaf.texts("exchanges"):
                erased.setdefault(exchange, leaf.seq)
    return erased


def _in_dataset(bundle: OpenBundle, erased: Mapping[str, int]) -> dict[str, str]:
    """Erased exchanges that rows of this dataset are of, or rest on: its entry is the last."""
    dataset = str(bundle.about().get("subject"))
    lines = read_manifest(bundle.read(MANIFEST))
    taken = (line for line in lines if line.verdict == "permit" and not line.reason)
    return {
        name: dataset
        for line in taken
        for name in (line.exchange, *line.contributors)
        if name in erased
    }


def _in_audit(
    bundle: OpenBundle, erased: Mapping[str, int], sealed: Iterable[Leaf]
) -> tuple[dict[str, str], list[str]]:
    """Erased exchanges that rows of a later dataset are of, or rest on, by what the audit lists.

    With the later datasets of which it does not list every row: nothing shows what those hold.
    """
    found: dict[str, str] = {}
    later = {leaf.text("dataset"): leaf for leaf in sealed if leaf.seq > min(erased.values())}
    listed: Counter[str] = Counter()
    for row in from_parquet(bundle.read(_EXAMPLES)) if later else ():
        dataset = str(row.get("dataset"))
        if dataset not in later:
            continue
        listed[dataset] += 1
        at = later[dataset].seq
        for name in _names(row):
            if erased.get(name, at) < at:
                found[name] = dataset
    short = [name for name, leaf in later.items() if listed[name] != leaf.fields["rows"]]
    return found, short


def _names(row: Mapping[str, object]) -> Iterable[str]:
    contributors = row.get("contributors")
    if "exchange" not in row:
        raise BundleError("the examples name no exchange", help="get it again", where=_EXAMPLES)
    return [str(row["exchange"]), *(contributors if isinstance(contributors, list) else [])]
