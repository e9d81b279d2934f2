"""A model card for each training run on record, in Markdown with Hugging Face's metadata."""

from proxy.audit.formats.material import Material
from proxy.ledger.described import NOT_STATED, plain
from proxy.ledger.leaf import Leaf

__all__ = ["model_cards"]


def model_cards(material: Material) -> dict[str, bytes]:
    """The cards, by path in the bundle."""
    return {f"model/{run.id}/README.md": _card(material, run) for run in material.runs}


def _card(material: Material, run: Leaf) -> bytes:
    datasets = material.datasets_of(run)
    learned = [pair for leaf in datasets for pair in material.learned(leaf.text("dataset"))]
    teachers = sorted({(key.provider, key.model, key.licence) for key, _ in learned})
    duties = sorted({duty for key, _ in learned for duty in key.duties})
    rows = "\n".join(f"| {' | '.join(map(plain, row))} |" for row in teachers)
    files = "\n".join(
        f"- {plain(name)}: SHA-256 `{digest}`" for name, digest in material.weights(run).items()
    )
    return f"""---
license: other
---

# Model {plain(run.text("student"))}

Trained by run {plain(run.text("run"))}, recorded at {run.text("at")}.
Nothing on this card is proven by standing here: `VERIFY.md` says how to check it.

- Base: {plain(run.text("base"))}
- Steps: {plain(str(run.fields.get("steps", "")))}
- Examples: {sum(tally.count for _, tally in learned)}
- Datasets: {", ".join(plain(leaf.text("dataset")) for leaf in datasets) or NOT_STATED}

## Weights

{files or NOT_STATED}

## Teachers

| provider | model | licence |
| --- | --- | --- |
{rows or f"| {NOT_STATED} | | |"}

## Duties

{chr(10).join(f"- {plain(duty)}" for duty in duties) or "none on record"}

## Intended use, evaluation and limits

{NOT_STATED}: a ledger keeps what was learned and under which terms.
""".encode()
