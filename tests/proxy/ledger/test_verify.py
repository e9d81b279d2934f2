"""Promise P7: whoever pins the log's key notices any damage, and is told what is not covered."""

import base64
import hmac
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.ledger.bundle import entries_digest, zip_bundle
from proxy.ledger.canonical import canonical
from proxy.ledger.checkpoint import Checkpoint, LogKey, sign_checkpoint
from proxy.ledger.report import Report, render
from proxy.ledger.tables import Column, Table, from_parquet, to_parquet
from proxy.ledger.verify import verify
from tests.proxy.ledger.sample import (
    AT,
    BUNDLE,
    GRANT_DIGEST,
    ORIGIN,
    TERMS_DIGEST,
    THIEF_KEY,
    VKEY,
    Case,
    Log,
    audit_case,
    dataset_case,
    resign,
)

ROOT = Path(__file__).parents[3]
DATASET = dataset_case()
AUDIT = audit_case()
CASES = {"dataset": DATASET, "audit": AUDIT}

type Damage = Callable[[Path], object]


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both bundles as they were written, to be copied."""
    folder = tmp_path_factory.mktemp("bundles")
    return {kind: case.write(folder / kind) for kind, case in CASES.items()}


@pytest.fixture(params=["dataset", "audit"])
def bundle(request: pytest.FixtureRequest, pristine: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of either bundle, to be damaged."""
    return Path(shutil.copytree(pristine[request.param], tmp_path / request.param))


