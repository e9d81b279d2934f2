"""The reference pages that are made from the code: `python -m tests.docs` writes them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from policies.facts import CATALOGUE, FactSpec
from policies.keys import DUTY_MEANINGS, GATE_MEANINGS, KEYS, OPERATORS
from policies.shapes import DUTIES, GATE_WORDS, SHAPES
from proxy.cli import main
from proxy.providers import TeacherSettings
from proxy.settings import CustodySettings, Settings
from tests.docs_clients import clients_page, teachers_page
from tests.docs_diagnostics import diagnostics_pages
from tests.docs_library import library_pages
from tests.docs_page import page, table

__all__ = ["FOLDERS", "PAGES", "ROOT", "command_helps", "policy_keys", "setting_names", "write"]

ROOT = Path(__file__).parents[1]
_WIDTH = 96


def policy_keys() -> dict[str, set[str]]:
    """The keys of each kind of mapping, as the loader takes them."""
    return {
        kind: {field.alias or name for name, field in shape.model_fields.items()}
        for kind, shape in SHAPES.items()
    }


def setting_names() -> list[str]:
    """Every setting by its full name."""
    return [name for name, _ in _settings(Settings)]


def command_helps() -> dict[str, str]:
    """The help of every command, by its words."""
    return dict(_commands(main, "inbond", None))


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
    return page(
        "Settings",
        "The file is `inbond.yaml` in the workspace.\n"
        "Each key may also come from the environment: `INBOND_WORKERS=4`, and with two underscores "
        "for a nested key: `INBOND_UPSTREAM__CA=ca.pem`.\n"
        "A variable replaces what the file says.",
        table(("key", "what it says", "default"), rows),
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
    return page(
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
    return page(
        "Facts",
        "All that a condition may ask about an exchange, and the only vocabulary for it.\n"
        "A fact is unknown until somebody supplies it, and unknown never counts as harmless.\n"
        "`request.pii`, `request.secret`, `response.pii` and `response.secret` are unknown unless a "
        "detector is switched on (`detectors` in the settings), and `response.language` until a person "
        "supplies it.",
        table(
            ("fact", "what it says", "values", "first gate", "supplied by"),
            (_fact(spec) for spec in CATALOGUE.values()),
        ),
        "`counter.NAME` is a number that a policy's `counters` declare.\n"
        "It counts calls that passed the request gate, the one being decided included.",
    )


def _key_rows(kind: str) -> Iterator[tuple[str, ...]]:
    for name, field in SHAPES[kind].model_fields.items():
        key = field.alias or name
        must = "yes" if field.is_required() else ""
        yield f"`{key}`", KEYS[kind][key], must


def policy_files_page() -> str:
    """`policy-files.md`."""
    tables = (
        f"## {kind}\n\n{table(('key', 'what it says', 'required'), _key_rows(kind))}"
        for kind in SHAPES
    )
    gates = ((f"`{word}`", GATE_MEANINGS[word]) for word in GATE_WORDS)
    duties = ((f"`{duty}`", DUTY_MEANINGS[duty]) for duty in DUTIES)
    tests = ((f"`{word}`", meaning) for word, meaning in OPERATORS.items())
    return page(
        "Policy files",
        "The keys of each kind of file, and of the mappings inside it.\n"
        "An unknown key is an error with its line and column.",
        *tables,
        "## Gates\n\nA rule names gates, or the word for two of them:",
        table(("word", "what is asked"), gates),
        "## Duties\n\nThe closed list of what may come with a permit; the value says what exactly:",
        table(("duty", "what it asks for"), duties),
        "## Tests of a condition\n\n"
        "A bare value means *is*, a list means *is one of*; for a set, *has one of*.\n"
        "A pattern for text has one `*`, at its start or at its end.\n"
        "Otherwise:",
        table(("test", "when it holds"), tests),
        "## In an editor\n\n"
        "`inbond policy schema` prints all of this as JSON Schema 2020-12.\n"
        "Editors with the YAML language server complete and explain every key and fact by it:\n\n"
        "```console\n$ inbond policy schema > policies/schema.json\n```\n\n"
        "Then each file begins with `# yaml-language-server: $schema=../schema.json`.",
        "## What may be wrong\n\n"
        "Each [diagnostic](diagnostics/README.md) has a page with what to avoid and what to prefer.",
    )


PAGES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "docs/reference/clients.md": clients_page,
        "docs/reference/command-line.md": commands_page,
        "docs/reference/facts.md": facts_page,
        "docs/reference/policy-files.md": policy_files_page,
        "docs/reference/settings.md": settings_page,
        "docs/reference/teachers.md": teachers_page,
        **diagnostics_pages(),
        **library_pages(),
    }
)
"""Each made page, by its path in the repository."""

FOLDERS = ("docs/reference/diagnostics", "docs/reference/library")
"""Folders that hold made pages alone."""


def write() -> None:
    """Write every made page, and remove what is made no more."""
    for folder in FOLDERS:
        (ROOT / folder).mkdir(exist_ok=True)
        for path in (ROOT / folder).iterdir():
            if str(path.relative_to(ROOT)) not in PAGES:
                path.unlink()
    for name, made in PAGES.items():
        (ROOT / name).write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    write()
