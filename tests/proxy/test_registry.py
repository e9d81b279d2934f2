"""The registry of a workspace: what its settings name is there, and no key goes out unencrypted."""

from pathlib import Path

import pytest

from proxy.cli.template import settings_file
from proxy.errors import SettingsError
from proxy.registry import registry_of
from proxy.route import TeacherSettings
from proxy.settings import Settings, load_settings

_TEACHER = """
teachers:
  - id: house
    host: house.teacher.test
    prefix: house
    formats: [openai.chat]
    scheme: {scheme}
    connect: "{connect}"
    model: {{id: m, names: ["*"], repository: r, revision: "1", licence: Apache-2.0}}
custody:
  house: {{account: main, env: HOUSE_KEY}}
"""


def _written(folder: Path, more: str) -> Settings:
    text = settings_file(organisation="Acme", origin="inbond/acme")
    (folder / "inbond.yaml").write_text(f"{text}\n{more}")
    return load_settings(folder, {}, TeacherSettings)


def test_custody_for_nobody_is_refused(tmp_path: Path) -> None:
    """A key for an entry that there is not would let calls pass by: the near one is offered."""
    text = "custody:\n  openai-apo: {account: a, env: HOUSE_KEY}\n"
    with pytest.raises(SettingsError, match="`openai-apo`, and the registry has no") as raised:
        registry_of(_written(tmp_path, text))
    assert (raised.value.code, raised.value.where) == ("unknown-teacher", "custody.openai-apo")
    assert raised.value.help == "did you mean `openai-api`?"
    with pytest.raises(SettingsError) as raised:
        registry_of(_written(tmp_path, text.replace("openai-apo", "zzz")))
    assert "anthropic-api" in raised.value.help


@pytest.mark.parametrize(
    ("scheme", "connect", "is_safe"),
    [
        ("http", "127.0.0.1:9", True),
        ("http", "[::1]:9", True),
        ("http", "localhost:9", True),
        ("http", "10.0.0.7:9", False),
        ("http", "teacher.example.org:9", False),
        ("https", "10.0.0.7:9", True),
    ],
)
def test_a_key_in_custody_needs_tls_or_this_machine(
    tmp_path: Path, scheme: str, connect: str, *, is_safe: bool
) -> None:
    """A key that would cross a network unencrypted is refused before anything starts."""
    text = _TEACHER.format(scheme=scheme, connect=connect)
    settings = _written(tmp_path, text)
    if is_safe:
        assert {"house", "openai-api"} <= {entry.id for entry in registry_of(settings).entries}
        return
    with pytest.raises(SettingsError, match=f"would go to `{connect}` unencrypted") as raised:
        registry_of(settings)
    assert raised.value.code == "unsafe-custody"
