"""Datasets are proven each by itself, before anything of them is read for learning."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, override

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from student.config import Config, Order, Source
from student.errors import IntakeError, ModelError
from student.intake import open_datasets
from student.proving import prove
from student.trainer import carry_out
from tests.student.datasets import (
    DECLARATION,
    LESSONS,
    NOW,
    STUDENT,
    Lesson,
    Sealed,
    issue_status,
    seal_dataset,
)

_MORE = tuple(
    Lesson(prompt=(("user", f"Who wrote {title}?"),), answers=(f"{name} did.",))
    for title, name in (("Emma", "Austen"), ("Faust", "Goethe"), ("Ulysses", "Joyce"))
)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """A sound dataset; not to be written to."""
    return seal_dataset(tmp_path_factory.mktemp("colours") / "dataset")


@pytest.fixture(scope="module")
def authors(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """Another for the same student; not to be written to."""
    path = tmp_path_factory.mktemp("authors") / "dataset"
    return seal_dataset(path, _MORE, name="authors", prefix="0194")


def test_several_datasets_are_each_proven(colours: Sealed, authors: Sealed) -> None:
    """Examples of both come, in order, each with its own root."""
    first, second = open_datasets([colours.source, authors.source], student=STUDENT, now=NOW)
    assert (len(first.examples), len(second.examples)) == (len(LESSONS), len(_MORE))
    assert (first.dataset, second.dataset) == ("colours", "authors")
    assert first.root != second.root


def test_one_bad_dataset_spoils_the_mixture(
    colours: Sealed, authors: Sealed, tmp_path: Path
) -> None:
    """A dataset that is not proven is refused though the one before it is."""
    copy = Path(shutil.copytree(authors.path, tmp_path / "copy"))
    (copy / "export.sig").unlink()
    with pytest.raises(IntakeError, match="not proven"):
        open_datasets([colours.source, replace(authors.source, path=copy)], student=None, now=NOW)


def test_datasets_of_two_students_do_not_mix(colours: Sealed, tmp_path: Path) -> None:
    """Without a name given, the first dataset says whom the others must be for."""
    other = seal_dataset(tmp_path / "other", _MORE, student="judge")
    with pytest.raises(IntakeError, match="built for student `judge`, not for `summary-writer`"):
        open_datasets([colours.source, other.source], student=None, now=NOW)


def test_a_dataset_given_twice_is_refused(colours: Sealed, tmp_path: Path) -> None:
    """The same rows under another path are the same dataset: weights are for that."""
    copy = Path(shutil.copytree(colours.path, tmp_path / "copy"))
    with pytest.raises(IntakeError, match="`colours` is given twice") as caught:
        prove([colours.source, Source(path=copy, vkey=colours.vkey)], None)
    assert "--weight" in caught.value.help


def test_what_a_later_dataset_left_out_is_not_learned_from_an_older_one(tmp_path: Path) -> None:
    """Whichever way round they are given; what the later one never looked at stays."""
    first, *others = LESSONS
    old = seal_dataset(tmp_path / "old", LESSONS[:3], name="old")
    lessons = (replace(first, decided="review"), *others, *_MORE)
    new = seal_dataset(tmp_path / "new", lessons, name="new")
    for given in ([old, new], [new, old]):
        with pytest.raises(
            IntakeError, match="`new`, which is newer, left out 1 of the 3"
        ) as caught:
            open_datasets([each.source for each in given], student=STUDENT, now=NOW)
        assert (caught.value.code, caught.value.where) == ("overtaken", str(old.path))
    (alone,) = open_datasets([old.source], student=STUDENT, now=NOW)
    assert len(alone.examples) == 3


def test_each_status_is_of_the_dataset_it_names(
    colours: Sealed, authors: Sealed, tmp_path: Path
) -> None:
    """Past their dates both need one, in any order; one of a third dataset is refused."""
    late, until = NOW + timedelta(days=40), "2027-01-20T00:00:00.000Z"
    of_authors = issue_status(authors, tmp_path / "authors", until=until)
    of_colours = issue_status(colours, tmp_path / "colours", until=until)
    sources = [colours.source, authors.source]
    opened = open_datasets(sources, student=None, now=late, statuses=[of_authors, of_colours])
    assert [each.status.dataset for each in opened if each.status] == ["colours", "authors"]
    with pytest.raises(IntakeError, match="valid until") as caught:
        open_datasets(sources, student=None, now=late, statuses=[of_colours])
    assert "inbond dataset status authors" in caught.value.help
    with pytest.raises(IntakeError, match="is of the dataset `authors`, not of `colours`"):
        open_datasets([colours.source], student=None, now=NOW, statuses=[of_authors])


def test_the_newest_status_counts(colours: Sealed, tmp_path: Path) -> None:
    """What was good before it was withdrawn is withdrawn, whichever file comes first."""
    good = issue_status(colours, tmp_path / "good", until="2027-01-20T00:00:00.000Z")
    taken = issue_status(colours, tmp_path / "taken", state="withdrawn", seq=40)
    for statuses in ([good, taken], [taken, good]):
        with pytest.raises(IntakeError, match="was withdrawn") as caught:
            open_datasets([colours.source], student=None, now=NOW, statuses=statuses)
        assert caught.value.where == str(taken)


def test_a_dataset_is_for_the_student_as_declared(colours: Sealed, tmp_path: Path) -> None:
    """Today's declaration must be the one that the dataset's policies hold."""
    path = tmp_path / "writer.yaml"
    path.write_text(DECLARATION)
    (opened,) = open_datasets([colours.source], student=None, now=NOW, declaration=path)
    assert opened.declaration == DECLARATION
    path.write_text(DECLARATION + "competes_with: [Acme]\n")
    with pytest.raises(IntakeError, match=r"declared otherwise: `\+competes_with: \[Acme\]`"):
        open_datasets([colours.source], student=None, now=NOW, declaration=path)


class _NoTensor(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves it untyped
    """Any operation on any tensor is an error."""

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"a tensor was made: {func}")


def _no_tensor() -> _NoTensor:
    return _NoTensor()  # type: ignore[no-untyped-call] # the same


def _file_changed(path: Path) -> None:
    seal_dataset(path)
    rows = path / "dataset/examples.parquet"
    data = bytearray(rows.read_bytes())
    data[len(data) // 2] ^= 1
    rows.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "code", "message"),
    [
        (
            lambda path: seal_dataset(path, [*LESSONS, Lesson(verdict="review")]),
            "unproven-dataset",
            "exchange that was not admitted",
        ),
        (
            lambda path: seal_dataset(path, [*LESSONS, Lesson(is_reversed=True)]),
            "unproven-dataset",
            "exchange that was not admitted",
        ),
        (lambda path: seal_dataset(path, is_forged=True), "unproven-dataset", "root"),
        (_file_changed, "unproven-dataset", "examples.parquet"),
    ],
    ids=["one example not admitted", "one entry revoked", "one proof wrong", "one file changed"],
)
def test_what_is_not_proven_is_refused_before_any_tensor_is_made(
    make: Callable[[Path], object],
    code: str,
    message: str,
    colours: Sealed,
    base: Path,
    tmp_path: Path,
) -> None:
    """A run on it, signed and whole as it may be, ends with nothing computed and nothing written."""
    make(tmp_path / "dataset")
    order = Order(
        sources=(replace(colours.source, path=tmp_path / "dataset"),), base=str(base),
        out=tmp_path / "run", cache=tmp_path / "cache", now=NOW, seed=bytes(32),
    )  # fmt: skip
    with _no_tensor(), pytest.raises(IntakeError) as caught:
        carry_out(order, Config(device="cpu"))
    assert caught.value.code == code
    assert message in f"{caught.value.message} {caught.value.where}"
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()


def test_a_revoked_row_stops_the_run_before_any_tensor_is_made(
    colours: Sealed, tmp_path: Path
) -> None:
    """What the log said since counts as much: the base is not even looked for."""
    status = issue_status(colours, tmp_path / "status", state="revoked")
    order = Order(
        sources=(colours.source,), statuses=(status,), base="absent", out=tmp_path / "run",
        cache=tmp_path, now=NOW, seed=bytes(32),
    )  # fmt: skip
    with _no_tensor(), pytest.raises(IntakeError, match="was revoked"):
        carry_out(order, Config(device="cpu"))
    with pytest.raises(ModelError):  # without that word the same run goes on to its base
        carry_out(replace(order, statuses=()), Config(device="cpu"))


_LONELY = """
import sys
from datetime import datetime
from pathlib import Path
import pyarrow.parquet  # may ask the system what it likes when it is loaded

def refuse(event, arguments):
    if event.startswith(("socket.", "sqlite3.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn")):
        raise SystemExit(f"{event} {arguments}")

sys.addaudithook(refuse)
from student.intake import open_dataset
opened = open_dataset(Path(sys.argv[1]), sys.argv[2], student=None, now=datetime.fromisoformat(sys.argv[3]))
banned = ("mitmproxy", "sqlalchemy", "alembic", "httpx", "requests", "urllib3", "fastapi", "policies",
          "torch", "transformers", "proxy.store", "proxy.settings", "proxy.engine", "proxy.web")
loaded = sorted(name for name in sys.modules if name.startswith(banned))
sys.exit(f"loaded: {loaded}" if loaded else len(opened.examples))
"""


def test_intake_needs_neither_database_nor_network_nor_the_proxy(
    colours: Sealed, tmp_path: Path
) -> None:
    """In a process that may open no socket, database or process, a dataset is proven and opened."""
    words = [str(colours.path), colours.vkey, NOW.isoformat()]
    done = subprocess.run(
        [sys.executable, "-c", _LONELY, *words],
        env={"PYTHONPATH": str(Path.cwd()), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (len(LESSONS), "")
