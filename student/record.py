"""What made these weights: a signed run record that anybody can check, line by line.

A run directory holds:

- `run.json`: all that is fixed when the run starts (`Header`);
- `examples.jsonl`: every example and what became of it (`student.roll`); its digest is in `run.json`;
- `steps.jsonl`: one JSON object a line, each with `prev`, the sha256 (hex) of the line before; the
  first line's `prev` is the digest of `run.json`. So the last line's digest, the *head*, stands for
  everything;
- `record.note`: a C2SP signed note whose text has three lines: the run's name, the number of lines
  and the head in base64. It has the form of a tree head, so tools for signed notes read it;
- `run.key` (mode 0600) and `run.vkey`: the run's own Ed25519 key. It shows that one holder of the key
  wrote all of it. Who that was is shown by whoever pins the vkey, or by the ledger's `run` entry.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from proxy.errors import ProofError
from proxy.ledger.checkpoint import Checkpoint, LogKey, Verifier, open_checkpoint, sign_checkpoint
from student import digest
from student.errors import RecordError
from student.intake import Admitted, Teaching
from student.roll import ROLL_FILE

__all__ = [
    "ADAPTER_FOLDER",
    "MODEL_FOLDER",
    "SNAPSHOT_FOLDER",
    "STATE_FILE",
    "DatasetRef",
    "Header",
    "Json",
    "Line",
    "Record",
    "Verified",
    "run_name",
    "verify_record",
]

type Json = bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None

ADAPTER_FOLDER = "adapter"
MODEL_FOLDER = "model"
SNAPSHOT_FOLDER = "snapshots"
STATE_FILE = "state.json"
"""The file whose digest stands for a snapshot."""
_WRITTEN = {"adapter": (ADAPTER_FOLDER, "files"), "finished": (MODEL_FOLDER, "weights")}
"""The folder of the files that a line names, and where it names them."""
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # folders are named after it
_HEADER = "run.json"
_LINES = "steps.jsonl"
_NOTE = "record.note"
_KEY = "run.key"
_VKEY = "run.vkey"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRef:
    """A proven dataset as a record names it."""

    root: str
    dataset: str
    vkey: str
    policy_bundle: str
    terms: tuple[str, ...]
    """sha256 (hex) of every source of terms that its decisions rest on."""
    grants: tuple[str, ...]
    declaration: str | None
    """sha256 (hex) of the text that declares the student in its policies."""
    valid_until: str
    examples: int
    weight: float
    """How often each of its examples was learned in an epoch."""
    left_out: Mapping[str, int]
    """Exchanges that its gate considered and left out, by reason."""

    @classmethod
    def of(cls, admitted: Admitted, weight: float) -> "DatasetRef":
        """The reference to a proven dataset."""
        return cls(
            root=admitted.root,
            dataset=admitted.dataset,
            vkey=admitted.vkey,
            policy_bundle=admitted.policy_bundle,
            terms=admitted.terms,
            grants=admitted.grants,
            declaration=(
                None
                if admitted.declaration is None
                else digest.of_bytes(admitted.declaration.encode())
            ),
            valid_until=admitted.valid_until,
            examples=len(admitted.examples),
            weight=weight,
            left_out=admitted.left_out,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """All that is fixed when a run starts; digests are sha256 in hex."""

    v: int = 1
    run: str
    student: str
    started_at: str
    datasets: tuple[DatasetRef, ...]
    teachings: tuple[Teaching, ...]
    base: Mapping[str, Json]
    """Spec, origin, licence and the digest of every file."""
    tokenizer: str
    template: str
    tokens: str
    """Digest of the tokens made of the dataset."""
    counts: Mapping[str, int]
    """Examples kept, truncated, cut and left out by reason."""
    roll: str
    """sha256 (hex) of `examples.jsonl`: every example and what became of it."""
    config: Mapping[str, int | float | str | None]
    steps: int
    versions: Mapping[str, str]
    """Of Python and packages, and the sha256 (hex) over the trainer's own files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a record: what happened, and its figures."""

    kind: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A record that is what it says."""

    header: Mapping[str, Any]
    lines: tuple[Line, ...]
    head: str
    vkey: str
    is_pinned: bool
    """Whether the key was given from outside; else the record is only consistent with itself."""
    unsigned: int
    """Lines after the last signature: the run was stopped before it could sign them."""


def run_name(student: str, started_at: str, root: str, config: str) -> str:
    """The name of a run, from what makes it: `run-` and 16 hex digits."""
    return f"run-{digest.of_value([student, started_at, root, config])[:16]}"


class Record:
    """A record being written. Lines are only ever added, and each binds all before it."""

    def __init__(self, folder: Path, key: LogKey, head: str, lines: list[Line]) -> None:
        self.folder = folder
        self.head = head
        self.lines = lines
        self._key = key
        self._path = folder / _LINES

    @classmethod
    def start(cls, folder: Path, header: Header, seed: bytes, roll: bytes = b"") -> "Record":
        """A new record in a folder; `seed` is 32 random bytes for the run's key.

        `roll` is the content of `examples.jsonl`, whose digest the header names.

        Raises:
            RecordError: the folder holds a run already.
        """
        if (folder / _HEADER).exists():
            raise RecordError(
                "the folder holds a run already",
                help="choose another `--out`, or go on with `--resume`",
                where=str(folder),
                code="run-exists",
            )
        folder.mkdir(parents=True, exist_ok=True)
        key = LogKey.generate(header.run, seed)
        (folder / _KEY).unlink(missing_ok=True)  # of a start that was killed before it had a header
        _write_secret(folder / _KEY, key.to_text() + "\n")
        (folder / _VKEY).write_text(key.verifier.to_text() + "\n")
        text = (json.dumps(asdict(header), indent=1, ensure_ascii=False) + "\n").encode()
        (folder / ROLL_FILE).write_bytes(roll)
        (folder / _LINES).touch()
        record = cls(folder, key, digest.of_bytes(text), [])
        record.sign()
        temporary = folder / f".{_HEADER}"
        temporary.write_bytes(text)
        temporary.replace(folder / _HEADER)  # last: a folder with a header has all the rest
        return record

    @classmethod
    def reopen(cls, folder: Path, header: Header) -> "Record":
        """The record of a run that was stopped, to go on with; half a last line is cut off.

        Raises:
            RecordError: the record is damaged, finished, or of a run that is not this one; the
                message names each difference.
        """
        _cut_torn_line(folder / _LINES)
        verified = verify_record(folder, None)
        theirs = dict(verified.header)
        _refuse_other_run(folder, theirs, json.loads(json.dumps(asdict(header))))
        if any(line.kind == "finished" for line in verified.lines):
            raise RecordError(
                "this run is finished", help="start a new one", where=str(folder), code="finished"
            )
        key = LogKey.from_text((folder / _KEY).read_text())
        return cls(folder, key, verified.head, list(verified.lines))

    @property
    def run(self) -> str:
        """The run's name."""
        return self._key.name

    @property
    def vkey(self) -> str:
        """The key that signs the record, to pin."""
        return self._key.verifier.to_text()

    def add(self, kind: str, **values: Json) -> None:
        """Add a line."""
        text = json.dumps({"kind": kind, **values, "prev": self.head}, separators=(",", ":"))
        line = text.encode() + b"\n"
        with self._path.open("ab") as stream:
            stream.write(line)
        self.head = digest.of_bytes(line)
        self.lines.append(Line(kind=kind, values=values))

    def sign(self) -> None:
        """Sign all lines so far."""
        head = Checkpoint(origin=self.run, size=len(self.lines), root=bytes.fromhex(self.head))
        temporary = self.folder / f".{_NOTE}"
        temporary.write_text(sign_checkpoint(head, self._key))
        temporary.replace(self.folder / _NOTE)

    def values(self, kind: str) -> list[Mapping[str, Any]]:
        """The figures of every line of a kind, in order."""
        return [line.values for line in self.lines if line.kind == kind]


