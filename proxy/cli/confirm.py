"""Deeds that cannot be undone: shown first, done once somebody says so."""

import sys
from collections.abc import Callable

import click

from proxy.errors import SettingsError

__all__ = ["confirmed", "consent_options"]


def consent_options[F: Callable[..., object]](command: F) -> F:
    """The options `--dry-run` and `--yes`; they arrive as `dry_run` and `yes`."""
    yes = click.option("--yes", is_flag=True, help="Do it without being asked again.")
    dry = click.option(
        "--dry-run", is_flag=True, help="Show what would happen, and change nothing."
    )
    return dry(yes(command))


def confirmed(question: str, *, dry_run: bool, yes: bool, is_json: bool) -> bool:
    """Whether to go on: said on the command line, or by somebody at a terminal.

    Raises:
        SettingsError: nobody said so, and there is no terminal to ask at.
    """
    if dry_run:
        return False
    if yes:
        return True
    if is_json or not sys.stdin.isatty():
        raise SettingsError(
            "nothing was done: this cannot be undone, and nobody said that it should be done",
            help="look at what it would do, then add `--yes`",
            code="not-confirmed",
        )
    return click.confirm(question, err=True)
