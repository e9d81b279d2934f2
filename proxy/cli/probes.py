"""The probes of `inbond doctor`: one call by each client runtime of this machine, to a name of ours.

The name is under `.invalid`, which exists nowhere (RFC 6761 §6.4): the running proxy opens its TLS
and says that it has no address, and whoever goes around the proxy finds nothing at all. So no
teacher hears of it, and three things can be told apart: through the proxy, around it, and through it
but without trust in our certificate.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["HOST", "Outcome", "Probe", "Result", "outcome_of", "probes", "run_probe"]

HOST = "doctor.inbond.invalid"
"""The name that is asked for."""
_URL = f"https://{HOST}/probe"
_BOUND_S = 30.0
_KEPT = 300


class Outcome(StrEnum):
    """What became of a probe."""

    THROUGH = "through"
    UNTRUSTED = "untrusted"
    NO_KEY = "no-key"
    AROUND = "around"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One way to make a call: a command, and what to do where it goes around the proxy."""

    name: str
    command: tuple[str, ...]
    around: str
    untrusted: str
    is_known_to_go_around: bool = False
    """Whether the client goes around by its nature: told, and not counted as a finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a probe found: `said` is what the client printed, cut short."""

    probe: Probe
    outcome: Outcome
    said: str

    @property
    def help(self) -> str:
        """What to do, if anything."""
        match self.outcome:
            case Outcome.AROUND:
                return self.probe.around
            case Outcome.UNTRUSTED:
                return self.probe.untrusted
            case Outcome.NO_KEY:
                return 'take the variables of `inbond env` anew: `eval "$(inbond env)"`'
            case Outcome.BROKEN:
                return "run its command by hand to see more"
            case Outcome.THROUGH:
                return ""


