"""What cannot be undone is done only once somebody says so."""

import pytest

from proxy.cli.confirm import confirmed
from proxy.errors import SettingsError


def test_a_dry_run_is_never_done() -> None:
    """`--dry-run` wins, also beside `--yes`."""
    assert not confirmed("?", dry_run=True, yes=True, is_json=False)


def test_yes_is_enough() -> None:
    """`--yes` asks nobody."""
    assert confirmed("?", dry_run=False, yes=True, is_json=True)


@pytest.mark.parametrize("is_json", [True, False])
def test_without_a_terminal_nobody_is_asked(*, is_json: bool) -> None:
    """Programs and pipes get an error that says how to go on."""
    with pytest.raises(SettingsError, match="nothing was done") as caught:
        confirmed("?", dry_run=False, yes=False, is_json=is_json)
    assert "`--yes`" in caught.value.help


@pytest.mark.parametrize(("answer", "is_done"), [("y", True), ("n", False), ("", False)])
def test_at_a_terminal_somebody_is_asked(
    monkeypatch: pytest.MonkeyPatch, answer: str, *, is_done: bool
) -> None:
    """Whoever sits there says yes, or it is not done."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: answer)
    assert confirmed("really?", dry_run=False, yes=False, is_json=False) is is_done
