"""The reference pages of clients: what each reads, and which calls are tried in which format."""

from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from importlib.resources import files

from proxy.cli.clients import BASE_URLS, CLIENTS
from proxy.providers import Entry, packaged_entries
from proxy.route import Route
from tests.docs_page import page, table
from tests.e2e.sdk_cases import CLIENTS as SDKS
from tests.e2e.sdk_cases import JOURNEYS, VIAS
from tests.proxy.wire.playback import FOLDER
from tests.proxy.wire.test_census import REGISTRY, ROWS

__all__ = ["RUNTIMES", "clients_page", "teachers_page"]

_AROUND = "goes around the proxy"
_THROUGH = "goes through, and trusts our certificate"
RUNTIMES = (
    ("Node 24.19.0", "`fetch`, `https.get`", _THROUGH),
    ("Node 24.19.0 without `NODE_USE_ENV_PROXY`", "`fetch`, `https.get`", _AROUND),
    ("Node 20.20.2", "`fetch`, `https.get`", f"{_AROUND}, whatever the variables say"),
    ("curl 7.88.1", "`curl URL`", _THROUGH),
    ("Java 17.0.15", "`HttpClient`, `HttpURLConnection`", f"{_AROUND}: no variable is read"),
    (
        "Java 17.0.15 with `-Dhttps.proxyHost`, `-Dhttps.proxyPort` and a trust store",
        "`HttpClient` with the client key in `x-inbond-key`, to a registered host",
        _THROUGH,
    ),
    (
        "Java 17.0.15 with the same",
        "both, to a host that nobody registered",
        "answered 407: the JVM sends no credentials by itself",
    ),
)
"""What was tried by hand."""