_URLLIB = f"""
import urllib.request, urllib.error
try:
    urllib.request.urlopen({_URL!r}, timeout=20)
except urllib.error.HTTPError as e:
    print(e.code, e.read().decode())
"""
_HTTPX = f"""
import httpx
r = httpx.get({_URL!r}, timeout=20)
print(r.status_code, r.text)
"""
_REQUESTS = f"""
import requests
r = requests.get({_URL!r}, timeout=20)
print(r.status_code, r.text)
"""
_AIOHTTP = f"""
import aiohttp, asyncio
async def main():
    async with aiohttp.ClientSession(trust_env=True) as s, s.get({_URL!r}) as r:
        print(r.status, await r.text())
asyncio.run(main())
"""
_BARE = "aiohttp without trust_env"
_GRPC = f"""
import grpc
c = grpc.secure_channel("{HOST}:443", grpc.ssl_channel_credentials())
try:
    c.unary_unary("/inbond.Doctor/Probe")(b"", timeout=15)
except grpc.RpcError as e:
    print(e.code().name, e.details(), e.debug_error_string())
"""
_FETCH = f"""
fetch({json.dumps(_URL)}).then(async (r) => console.log(r.status, await r.text()))
  .catch((e) => {{ console.log(String(e), String(e.cause && (e.cause.code || e.cause))); }});
"""
_TRUST_ENV = "open it with `ClientSession(trust_env=True)`: aiohttp reads proxy variables only then"
_LOWER = "set `https_proxy` in lower case: gRPC reads no other"
_NODE = (
    "use Node 24 or later with `NODE_USE_ENV_PROXY=1`, set `EnvHttpProxyAgent` of undici as the "
    "global dispatcher, or use `inbond run --via base-url`"
)
_PYTHON = "set `HTTPS_PROXY`, and take the host out of `NO_PROXY`"
_BUNDLE = "name a bundle with our certificate in `{}`: `inbond env` makes one"
_MODULES = {
    "": (_URLLIB, _PYTHON, "SSL_CERT_FILE"),
    "httpx": (_HTTPX, _PYTHON, "SSL_CERT_FILE"),
    "requests": (_REQUESTS, _PYTHON, "REQUESTS_CA_BUNDLE"),
    "aiohttp": (_AIOHTTP, _PYTHON, "SSL_CERT_FILE"),
    _BARE: (_AIOHTTP.replace("trust_env=True", ""), _TRUST_ENV, "SSL_CERT_FILE"),
    "grpc": (_GRPC, _LOWER, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"),
}


def probes(path: str) -> list[Probe]:
    """The probes for what is found on a search path: Python with its HTTP libraries, Node, curl."""
    found = [probe for python in _pythons(path) for probe in _python_probes(python)]
    if node := shutil.which("node", path=path):
        untrusted = _BUNDLE.format("NODE_EXTRA_CA_CERTS")
        command = (node, "-e", _FETCH)
        found.append(
            Probe(name=f"node {_version(node)}", command=command, around=_NODE, untrusted=untrusted)
        )
    if curl := shutil.which("curl", path=path):
        asked = (curl, "-sS", "-m", "20", "-w", "%{http_code}", _URL)
        untrusted = _BUNDLE.format("CURL_CA_BUNDLE")
        found.append(Probe(name="curl", command=asked, around=_PYTHON, untrusted=untrusted))
    return found


def _pythons(path: str) -> list[str]:
    """Each Python interpreter of the path once, whatever names it has."""
    named = [
        program
        for folder in path.split(os.pathsep)
        for name in ("python3", "python")
        if (program := shutil.which(name, path=folder))
    ]
    # By folder, not by target: an interpreter of an environment is a link to one outside of it.
    return list({str(Path(program).parent.resolve()): program for program in named}.values())


def _version(program: str) -> str:
    done = _done((program, "--version"), os.environ)
    return (done.stdout or done.stderr).strip().split()[-1].removeprefix("v") if done else "?"


def _python_probes(python: str) -> list[Probe]:
    names = [name for name in _MODULES if name.isalpha()]
    listing = f"import importlib.util as u; print(*[m for m in {names!r} if u.find_spec(m)])"
    done = _done((python, "-c", listing), os.environ)
    if done is None or done.returncode:
        return []
    return [
        Probe(
            name=f"{python} {module or 'urllib'}",
            command=(python, "-c", script),
            around=around,
            untrusted=_BUNDLE.format(variable),
            is_known_to_go_around=module == _BARE,
        )
        for module, (script, around, variable) in _MODULES.items()
        if not module or module.split()[0] in done.stdout.split()
    ]


def _done(
    command: Sequence[str], environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_BOUND_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def run_probe(probe: Probe, environ: Mapping[str, str]) -> Result:
    """Make the call of a probe in an environment, and say what became of it."""
    done = _done(probe.command, environ)
    said = "it did not end" if done is None else f"{done.stdout}\n{done.stderr}".strip()
    last = said.splitlines()[-1] if said else ""
    return Result(probe=probe, outcome=outcome_of(said), said=last[:_KEPT])


_SIGNS = (
    (
        Outcome.THROUGH,
        ("unlisted-no-address", "has no address here", "http2 header with status: 502"),
    ),
    (
        Outcome.UNTRUSTED,
        (
            "certificate_verify_failed",
            "unable_to_get_issuer",
            "unable to get local issuer",
            "unable_to_verify_leaf",
            "self_signed_cert",
            "self-signed certificate",
            "ssl certificate problem",
        ),
    ),
    (
        Outcome.NO_KEY,
        ("407", "proxy authentication", "client_key", "inbond key"),
    ),
    (
        Outcome.AROUND,
        (
            "could not resolve host",
            "name or service not known",
            "nodename nor servname",
            "temporary failure in name resolution",
            "no address associated",
            "getaddrinfo",
            "enotfound",
            "eai_again",
            "name resolution",
            "address lookup failed",
            "errors resolving",
            "dns",
            "cannot connect to host doctor.inbond.invalid",
        ),
    ),
)


def outcome_of(said: str) -> Outcome:
    """What a client's words mean; only words of the proxy itself count as through."""
    lower = said.lower()
    for outcome, signs in _SIGNS:
        if any(sign in lower for sign in signs):
            return outcome
    return Outcome.BROKEN
