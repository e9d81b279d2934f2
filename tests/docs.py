"""The reference pages that are made from the code: `python -m tests.docs` writes them.

Hand-written is only what the code does not say: what each key of a policy file means.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from policies.facts import CATALOGUE, FactSpec
from policies.shapes import (
    DUTIES,
    GATE_WORDS,
    GrantShape,
    PolicyShape,
    RuleShape,
    SourceShape,
    StudentShape,
    SuiteShape,
    WindowShape,
)
from proxy.cli import main
from proxy.providers import TeacherSettings
from proxy.settings import CustodySettings, Settings

__all__ = ["KEYS", "PAGES", "ROOT", "command_helps", "policy_keys", "setting_names"]

ROOT = Path(__file__).parents[1]
_WIDTH = 96
_MADE = "<!-- Made from the code by `python -m tests.docs`. Change the code, then run it again. -->"

KEYS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "policy": {
            "inbond": "the version of the language: 1",
            "owner": "who answers for this file",
            "policy": "its id: the first half of each rule's full id, `POLICY/RULE`",
            "layer": "whom it speaks for: `host`, `router`, `model` or `organisation`, or several",
            "party": "who imposes these rules; a grant of the same party alone lifts them",
            "reviewed": "when a person last read it through",
            "scope": "a condition on `route` and `model.id` that is part of every rule",
            "sources": "the texts that rules cite, by name",
            "counters": "counted calls or tokens that a condition may test",
            "as_of": "the clock it is read by: `exchange`, `today`, or `both`",
            "rules": "the rules",
        },
        "rule": {
            "id": "its name inside the file",
            "permit": "the gates at which it permits",
            "review": "the gates at which a person must look",
            "forbid": "the gates at which it forbids",
            "when": "the condition: all must hold; `any` lists alternatives",
            "because": "one sentence that a refused person reads",
            "cite": "`SOURCE CLAUSE`: the place it comes from",
            "fix": "what to do about it",
            "duties": "what comes with a permit",
            "mode": "`shadow`: matched and recorded, never counted",
            "in_force": "when the rule holds, if not as long as its sources",
        },
        "source": {
            "title": "the text's own title",
            "url": "where it is published",
            "confidence": "`read-primary` may permit; what was not read first-hand may not",
            "read": "when it was read",
            "review_by": "from this date on its permits are reviews",
            "in_force": "when the text is in force",
            "archive": "an archived copy: `repository`, `path`, `commit`",
            "sha256": "the digest of the normalised text",
        },
        "in_force": {
            "from": "the first instant, inclusive",
            "until": "the end, exclusive",
        },
        "grant": {
            "inbond": "the version of the language: 1",
            "owner": "who answers for this file",
            "grant": "its id",
            "party": "who gives it: the party of the rules it lifts",
            "lifts": "full ids of the rules it lifts",
            "permits": "the gates it permits for its scope",
            "scope": "the condition under which it counts",
            "in_force": "when it counts; the organisation's own grants must end",
            "as_of": "which instant must lie in it: `both`, `exchange` or `today`",
            "document": "the paper behind it: `title`, `sha256`, `url`",
            "because": "one sentence on why it was given",
        },
        "student": {
            "inbond": "the version of the language: 1",
            "owner": "who answers for this file",
            "student": "its id",
            "purpose": "`student.purpose`",
            "task": "`student.task`",
            "competes_with": "`student.competes_with`: counts once somebody approved the file",
            "base": "`student.base`",
            "base_licence": "`student.base_licence`",
            "host": "`student.host`",
            "release": "`student.release`",
            "commercial": "`student.commercial`",
            "monthly_users": "`student.monthly_users`",
            "jurisdiction": "`student.jurisdiction`",
            "data_subjects": "`student.data_subjects`",
            "name": "`student.name`",
        },
        "test": {
            "inbond": "the version of the language: 1",
            "test": "its id",
            "given": "facts that every case starts from; `at` gives the instants of the two clocks",
            "cases": "the cases",
        },
        "case": {
            "name": "what the case shows",
            "gate": "the gate that decides",
            "given": "facts of this case, over those of the file",
            "expect": "the verdict",
            "by": "exactly the rules that set it",
            "silent": "exactly the layers that nobody speaks for",
            "missing": "exactly the facts that are missing",
            "lifted": "exactly the rules that are lifted",
            "duties": "exactly the kinds of duty that come with it",
        },
    }
)
"""What each key of a policy file means, by the kind of mapping it stands in."""

_SHAPES: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        "policy": PolicyShape,
        "rule": RuleShape,
        "source": SourceShape,
        "in_force": WindowShape,
        "grant": GrantShape,
        "student": StudentShape,
        "test": SuiteShape,
        "case": SuiteShape.model_fields["cases"].annotation.__args__[0],  # type: ignore[union-attr] # a list of cases
    }
)


def policy_keys() -> dict[str, set[str]]:
    """The keys of each kind of mapping, as the loader takes them."""
    return {
        kind: {field.alias or name for name, field in shape.model_fields.items()}
        for kind, shape in _SHAPES.items()
    }


def setting_names() -> list[str]:
    """Every setting by its full name."""
    return [name for name, _ in _settings(Settings)]


def command_helps() -> dict[str, str]:
    """The help of every command, by its words."""
    return dict(_commands(main, "inbond", None))


def _page(title: str, *blocks: str) -> str:
    return "\n\n".join([f"# {title}", _MADE, *(block.strip("\n") for block in blocks)]) + "\n"


def _table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    ruled = [heads, ("---",) * len(heads), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in ruled
    )


def _settings(model: type[BaseModel], under: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if name == "directory":  # where the file lies, no key of it
            continue
        yield f"{under}{name}", field
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _settings(field.annotation, f"{under}{name}.")
    if model is Settings:
        yield from _settings(CustodySettings, "custody.ROUTE.")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    if isinstance(field.default, BaseModel) or field.default in ({}, (), None, ""):
        return ""
    value: Any = field.default
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def settings_page() -> str:
    """`settings.md`."""
    rows = (
        (f"`{name}`", field.description or "", _default(field))
        for name, field in _settings(Settings)
    )
    teachers = ", ".join(f"`{name}`" for name in TeacherSettings.model_fields)
    return _page(
        "Settings",
        "The file is `inbond.yaml` in the workspace.\n"
        "Each key may also come from the environment: `INBOND_WORKERS=4`, and with two underscores "
        "for a nested key: `INBOND_UPSTREAM__CA=ca.pem`.\n"
        "A variable replaces what the file says.",
        _table(("key", "what it says", "default"), rows),
        f"An entry of `teachers` has these keys: {teachers}.\n"
        "[Route traffic](../guides/route-traffic.md) shows one.",
        "Two variables are no settings: `INBOND_WORKSPACE` names the workspace, and `INBOND_KEY` is "
        "the client key of `inbond run` and `inbond env`.",
    )


def _commands(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[tuple[str, str]]:
    context = click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        help_option_names=["-h", "--help"],
    )
    command._help_option = None  # click keeps the one of whoever asked first, another context maybe
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            inner = command.get_command(context, word)
            assert inner is not None
            yield from _commands(inner, word, context)


def commands_page() -> str:
    """`command-line.md`."""
    blocks = (f"## {name}\n\n```text\n{text}\n```" for name, text in command_helps().items())
    return _page(
        "Command line",
        "Results go to standard output, everything else to standard error.\n"
        "With `--json` a command prints one JSON object a line, and its errors as JSON too.\n"
        "The exit status is 0 where all is fine, 1 for findings or a denial, 2 for wrong use.\n"
        "`inbond audit verify` says 0 true, 1 false, 2 cannot tell.\n"
        "`inbond run` ends with the exit status of its command.",
        *blocks,
    )


def _fact(spec: FactSpec) -> tuple[str, ...]:
    values = ", ".join(f"`{value}`" for value in spec.values)
    return (
        f"`{spec.name}`",
        spec.doc,
        values or spec.type.value,
        spec.gate.value,
        spec.supplied_by,
    )


def facts_page() -> str:
    """`facts.md`."""
    return _page(
        "Facts",
        "All that a condition may ask about an exchange, and the only vocabulary for it.\n"
        "A fact is unknown until somebody supplies it, and unknown never counts as harmless.\n"
        "No detector runs in this version: `request.pii`, `request.secret`, `response.pii`, "
        "`response.secret` and `response.language` are unknown until a person supplies them.",
        _table(
            ("fact", "what it says", "values", "first gate", "supplied by"),
            (_fact(spec) for spec in CATALOGUE.values()),
        ),
        "`counter.NAME` is a number that a policy's `counters` declare.\n"
        "Nothing counts in this version, so it is unknown.",
    )


def _key_rows(kind: str) -> Iterator[tuple[str, ...]]:
    for name, field in _SHAPES[kind].model_fields.items():
        key = field.alias or name
        must = "yes" if field.is_required() else ""
        yield f"`{key}`", KEYS[kind][key], must


def policy_files_page() -> str:
    """`policy-files.md`."""
    tables = (
        f"## {kind}\n\n{_table(('key', 'what it says', 'required'), _key_rows(kind))}"
        for kind in _SHAPES
    )
    gates = "\n".join(
        f"- `{word}`: {' and '.join(f'`{gate}`' for gate in gates)}"
        for word, gates in GATE_WORDS.items()
        if len(gates) > 1
    )
    return _page(
        "Policy files",
        "The keys of each kind of file, and of the mappings inside it.\n"
        "An unknown key is an error with its line and column.",
        *tables,
        f"## Gates\n\nA rule names gates, or a word for several:\n\n{gates}",
        "## Duties\n\nThe closed list of what may come with a permit:\n\n"
        + "\n".join(f"- `{duty}`" for duty in DUTIES),
        "## Tests of a condition\n\n"
        "A bare value means *is*, a list means *is one of*; for a set, *has one of*.\n"
        "Otherwise: `not`, `above`, `at_least`, `below`, `at_most`, `has`, `lacks`.",
    )


PAGES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "docs/reference/command-line.md": commands_page,
        "docs/reference/facts.md": facts_page,
        "docs/reference/policy-files.md": policy_files_page,
        "docs/reference/settings.md": settings_page,
    }
)
"""Each made page, by its path in the repository."""


if __name__ == "__main__":
    for path, made in PAGES.items():
        (ROOT / path).write_text(made(), encoding="utf-8")