def _words(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _proxies(names: tuple[str, ...]) -> str:
    if not names:
        return "none"
    if "NODE_USE_ENV_PROXY" in names:
        return "either case, with `NODE_USE_ENV_PROXY=1`"
    return "either case" if "HTTPS_PROXY" in names else _words(names)


def _clients() -> Iterator[tuple[str, ...]]:
    for client in CLIENTS:
        base = f"`{client.base_url}`" if client.base_url else ""
        instead = f"{client.instead[:1].upper()}{client.instead[1:]}." if client.instead else ""
        row = (_proxies(client.proxies), _words(client.trust), base, instead)
        yield (f"`{client.name}`", *row)


def _tried() -> Iterator[tuple[str, ...]]:
    for sdk in SDKS.values():
        modes = "promises" if sdk.runtime == "node" else ", ".join(sdk.modes)
        kinds = ", ".join(sdk.kinds)
        yield f"`{sdk.title}`", sdk.version, f"`{sdk.wire_format}`", modes, kinds


def _journeys() -> Iterator[tuple[str, ...]]:
    for journey in JOURNEYS:
        vias = ", ".join(journey.vias)
        name = journey.distribution
        yield f"`{name}`", version(name), f"`{journey.wire_format}`", vias


@cache
def _operations() -> dict[tuple[str, str], list[str]]:
    """What the census says is decided in a format, by the entry; by `""` for all entries together."""
    found: dict[tuple[str, str], set[str]] = {}
    for host, _, target, decided in ROWS:
        name, _, operation = decided.partition(" ")
        route = REGISTRY.route(host=host, port=443, target=target)
        if operation and isinstance(route, Route):
            found.setdefault((route.entry.id, name), set()).add(operation)
            found.setdefault(("", name), set()).add(operation)
    return {key: sorted(operations) for key, operations in found.items()}


_BY_SUFFIX = {"batches": "batch", "files": "file", "grpc": "chat", "live": "realtime"}


def _operations_of(entry: Entry, name: str) -> list[str]:
    found = _operations()
    suffix = name.rpartition(".")[2]
    return found.get((entry.id, name)) or found.get(("", name)) or [_BY_SUFFIX.get(suffix, suffix)]


def _covered(entries: tuple[Entry, ...]) -> Iterator[tuple[str, ...]]:
    """A row for each entry, format and operation."""
    for entry in entries:
        for name in entry.formats:
            for operation in _operations_of(entry, name):
                cells = (_read(name, operation, is_streamed=kind) for kind in (False, True))
                yield (f"`{entry.id}`", operation, f"`{name}`", *cells)


def _read(name: str, operation: str, *, is_streamed: bool) -> str:
    """The SDKs that ask for an operation in a format; where none does, how many transcripts there are."""
    kind = "stream" if is_streamed else "plain"
    told = [
        f"`{sdk.title}`"
        for sdk in SDKS.values()
        if sdk.wire_format == name and operation == "chat" and kind in sdk.kinds
    ]
    for journey in JOURNEYS:
        if (journey.wire_format, journey.operation) == (name, operation):
            alone = "" if journey.vias == VIAS else f" ({journey.vias[0]} alone)"
            told += [f"`{journey.distribution}`{alone}"] * (kind in journey.kinds)
    count = _transcripts(name)[is_streamed]
    return ", ".join(dict.fromkeys(told)) or (f"{count} transcripts" if count else "")


def _transcripts(name: str) -> tuple[int, int]:
    """How many transcripts a format has: of whole answers, and of streams."""
    names = [path.stem for path in (FOLDER / name).glob("*.yaml")]
    streams = sum(each.startswith(("stream", "lines")) for each in names)
    return len(names) - streams, streams


def clients_page() -> str:
    """`clients.md`."""
    urls = ((f"`{name}`", f"`http://PROXY{path}`") for name, path in BASE_URLS.items())
    return page(
        "Clients",
        "What each client reads to find the proxy and to trust it.\n"
        "`inbond env` prints all of it, `inbond env --client NAME` what one client reads, and "
        "`inbond run` sets it for one command.\n"
        "`inbond doctor` lets the clients of this machine make a call, and says which went through.\n"
        "The rows of `instructor` and of older versions are from their documentation; what was tried is "
        "below.",
        table(
            ("client", "proxy variables", "trusts our certificate by", "base URL", "beside them"),
            _clients(),
        ),
        "## Base URLs",
        table(("variable", "value"), urls),
        "## Tried\n\n"
        "The genuine SDKs make these calls in the tests, against a server that replays transcripts, "
        f"each by {' and by '.join(VIAS)}.\n"
        "What the SDK parsed is the transcript, and the ledger's reading is too.\n"
        "A refusal raises the SDK's own exception, with the words and the exchange of the refusal.\n"
        "`instructor` cannot be installed beside `openai` 3.54, so it is not among them: it calls "
        "by OpenAI's SDK.",
        table(("client", "version", "wire format", "modes", "calls"), _tried()),
        "These go through a journey of their own: batches, sockets and gRPC.",
        table(("client", "version", "wire format", "by"), _journeys()),
        "## Runtimes\n\n"
        "What goes through the proxy under `inbond run --via proxy`, tried by hand on 2026-11-24 with "
        "a call to a name that only the proxy knows (`inbond run --via proxy -- node -e "
        "'fetch(…)'`, and `inbond run --via proxy -- inbond doctor`).\n"
        "Python's `urllib`, `httpx`, `requests`, `aiohttp` and `grpc` are tried by the tests of "
        "`inbond doctor`.",
        table(("runtime", "what was called", "what happened"), RUNTIMES),
        "## Coverage\n\n"
        "Each operation that is read at each provider, and who asks for it in the tests, whole and as a "
        "stream, in both modes unless one is named.\n"
        "The SDKs speak to a server that replays the format, not to the provider; where no SDK is "
        "named, the format is tried by transcripts.",
        table(
            ("provider", "operation", "wire format", "whole answers", "streams"),
            _covered(
                packaged_entries(files("proxy").joinpath("providers.yaml").read_text("utf-8"))
            ),
        ),
    )


def _formats() -> Iterator[tuple[str, ...]]:
    for folder in sorted(path for path in FOLDER.iterdir() if path.is_dir()):
        counts = (str(count) for count in _transcripts(folder.name))
        titles = [f"`{sdk.title}`" for sdk in SDKS.values() if sdk.wire_format == folder.name]
        titles += [f"`{each.distribution}`" for each in JOURNEYS if each.wire_format == folder.name]
        yield (f"`{folder.name}`", *counts, ", ".join(titles))


def teachers_page() -> str:
    """`teachers.md`."""
    entries = packaged_entries(files("proxy").joinpath("providers.yaml").read_text("utf-8"))
    rows = (
        (
            f"`{entry.id}`",
            ", ".join(f"`{host}`" for host in entry.hosts),
            f"`/{entry.prefix}`",
            ", ".join(f"`{name}`" for name in entry.formats) or "none: refused",
        )
        for entry in entries
    )
    return page(
        "Teachers",
        "The entries of the registry, and the wire formats that are read there.\n"
        "By base URL the prefix is the first segment of the path.",
        table(("entry", "hosts", "prefix", "wire formats"), rows),
        "## Wire formats\n\n"
        "How many transcripts each format is tested by, and which genuine SDKs speak it in the tests.",
        table(("format", "whole answers", "streams", "SDKs"), _formats()),
    )
