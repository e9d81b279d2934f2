"""What commands say of runs and students, as lines for people."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes seconds to import
    from student.contents import Contents
    from student.evaluate import Evaluation, HeldOut
    from student.trainer import RunResult

__all__ = ["contents_lines", "evaluation_lines", "example_lines", "result_lines"]

_ONE = {"clauses": "clause", "grants": "grant", "duties": "duty"}


def result_lines(result: "RunResult") -> Iterator[str]:
    """A finished run: how near its student is to the teachers, and where everything lies."""
    yield f"run       {result.run}: {result.steps} steps on student `{result.student}`"
    yield f"before    {_held_out(result.before)}"
    yield f"after     {_held_out(result.after)}"
    yield f"weights   {result.folder / 'model'}"
    yield f"report    {result.folder / 'report.html'}"
    yield f"record    {result.record}"
    yield f"run key   {result.vkey}"


def evaluation_lines(found: Sequence["Evaluation"]) -> Iterator[str]:
    """Students side by side, as a table; the last line says what they were measured on."""
    names = ["before", "after"] if len(found) > 1 else ["measured"]
    yield _row("", names)
    yield _row("student", [each.student for each in found])
    measured = [each.held_out for each in found if each.held_out is not None]
    if measured:
        yield _row("held-out loss", [f"{each.loss:.4f}" for each in measured])
        yield _row("perplexity", [f"{each.perplexity:.2f}" for each in measured])
        yield _row("agrees with teacher", [f"{each.agreement:.1%}" for each in measured])
    if any(each.kl is not None for each in measured):
        yield _row("KL from teacher", ["–" if m.kl is None else f"{m.kl:.4f}" for m in measured])
    for results in zip(*(each.tasks for each in found), strict=True):
        shares = [f"{each.right} of {each.asked}" for each in results]
        yield _row(f"task {results[0].name}", shares)
    if measured:
        last = measured[-1]
        told = (
            f", KL on the {last.kl_tokens} of which the teacher told its own"
            if last.kl_tokens
            else ""
        )
        yield (
            f"Held out are {last.tokens} tokens of {last.examples} answers; "
            f"loss in nats per token{told}."
        )


def contents_lines(found: "Contents") -> Iterator[str]:
    """What is in a student: datasets, counts, and each teacher with what comes with it."""
    yield f"student   {found.student}, run {found.run}, {found.steps} of {found.planned} steps"
    yield f"base      {found.base} (licence {found.base_licence or 'not stated'})"
    for dataset in found.datasets:
        weight = "" if dataset["weight"] == 1 else f", weight {dataset['weight']}"
        yield f"dataset   {dataset['dataset']}, root {dataset['root']}{weight}"
    for name, count in found.counts.items():
        yield f"examples  {count} {name}"
    for fate, count in found.fates.items():
        yield f"          {count} {fate}"
    for number, teaching in enumerate(found.teachings, 1):
        yield f"teacher   {number}: {teaching['model']} by {teaching['provider']}"
        yield f"          {teaching['examples']} examples, licence {teaching['licence']}"
        for words, word in _ONE.items():
            for line in teaching[words]:
                yield f"          {word}: {line}"
    signed = "pinned key" if found.is_pinned else "its own key: whose it is is not shown"
    yield f"signed    by {signed}; {found.unsigned} lines after the last signature"


def example_lines(found: "Contents", teacher: int | None) -> Iterator[str]:
    """Every example, or those of one teacher as `contents_lines` numbers them."""
    for line in found.roll:
        if teacher is None or line.teaching == teacher - 1:
            why = f" ({line.reason})" if line.reason else ""
            often = f" {line.times} times an epoch" if line.times > 1 else ""
            yield f"{line.example}  teacher {line.teaching + 1}  {line.fate}{why}{often}"


def _held_out(found: "HeldOut | None") -> str:
    if found is None:
        return "nothing was held out"
    return (
        f"{found.loss:.4f} nats per token (perplexity {found.perplexity:.2f}), "
        f"{found.agreement:.1%} of the teacher's tokens are its first choice, "
        f"on {found.tokens} tokens of {found.examples} examples"
    )


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:<22}{''.join(f'{cell:<24}' for cell in cells)}".rstrip()
