"""One frozen `Settings`, from `inbond.yaml` and the environment; nothing here is global."""

import hashlib
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from proxy.errors import SettingsError
from proxy.faults import Source, faults, raise_first, wrong
from proxy.log_settings import AnchorSettings, SignerSettings, WitnessSettings
from proxy.sections import Address, Section, address
from proxy.yamlfile import FileError, Loc, Value, read_document, read_value, text_of

__all__ = [
    "FILE_NAME",
    "AccountSettings",
    "Address",
    "AnchorSettings",
    "CustodySettings",
    "DetectorSettings",
    "Limits",
    "OrganisationSettings",
    "ProxyCredentialSettings",
    "RetentionClass",
    "RetentionSettings",
    "SecretPlace",
    "Settings",
    "SignerSettings",
    "UnlistedHostSettings",
    "Upstream",
    "WitnessSettings",
    "load_settings",
    "origin_of",
    "parse_settings",
]

FILE_NAME = "inbond.yaml"
_PREFIX = "INBOND_"
_NOT_SETTINGS = frozenset({"INBOND_KEY", "INBOND_WORKSPACE"})
_QUIET = frozenset({"anchors", "custody", "database", "signer", "upstream"})


class SecretPlace(Section):
    """Where a secret is kept: in a file, or in a variable of the environment."""

    _variable: ClassVar[str]
    _path: ClassVar[str]
    _must_be_given: ClassVar[bool] = True
    env: str | None = None
    file: str | None = None

    @field_validator("env")
    @classmethod
    def _names_a_variable(cls, value: str | None) -> str | None:
        # Never quoted: people paste the secret itself here.
        if value is not None and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", value):
            fix = f"write its name in capitals, such as {cls._variable}"
            raise wrong("bad-value", "this is not the name of an environment variable", fix)
        return value

    @field_validator("file")
    @classmethod
    def _names_a_file(cls, value: str | None) -> str | None:
        if value is not None and "/" not in value:
            fix = f"write a path with a `/`, such as {cls._path}"
            raise wrong("bad-value", "this is not the path of a file", fix)
        return value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = {self.env, self.file} - {None}
        if len(given) != 1 and (given or self._must_be_given):
            fix = "give `env: VARIABLE` or `file: PATH`"
            raise wrong("bad-value", "a key stands in exactly one place", fix)
        return self


class ProxyCredentialSettings(SecretPlace):
    """Where the credentials for the parent proxy are kept: `USER:PASSWORD`."""

    _variable = "`PROXY_CREDENTIALS`, never the credentials themselves"
    _path = "`keys/proxy.credentials`, never the credentials themselves"
    _must_be_given = False
    env: str | None = Field(
        default=None, description="the environment variable that holds `USER:PASSWORD`"
    )
    file: str | None = Field(default=None, description="the file that holds `USER:PASSWORD`")


class Upstream(Section):
    """How teachers are reached."""

    proxy: str | None = Field(
        default=None,
        repr=False,
        description="the parent proxy that leads out of your network, as `http://HOST:PORT` or "
        "`https://HOST:PORT`; it looks names up, and must allow CONNECT",
    )
    proxy_credentials: ProxyCredentialSettings = Field(
        default=ProxyCredentialSettings(),
        description="where the credentials for the parent proxy are kept, if it wants some",
    )
    ca: str | None = Field(
        default=None,
        description="a PEM file of certificates trusted for teachers, and for the parent proxy, "
        "beside the public roots",
    )
    timeout_s: float = Field(
        default=600.0, gt=0, description="how long a teacher may stay silent, in seconds"
    )


_UNANNOUNCED_BYTES = 4_194_304


class Limits(Section):
    """What is read and held at most.

    A body whose length is announced is refused before a byte of it is held; one that is not (chunked)
    is held until it turns out too large, so that it has a smaller limit of its own.
    """

    request_bytes: int = Field(
        default=33_554_432, ge=1, description="the largest request body that is forwarded, in bytes"
    )
    unannounced_bytes: int = Field(
        default=_UNANNOUNCED_BYTES,
        ge=1,
        description="the largest body that comes without a `Content-Length`; at most `request_bytes`",
    )
    answer_bytes: int = Field(
        default=67_108_864, ge=1, description="the longest answer that is recorded, in bytes"
    )
    queue: int = Field(
        default=4096, ge=1, description="how many entries may wait for the ledger at once"
    )

    @model_validator(mode="before")
    @classmethod
    def _within_the_larger(cls, values: object) -> object:
        """Where only the larger limit is set, the smaller one follows it."""
        if isinstance(values, dict) and isinstance(most := values.get("request_bytes"), int):
            return {"unannounced_bytes": min(_UNANNOUNCED_BYTES, most), **values}
        return values

    @model_validator(mode="after")
    def _is_the_smaller(self) -> Self:
        if self.unannounced_bytes > self.request_bytes:
            fix = f"give at most {self.request_bytes}, or raise `request_bytes`"
            message = f"`unannounced_bytes` is larger than `request_bytes` ({self.request_bytes})"
            raise wrong("bad-value", message, fix)
        return self


