"""What the ledger of a workspace adds to `inbond policy check`, and to nothing but the words."""

from datetime import timedelta
from pathlib import Path

import time_machine

from tests.proxy.workshop import NOW, Asked, Said, Workshop

GRANT = """\
inbond: 1
grant: cut-short-answers
party: Example Org
lifts: [house-rules/cut-short]
scope: {project: garden}
in_force: {from: 2026-11-01, until: 2026-12-06}
owner: ml@example.org
because: This student is to learn to stop in the middle.
"""


def test_silence_and_the_weight_of_a_grant_are_told(tmp_path: Path) -> None:
    """A model that nobody speaks for, and a grant that ends with what depends on it."""
    with time_machine.travel(NOW, tick=True):
        here = Workshop.at(tmp_path / "work")
        here.approve(here.declare("gardener", competes="[]"))
        letter = here.directory / "policies/grants/cut-short-answers.yaml"
        letter.write_text(GRANT)
        here.approve(letter)
        assert "silent" not in here.inbond("policy", "check", "--quick").stdout
        here.ask(Asked(said=(Said(finish="length"),)), Asked())
        settings = here.directory / "inbond.yaml"
        settings.write_text(settings.read_text().replace("id: smollm2-135m", "id: mystery-135m"))
        here.ask(Asked())
    with time_machine.travel(NOW + timedelta(hours=1), tick=True):
        result = here.inbond("policy", "check", "--quick")
    assert (
        "warning[silent]: no policy speaks for the model `mystery-135m-instruct`: "
        "nothing may be learned from its 1 answer on record\n"
        " --> models/mystery-135m-instruct.yaml:1:1\n"
    ) in result.stdout
    assert (
        "warning[expires]: the grant `cut-short-answers` ends in 11 days; "
        "1 admitted example depends on it\n"
    ) in result.stdout


def test_a_folder_without_a_ledger_tells_nothing(tmp_path: Path) -> None:
    """Policies that no installation runs by are checked for what they are, and no database is made."""
    (tmp_path / "policies").mkdir()
    result = Workshop(directory=tmp_path).inbond(
        "policy", "check", tmp_path, "--organisation", "Example Org", "--quick"
    )
    assert result.exit_code == 0, result.stderr
    assert not list(tmp_path.glob("*.db"))
