"""`inbond policy`: its verbs are found when they are asked for."""

import subprocess
import sys

import click
from click.testing import CliRunner

from proxy.cli import main
from proxy.cli.policy import policy


def test_each_verb_is_a_command_of_its_name() -> None:
    """Every verb that is listed is there, under the name it is listed by."""
    context = click.Context(policy, info_name="policy")
    for verb in policy.list_commands(context):
        command = policy.get_command(context, verb)
        assert command is not None
        assert command.name == verb


def test_an_unknown_verb_is_wrong_use() -> None:
    """A verb that is not there is refused with the way to those that are."""
    result = CliRunner().invoke(main, ["policy", "chek"])
    assert (result.exit_code, "error[usage]" in result.stderr) == (2, True)


def test_checking_waits_for_no_database() -> None:
    """The verbs that need no ledger import neither sqlalchemy nor the proxy's engine."""
    code = (
        "import sys, proxy.cli.policy_check, proxy.cli.policy_language;"
        "sys.exit('sqlalchemy' in sys.modules or 'mitmproxy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
