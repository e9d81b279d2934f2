"""A worker in the test's own process: for a gate that breaks and a clock that jumps."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from proxy.gate import GateKeeper
from proxy.inforce import put_in_force, workspace_bundle
from proxy.store.recovery import recover
from proxy.worker import Worker
from tests.e2e.harness import CUSTODY, Workspace, until

__all__ = ["inside"]


@contextlib.asynccontextmanager
async def inside(
    workspace: Workspace, wrap: Callable[[GateKeeper], GateKeeper] | None = None
) -> AsyncIterator[Worker]:
    """A worker for the time of the block, with another gate where `wrap` makes one."""
    with workspace.ledger() as ledger:
        put_in_force(ledger.log, workspace_bundle(workspace.settings, ledger.database), "user:1")
    worker = Worker(workspace.settings, CUSTODY)
    if wrap is not None:
        worker.gatehouse = wrap(worker.gatehouse)  # type: ignore[assignment] # the engine asks for no more
    stop = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.serve(stop, is_shared_port=False))
            try:
                await until((workspace.settings.run_directory / f"{worker.id}.json").exists)
                yield worker
            finally:
                stop.set()
    finally:
        worker.close()
    with workspace.ledger() as ledger:
        recover(ledger.log, workspace.settings.run_directory)
