"""`inbond retain` in a workspace whose settings keep everything."""

from pathlib import Path

import time_machine

from tests.proxy.workshop import NOW, Workshop


def test_without_classes_nothing_is_due(tmp_path: Path) -> None:
    """Nobody said how long bodies are kept: they are, and it is said. With a class: test_retention."""
    with time_machine.travel(NOW, tick=True):
        here = Workshop.at(tmp_path / "work")
        result = here.inbond("retain")
    assert result.exit_code == 0
    assert "has no classes" in result.stderr
