"""What holds for the repository as a whole: its shape, its sizes, its names, its habits."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("policies", "proxy", "student")
SOURCES = tuple(
    sorted(path.relative_to(ROOT) for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
)
TESTS = tuple(sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py")))
PYTHON = SOURCES + TESTS
TEXT_SUFFIXES = {".cfg", ".md", ".mako", ".py", ".toml", ".txt", ".yaml", ".yml"}
TEXT_FOLDERS = (".ci", ".github", "docs", *PACKAGES, "tests")

ELSEWHERE = {
    "policies/decision.py": "tests/policies/test_engine.py",
    "policies/__init__.py": "tests/policies/test_init.py",
    "policies/model.py": "tests/policies/test_engine.py",
    "proxy/audit/questions/__init__.py": "tests/proxy/audit/questions/test_init.py",
    "proxy/cli/__init__.py": "tests/proxy/test_cli.py",
    "proxy/cli/__main__.py": "tests/proxy/test_cli.py",
    "proxy/cli/demo.py": "tests/e2e/test_demo.py",
    "proxy/cli/demo_calls.py": "tests/e2e/test_demo.py",
    "proxy/store/migrate.py": "tests/proxy/store/test_session.py",
    "proxy/store/migrations/env.py": "tests/proxy/store/test_session.py",
    "proxy/store/migrations/versions/v0001_ledger.py": "tests/proxy/store/test_session.py",
    "proxy/store/records.py": "tests/proxy/store/test_queries.py",
    "proxy/store/tables.py": "tests/proxy/store/test_session.py",
    "proxy/wire/format.py": "tests/proxy/wire/test_dialects.py",
}
"""Sources whose test stands elsewhere: packages, thin entries, migrations, values without behaviour."""

WHOLE = {
    "tests/fuzz/test_fuzz.py": "tests/fuzz/fuzz_wire.py",
    "tests/outsiders/test_outsiders.py": "bundles, judged by what others wrote",
    "tests/outsiders/test_verify_md.py": "the commands in a bundle's VERIFY.md",
    "tests/policies/test_init.py": "a package's public names",
    "tests/policies/test_library.py": "policies/library",
    "tests/proxy/store/test_processes.py": "several processes on one ledger",
    "tests/proxy/cli/test_bad_bundles.py": "bad input of `inbond audit verify`",
    "tests/proxy/cli/test_every_command.py": "every command of the command line",
    "tests/proxy/ledger/test_damage.py": "tests/proxy/ledger/ways.py",
    "tests/proxy/test_cli.py": "a package, started as a process",
    "tests/proxy/test_erase_and_recall.py": "docs/guides/erase-and-recall.md",
    "tests/proxy/test_release_a_student.py": "docs/guides/release-a-student.md",
    "tests/proxy/test_import_and_reconcile.py": "docs/guides/import-and-reconcile.md",
    "tests/proxy/test_redacted_calls.py": "detectors, duties to redact and held answers in calls",
    "tests/proxy/test_counted_calls.py": "counted calls through recorder and ledger",
    "tests/proxy/test_leaving_clients.py": "clients that leave while proxy/call.py decides",
    "tests/proxy/wire/test_add_a_dialect.py": "docs/guides/add-a-dialect.md",
    "tests/proxy/wire/test_census.py": "tests/proxy/wire/census.txt",
    "tests/proxy/wire/test_samples.py": "recorded exchanges of real providers",
    "tests/proxy/wire/test_transcripts.py": "tests/proxy/wire/transcripts",
    "tests/test_docs.py": "docs",
    "tests/test_policy_guide.py": "docs/guides/write-a-policy.md",
    "tests/test_readme.py": "README.md",
    "tests/test_repository.py": "the repository",
}
"""Tests that check more than one module, and what they check."""

LONG = {
    "policies/facts.py": "the catalogue: every fact with its one sentence",
    "proxy/call.py": "the states of one call: what holds between them stands in one place",
    "proxy/addon.py": "the hooks: what holds from one to the next stands in one place",
    "proxy/cli/demo.py": "one journey, told in order; a scenario, no part of the system",
    "proxy/ledger/entry.py": "the closed union of what a leaf says",
    "proxy/settings.py": "every setting with its default, its bounds and its one sentence",
    "proxy/store/tables.py": "every table of the database",
    "proxy/store/queries.py": "all reads in one module, one function per question (style §3.9)",
}
"""Modules of more than 400 lines, and why."""

REVIEWED_LINES, MOST_LINES = 400, 600
MOST_PACKAGE_NAMES = 12
FORBIDDEN_NAMES = {"base", "common", "helpers", "manager", "misc", "utils"}
SKIPPING = {"importorskip", "skip", "skipif", "xfail"}
UNSAFE_MODULES = {"dill", "marshal", "pickle", "shelve"}
UNSAFE_CALLS = {
    "eval",
    "exec",
    "torch.load",
    "yaml.full_load",
    "yaml.load",  # but with the loader that makes plain values alone
    "yaml.unsafe_load",
}
OPEN_WORK = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b(?!\(#\d+\))")
MACHINE_PATH = re.compile(
    r"(?:/ho" + r"me|/ro" + r"ot|/Us" + r"ers|/wo" + r"rk|[A-Z]:\\Us" + r"ers)[/\\]\w"
)


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def is_empty(path: Path) -> bool:
    """Whether a module says nothing but its docstring."""
    return all(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for node in tree_of(path).body
    )


def mirror_of(path: Path) -> Path:
    """Where the test of a source stands."""
    return Path(ELSEWHERE.get(str(path), Path("tests") / path.parent / f"test_{path.name}"))


def imports_in(path: Path) -> Iterator[tuple[str, str]]:
    """Each import of a module, as the module asked and the name taken from it."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (
                ("." * node.level + (node.module or ""), alias.name) for alias in node.names
            )


