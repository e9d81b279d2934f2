"""The entries of the registry: contracts, where they are reached, and the models behind their names.

`providers.yaml` has the packaged ones; the settings have those of one's own teachers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from proxy.naming import Naming, dateless, normalised

__all__ = [
    "Entry",
    "Scheme",
    "TeacherSettings",
    "TeacherWeights",
    "entry_of",
    "matches",
    "model_id",
    "packaged_entries",
    "plain_host",
]

type Scheme = Literal["http", "https"]
type Auth = Literal["api-key", "bearer", "sigv4", "x-api-key", "x-goog-api-key"]
type FormatName = Literal[
    "anthropic.batches",
    "anthropic.messages",
    "anthropic.stored",
    "bedrock.converse",
    "bedrock.invoke",
    "cohere.v1",
    "cohere.v2",
    "dashscope",
    "gemini.batches",
    "gemini.generateContent",
    "gemini.interactions",
    "gemini.live",
    "gemini.stored",
    "mistral.batches",
    "mistral.conversations",
    "ollama.chat",
    "ollama.generate",
    "openai.audio",
    "openai.batches",
    "openai.chat",
    "openai.completions",
    "openai.embeddings",
    "openai.files",
    "openai.images",
    "openai.moderations",
    "openai.realtime",
    "openai.responses",
    "openai.stored",
    "replicate",
    "xai.batches",
    "xai.grpc",
]
type Family = Literal["anthropic", "bedrock", "cohere", "gemini", "ollama", "openai", "plain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One contract with whoever operates a teacher: where it is reached and what it speaks there."""

    id: str
    """The entry's id: for a provider, the registry id of the contract."""
    route: str
    """The fact `route`: the id policies speak of; `self-hosted` for every teacher of one's own."""
    provider: str
    hosts: tuple[str, ...]
    port: int
    """The port clients name, in both modes."""
    prefix: str
    """The first path segment in base-URL mode."""
    base_path: str = ""
    """What is put before the rest of the path in base-URL mode."""
    paths: tuple[str, ...]
    """The canonical paths the contract covers; one `*` at the end stands for anything."""
    formats: tuple[FormatName, ...]
    auth: Auth
    family: Family
    """The shape of refusals, where no format says it."""
    scheme: Scheme
    """What is spoken to the address that is dialled."""
    connect: tuple[str, int] | None = None
    """The address to dial instead of the host."""
    models: Mapping[str, str] = field(hash=False)
    """Wire name, or pattern with one `*` at an end, to canonical model id."""
    naming: Naming = "listed"
    """How names that are not listed become ids."""
    router: str | None = None
    """The fact `router`, where whoever is called has others serve the call."""
    upstreams: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Who may serve a router's call, by the name that the answer gives, to the fact `route`."""
    has_escaped_slash: bool = False
    """Whether a path may hold `%2F`, as names of models do there."""
    repository: str | None = None
    """Where self-hosted weights were published, with `revision` and `licence`."""
    revision: str | None = None
    licence: str | None = None
    serves_as_asked: bool = False
    """Whether the contract says that exactly the asked model answers, where the wire does not."""
    is_private_ok: bool = False
    """Whether the address may be loopback, link-local or private."""

    @property
    def is_packaged(self) -> bool:
        """Whether it is a provider's, and not a teacher of one's own."""
        return self.repository is None


def model_id(entry: Entry, wire_name: str) -> str | None:
    """The canonical id a name on the wire stands for at an entry; None where nobody knows.

    The name itself counts first, then the name without a date at its end, then patterns, then the
    host's way of naming.
    """
    exact = entry.models.get(wire_name) or entry.models.get(dateless(wire_name))
    if exact is not None:
        return exact
    patterns = (pattern for pattern in entry.models if "*" in pattern)
    found = (entry.models[pattern] for pattern in patterns if matches(wire_name, pattern))
    listed = next(found, None)
    if listed is not None:
        return listed
    named = normalised(entry.naming, entry.id, wire_name)
    return None if named is None else entry.models.get(named, named)


def matches(name: str, pattern: str) -> bool:
    """Whether a name matches a pattern with at most one `*`, at an end."""
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    if pattern.startswith("*"):
        return name.endswith(pattern[1:])
    return name == pattern


def plain_host(host: str) -> str:
    """A host as the registry keeps it: lower case, no final dot, no brackets."""
    return host.lower().removesuffix(".").removeprefix("[").removesuffix("]")


def _one_star(pattern: str) -> str:
    if not pattern or "*" in pattern[1:-1] or pattern.count("*") > 1:
        raise ValueError("a name is not empty and has at most one `*`, at its start or end")
    return pattern


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise ValueError("an address is `host:port`")
    return text


