"""A running proxy before both teachers, for the tests of a file that need no settings of their own.

A start costs three seconds of CPU. A test asks for the site `from_now`: what earlier tests called,
logged and told the teachers is not its own.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.e2e.harness import Running, Workspace
from tests.e2e.teacher import Teachers, teachers
from tests.proxy.upstream import Script, Seen

__all__ = ["Site", "running_site"]


@dataclass(frozen=True, slots=True)
class Site:
    """A workspace, its processes, and the teachers behind them."""

    workspace: Workspace
    running: Running
    stage: Teachers

    def from_now(self) -> "Site":
        """The same as if nothing had been; nothing may be under way."""
        self.stage.visits.clear()
        self.stage.scripts.clear()
        return replace(self, workspace=self.workspace.from_now())


@contextlib.asynccontextmanager
async def running_site(
    template: Path, folder: Path, otherwise: Callable[[Seen], Script] | None = None
) -> AsyncIterator[Site]:
    """A proxy for the time of the block; `otherwise` answers where no script is given."""
    async with teachers() as stage:
        stage.otherwise = otherwise
        workspace = Workspace.copy(template, folder / "workspace", **stage.settings)
        async with workspace.running() as running:
            yield Site(workspace, running, stage)
