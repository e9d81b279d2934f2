"""`inbond anchor`: tell others of the newest checkpoint, and see who knows of which."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from proxy.cli.openledger import open_ledger
from proxy.cli.render import json_option, print_rows
from proxy.cli.workspace import with_settings
from proxy.clock import utc_now
from proxy.errors import ForkError, LedgerError
from proxy.settings import Settings

if TYPE_CHECKING:
    from proxy.anchors import Anchors, AnchorState

__all__ = ["anchor", "anchor_often"]

_LOOK_S = 15.0
"""How often a running proxy sees whether a place that failed may be asked again."""
_EMPTY = "nobody is told of checkpoints: name somebody in `anchors`"


@click.group()
def anchor() -> None:
    """Show checkpoints to others, whose word covers what the log's own key could rewrite."""


@anchor.command()
@json_option
@with_settings
@click.pass_context
def take(ctx: click.Context, settings: Settings, *, is_json: bool) -> None:
    """Sign the log and tell every place in `anchors` now; exits with 1 where one did not answer."""
    from proxy.anchors import anchors_of

    with open_ledger(settings) as ledger:
        anchors = anchors_of(settings, ledger.database, ledger.signer.verifier)
        anchors.check()
        ledger.signer.sign()
        states = anchors.take(utc_now(), is_forced=True)
    print_rows(map(_row, states), is_json=is_json, empty=_EMPTY)
    if any(state.problem for state in states):
        ctx.exit(1)


@anchor.command(name="list")
@json_option
@with_settings
def list_(settings: Settings, *, is_json: bool) -> None:
    """List the places that are told of checkpoints, and how it stands with each."""
    from proxy.anchors import states_of

    states = states_of(settings.run_directory)
    print_rows(map(_row, states), is_json=is_json, empty=_EMPTY)


async def anchor_often(anchors: "Anchors", every_s: float, tell: Callable[[str], None]) -> None:
    """Anchor at the start and every so often, and what failed again after its pause; never ends.

    Raises:
        ForkError: a place holds a checkpoint that this log signed and does not extend.
    """
    clock = asyncio.get_running_loop()
    told: dict[str, str | None] = {}
    due = clock.time()
    states: list[AnchorState] = []
    while True:
        is_due = clock.time() >= due
        if is_due:
            due = clock.time() + every_s
        if is_due or any(state.problem for state in states):
            try:
                states = await asyncio.to_thread(anchors.take, utc_now())
            except ForkError:
                raise
            except LedgerError as error:
                tell(f"no checkpoint was anchored: {error.message}; it is tried again later")
        for state in states:
            if state.problem is not None and told.get(state.name) != state.problem:
                tell(f"not anchored: {state.problem}; it is tried again later")
            told[state.name] = state.problem
        await asyncio.sleep(min(_LOOK_S, every_s))


def _row(state: "AnchorState") -> dict[str, object]:
    return {
        "kind": state.kind.value,
        "name": state.name,
        "size": None if state.size < 0 else state.size,
        "at": state.at,
        "problem": state.problem,
        "next_at": state.next_at,
    }
