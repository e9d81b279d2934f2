"""What can go wrong in the trainer, as one tree.

StudentError
├── ConfigError     a knob has a value that cannot work (wrong use)
├── IntakeError     a dataset is not opened
├── RowError        one example cannot be made into a row; the token policy counts or refuses it
├── ModelError      a student, its tokenizer or its template is not usable
├── SnapshotError   a snapshot cannot be written or is not what it says
├── RecordError     a run record cannot be written or is not what it says
└── TrainingError   a run was stopped
"""

__all__ = [
    "ConfigError",
    "IntakeError",
    "ModelError",
    "RecordError",
    "RowError",
    "SnapshotError",
    "StudentError",
    "TrainingError",
]


class StudentError(Exception):
    """The base of every error this package raises on purpose.

    `code` is a stable slug, `where` names the file, row or field, and `help` says what to do.
    `exit_status` is what a command ends with: 1 for findings, 2 for wrong use (style §6).
    """

    code = "student"
    exit_status = 1

    def __init__(
        self,
        message: str,
        *,
        help: str = "",  # noqa: A002 - the word users see in `help:` lines
        where: str = "",
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.help = help
        self.where = where
        if code is not None:
            self.code = code


class ConfigError(StudentError):
    """A knob has a value that cannot work."""

    code = "student-config"
    exit_status = 2


class IntakeError(StudentError):
    """A dataset is not opened (promise P6)."""

    code = "intake"


class RowError(StudentError):
    """One example cannot be made into a row; `code` is the reason that is counted."""

    code = "row"


class ModelError(StudentError):
    """A student, its tokenizer or its template is not usable."""

    code = "model"
    exit_status = 2


class SnapshotError(StudentError):
    """A snapshot cannot be written, or is not what it says."""

    code = "snapshot"


class RecordError(StudentError):
    """A run record cannot be written, or is not what it says."""

    code = "record"


class TrainingError(StudentError):
    """A run was stopped; the last good snapshot is kept."""

    code = "training"
