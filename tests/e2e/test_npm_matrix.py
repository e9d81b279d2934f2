"""Every genuine npm SDK × mode × plain, stream, tools, error, refusals, retry, on Node 24.

Promises: what the SDK parses is what the teacher said, and what the ledger has is what both did
(P2, P3); a refusal raises the SDK's own exception (P9).
"""

import asyncio
import json
from pathlib import Path

import pytest

from tests.e2e.sdk_cases import CASES
from tests.e2e.sdk_matrix import Script, played
from tests.e2e.sdk_npm import FOLDER, NODE, laid_out, packages

pytestmark = pytest.mark.slow


async def test_every_npm_sdk_hears_what_the_teacher_said(
    template: Path, tmp_path: Path, subtests: pytest.Subtests, pytestconfig: pytest.Config
) -> None:
    """The SDK's own parsed answer is the transcript's, and the ledger's exchange is its reading."""
    cache = pytestconfig.cache
    assert cache is not None
    modules = await asyncio.to_thread(packages, cache.mkdir("npm-clients"))
    calls = laid_out(tmp_path / "node", modules)
    cases = [case for case in CASES if case.about.runtime == "node"]
    script = Script(name="node", command=(str(NODE), str(calls)))
    found = await played(template, tmp_path, cases, script)
    for case in cases:
        with subtests.test(case.name):
            found.check(case)


def test_the_lock_file_names_no_registry() -> None:
    """Each package is pinned by its digest, and comes from whatever registry npm is told to use."""
    locked = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    asked = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    assert locked.pop("")["dependencies"] == asked
    assert {name for name in asked if f"node_modules/{name}" not in locked} == set()
    assert [name for name, about in locked.items() if not about.get("integrity")] == []
    assert [name for name, about in locked.items() if "resolved" in about] == []
