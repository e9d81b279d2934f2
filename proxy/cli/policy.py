"""`inbond policy`: what the policies say, and whether they may take effect."""

from importlib import import_module
from typing import override

import click

__all__ = ["policy"]

_VERBS = {
    "check": "proxy.cli.policy_check:check_command",
    "explain": "proxy.cli.policy_explain:explain_command",
    "diff": "proxy.cli.policy_diff:diff_command",
    "facts": "proxy.cli.policy_language:facts",
    "schema": "proxy.cli.policy_language:print_schema",
    "propose": "proxy.cli.policy_papers:propose",
    "approve": "proxy.cli.policy_papers:approve",
    "revoke": "proxy.cli.policy_papers:revoke",
}
"""`module:attribute` of each click command."""


class _Verbs(click.Group):
    """Imports a verb when it is asked for: checking policies never waits for the ledger."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = _VERBS.get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above is ours
        return command


@click.group(cls=_Verbs)
def policy() -> None:
    """Check policies, and say which of them may take effect."""
