"""`inbond env`: the variables that send a program's calls through the proxy, one mode at a time."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, assert_never, override
from urllib.parse import urlsplit

import click

from proxy.authority import ensure_authority, write_trust_bundle
from proxy.cli.clients import BASE_URLS, CLIENTS, SDK_KEYS, Client, named
from proxy.cli.render import json_option, note, print_record
from proxy.cli.workspace import with_settings
from proxy.clock import utc_now
from proxy.errors import IdentityError, SettingsError
from proxy.identity import checked_client_key
from proxy.secret import Secret
from proxy.settings import Address, Settings

__all__ = [
    "VIA",
    "Shell",
    "Trust",
    "Via",
    "assignment",
    "child_environment",
    "client_key",
    "env",
    "prepare_trust",
    "variables",
]

_NOT_PROXIED = "localhost,127.0.0.1,::1"
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
_OTHER_PROXIES = ("ALL_PROXY", "all_proxy")
_EXCEPTIONS = ("NO_PROXY", "no_proxy")
_TRUST_BUNDLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
)
_SECOND_KEYS = frozenset({"ANTHROPIC_AUTH_TOKEN", "GEMINI_API_KEY"})
"""What SDKs send beside the key, or warn about; with ours there it would be a second answer."""


class Via(StrEnum):
    """How a program reaches the proxy."""

    PROXY = "proxy"
    BASE_URL = "base-url"


class _ViaChoice(click.Choice[str]):
    """The values of `Via`: click's own choice of an enum takes the names."""

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Via:
        return Via(super().convert(value, param, ctx))


VIA = _ViaChoice([via.value for via in Via])
"""The type of the option `--via`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What a child trusts: `bundle` is the public roots and ours, `authority` ours alone."""

    bundle: Path
    authority: Path


def variables(address: Address, via: Via, key: Secret, trust: Trust) -> dict[str, str]:
    """The variables of one mode."""
    if via is Via.BASE_URL:
        urls = {name: f"http://{address}{path}" for name, path in BASE_URLS.items()}
        return urls | dict.fromkeys(SDK_KEYS, key.reveal())
    # The word behind the colon is no secret: urllib sends no credentials where it is empty.
    proxy = f"http://{key.reveal()}:inbond@{address}"
    return {
        **dict.fromkeys(_PROXIES, proxy),
        **dict.fromkeys(_EXCEPTIONS, _NOT_PROXIED),
        **dict.fromkeys(_TRUST_BUNDLES, str(trust.bundle)),
        "NODE_EXTRA_CA_CERTS": str(trust.authority),
        "NODE_USE_ENV_PROXY": "1",
    }


def child_environment(
    environ: Mapping[str, str], address: Address, via: Via, key: Secret, trust: Trust
) -> dict[str, str]:
    """The environment of a child in one mode, whatever mode its parent was in.

    What the user set for other purposes stays: another certificate bundle in base-URL mode, a base
    URL of another host in proxy mode (its calls go through the proxy all the same).
    """
    removed = _foreign(environ, address, via, trust)
    kept = {name: value for name, value in environ.items() if name not in removed}
    return kept | variables(address, via, key, trust)


def _foreign(environ: Mapping[str, str], address: Address, via: Via, trust: Trust) -> set[str]:
    if via is Via.PROXY:
        urls = {name for name in BASE_URLS if _leads_to(address, environ.get(name, ""))}
        return urls | set(_OTHER_PROXIES)
    own = {str(trust.bundle), str(trust.authority)}
    bundles = {name for name, value in environ.items() if value in own}
    proxies = {*_PROXIES, *_OTHER_PROXIES, *_EXCEPTIONS, "NODE_USE_ENV_PROXY"}
    return proxies | bundles | _SECOND_KEYS


def _leads_to(address: Address, url: str) -> bool:
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        return False
    return port == address.port and host in {address.host, "127.0.0.1", "localhost", "::1"}


def prepare_trust(settings: Settings, environ: Mapping[str, str]) -> Trust:
    """The files that a child trusts, written where needed.

    Raises:
        SettingsError: our certificate authority, or what `SSL_CERT_FILE` names, cannot be used.
    """
    authority = ensure_authority(
        settings.keys_directory, organisation=settings.organisation, now=utc_now()
    )
    named = environ.get("SSL_CERT_FILE")
    bundle = write_trust_bundle(authority, Path(named) if named else None)
    return Trust(bundle=bundle, authority=authority.cert)


def client_key(given: str | None) -> Secret:
    """The client key of the command line or of INBOND_KEY.

    Raises:
        IdentityError: there is none, or it is no client key.
    """
    if not given:
        fix = "give `--key`, or set INBOND_KEY; `inbond key create --project PROJECT` makes one"
        raise IdentityError("no client key is given", help=fix, code="no-client-key")
    return checked_client_key(given)


class Shell(StrEnum):
    """Whose words the variables are printed in."""

    SH = "sh"
    FISH = "fish"
    POWERSHELL = "powershell"


def assignment(shell: Shell, name: str, value: str) -> str:
    """The line that sets one variable for the programs that a shell starts."""
    match shell:
        case Shell.SH:
            return f"export {name}={shlex.quote(value)}"
        case Shell.FISH:
            escaped = value.replace("\\", "\\\\").replace("'", "\\'")
            return f"set -gx {name} '{escaped}'"
        case Shell.POWERSHELL:
            doubled = value.replace("'", "''")
            return f"$env:{name} = '{doubled}'"
    assert_never(shell)


def _known(name: str) -> Client:
    found = named(name)
    if found is not None:
        return found
    names = [client.name for client in CLIENTS]
    near = get_close_matches(name, names, n=1)
    fix = f"did you mean `{near[0]}`?" if near else f"the clients are {', '.join(names)}"
    raise SettingsError(f"no client `{name}` is known", help=fix, code="unknown-client")


def _for_client(found: dict[str, str], client: Client, via: Via) -> dict[str, str]:
    """The variables that one client reads; where it reads none, what it needs instead is said."""
    kept = {name: value for name, value in found.items() if name in client.reads()}
    if not kept:
        note(f"hint: `{client.name}` reads no variable for `{via}`")
    if client.instead:
        note(f"hint: `{client.name}`: {client.instead}")
    return kept


@click.command()
@click.option("--via", type=VIA, default="proxy", show_default=True, help="The mode.")
@click.option("--key", envvar="INBOND_KEY", help="The client key; else INBOND_KEY.")
@click.option("--client", help="Only what this client reads, such as `openai` or `npm:openai`.")
@click.option(
    "--shell",
    type=click.Choice([shell.value for shell in Shell]),
    default="sh",
    show_default=True,
    help="Whose words to print.",
)
@json_option
@with_settings
def env(
    settings: Settings, *, via: Via, key: str | None, client: str | None, shell: str, is_json: bool
) -> None:
    """Print the variables that send calls through the proxy.

    Use it as `eval "$(inbond env)"`; `inbond run` sets them for one command alone. In fish it is
    `inbond env --shell fish | source`.
    """
    found = variables(settings.listen, via, client_key(key), prepare_trust(settings, os.environ))
    if client is not None:
        found = _for_client(found, _known(client), via)
    if is_json:
        print_record(found, is_json=True)
        return
    for name, value in found.items():
        click.echo(assignment(Shell(shell), name, value))
    note(f"hint: these are for `{via}`; start a new shell before you use the other mode")
