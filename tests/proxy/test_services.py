"""What calls share: one worker's parts, which no call can change."""

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from proxy.services import Delivery, Services
from tests.proxy.calls import site


def test_no_call_changes_what_others_share(tmp_path: Path) -> None:
    """Each part is set when the worker starts, and never again."""
    with site(tmp_path) as here:
        services = here.services
        for field in fields(Services):
            with pytest.raises(FrozenInstanceError):
                setattr(services, field.name, None)


@pytest.mark.parametrize("is_buffered", [False, True])
def test_whose_answers_are_held(*, is_buffered: bool) -> None:
    """What is said of one teacher counts before what is said of all."""
    delivery = Delivery(is_buffered=is_buffered, exceptions={"acme": True, "other": False})
    assert [delivery.holds(entry) for entry in ("acme", "other", "third")] == [
        True,
        False,
        is_buffered,
    ]
