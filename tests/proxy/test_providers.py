"""Claims on the entries of the registry: what is packaged, what is declared, whose names they are."""

from importlib.resources import files

import pytest
from pydantic import ValidationError

from policies.bundle import LIBRARY
from proxy.providers import (
    Entry,
    TeacherSettings,
    entry_of,
    matches,
    model_id,
    packaged_entries,
    plain_host,
)
from proxy.wire.dialects import FORMATS
from proxy.wire.refusal import FAMILIES

WRITTEN: dict[str, object] = {
    "id": "demo-teacher",
    "route": "self-hosted",
    "host": "teacher.demo.internal",
    "prefix": "teacher",
    "formats": ["openai.chat"],
    "connect": "127.0.0.1:9001",
    "scheme": "http",
    "model": {
        "id": "smollm2-135m-instruct",
        "names": ["SmolLM2-*", "*@main"],
        "repository": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "revision": "main",
        "licence": "Apache-2.0",
    },
}
ENTRIES = {
    entry.id: entry
    for entry in packaged_entries(files("proxy").joinpath("providers.yaml").read_text())
}


def _teacher(**change: object) -> Entry:
    return entry_of(TeacherSettings.model_validate({**WRITTEN, **change}))


def test_packaged_entries() -> None:
    """Each provider's contract is reached over https, at hosts of the public internet."""
    assert ENTRIES["openai-api"].hosts == ("api.openai.com",)
    assert ENTRIES["anthropic-api"].hosts == ("api.anthropic.com",)
    assert all(entry.route == entry.id for entry in ENTRIES.values())
    assert all((entry.scheme, entry.port) == ("https", 443) for entry in ENTRIES.values())
    assert not any(entry.is_private_ok for entry in ENTRIES.values())
    assert all(entry.is_packaged for entry in ENTRIES.values())


def test_every_contract_has_a_policy() -> None:
    """What the registry routes, the library speaks of, and the other way round."""
    spoken = {path.name.removesuffix(".yaml") for path in LIBRARY.glob("[hr]o*s/*.yaml")}
    spoken = {name for name in spoken if not name.endswith(".test")}
    assert set(ENTRIES) == spoken - {"self-hosted", "imported"}


def test_routers_hand_on_to_contracts_of_the_registry() -> None:
    """Who may stand behind a router is itself an entry."""
    routers = [entry for entry in ENTRIES.values() if entry.router]
    assert {entry.id for entry in routers} == {"huggingface-router", "openrouter"}
    assert all(set(entry.upstreams.values()) <= set(ENTRIES) for entry in routers)


def test_entries_speak_known_formats() -> None:
    """Every format and family of an entry is one that the wire readers have."""
    for entry in [*ENTRIES.values(), _teacher()]:
        assert set(entry.formats) <= set(FORMATS)
        assert entry.family in FAMILIES