def verify_record(folder: Path, vkey: str | None) -> Verified:
    """The record of a run directory, after its chain, its signature and its files were checked.

    `vkey` None takes the key beside the record: then it is shown to be consistent with itself, and
    not whose it is.

    Raises:
        RecordError: something is not what the record says; `where` names the file or line.
    """
    try:
        header_bytes = (folder / _HEADER).read_bytes()
        header = json.loads(header_bytes)
        lines = (folder / _LINES).read_bytes().splitlines(keepends=True)
        roll = digest.of_file(folder / ROLL_FILE)
        note = (folder / _NOTE).read_text()
        key = Verifier.from_text(vkey or (folder / _VKEY).read_text())
        signed = open_checkpoint(note, key)
    except (OSError, ValueError) as error:
        raise _wrong(folder, f"it cannot be read ({error})") from error
    except ProofError as error:
        raise _wrong(folder / _NOTE, error.message) from error
    heads = [digest.of_bytes(header_bytes)]
    parsed = []
    for number, line in enumerate(lines, start=1):
        parsed.append(_parse_line(line, heads[-1], f"{folder / _LINES}:{number}"))
        heads.append(digest.of_bytes(line))
    if signed.size >= len(heads) or signed.root.hex() != heads[signed.size]:
        raise _wrong(folder / _LINES, f"its first {signed.size} lines are not those signed")
    if header.get("run") != signed.origin or not _RUN.fullmatch(signed.origin):
        raise _wrong(folder / _HEADER, f"it is the header of run `{header.get('run')}`")
    if roll != header.get("roll"):
        raise _wrong(folder / ROLL_FILE, "it is not the roll that the header names")
    _check_files(folder, parsed)
    return Verified(
        header=header,
        lines=tuple(parsed),
        head=heads[-1],
        vkey=key.to_text(),
        is_pinned=vkey is not None,
        unsigned=len(lines) - signed.size,
    )


