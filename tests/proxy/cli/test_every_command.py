"""Every noun and verb of `inbond`: it is there, says what it does, and speaks to programs."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from proxy.cli import main


def commands(
    group: click.Group, context: click.Context, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands under a group that do something themselves, with their words."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"`{' '.join((*path, name))}` is listed and not there"
        if isinstance(command, click.Group):
            below = click.Context(command, info_name=name, parent=context)
            yield from commands(command, below, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands(main, click.Context(main, info_name="inbond")))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_has_json_and_help(words: tuple[str, ...]) -> None:
    """Every command has `--json` and a help whose first line is a sentence."""
    command = COMMANDS[words]
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options
    first = (command.help or "").splitlines()[0]
    assert first[0].isupper()
    shown = CliRunner().invoke(main, [*words, "--help"])
    assert (shown.exit_code, "Usage: inbond" in shown.stdout) == (0, True)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"`{parameter.opts[0]}` has no help"


@pytest.mark.parametrize("noun", sorted({words[0] for words in COMMANDS}))
def test_each_noun_shows_its_help(noun: str) -> None:
    """`inbond NOUN --help` ends with 0."""
    assert CliRunner().invoke(main, [noun, "--help"]).exit_code == 0
