"""The workspace a command works in, and who runs the command."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate

import click

from proxy.settings import Settings, load_settings

__all__ = ["actor", "with_settings"]


def with_settings[**P, R](command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Give a command the settings of its workspace as its first argument."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        directory = click.get_current_context().find_root().obj
        assert isinstance(directory, Path)  # noqa: S101 - the group sets it
        return command(_settings(directory), *args, **kwargs)

    return wrapped


def _settings(directory: Path) -> Settings:
    from proxy.route import TeacherSettings

    return load_settings(directory, os.environ, TeacherSettings)


def actor() -> str:
    """Who runs this command, as the ledger writes it: an opaque id, no name."""
    return f"user:{os.getuid()}"
