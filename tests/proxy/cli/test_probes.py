"""Tests of proxy.cli.probes."""

import sys
from pathlib import Path

import pytest

from proxy.cli.probes import Outcome, Probe, outcome_of, probes, run_probe

PROXY_WORDS = '502 {"detail": "`doctor.inbond.invalid` has no address here", "code": "x"}'


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (PROXY_WORDS, Outcome.THROUGH),
        ("UNAVAILABLE Received http2 header with status: 502", Outcome.THROUGH),
        ("curl: (60) SSL certificate problem: unable to get local issuer", Outcome.UNTRUSTED),
        ("TypeError: fetch failed UNABLE_TO_VERIFY_LEAF_SIGNATURE", Outcome.UNTRUSTED),
        ("curl: (56) CONNECT tunnel failed, response 407", Outcome.NO_KEY),
        ("curl: (6) Could not resolve host: doctor.inbond.invalid", Outcome.AROUND),
        ("UNAVAILABLE DNS resolution failed for doctor.inbond.invalid:443", Outcome.AROUND),
        ("TypeError: fetch failed ENOTFOUND", Outcome.AROUND),
        ("UNAVAILABLE address lookup failed for doctor.inbond.invalid:443", Outcome.AROUND),
        ("200 <html>a page of some other proxy</html>", Outcome.BROKEN),
        ("", Outcome.BROKEN),
    ],
)
def test_only_the_proxys_own_words_count_as_through(said: str, outcome: Outcome) -> None:
    """What clients print is told apart; what nobody knows is no success."""
    assert outcome_of(said) is outcome


def _probe(*command: str) -> Probe:
    return Probe(name="p", command=command, around="set it", untrusted="trust it")


def test_each_outcome_says_what_to_do() -> None:
    """A probe's own words are the help where it goes around or does not trust."""
    found = [
        run_probe(_probe(sys.executable, "-c", f"print({text!r})"), {})
        for text in ("ENOTFOUND", "CERTIFICATE_VERIFY_FAILED", PROXY_WORDS, "407", "odd")
    ]
    assert [result.help for result in found] == [
        "set it",
        "trust it",
        "",
        'take the variables of `inbond env` anew: `eval "$(inbond env)"`',
        "run its command by hand to see more",
    ]


def test_a_program_that_cannot_run_is_told() -> None:
    """What is no program gives a result, not a traceback."""
    assert run_probe(_probe("/no/such/program"), {}).outcome is Outcome.BROKEN


def test_what_is_on_the_path_is_probed(tmp_path: Path) -> None:
    """An interpreter is found with the libraries that it has; an empty path has nothing."""
    names = [probe.name for probe in probes(str(Path(sys.executable).parent))]
    assert [name.partition(" ")[2] for name in names if name.startswith(sys.prefix)] == [
        "urllib",
        "httpx",
        "requests",
        "aiohttp",
        "aiohttp without trust_env",
        "grpc",
    ]
    assert probes(str(tmp_path)) == []
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "python3").chmod(0o755)
    assert probes(str(tmp_path)) == []