type _HostPattern = Annotated[
    str,
    Field(
        pattern=r"^(\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$",
        description="a host, `*.` before a name for all hosts below it, or `*`; with `:PORT` on that port alone",
    ),
]


class UnlistedHostSettings(Section):
    """Exceptions for some of the hosts that nobody registered."""

    tunnel: tuple[_HostPattern, ...] = Field(
        default=(),
        strict=False,
        description="hosts that stay unopened under `inspect`, such as those of clients that trust "
        "one certificate alone (`*.example.com`, `git.example.com:22`)",
    )
    private: tuple[_HostPattern, ...] = Field(
        default=(),
        strict=False,
        description="hosts that may be reached although their address is of this machine or of a "
        "private network",
    )


class DetectorSettings(Section):
    """What looks into requests and answers; without one their facts stay unknown."""

    secrets: Literal["detect-secrets"] | None = Field(
        default=None,
        description="what looks for keys and tokens (`request.secret`, `response.secret`): "
        "`detect-secrets`, of the extra `detectors`",
    )
    pii: Literal["presidio"] | None = Field(
        default=None,
        description="what looks for personal data (`request.pii`, `response.pii`): `presidio`, of the "
        "extra `detectors`",
    )
    timeout_s: float = Field(
        default=1.0,
        gt=0,
        description="how long a look may take, in seconds; after that the facts stay unknown",
    )


class RetentionClass(Section):
    """How long the bodies of some exchanges are kept: of those of which all that is given holds."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    keep_days: int = Field(ge=1, le=36_500)
    projects: tuple[str, ...] = Field(default=(), strict=False)
    students: tuple[str, ...] = Field(default=(), strict=False)
    routes: tuple[str, ...] = Field(default=(), strict=False)
    verdicts: tuple[Literal["permit", "review", "forbid", "none"], ...] = Field(
        default=(), strict=False
    )
    learned: Literal["keep", "erase"] = "keep"


class RetentionSettings(Section):
    """How long stored bodies are kept."""

    classes: tuple[RetentionClass, ...] = Field(
        default=(),
        strict=False,
        description="what `inbond retain` erases: each class has a `name`, `keep_days` since the "
        "call, and says which exchanges it is of by `projects`, `students`, `routes` and `verdicts` "
        "of the response gate (`permit`, `review`, `forbid`, `none`); the first that fits counts. "
        "What a dataset holds stays, unless `learned: erase` lets the dataset be withdrawn",
    )
    backup_days: int | None = Field(
        default=None,
        ge=0,
        le=36_500,
        description="how long the last backup of the database is kept, in days: receipts of erasures "
        "say until when one may hold what was erased",
    )


class OrganisationSettings(Section):
    """What the organisation declares of itself; a rule that asks for what is not given waits."""

    country: str | None = Field(
        default=None,
        pattern=r"^[A-Z]{2}$",
        description="where it is established, as two capitals (ISO 3166-1), such as `DE`",
    )
    revenue_usd: int | None = Field(
        default=None, ge=0, lt=2**53, description="its yearly revenue, in US dollars"
    )


class AccountSettings(Section):
    """What the organisation declares of one account at a provider."""

    tier: str = Field(
        min_length=1, max_length=100, description="the plan it is on, in the provider's own word"
    )


class CustodySettings(SecretPlace):
    """Where the provider's real key for one route is kept."""

    _variable = "`OPENAI_API_KEY`, never the key itself"
    _path = "`keys/openai.key`, never the key itself"
    account: str = Field(min_length=1, description="the name of the account at the provider")
    env: str | None = Field(
        default=None, description="the environment variable that holds the provider's key"
    )
    file: str | None = Field(default=None, description="the file that holds the provider's key")