@pytest.fixture
def dataset(pristine: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the dataset, to be damaged."""
    return Path(shutil.copytree(pristine["dataset"], tmp_path / "copy"))


@pytest.fixture
def audit(pristine: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the audit, to be damaged."""
    return Path(shutil.copytree(pristine["audit"], tmp_path / "audit copy"))


def places(report: Report) -> str:
    """Where the findings are, and their codes, for a failed assertion to show."""
    return "\n".join(f"{finding.code} {finding.where}" for finding in report.findings)


def edit_lines(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of a file."""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(change(lines)))


def edit_entry(path: Path, number: int, **fields: object) -> None:
    """Change fields of one leaf and write it canonically."""

    def change(lines: list[str]) -> list[str]:
        line = json.loads(lines[number])
        leaf = json.loads(line["leaf"]) | fields
        line["leaf"] = canonical(leaf).decode()
        return [*lines[:number], canonical(line).decode() + "\n", *lines[number + 1 :]]

    edit_lines(path, change)


def edit_opening(path: Path, **fields: str) -> None:
    """Change fields of the first opening."""
    edit_lines(path, lambda lines: [json.dumps(json.loads(lines[0]) | fields) + "\n", *lines[1:]])


def edit_rows(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the rows of a Parquet file, whatever its columns."""
    rows: list[dict[str, Any]] = from_parquet(path.read_bytes())
    columns = {name: _column(value) for name, value in rows[0].items()}
    change(rows)
    path.write_bytes(to_parquet(Table(columns=columns, rows=rows)))


def _column(value: object) -> Column:
    if isinstance(value, bool):
        return Column.FLAG
    if isinstance(value, int):
        return Column.OPTIONAL_INTEGER
    return Column.LIST if isinstance(value, list) else Column.OPTIONAL_TEXT


def flip(path: Path) -> None:
    """Turn one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# --- a clean bundle -------------------------------------------------------------------------------


def test_a_clean_bundle_verifies(bundle: Path) -> None:
    """Nothing is found in a bundle as it was written, and what is not covered is said."""
    report = verify(bundle, VKEY, now=AT)
    assert report.findings == []
    assert report.exit_code == 0
    assert "rewriting by the key's holder" in report.not_covered
    assert any("what only the export key's signature covers" in line for line in report.not_covered)
    assert report.claimed


def test_a_zip_verifies_like_its_directory(bundle: Path, tmp_path: Path) -> None:
    """A zip of a bundle gives the same report as the directory."""
    zip_bundle(bundle, tmp_path / "bundle.zip")
    assert verify(tmp_path / "bundle.zip", VKEY, now=AT) == verify(bundle, VKEY, now=AT)


def test_the_report_never_judges_the_law(bundle: Path) -> None:
    """The report tells proven, claimed and not covered apart, and never speaks of compliance."""
    text = render(verify(bundle, VKEY))
    titles = ["proven:", "claimed by the recorder:", "not covered:", "findings:"]
    assert [line for line in text.splitlines() if line and not line.startswith(" ")] == titles
    assert "compliant" not in text


def test_pyarrow_is_needed_for_tables_alone(bundle: Path) -> None:
    """With the standard library and `cryptography` alone an audit verifies, its tables not covered."""
    script = (
        "import sys\n"
        "for name in ('pydantic', 'zstandard', 'pyarrow'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from proxy.ledger.verify import verify\n"
        "report = verify(Path(sys.argv[1]), sys.argv[2])\n"
        "print(report.not_covered, report.findings)\n"
        "sys.exit(report.exit_code)\n"
    )
    command = [sys.executable, "-c", script, str(bundle), VKEY]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == (2 if bundle.name == "dataset" else 0), done.stdout + done.stderr
    assert "tables: pyarrow is not installed" in done.stdout


def test_erasing_bodies_breaks_no_proof(tmp_path: Path) -> None:
    """Promise P8: with every salt destroyed, all entries that sealed the bodies still verify."""
    path = replace(AUDIT, contents=replace(AUDIT.contents, openings=())).write(tmp_path / "erased")
    report = verify(path, VKEY)
    assert report.findings == []
    assert f"{len(AUDIT.contents.entries)} entries stand in the log" in "\n".join(report.proven)


# --- older checkpoints ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 100, 256, 290, 304])
def test_older_checkpoints_are_extended(dataset: Path, size: int) -> None:
    """With an older checkpoint, rewriting up to it is covered; an empty log's shows nothing."""
    report = verify(dataset, VKEY, checkpoints=[DATASET.log.checkpoint(size)], now=AT)
    assert report.exit_code == 0
    assert ("rewriting by the key's holder" in report.not_covered) == (size == 0)
    assert f"the log extends the checkpoint at size {size}" in report.proven


def test_a_rewritten_log_is_noticed(dataset: Path) -> None:
    """History rewritten with the log's own key is false to whoever kept an older checkpoint."""
    other = Log()
    other.fill(100)
    report = verify(dataset, VKEY, checkpoints=[other.checkpoint()])
    assert (report.exit_code, report.findings[0].code) == (1, "rewritten")
    assert report.findings[0].where == "--checkpoint 1"
    assert "rewriting by the key's holder" in report.not_covered


def test_a_checkpoint_that_cannot_be_compared_leaves_it_open(audit: Path) -> None:
    """A newer checkpoint and one of another key cannot be told; what is no note is false."""
    report = verify(audit, VKEY, checkpoints=[DATASET.log.checkpoint()])
    assert (report.exit_code, report.findings[0].code) == (2, "checkpoint-newer")
    stranger = DATASET.log.checkpoint(100, LogKey.generate(ORIGIN, bytes([1] * 32)))
    report = verify(audit, VKEY, checkpoints=[stranger])
    assert (report.exit_code, report.findings[0].code) == (2, "unsigned")
    report = verify(audit, VKEY, checkpoints=["no note"])
    assert (report.exit_code, report.findings[0].where) == (1, "--checkpoint 1")


def test_a_size_whose_tile_is_not_here_leaves_it_open(tmp_path: Path) -> None:
    """An older checkpoint that ends in a tile the bundle does not hold cannot be told."""
    log, contents = DATASET.log, replace(DATASET.contents, older=())
    later_entries = [entry for entry in contents.entries if entry.seq >= 256]
    target = Case(log=log, contents=replace(contents, entries=later_entries)).write(tmp_path / "d")
    report = verify(target, VKEY, checkpoints=[log.checkpoint(100), log.checkpoint(256)])
    codes = [(finding.code, finding.is_false) for finding in report.findings]
    assert ("tile-absent", False) in codes
    assert "the log extends the checkpoint at size 256" in report.proven


# --- another key, another version, nothing to read ------------------------------------------------


def test_another_key_cannot_tell(bundle: Path) -> None:
    """Under another log's key, and without a key, nothing can be told."""
    other = LogKey.generate("elsewhere", bytes(32)).verifier.to_text()
    report = verify(bundle, other)
    assert (report.exit_code, report.findings[0].code) == (2, "unsigned")
    assert verify(bundle, "no key").exit_code == 2


def test_the_bundles_own_key_is_not_trusted(bundle: Path) -> None:
    """A log of someone else, with its key put into the bundle, is not the pinned log."""
    thief = LogKey.generate(ORIGIN, bytes([9] * 32))
    size = CASES[bundle.name].log.hashes
    checkpoint = Checkpoint(origin=ORIGIN, size=len(size), root=bytes(32))
    (bundle / "log/checkpoint").write_text(sign_checkpoint(checkpoint, thief))
    (bundle / "keys/log.vkey").write_text(thief.verifier.to_text())
    resign(bundle)
    report = verify(bundle, VKEY)
    assert (report.exit_code, report.findings[0].where) == (2, "log/checkpoint")


def test_a_newer_version_cannot_be_told(bundle: Path) -> None:
    """A bundle of a newer version is not judged."""
    about = json.loads((bundle / "export.json").read_bytes())
    (bundle / "export.json").write_bytes(canonical(about | {"v": 2}))
    resign(bundle)
    report = verify(bundle, VKEY)
    assert (report.exit_code, report.findings[0].code) == (2, "newer")


@pytest.mark.parametrize("kind", ["absent", "file", "empty", "cut"])
def test_what_is_no_bundle_cannot_be_told(kind: str, tmp_path: Path, dataset: Path) -> None:
    """A path that is absent, no zip, no bundle or a zip cut short cannot be read."""
    path = tmp_path / "thing"
    if kind == "file":
        path.write_bytes(b"text")
    elif kind == "empty":
        path.mkdir()
    elif kind == "cut":
        zip_bundle(dataset, path)
        path.write_bytes(path.read_bytes()[:-100])
    report = verify(path, VKEY)
    assert (report.exit_code, report.findings[0].code) == (2, "bundle")


# --- a thief without keys -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dataset", "audit"])
def test_a_flipped_bit_in_any_file_is_noticed(
    kind: str, pristine: dict[str, Path], tmp_path: Path
) -> None:
    """A bit turned in any file of a bundle is found, and the finding names the file."""
    names = [p.relative_to(pristine[kind]) for p in pristine[kind].rglob("*") if p.is_file()]
    assert len(names) > 15
    for name in names:
        copy = Path(shutil.copytree(pristine[kind], tmp_path / str(name).replace("/", "-")))
        flip(copy / name)
        report = verify(copy, VKEY)
        assert report.exit_code != 0, name
        # A key that is damaged verifies no signature: what is named then is the signature.
        expected = "export.sig" if name == Path("keys/export.pem") else str(name)
        assert any(finding.where.startswith(expected) for finding in report.findings), name


@pytest.mark.parametrize("kind", ["dataset", "audit"])
def test_a_dropped_file_is_noticed(kind: str, pristine: dict[str, Path], tmp_path: Path) -> None:
    """Any file taken out of a bundle is found, and the finding names the file."""
    names = [p.relative_to(pristine[kind]) for p in pristine[kind].rglob("*") if p.is_file()]
    for name in names:
        copy = Path(shutil.copytree(pristine[kind], tmp_path / str(name).replace("/", "-")))
        (copy / name).unlink()
        report = verify(copy, VKEY)
        assert report.exit_code != 0, name
        assert any(str(name) in f"{f.where} {f.message}" for f in report.findings), name


ENTRY_DAMAGE: dict[str, Callable[[list[str]], list[str]]] = {
    "first removed": lambda lines: lines[1:],
    "one removed": lambda lines: [*lines[:4], *lines[5:]],
    "last removed": lambda lines: lines[:-1],
    "all removed": lambda lines: [],
    "doubled": lambda lines: [*lines[:5], lines[4], *lines[5:]],
    "reordered": lambda lines: [lines[1], lines[0], *lines[2:]],
    "leaves swapped": lambda lines: [
        lines[0].replace('"seq":0', '"seq":1'),
        lines[1].replace('"seq":1', '"seq":0'),
        *lines[2:],
    ],
    "another place": lambda lines: [lines[0], lines[1].replace('"seq":1', '"seq":9'), *lines[2:]],
    "beyond the log": lambda lines: [*lines, lines[-1].replace('"seq":', '"seq":9')],
    "invented": lambda lines: [
        *lines,
        json.dumps({"seq": 282, "leaf": json.loads(lines[-1])["leaf"]}) + "\n",
    ],
    "cut short": lambda lines: [*lines[:-1], lines[-1][:-1]],
    "no JSON": lambda lines: ["no JSON\n", *lines[1:]],
    "no object": lambda lines: ["[]\n", *lines[1:]],
    "no place": lambda lines: ['{"leaf":"{}"}\n', *lines[1:]],
    "no leaf": lambda lines: ['{"seq":0}\n', *lines[1:]],
    "flag as place": lambda lines: [lines[0].replace('"seq":0', '"seq":false'), *lines[1:]],
    "no canonical leaf": lambda lines: [
        json.dumps({"seq": 0, "leaf": json.loads(lines[0])["leaf"] + " "}) + "\n",
        *lines[1:],
    ],
}


@pytest.mark.parametrize("is_signed", [False, True], ids=["thief", "export key"])
@pytest.mark.parametrize("name", ENTRY_DAMAGE)
def test_damaged_entries_are_noticed(bundle: Path, name: str, is_signed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Entries removed, added, doubled, moved or swapped are found, signed again or not."""
    edit_lines(bundle / "entries.jsonl", ENTRY_DAMAGE[name])
    if is_signed:
        resign(bundle)
    report = verify(bundle, VKEY)
    assert report.exit_code == 1
    assert any(finding.where.startswith("entries.jsonl") for finding in report.findings), places(
        report
    )


@pytest.mark.parametrize("name", ["notes.txt", "policies/extra.json", "dataset/more.parquet"])
def test_an_added_file_is_noticed(bundle: Path, name: str) -> None:
    """A file that the signature does not cover is found by its name."""
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_text("{}")
    report = verify(bundle, VKEY)
    assert [(f.code, f.where) for f in report.findings] == [("file-added", name)]
    assert not any("the signature in" in line for line in report.proven)


def test_files_swapped_are_noticed(bundle: Path) -> None:
    """Two files that change places are found, both by name."""
    one, two = bundle / "tables/terms.parquet", bundle / "tables/grants.parquet"
    held = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(held)
    found = {(f.code, f.where) for f in verify(bundle, VKEY).findings}
    assert found == {
        ("file-changed", "tables/terms.parquet"),
        ("file-changed", "tables/grants.parquet"),
    }


def test_parts_of_another_bundle_are_noticed(dataset: Path, audit: Path) -> None:
    """Entries and checkpoint of another bundle of the same log, put in here, are found."""
    for name in ("entries.jsonl", "log/checkpoint"):
        (audit / name).write_bytes((dataset / name).read_bytes())
    report = verify(audit, VKEY)
    assert report.exit_code == 1
    assert {f.where for f in report.findings} >= {"entries.jsonl", "log/checkpoint"}


def test_a_thief_who_signs_with_his_own_key_is_noticed(bundle: Path) -> None:
    """A bundle signed again with a key that no entry of the log names is false."""
    (bundle / "keys/export.pem").write_text(THIEF_KEY.public_pem)
    resign(bundle, THIEF_KEY)
    report = verify(bundle, VKEY)
    assert [(f.code, f.where) for f in report.findings] == [("export-key", "keys/export.pem")]


# --- the holder of the export key, without the log's key ------------------------------------------


def _edit_policy(bundle: Path) -> None:
    path = bundle / f"policies/{BUNDLE}.json"
    path.write_text(path.read_text().replace("acme-api", "acme-apo"))


SIGNED_DAMAGE: dict[str, tuple[str, Damage]] = {
    "leaf edited": (
        "entries.jsonl",
        lambda bundle: edit_entry(bundle / "entries.jsonl", 6, outcome="cut"),
    ),
    "policy edited": (f"policies/{BUNDLE}.json", _edit_policy),
    "policy broken": (
        f"policies/{BUNDLE}.json",
        lambda bundle: (bundle / f"policies/{BUNDLE}.json").write_text("{}"),
    ),
    "policy deleted": (
        f"policies/{BUNDLE}.json",
        lambda bundle: (bundle / f"policies/{BUNDLE}.json").unlink(),
    ),
    "terms edited": (
        f"terms/{TERMS_DIGEST}.json",
        lambda bundle: flip(bundle / f"terms/{TERMS_DIGEST}.json"),
    ),
    "terms deleted": (
        f"terms/{TERMS_DIGEST}.json",
        lambda bundle: (bundle / f"terms/{TERMS_DIGEST}.json").unlink(),
    ),
    "grant edited": (
        f"grants/{GRANT_DIGEST}.yaml",
        lambda bundle: flip(bundle / f"grants/{GRANT_DIGEST}.yaml"),
    ),
    "table row dropped": (
        "tables/exchanges.parquet",
        lambda bundle: edit_rows(bundle / "tables/exchanges.parquet", lambda rows: rows.pop()),
    ),
    "table cell edited": (
        "tables/decisions.parquet",
        lambda bundle: edit_rows(
            bundle / "tables/decisions.parquet", lambda rows: rows[0].update(verdict="forbid")
        ),
    ),
    "table deleted": (
        "tables/terms.parquet",
        lambda bundle: (bundle / "tables/terms.parquet").unlink(),
    ),
    "table broken": (
        "tables/grants.parquet",
        lambda bundle: (bundle / "tables/grants.parquet").write_bytes(b"PAR1"),
    ),
    "tile edited": ("log/tile", lambda bundle: flip(bundle / "log/tile/0/000")),
    "tile deleted": ("log/tile", lambda bundle: (bundle / "log/tile/0/000").unlink()),
    "root tile deleted": ("log/tile", lambda bundle: (bundle / "log/tile/1/000.p/1").unlink()),
    "tile cut": (
        "log/tile/0/000",
        lambda bundle: (bundle / "log/tile/0/000").write_bytes(bytes(32)),
    ),
    "tile added": (
        "log/tile/0/007",
        lambda bundle: (bundle / "log/tile/0/007").write_bytes(bytes(8192)),
    ),
    "tile under another name": (
        "log/tile/0/x000/000",
        lambda bundle: shutil.copytree(bundle / "log/tile/0", bundle / "log/tile/0/x000"),
    ),
    "checkpoint edited": ("log/checkpoint", lambda bundle: flip(bundle / "log/checkpoint")),
    "checkpoint of no text": (
        "log/checkpoint",
        lambda bundle: (bundle / "log/checkpoint").write_bytes(b"\xff"),
    ),
    "opening edited": (
        "openings.jsonl",
        lambda bundle: edit_opening(
            bundle / "openings.jsonl", body=base64.b64encode(b"{}").decode()
        ),
    ),
    "opening of another salt": (
        "openings.jsonl",
        lambda bundle: edit_opening(
            bundle / "openings.jsonl", salt=base64.b64encode(bytes(32)).decode()
        ),
    ),
    "opening of a short salt": (
        "openings.jsonl",
        lambda bundle: edit_opening(bundle / "openings.jsonl", salt="AAAA"),
    ),
    "opening of no base64": (
        "openings.jsonl:1",
        lambda bundle: edit_opening(bundle / "openings.jsonl", salt="!"),
    ),
    "opening doubled": (
        "openings.jsonl",
        lambda bundle: edit_lines(bundle / "openings.jsonl", lambda lines: [lines[0], *lines]),
    ),
    "another subject": (
        "entries.jsonl",
        lambda bundle: (bundle / "export.json").write_bytes(
            canonical(json.loads((bundle / "export.json").read_bytes()) | {"subject": "other"})
        ),
    ),
    "another size": (
        "export.json",
        lambda bundle: (bundle / "export.json").write_bytes(
            canonical(json.loads((bundle / "export.json").read_bytes()) | {"size": 1})
        ),
    ),
    "export broken": (
        "export.json",
        lambda bundle: (bundle / "export.json").write_bytes(b"[]"),
    ),
}


@pytest.mark.parametrize("name", SIGNED_DAMAGE)
def test_the_export_key_is_not_enough(bundle: Path, name: str) -> None:
    """Damage signed again with the export key is false, and the finding names the place."""
    where, damage = SIGNED_DAMAGE[name]
    damage(bundle)
    resign(bundle)
    report = verify(bundle, VKEY)
    assert report.exit_code == 1
    assert any(finding.where.startswith(where) for finding in report.findings), places(report)


def test_a_story_told_anew_is_noticed(bundle: Path) -> None:
    """An entry edited, and the last entry made to commit to it, are not what the log holds."""
    edit_entry(bundle / "entries.jsonl", 6, outcome="cut")
    lines = [json.loads(line) for line in (bundle / "entries.jsonl").read_text().splitlines()]
    digest = entries_digest(line["leaf"].encode() for line in lines[:-1])
    edit_entry(bundle / "entries.jsonl", len(lines) - 1, entries=digest)
    resign(bundle)
    report = verify(bundle, VKEY)
    assert [(f.code, f.where) for f in report.findings] == [("entry", "entries.jsonl:7")]


def test_an_opening_of_no_entry_is_noticed(bundle: Path) -> None:
    """A body whose seal no entry names proves nothing and is not let pass."""
    salt, body = bytes(32), b"{}"
    line = {
        "seal": hmac.digest(salt, body, "sha256").hex(),
        "salt": base64.b64encode(salt).decode(),
        "body": base64.b64encode(body).decode(),
    }
    with (bundle / "openings.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    resign(bundle)
    report = verify(bundle, VKEY)
    assert [finding.code for finding in report.findings] == ["opening"]


def test_what_only_the_signature_covers_is_said(audit: Path) -> None:
    """An opening left out, an attestation edited and a file added pass signed again; this is said."""
    (audit / "openings.jsonl").unlink()
    (audit / "attestations/svr.dsse.json").write_text("edited")
    (audit / "notes.txt").write_text("added")
    resign(audit)
    report = verify(audit, VKEY)
    assert report.exit_code == 0
    assert any("an opening left out" in line for line in report.not_covered)
    assert any("seals that `export-1` opened" in line for line in report.not_covered)


# --- datasets -------------------------------------------------------------------------------------


DATASET_DAMAGE: dict[str, tuple[str, Damage]] = {
    "row dropped": (
        "dataset/examples.parquet",
        lambda bundle: edit_rows(bundle / "dataset/examples.parquet", lambda rows: rows.pop()),
    ),
    "rows reordered": (
        "dataset/examples.parquet",
        lambda bundle: edit_rows(bundle / "dataset/examples.parquet", lambda rows: rows.reverse()),
    ),
    "text edited": (
        "dataset/examples.parquet",
        lambda bundle: edit_rows(
            bundle / "dataset/examples.parquet", lambda rows: rows[0].update(completion="{}")
        ),
    ),
    "column dropped": (
        "dataset/examples.parquet",
        lambda bundle: edit_rows(
            bundle / "dataset/examples.parquet",
            lambda rows: [row.pop("licence") for row in rows],
        ),
    ),
    "examples deleted": (
        "dataset/examples.parquet",
        lambda bundle: (bundle / "dataset/examples.parquet").unlink(),
    ),
    "manifest cut": (
        "dataset/manifest.jsonl",
        lambda bundle: edit_lines(bundle / "dataset/manifest.jsonl", lambda lines: lines[:-1]),
    ),
    "opening left out": (
        "dataset/examples.parquet",
        lambda bundle: edit_lines(bundle / "openings.jsonl", lambda lines: lines[1:]),
    ),
    "openings deleted": (
        "dataset/examples.parquet",
        lambda bundle: (bundle / "openings.jsonl").unlink(),
    ),
}


@pytest.mark.parametrize("name", DATASET_DAMAGE)
def test_a_dataset_is_held_to_its_entry(dataset: Path, name: str) -> None:
    """Rows, manifest and openings of a dataset changed and signed again are found."""
    where, damage = DATASET_DAMAGE[name]
    damage(dataset)
    resign(dataset)
    report = verify(dataset, VKEY)
    assert report.exit_code == 1
    assert any(finding.where == where for finding in report.findings), places(report)