def _parse_line(line: bytes, previous: str, where: str) -> Line:
    try:
        values = json.loads(line)
        if values.pop("prev") != previous:
            raise _wrong(where, "the line before it was changed, or one was left out")
        return Line(kind=values.pop("kind"), values=values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _wrong(where, "the line cannot be read") from error


def _check_files(folder: Path, lines: Sequence[Line]) -> None:
    taken = {  # of a folder written again after a resume, the last digest counts
        line.values["folder"]: line.values["digest"] for line in lines if line.kind == "snapshot"
    }
    for name, written in taken.items():
        path = folder / SNAPSHOT_FOLDER / name / STATE_FILE
        if path.is_file() and digest.of_file(path) != written:
            raise _wrong(path, "it is not the snapshot that the record names")
    for line in lines:
        where, key = _WRITTEN.get(line.kind, ("", ""))
        for name, written in line.values[key].items() if where else ():
            path = folder / where / name
            if not path.is_file() or digest.of_file(path) != written:
                raise _wrong(path, "it is not the file that the run wrote")


def _refuse_other_run(folder: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    own = {"run", "started_at", "versions"}
    differences = [
        f"{name}: {_brief(theirs.get(name), value)} -> {_brief(value, theirs.get(name))}"
        for name, value in ours.items()
        if name not in own and theirs.get(name) != value
    ]
    if differences:
        raise RecordError(
            f"the run in this folder is another: {'; '.join(differences)}",
            help="resume with the same dataset, base and knobs, or choose another `--out`",
            where=str(folder),
            code="other-run",
        )


def _brief(value: object, other: object) -> str:
    """A value, or of an object only the parts that differ."""
    if isinstance(value, dict) and isinstance(other, dict):
        value = {key: part for key, part in value.items() if other.get(key) != part}
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _cut_torn_line(path: Path) -> None:
    if not path.is_file():
        return
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        path.write_bytes(whole)


def _write_secret(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(text)


def _wrong(where: Path | str, reason: str) -> RecordError:
    return RecordError(
        f"the run record is not what it says: {reason}",
        help="get the run directory again from where it was made; do not trust these weights",
        where=str(where),
        code="record-damaged",
    )