class _Keys(Section):
    inbond: Literal[1] = Field(description="the version of this file's format: 1")
    organisation: str = Field(
        min_length=1, description="the party of the house rules: who runs this installation"
    )
    origin: str = Field(
        default="",
        description="the ledger's name in its checkpoints, a word without `+`; never change it",
    )
    listen: Annotated[Address, BeforeValidator(address)] = Field(
        default=Address(host="127.0.0.1", port=8484), description="where the proxy listens"
    )
    console: Annotated[Address, BeforeValidator(address)] = Field(
        default=Address(host="127.0.0.1", port=8485), description="where the console listens"
    )
    workers: int = Field(default=1, ge=1, le=256, description="how many proxy processes share it")
    database: str = Field(
        default="sqlite:///inbond.db",
        repr=False,
        description="where the ledger is kept: `sqlite:///FILE`, relative to the workspace, or "
        "`postgresql+psycopg://USER@HOST/NAME`, whose password stands in `PGPASSWORD` or in the file "
        "that `?passfile=FILE` names",
    )
    unlisted: Literal["inspect", "tunnel", "refuse"] = Field(
        default="inspect",
        description="what happens to hosts that nobody registered: their TLS is opened and model "
        "calls are refused (`inspect`), they are carried unopened (`tunnel`), or refused (`refuse`)",
    )
    unlisted_hosts: UnlistedHostSettings = Field(
        default=UnlistedHostSettings(), description="exceptions for some of those hosts"
    )
    upstream: Upstream = Field(default=Upstream(), description="how teachers are reached")
    limits: Limits = Field(default=Limits(), description="what is read and held at most")
    detectors: DetectorSettings = Field(
        default=DetectorSettings(), description="what looks into requests and answers"
    )
    drain_s: float = Field(
        default=30.0, ge=0, description="how long calls may finish when the proxy stops, in seconds"
    )
    keep_wire: bool = Field(
        default=False, description="whether the bytes of streams are kept beside the answer"
    )
    delivery: Literal["stream", "buffer"] = Field(
        default="stream",
        description="when the client gets the answer: as it comes (`stream`), or once it was decided "
        "on as a whole (`buffer`)",
    )
    deliveries: dict[str, Literal["stream", "buffer"]] = Field(
        default={}, description="the same for some teachers, by the id of the registry entry"
    )
    checkpoint_every_s: float = Field(
        default=600.0, gt=0, description="how often a ledger that grew is signed, in seconds"
    )
    signer: SignerSettings = Field(
        default=SignerSettings(), description="a program that signs checkpoints"
    )
    anchors: AnchorSettings = Field(
        default=AnchorSettings(), description="who else is told of checkpoints"
    )
    witness: WitnessSettings = Field(
        default=WitnessSettings(), description="how this installation witnesses other logs"
    )
    retention: RetentionSettings = Field(
        default=RetentionSettings(), description="how long stored bodies are kept"
    )
    teachers: tuple[dict[str, object], ...] = Field(
        default=(), strict=False, description="registry entries of your own"
    )
    custody: dict[str, CustodySettings] = Field(
        default={}, description="where providers' keys are kept, by the id of the registry entry"
    )
    endpoints: dict[str, Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,252}[a-z0-9]$")]] = (
        Field(
            default={},
            description="in base-URL mode, your own host at a contract with many (`azure-openai: mine.openai.azure.com`)",
        )
    )

    org: OrganisationSettings = Field(
        default=OrganisationSettings(),
        description="the facts `org.…` that rules may ask for, as the organisation declares them",
    )
    accounts: dict[str, AccountSettings] = Field(
        default={},
        description="the facts `account.…`, by the name of the account in `custody`, or by the "
        "fingerprint of a key that clients hold",
    )

    @model_validator(mode="before")
    @classmethod
    def _default_origin(cls, values: object) -> object:
        if isinstance(values, dict) and isinstance(name := values.get("organisation"), str):
            return {"origin": origin_of(name), **values}
        return values

    @field_validator("origin")
    @classmethod
    def _is_a_key_name(cls, value: str) -> str:
        # C2SP signed-note: a key's name is not empty, without blanks and `+`.
        if not re.fullmatch(r"[^\s+]+", value):
            fix = "write a word such as `ledger.example.org`"
            raise wrong("bad-value", f"`{value}` is not a name for a ledger", fix)
        return value

    @field_validator("database")
    @classmethod
    def _is_a_database(cls, value: str) -> str:
        # Never quoted: such an address may hold a password.
        if not value.startswith(("sqlite:///", "postgresql+psycopg://", "postgresql://")):
            fix = "write `sqlite:///FILE` or `postgresql+psycopg://USER@HOST/NAME`"
            raise wrong("bad-value", "this is not a database inbond can use", fix)
        return value


