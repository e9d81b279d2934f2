"""The reference pages of clients: what each reads, and which calls are tried in which format."""

from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files

from proxy.cli.clients import BASE_URLS, CLIENTS
from proxy.providers import packaged_entries
from tests.docs_page import page, table
from tests.e2e.sdk_cases import CLIENTS as SDKS
from tests.e2e.sdk_cases import KINDS, VIAS
from tests.proxy.wire.playback import FOLDER

__all__ = ["clients_page", "teachers_page"]


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
    for name, sdk in SDKS.items():
        kinds = ", ".join(kind for kind in KINDS if kind not in sdk.absent)
        modes = ", ".join(sdk.modes)
        yield f"`{name}`", version(sdk.distribution), f"`{sdk.wire_format}`", modes, kinds


def clients_page() -> str:
    """`clients.md`."""
    urls = ((f"`{name}`", f"`http://PROXY{path}`") for name, path in BASE_URLS.items())
    return page(
        "Clients",
        "What each client reads to find the proxy and to trust it.\n"
        "`inbond env` prints all of it, `inbond env --client NAME` what one client reads, and "
        "`inbond run` sets it for one command.\n"
        "`inbond doctor` lets the clients of this machine make a call, and says which went through.\n"
        "The rows of npm packages, of `instructor` and of older versions are from their documentation; "
        "what was tried is below.",
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
        "`instructor` cannot be installed beside `openai` 3.54, so it is not among them: it calls "
        "by OpenAI's SDK.",
        table(("client", "version", "wire format", "modes", "calls"), _tried()),
    )


def _formats() -> Iterator[tuple[str, ...]]:
    for folder in sorted(path for path in FOLDER.iterdir() if path.is_dir()):
        names = [path.stem for path in folder.glob("*.yaml")]
        streams = [name for name in names if name.startswith(("stream", "lines"))]
        clients = [f"`{name}`" for name, sdk in SDKS.items() if sdk.wire_format == folder.name]
        yield (
            f"`{folder.name}`",
            str(len(names) - len(streams)),
            str(len(streams)),
            ", ".join(clients),
        )


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
