"""`inbond doctor`: does what this shell starts go through the proxy, and does it trust us."""

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import click
import yaml

from proxy.cli.probes import Outcome, Result, probes, run_probe
from proxy.cli.render import json_option, note, print_rows
from proxy.cli.run import check_listening
from proxy.cli.workspace import with_settings
from proxy.settings import Settings

__all__ = ["Check", "checks", "doctor"]

_FOUND = 1
_EITHER = (("HTTPS_PROXY", "https_proxy"), ("NO_PROXY", "no_proxy"))
_BUNDLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NODE_EXTRA_CA_CERTS",
)
_TAKE_ANEW = 'take them from `inbond env`: `eval "$(inbond env)"`'
_KEYTOOL_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    what: str
    outcome: str
    """`ok`, `hint` (told, no finding) or what is wrong."""
    detail: str = ""
    fix: str = ""

    @property
    def is_finding(self) -> bool:
        """Whether somebody has to do something."""
        return self.outcome not in {"ok", "hint"}


def checks(environ: Mapping[str, str], address: str, authority: Path) -> Iterator[Check]:
    """What the variables of a shell say: proxies, exceptions and certificates.

    Raises:
        OSError: our own certificate cannot be read.
    """
    for upper, lower in _EITHER:
        yield _same(environ, upper, lower)
    yield _names_us(environ, address)
    yield _exceptions(environ)
    ours = _certificates(authority.read_text())
    for name in _BUNDLES:
        yield _bundle(environ.get(name), name, ours)


def _same(environ: Mapping[str, str], upper: str, lower: str) -> Check:
    what = f"{upper} and {lower}"
    first, second = environ.get(upper), environ.get(lower)
    if first == second:
        return Check(what=what, outcome="ok", detail="alike" if first else "not set")
    detail = "clients read one or the other, and they differ"
    return Check(what=what, outcome="differ", detail=detail, fix=_TAKE_ANEW)


def _names_us(environ: Mapping[str, str], address: str) -> Check:
    value = environ.get("https_proxy") or environ.get("HTTPS_PROXY") or ""
    named = value.rpartition("@")[2].removeprefix("http://").rstrip("/")
    if named == address:
        return Check(what="HTTPS_PROXY", outcome="ok", detail=f"names `{address}`")
    # The value may hold a key: the part behind the `@` is the only one that is shown.
    detail = f"names `{named}`, not `{address}`" if named else "is not set"
    fix = f"{_TAKE_ANEW}; or ask for one command: `inbond run --via proxy -- inbond doctor`"
    return Check(
        what="HTTPS_PROXY", outcome="another-proxy" if named else "no-proxy", fix=fix, detail=detail
    )


def _exceptions(environ: Mapping[str, str]) -> Check:
    words = [environ.get(name, "") for name in ("NO_PROXY", "no_proxy")]
    patterns = {word.strip().lower() for text in words for word in text.split(",")} - {""}
    swallowed = sorted(
        pattern for pattern in patterns if any(_covers(pattern, host) for host in _teachers())
    )
    if not swallowed:
        return Check(what="NO_PROXY", outcome="ok", detail="no teacher is excepted")
    detail = f"`{'`, `'.join(swallowed)}` lets calls to teachers go around"
    return Check(what="NO_PROXY", outcome="swallows", detail=detail, fix="take it out of NO_PROXY")


def _covers(pattern: str, host: str) -> bool:
    suffix = pattern.removeprefix("*").removeprefix(".")
    return pattern == "*" or (bool(suffix) and f".{host}".endswith(f".{suffix}"))


def _teachers() -> list[str]:
    rows = yaml.load(
        files("proxy").joinpath("providers.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader
    )
    return [host.removeprefix("*.").replace("*", "x") for row in rows for host in row["hosts"]]


def _certificates(text: str) -> set[bytes]:
    end = "-----END CERTIFICATE-----"
    begin = "-----BEGIN CERTIFICATE-----"
    blocks = (part.partition(begin)[2] for part in text.split(end))
    return {ssl.PEM_cert_to_DER_cert(f"{begin}{block}{end}\n") for block in blocks if block}


def _bundle(path: str | None, name: str, ours: set[bytes]) -> Check:
    if not path:
        return Check(what=name, outcome="not-set", detail="not set", fix=_TAKE_ANEW)
    try:
        found = _certificates(Path(path).read_text(errors="replace"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no PEM"
        detail = f"`{path}` cannot be read: {str(reason).lower()}"
        return Check(what=name, outcome="unreadable", detail=detail, fix=_TAKE_ANEW)
    if ours <= found:
        return Check(what=name, outcome="ok", detail=f"{len(found)} certificates, ours among them")
    detail = f"`{path}` lacks our certificate"
    return Check(what=name, outcome="without-ours", detail=detail, fix=_TAKE_ANEW)


def _java(path: str, authority: Path) -> Iterator[Check]:
    """What Java's own trust store says; the JVM reads no variable of a shell."""
    keytool = shutil.which("keytool", path=path)
    if keytool is None:
        return
    fix = (
        f"give the JVM `-Dhttps.proxyHost` and `-Dhttps.proxyPort`, and import `{authority}` "
        "into a store of your own by `keytool -importcert`, named in `-Djavax.net.ssl.trustStore`"
    )
    try:
        listed = subprocess.run(
            (keytool, "-list", "-rfc", "-cacerts", "-storepass", "changeit"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_KEYTOOL_S,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        listed = ""
    is_trusted = _certificates(authority.read_text()) <= _certificates(listed)
    detail = "its own store has our certificate" if is_trusted else "its own store lacks ours"
    detail += "; the JVM reads no proxy variable"
    yield Check(what="java", outcome="hint", detail=detail, fix=fix)


def _of_probe(result: Result) -> Check:
    name = f"call by {result.probe.name}"
    if result.outcome is Outcome.THROUGH:
        return Check(what=name, outcome="ok", detail="through the proxy, and trusts it")
    is_known = result.probe.is_known_to_go_around and result.outcome is Outcome.AROUND
    outcome = "hint" if is_known else result.outcome.value
    meaning = {
        Outcome.AROUND: "goes around the proxy",
        Outcome.UNTRUSTED: "goes through, and does not trust our certificate",
        Outcome.NO_KEY: "goes through, without a client key that is known",
    }
    detail = meaning.get(result.outcome, f"failed: {result.said}")
    return Check(what=name, outcome=outcome, detail=detail, fix=result.help)


@click.command()
@json_option
@with_settings
def doctor(settings: Settings, *, is_json: bool) -> None:
    """Say whether what this shell starts goes through the running proxy.

    Looks at the variables, and lets each Python, Node and curl of the PATH call a name that exists
    nowhere but at the proxy. `inbond run --via proxy -- inbond doctor` asks it of `inbond run`.
    """
    check_listening(settings.listen)
    authority = settings.keys_directory / "ca.pem"
    found = list(checks(os.environ, str(settings.listen), authority))
    path = os.environ.get("PATH", os.defpath)
    found.extend(_of_probe(run_probe(probe, os.environ)) for probe in probes(path))
    found.extend(_java(path, authority))
    rows = (
        {"check": each.what, "outcome": each.outcome, "detail": each.detail, "fix": each.fix}
        for each in found
    )
    print_rows(rows, is_json=is_json)
    findings = sum(each.is_finding for each in found)
    if findings:
        note(f"{findings} of {len(found)} checks found something; each line says what to do")
        raise click.exceptions.Exit(_FOUND)