class Settings(_Keys):
    """All settings of one workspace; `directory` is the workspace, absolute."""

    directory: Path

    @property
    def keys_directory(self) -> Path:
        """Where the ledger's key, the export key, the fingerprint secret and the CA lie."""
        return self.directory / "keys"

    @property
    def run_directory(self) -> Path:
        """Where running processes keep their locks and sockets."""
        return self.directory / "run"

    @property
    def datasets_directory(self) -> Path:
        """Where sealed datasets are written."""
        return self.directory / "datasets"

    @property
    def students_directory(self) -> Path:
        """Where runs and weights are written."""
        return self.directory / "students"

    @property
    def policies_directory(self) -> Path:
        """Where the workspace's own policies lie."""
        return self.directory / "policies"

    @property
    def upstream_ca(self) -> Path | None:
        """The file of further certificates trusted for teachers, absolute."""
        return None if self.upstream.ca is None else self.directory / self.upstream.ca

    @property
    def witness_directory(self) -> Path:
        """What this installation saw of the logs it witnesses."""
        return self.directory / "witness"

    @property
    def lock_path(self) -> Path:
        """The lock in front of the ledger's writers."""
        return self.directory / "ledger.lock"

    @property
    def last_checkpoint_path(self) -> Path:
        """The last signed checkpoint, kept beside the key and outside the database."""
        return self.keys_directory / "last.checkpoint"


def origin_of(organisation: str) -> str:
    """The ledger's default name for an organisation: a word without blanks (C2SP signed notes)."""
    slug = re.sub(r"[^a-z0-9]+", "-", organisation.lower()).strip("-")
    return f"inbond/{slug or hashlib.sha256(organisation.encode()).hexdigest()[:12]}"


def load_settings(
    directory: Path, environ: Mapping[str, str], check_teacher: type[BaseModel] | None = None
) -> Settings:
    """The settings of a workspace; an environment variable replaces what the file says.

    `check_teacher` is the model of a registry entry: with it, mistakes in `teachers` are found here,
    with their place.

    Raises:
        SettingsError: there is no workspace, or its settings cannot be read or are wrong; a
            `FileError` holds the further errors of the file in `also`.
    """
    return parse_settings(_text_of(directory), directory, environ, check_teacher)


def parse_settings(
    text: str,
    directory: Path,
    environ: Mapping[str, str],
    check_teacher: type[BaseModel] | None = None,
) -> Settings:
    """The settings that the text of a file gives, as `load_settings` reads them.

    Raises:
        SettingsError: as there, where there is a text.
    """
    document = read_document(text, FILE_NAME)
    variables: dict[Loc, str] = {}
    values = document.value | {}
    for name in sorted(environ):
        _overlay(values, variables, name, environ[name])
    source = Source(document=document, variables=variables, quiet=_QUIET)
    found: list[FileError] = []
    keys: _Keys | None = None
    try:
        keys = _Keys.model_validate(values)
    except ValidationError as error:
        found = faults(error, _Keys, source)
    if check_teacher is not None:
        found += _teacher_faults(values.get("teachers"), check_teacher, source)
    raise_first(found)
    assert keys is not None  # noqa: S101 - without faults there are keys
    return Settings.model_construct(directory=directory.absolute(), **dict(keys))


def _text_of(directory: Path) -> str:
    path = directory / FILE_NAME
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"no workspace here: `{directory}` has no `{FILE_NAME}`"
        fix = "run `inbond init DIR --organisation NAME`, or name a workspace with `-C DIR`"
        raise SettingsError(message, help=fix, where=str(path), code="no-workspace") from error
    except OSError as error:
        message = f"`{path}` cannot be read: {(error.strerror or 'unknown reason').lower()}"
        fix = "mend its permissions"
        raise SettingsError(message, help=fix, where=str(path), code="unreadable") from error
    return text_of(data, FILE_NAME)


def _overlay(values: dict[str, Value], variables: dict[Loc, str], name: str, text: str) -> None:
    """Put one environment variable into the tree, where it names a setting."""
    if not name.startswith(_PREFIX) or name in _NOT_SETTINGS:
        return
    path = name.removeprefix(_PREFIX).lower().split("__")
    fields = _Keys.model_fields
    if path[0] not in fields:
        # Others stay: container platforms inject such as INBOND_SERVICE_HOST. A near miss is a typo.
        if near := get_close_matches(path[0], fields, n=1, cutoff=0.8):
            message = f"unknown setting `{name}` in the environment"
            fix = f"did you mean `{_PREFIX}{near[0].upper()}`?"
            raise SettingsError(message, help=fix, where=name, code="unknown-key")
        return
    is_text = len(path) == 1 and fields[path[0]].annotation in {str, Address}
    at = values
    for part in path[:-1]:
        inner = at.get(part)
        at[part] = at = dict(inner) if isinstance(inner, dict) else {}
    at[path[-1]] = text if is_text else read_value(text, name)
    variables[tuple(path)] = name


def _teacher_faults(teachers: Value, model: type[BaseModel], source: Source) -> list[FileError]:
    found: list[FileError] = []
    for n, teacher in enumerate(teachers if isinstance(teachers, list) else ()):
        try:
            if isinstance(teacher, dict):
                model.model_validate(teacher)
        except ValidationError as error:
            found += faults(error, model, source, under=("teachers", n))
    return found
