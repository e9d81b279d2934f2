"""Tests of proxy.secret."""

import copy
import pickle
from dataclasses import asdict, dataclass

import pytest

from proxy.secret import Secret

CANARY = "canary-4f1d"


@dataclass
class Holder:
    """Something that holds a secret."""

    secret: Secret


def test_only_reveal_shows_the_value() -> None:
    """No repr, text or format of a secret, or of what holds it, shows its value."""
    secret = Secret(CANARY)
    holder = Holder(secret)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", f"{secret!r}"]
    shown += ["%s" % secret, repr(holder), str(asdict(holder)), repr([secret])]  # noqa: UP031 - the old way shows nothing either
    assert all(CANARY not in text for text in shown)
    assert secret.reveal() == CANARY


def test_a_secret_is_not_pickled() -> None:
    """Pickling a secret fails, and the failure does not show it."""
    with pytest.raises(TypeError) as caught:
        pickle.dumps(Secret(CANARY))
    assert CANARY not in str(caught.value)


def test_secrets_compare_by_value() -> None:
    """Equal values are equal secrets; a text is no secret."""
    assert Secret("é") == Secret("é")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_a_copy_is_the_secret_itself() -> None:
    """Copying makes no second value in memory."""
    secret = Secret(CANARY)
    assert copy.copy(secret) is secret
    assert copy.deepcopy(secret) is secret
