"""Every genuine Python SDK × mode × sync and async × plain, stream, tools, error, refusals, retry.

Promises: what the SDK parses is what the teacher said, and what the ledger has is what both did
(P2, P3); a refusal raises the SDK's own exception (P9). curl is among them.
"""

import shutil
import sys
from pathlib import Path

import pytest

from tests.e2e.sdk_cases import CASES, JOURNEYS
from tests.e2e.sdk_matrix import Script, played

pytestmark = pytest.mark.slow


async def test_every_sdk_hears_what_the_teacher_said(
    template: Path, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """The SDK's own parsed answer is the transcript's, and the ledger's exchange is its reading."""
    assert shutil.which("curl"), "curl is one of the clients: install it"
    cases = [case for case in CASES if case.about.runtime != "node"]
    script = Script(name="python", command=(sys.executable, "-m", "tests.e2e.sdk_every"))
    found = await played(template, tmp_path, cases, script)
    for case in cases:
        with subtests.test(case.name):
            found.check(case)


def test_each_journey_is_made() -> None:
    """What the reference says of batches, sockets and gRPC is a test that is there."""
    for journey in JOURNEYS:
        module, _, function = journey.test.partition("::")
        text = Path(__file__).with_name(module).read_text()
        assert f"def {function}(" in text, journey.test
