"""How a stranger's program tells what it thinks of bundles: a line of JSON for each folder."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["tell"]


def tell(check: Callable[[Path], None], refusals: tuple[type[Exception], ...]) -> None:
    """Print, for each folder of the command line, the problem that `check` raises, or none.

    Only `refusals`, which the stranger's library raises for what is false, are verdicts: whatever
    else it raises ends the program.
    """
    for folder in sys.argv[1:]:
        problem: str | None = None
        try:
            check(Path(folder))
        except refusals as error:
            problem = f"{type(error).__name__}: {error}"
        sys.stdout.write(json.dumps({"folder": folder, "problem": problem}) + "\n")
