"""`inbond env`: the variables that send a program's calls through the proxy, one mode at a time."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, override
from urllib.parse import urlsplit

import click

from proxy.authority import ensure_authority, write_trust_bundle
from proxy.cli.render import json_option, note, print_record
from proxy.cli.workspace import with_settings
from proxy.clock import utc_now
from proxy.errors import IdentityError
from proxy.identity import checked_client_key
from proxy.secret import Secret
from proxy.settings import Address, Settings

__all__ = [
    "VIA",
    "Trust",
    "Via",
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
_BASE_URLS = {"OPENAI_BASE_URL": "/openai/v1", "ANTHROPIC_BASE_URL": "/anthropic"}
_SDK_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
_SECOND_KEY = "ANTHROPIC_AUTH_TOKEN"
"""Anthropic's SDK sends it beside the key; with ours there it would be a second answer."""


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
        urls = {name: f"http://{address}{path}" for name, path in _BASE_URLS.items()}
        return urls | dict.fromkeys(_SDK_KEYS, key.reveal())
    proxy = f"http://{key.reveal()}:@{address}"
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
        urls = {name for name in _BASE_URLS if _leads_to(address, environ.get(name, ""))}
        return urls | set(_OTHER_PROXIES)
    own = {str(trust.bundle), str(trust.authority)}
    bundles = {name for name, value in environ.items() if value in own}
    proxies = {*_PROXIES, *_OTHER_PROXIES, *_EXCEPTIONS, "NODE_USE_ENV_PROXY"}
    return proxies | bundles | {_SECOND_KEY}


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


@click.command()
@click.option("--via", type=VIA, default="proxy", show_default=True, help="The mode.")
@click.option("--key", envvar="INBOND_KEY", help="The client key; else INBOND_KEY.")
@json_option
@with_settings
def env(settings: Settings, *, via: Via, key: str | None, is_json: bool) -> None:
    """Print the variables that send calls through the proxy.

    Use it as `eval "$(inbond env)"`; `inbond run` sets them for one command alone.
    """
    found = variables(settings.listen, via, client_key(key), prepare_trust(settings, os.environ))
    if is_json:
        print_record(found, is_json=True)
        return
    for name, value in found.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    note(f"hint: these are for `{via}`; start a new shell before you use the other mode")