type _Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
type _Host = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
type _HostPattern = Annotated[str, Field(pattern=r"^[a-z0-9*][a-z0-9.*-]{0,252}[a-z0-9]$")]
type _Port = Annotated[int, Field(ge=1, le=65_535)]
type _BasePath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$")]
type _Name = Annotated[str, AfterValidator(_one_star)]
type _Word = Annotated[str, Field(min_length=1)]


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TeacherWeights(_Written):
    """The weights a self-hosted teacher runs: what its canonical id rests on."""

    id: _Slug = Field(description="the canonical id of the model, such as `smollm2-135m-instruct`")
    names: tuple[_Name, ...] = Field(
        default=(), description="its names on the wire; one `*` at an end stands for anything"
    )
    repository: _Word = Field(description="where the weights were published")
    revision: _Word = Field(description="which revision of the repository runs")
    licence: _Word = Field(description="the SPDX id of the weights' licence")


class TeacherSettings(_Written):
    """One entry under `teachers:`: a teacher of one's own that speaks a known wire format."""

    id: _Slug = Field(description="the entry's id in the registry")
    route: Literal["self-hosted"] = Field(
        default="self-hosted", description="the contract policies speak of"
    )
    host: _Host = Field(description="the name clients call")
    port: _Port = Field(default=443, description="the port clients call")
    prefix: _Slug = Field(description="the first path segment in base-URL mode")
    base_path: _BasePath = Field(
        default="", description="what is put before the rest of the path in base-URL mode"
    )
    formats: tuple[FormatName, ...] = Field(
        default=("openai.chat",), min_length=1, description="the wire formats it speaks"
    )
    auth: Auth = Field(default="bearer", description="how it is given its key")
    connect: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None, description="the `host:port` to dial instead, which may be a private one"
    )
    scheme: Scheme = Field(default="https", description="what is spoken to the address dialled")
    model: TeacherWeights = Field(description="the weights it runs")


class _ProviderRow(_Written):
    id: _Slug
    provider: _Slug
    hosts: tuple[_HostPattern, ...] = Field(min_length=1)
    prefix: _Slug
    base_path: _BasePath = ""
    paths: tuple[_Name, ...]
    formats: tuple[FormatName, ...]
    auth: Auth = "bearer"
    family: Family = "openai"
    naming: Naming = "listed"
    router: _Slug | None = None
    upstreams: dict[_Word, _Slug] = {}
    has_escaped_slash: bool = False
    models: dict[_Slug, tuple[_Name, ...]] = {}


_ROWS: TypeAdapter[list[_ProviderRow]] = TypeAdapter(list[_ProviderRow])


def entry_of(teacher: TeacherSettings) -> Entry:
    """The entry of a self-hosted teacher; its weights' id is a wire name as well."""
    weights = teacher.model
    dial = None if teacher.connect is None else teacher.connect.rpartition(":")
    return Entry(
        id=teacher.id,
        route=teacher.route,
        provider="self-hosted",
        hosts=(teacher.host,),
        port=teacher.port,
        prefix=teacher.prefix,
        base_path=teacher.base_path,
        paths=("/*",),
        formats=teacher.formats,
        auth=teacher.auth,
        family=_family(teacher.formats[0]),
        scheme=teacher.scheme,
        connect=None if dial is None else (plain_host(dial[0]), int(dial[2])),
        models=MappingProxyType(dict.fromkeys((weights.id, *weights.names), weights.id)),
        repository=weights.repository,
        revision=weights.revision,
        licence=weights.licence,
        is_private_ok=teacher.connect is not None,
    )


def _family(wire_format: FormatName) -> Family:
    """The shape of errors that goes with a format: the first half of its name, or none's."""
    word = wire_format.partition(".")[0]
    families: tuple[Family, ...] = get_args(Family.__value__)
    return next((family for family in families if family == word), "plain")


def packaged_entries(document: str) -> tuple[Entry, ...]:
    """The entries of the packaged providers, from their YAML."""
    return tuple(
        _provider(row) for row in _ROWS.validate_python(yaml.load(document, yaml.CSafeLoader))
    )


def _provider(row: _ProviderRow) -> Entry:
    names = {name: model for model, others in row.models.items() for name in (model, *others)}
    return Entry(
        id=row.id,
        route=row.id,
        provider=row.provider,
        hosts=row.hosts,
        port=443,
        prefix=row.prefix,
        base_path=row.base_path,
        paths=row.paths,
        formats=row.formats,
        auth=row.auth,
        family=row.family,
        scheme="https",
        models=MappingProxyType(names),
        naming=row.naming,
        router=row.router,
        upstreams=MappingProxyType(row.upstreams),
        has_escaped_slash=row.has_escaped_slash,
    )
