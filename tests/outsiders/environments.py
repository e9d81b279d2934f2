"""Programs of strangers, each in an environment of its own: nothing of inbond is within their reach.

Packages come from the registries that uv and npm are set up for, pinned by hash; Go's own packages
ship with every Go. An environment that cannot be made fails its test and says what it needs.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tests.e2e.sdk_npm import NODE

__all__ = ["FOLDER", "OutsiderError", "go_program", "node_command", "python_command", "verdicts"]

FOLDER = Path(__file__).parent
"""The programs, and beside each Python program the packages it imports."""
_NODE_FILES = ("package.json", "package-lock.json", ".npmrc")
_NPM = NODE.parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
_GO = Path(sysconfig.get_paths()["purelib"]) / "go"
_GO_PACKAGES = _GO / "src/cmd/vendor/golang.org/x/mod/sumdb"
"""What checks the checksum database in Go's own `go` command."""
_GO_MODULE = """\
module outsider

go 1.24

require golang.org/x/mod v0.0.0

replace golang.org/x/mod => ./mod
"""
_OURS = ("PYTHONPATH", "VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT")
"""Variables that lead into the environment of the tests."""
_BOUND_S = 300
_SHOWN_LINES = 12


class OutsiderError(Exception):
    """A stranger's program could not be made or did not end well."""


def python_command(*names: str, command: Sequence[str | Path] = ()) -> list[str | Path]:
    """Runs the program `NAME.py` with what `NAME.txt` names, or `command` with all that is named.

    Raises:
        OutsiderError: uv is nowhere to be found.
    """
    wanted = (f"--with-requirements={FOLDER / name}.txt" for name in names)
    run = command or ("python", FOLDER / f"{names[0]}.py")
    base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    return [_uv(), "run", "-q", "--isolated", "--no-project", "--python", base, *wanted, *run]


def _uv() -> str:
    places = (
        os.environ.get("UV"),
        shutil.which("uv", path=Path(sys.executable).parent),
        shutil.which("uv"),
        shutil.which("uv", path=FOLDER.parents[1] / ".uv/bin"),
    )
    for found in filter(None, places):
        return found
    message = "uv is neither in $UV nor beside Python, on PATH or in .uv/bin: run the tests by `uv run` or `make test`"
    raise OutsiderError(message)


def node_command(name: str, cache: Path) -> list[str | Path]:
    """Runs `node/NAME.mjs`; its packages are installed once a lock file, under `cache`.

    Raises:
        OutsiderError: npm cannot install them.
    """
    parts = [(FOLDER / "node" / each).read_bytes() for each in _NODE_FILES]
    scripts = [path.read_bytes() for path in sorted((FOLDER / "node").glob("*.mjs"))]
    folder = cache / hashlib.sha256(b"\0".join([*parts, *scripts])).hexdigest()[:16]
    _once(folder, _install)
    return [NODE, folder / f"{name}.mjs"]


def _install(folder: Path) -> None:
    shutil.copytree(FOLDER / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    path = f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"
    _run([NODE, _NPM, "ci", "--fetch-retries=1"], cwd=folder, more={"PATH": path})


def go_program(cache: Path) -> Path:
    """The program of `go/main.go`, built once under `cache` from it and the packages of this Go.

    Raises:
        OutsiderError: it does not build.
    """
    source = FOLDER / "go/main.go"
    version = (_GO / "VERSION").read_bytes()
    folder = cache / hashlib.sha256(version + source.read_bytes()).hexdigest()[:16]
    _once(folder, _build)
    return folder / "outsider"


def _build(folder: Path) -> None:
    for name in ("note", "tlog"):
        shutil.copytree(_GO_PACKAGES / name, folder / "mod/sumdb" / name)
    (folder / "mod/go.mod").write_text("module golang.org/x/mod\n\ngo 1.24\n")
    (folder / "go.mod").write_text(_GO_MODULE)
    shutil.copy(FOLDER / "go/main.go", folder)
    alone = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    # Unoptimised it builds in two thirds of the time, all of Go's library included.
    build: Sequence[str | Path] = [
        _GO / "bin/go",
        "build",
        "-gcflags=all=-N -l",
        "-o",
        "outsider",
        ".",
    ]
    _run(build, cwd=folder, more=alone)


def _once(folder: Path, make: Callable[[Path], None]) -> None:
    """Make a folder whole or not at all; another process may do the same."""
    if folder.exists():
        return
    with tempfile.TemporaryDirectory(dir=folder.parent) as text:
        made = Path(text) / "made"
        make(made)
        if not folder.exists():
            made.rename(folder)


def verdicts(
    command: Sequence[str | Path], folders: Iterable[Path], *options: str | Path
) -> dict[Path, str | None]:
    """What a program finds wrong with each folder; None where it finds nothing.

    Raises:
        OutsiderError: it did not end well, or left out a folder.
    """
    asked = list(folders)
    lines = _run([*command, *options, *asked]).splitlines()
    said = {Path(each["folder"]): each["problem"] for each in map(json.loads, lines)}
    if list(said) != asked:
        message = f"{command[-1]} was asked about {asked} and spoke of {list(said)}"
        raise OutsiderError(message)
    return said


def _run(
    command: Sequence[str | Path], cwd: Path | None = None, more: Mapping[str, str] | None = None
) -> str:
    """What a command prints."""
    clean = {name: value for name, value in os.environ.items() if name not in _OURS}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean | dict(more or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_BOUND_S,
    )
    if done.returncode:
        shown = " ".join(map(str, command))
        said = "\n".join(done.stderr.splitlines()[-_SHOWN_LINES:])
        message = f"`{shown}` ended with {done.returncode}; where packages are missing, it needs their registry or a mirror that uv's or npm's settings name:\n{said}"
        raise OutsiderError(message)
    return done.stdout