@pytest.mark.parametrize(
    ("entry", "name", "canonical"),
    [
        ("openai-api", "gpt-4o", "gpt-4o"),
        ("openai-api", "gpt-4o-2024-08-06", "gpt-4o"),
        ("openai-api", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("openai-api", "gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
        ("openai-api", "gpt-4-1106-preview", "gpt-4-turbo"),
        ("openai-api", "o1-2024-12-17", "o1"),
        ("openai-api", "claude-sonnet-4", "openai-api/claude-sonnet-4"),
        ("openai-api", "ft:gpt-4o-2024-08-06:acme::abc", None),
        ("openai-api", "gpt-99-2030-01-01", "openai-api/gpt-99"),
        ("openai-api", "", None),
        ("anthropic-api", "claude-sonnet-4-0", "claude-sonnet-4"),
        ("anthropic-api", "claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("anthropic-api", "claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("anthropic-api", "claude-3-5-haiku-20241022", "claude-3-5-haiku"),
        ("anthropic-api", "claude-opus-4-1@20250805", "claude-opus-4-1"),
        ("anthropic-api", "claude-opus-4-1-20250805-x", "anthropic-api/claude-opus-4-1-20250805-x"),
        ("aws-bedrock", "meta.llama3-8b-instruct-v1:0", "meta-llama-3-8b-instruct"),
        ("aws-bedrock", "us.amazon.nova-pro-v1:0", "nova-pro"),
        (
            "fireworks",
            "accounts/fireworks/models/llama-v3p3-70b-instruct",
            "llama-3.3-70b-instruct",
        ),
        ("openrouter", "meta-llama/llama-3.3-70b-instruct:free", "llama-3.3-70b-instruct"),
        ("mistral", "mistral-large-latest", "mistral/mistral-large"),
    ],
)
def test_names_on_the_wire_have_one_id(entry: str, name: str, canonical: str | None) -> None:
    """Aliases and dated snapshots map to one id; a name nobody listed is a product of the contract."""
    assert model_id(ENTRIES[entry], name) == canonical


def test_own_teachers_have_the_ids_declared() -> None:
    """A self-hosted model's id comes from its declared weights only."""
    entry = _teacher()
    assert model_id(entry, "smollm2-135m-instruct") == "smollm2-135m-instruct"
    assert model_id(entry, "SmolLM2-135M") == "smollm2-135m-instruct"
    assert model_id(entry, "/models/x@main") == "smollm2-135m-instruct"
    assert model_id(entry, "gpt-4o") is None


def test_own_teachers_are_self_hosted_contracts() -> None:
    """A teacher of one's own keeps its registry id, and policies know it as `self-hosted`."""
    entry = _teacher()
    assert (entry.id, entry.route, entry.provider) == ("demo-teacher", "self-hosted", "self-hosted")
    assert (entry.connect, entry.is_private_ok) == (("127.0.0.1", 9001), True)
    assert (entry.repository, entry.revision, entry.licence) == (
        "HuggingFaceTB/SmolLM2-135M-Instruct", "main", "Apache-2.0",
    )  # fmt: skip
    assert entry.family == "openai"


def test_only_connect_allows_private_addresses() -> None:
    """Without `connect` a teacher's host must resolve to the public internet."""
    entry = _teacher(connect=None)
    assert (entry.connect, entry.is_private_ok) == (None, False)


def test_refusals_follow_the_first_format() -> None:
    """A teacher that speaks Anthropic's format is refused in Anthropic's shape."""
    assert _teacher(formats=["anthropic.messages"], connect="[::1]:1").family == "anthropic"
    assert _teacher(connect="[::1]:1").connect == ("::1", 1)


@pytest.mark.parametrize(
    "change",
    [
        {"route": "openai-api"},
        {"host": "Teacher.Internal"},
        {"host": "a b"},
        {"prefix": "a/b"},
        {"base_path": "v1"},
        {"base_path": "/v1/"},
        {"formats": []},
        {"formats": ["unheard.of"]},
        {"connect": "127.0.0.1"},
        {"connect": ":80"},
        {"connect": "x:0"},
        {"connect": "x:65536"},
        {"connect": "x:²"},
        {"scheme": "ftp"},
        {"surprise": 1},
        {"model": {"id": "x", "repository": "r", "revision": "1"}},
        {"model": {"id": "x", "repository": "r", "licence": "MIT"}},
        {"model": {"id": "x", "revision": "1", "licence": "MIT"}},
        {"model": {"id": "x", "repository": "", "revision": "1", "licence": "MIT"}},
        {"model": {**WRITTEN["model"], "names": ["a*b"]}},  # type: ignore[dict-item]  # a literal above
        {"model": {**WRITTEN["model"], "names": ["*a*"]}},  # type: ignore[dict-item]  # a literal above
        {"model": {**WRITTEN["model"], "names": [""]}},  # type: ignore[dict-item]  # a literal above
    ],
)
def test_wrong_teachers_are_refused(change: dict[str, object]) -> None:
    """A teacher with a wrong or missing field is not accepted; weights need all three origins."""
    with pytest.raises(ValidationError):
        TeacherSettings.model_validate({**WRITTEN, **change})


@pytest.mark.parametrize(
    ("name", "pattern", "is_match"),
    [
        ("a", "a", True),
        ("ab", "a", False),
        ("ab", "a*", True),
        ("ab", "*b", True),
        ("ab", "b*", False),
        ("ab", "*a", False),
        ("", "*", True),
    ],
)
def test_patterns(name: str, pattern: str, is_match: bool) -> None:  # noqa: FBT001 - a case of the table
    """A pattern is a name, or has one star at an end that stands for anything."""
    assert matches(name, pattern) == is_match


@pytest.mark.parametrize(
    ("host", "plain"),
    [("API.OpenAI.com.", "api.openai.com"), ("[::1]", "::1"), ("127.0.0.1", "127.0.0.1")],
)
def test_plain_hosts(host: str, plain: str) -> None:
    """A host has one spelling in the registry."""
    assert plain_host(host) == plain