def defined_names(path: Path) -> set[str]:
    """What a module defines at its top level."""
    found: set[str] = set()
    for node in tree_of(path).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.Assign():
                found |= {name.id for name in node.targets if isinstance(name, ast.Name)}
            case ast.AnnAssign(target=ast.Name() as name) | ast.TypeAlias(name=name):
                found.add(name.id)
    return found


def imported_names(path: Path) -> set[str]:
    """What a module takes in at its top level, be it for the type checker alone."""
    top = tree_of(path).body
    inner = [node for block in top if isinstance(block, ast.If) for node in block.body]
    taken = (node for node in (*top, *inner) if isinstance(node, ast.ImportFrom))
    return {alias.asname or alias.name for node in taken for alias in node.names}


def public_names(path: Path) -> list[str] | None:
    """What `__all__` of a module says; None where there is none."""
    for node in tree_of(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = ast.literal_eval(node.value)
            assert isinstance(names, list)
            return names
    return None


def in_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, each by name: as the linter sorts them."""
    rank = 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2
    return rank, name


def claims_in(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The test functions of a module."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
            "test_"
        ):
            yield node


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file of the repository that we write."""
    folders = (path for name in TEXT_FOLDERS for path in (ROOT / name).rglob("*"))
    for path in sorted(chain(folders, ROOT.iterdir())):
        is_ours = path.suffix in TEXT_SUFFIXES or path.name in {"Dockerfile", "Makefile", "run"}
        if path.is_file() and is_ours:
            yield path.relative_to(ROOT), path.read_text(encoding="utf-8")


def test_every_source_has_its_test() -> None:
    """Each module that does something has its test file at the mirrored path."""
    missing = {
        str(path): str(mirror_of(path))
        for path in SOURCES
        if not is_empty(path) and not (ROOT / mirror_of(path)).exists()
    }
    assert not missing


def test_every_test_has_its_source() -> None:
    """Each test file mirrors a module, checks something larger by name, or is a journey."""
    mirrored = {str(mirror_of(path)) for path in SOURCES}
    strays = [
        str(path)
        for path in TESTS
        if path.name.startswith("test_")
        and str(path) not in mirrored | WHOLE.keys()
        and path.parts[1] != "e2e"
    ]
    assert not strays


def test_exceptions_are_needed() -> None:
    """The tables of exceptions name files that exist and that need one."""
    lines = {str(path): len((ROOT / path).read_text().splitlines()) for path in SOURCES}
    assert ELSEWHERE.keys() <= lines.keys()
    assert {path for path in WHOLE if not (ROOT / path).exists()} == set()
    assert {path for path in LONG if lines.get(path, 0) <= REVIEWED_LINES} == set()


def test_modules_stay_short() -> None:
    """No module is longer than 400 lines without a reason, and none than 600, tests included."""
    lines = {str(path): len((ROOT / path).read_text().splitlines()) for path in PYTHON}
    assert {path: n for path, n in lines.items() if n > MOST_LINES} == {}
    long = {str(path) for path in SOURCES if lines[str(path)] > REVIEWED_LINES}
    assert long - LONG.keys() == set()


def test_no_module_is_a_drawer() -> None:
    """No module is named for being left over: what it holds has a name."""
    parts = {str(path): {part.removesuffix(".py") for part in path.parts} for path in PYTHON}
    assert {path for path, names in parts.items() if names & FORBIDDEN_NAMES} == set()


def test_every_test_states_its_claim() -> None:
    """Each test function has a docstring that begins with a sentence."""
    silent = [
        f"{path}::{test.name}"
        for path in TESTS
        if path.name.startswith("test_")
        for test in claims_in(path)
        if not (ast.get_docstring(test) or "").partition("\n\n")[0].endswith(".")
    ]
    assert not silent


def test_public_names_are_true() -> None:
    """`__all__` is there where a module has public names, sorted, and each name is defined."""
    wrong = {}
    for path in SOURCES:
        names, defined = public_names(path), defined_names(path)
        if names is None:
            own = {name for name in defined if not name.startswith("_")}
            is_alembic = "migrations" in path.parts
            if own and not is_alembic:
                wrong[str(path)] = "no `__all__`"
        elif names != sorted(set(names), key=in_order):
            wrong[str(path)] = "not sorted"
        elif unknown := set(names) - defined - imported_names(path):
            wrong[str(path)] = f"not defined: {unknown}"
    assert not wrong


def test_packages_are_narrow() -> None:
    """A package offers twelve names at most."""
    wide = {
        str(path): len(names)
        for path in SOURCES
        if path.name == "__init__.py" and (names := public_names(path))
        if len(names) > MOST_PACKAGE_NAMES
    }
    assert not wide


def test_only_public_names_are_taken() -> None:
    """What one of our modules takes from another stands in the other's `__all__`."""
    public = {
        ".".join(path.with_suffix("").parts).removesuffix(".__init__"): public_names(path) or []
        for path in SOURCES
    }
    taken = [
        f"{path}: {module}.{name}"
        for path in SOURCES
        for module, name in imports_in(path)
        if name and module in public
        if name not in public[module] and f"{module}.{name}" not in public
    ]
    assert not taken


def test_imports_are_absolute() -> None:
    """No module imports relative to where it lies."""
    assert [
        str(path) for path in PYTHON for module, _ in imports_in(path) if module.startswith(".")
    ] == []


def test_open_work_has_its_issue() -> None:
    """A remark on open work names its issue."""
    assert [f"{path}: {found}" for path, text in texts() for found in OPEN_WORK.findall(text)] == []


def test_no_path_of_a_machine() -> None:
    """No text names a home directory or the place of a checkout."""
    found = [f"{path}: {hit}" for path, text in texts() for hit in MACHINE_PATH.findall(text)]
    assert not found


@pytest.mark.parametrize("path", [path for path in TESTS if path.name.startswith("test_")], ids=str)
def test_only_a_gpu_skips(path: Path) -> None:
    """A test is left out for want of a GPU and for nothing else."""
    marks = {
        id(part)
        for test in claims_in(path)
        if any(ast.unparse(mark).startswith("pytest.mark.gpu") for mark in test.decorator_list)
        for mark in test.decorator_list
        for part in ast.walk(mark)
    }
    skipping = [
        node.lineno
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute)
        and node.attr in SKIPPING
        and ast.unparse(node.value) in {"pytest", "pytest.mark"}
        and id(node) not in marks
    ]
    assert not skipping


def test_nothing_runs_what_it_reads() -> None:
    """No data is unpickled, evaluated or loaded as YAML with tags."""
    found = [
        f"{path}: {module}"
        for path in SOURCES
        for module, _ in imports_in(path)
        if module.partition(".")[0] in UNSAFE_MODULES
    ]
    found += [
        f"{path}:{node.lineno}"
        for path in PYTHON
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in UNSAFE_CALLS
        if "yaml.CSafeLoader" not in map(ast.unparse, node.args)
    ]
    assert not found
