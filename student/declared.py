"""The student as a dataset was built for it: its declaration, compared with the one of today.

What may be learned depends on what a student is for. A dataset carries the policies that it was
decided under, the declaration of its student among them; a run that is given today's declaration
is refused where the two differ.
"""

import difflib
import json
import re
from pathlib import Path

from student.errors import IntakeError

__all__ = ["declaration_in", "read_declaration", "refuse_other_declaration"]

_LISTED = 8
"""Lines of a difference that a message shows."""


def declaration_in(policies: bytes, student: str) -> str | None:
    """The text that declares a student in a policy bundle; None where no document does."""
    texts: dict[str, str] = json.loads(policies)["documents"]
    line = rf"""^student:[ \t]*["']?{re.escape(student)}["']?[ \t]*(#.*)?$"""
    declares = re.compile(line, re.MULTILINE)
    found = [text for _, text in sorted(texts.items()) if declares.search(text)]
    return found[0] if found else None


def read_declaration(path: Path) -> str:
    """The text of a declaration's file.

    Raises:
        IntakeError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no text"
        raise IntakeError(
            f"the student's declaration cannot be read: {reason.lower()}",
            help="give the file below `policies/students/` that declares it",
            where=str(path),
            code="no-declaration",
        ) from error


def refuse_other_declaration(
    today: str, then: str | None, *, student: str, dataset: Path, where: Path
) -> None:
    """Refuse a dataset that was built for the student as it was declared otherwise.

    Raises:
        IntakeError: `today` is not, letter by letter, the declaration `then`.
    """
    if today == then:
        return
    if then is None:
        what = f"the policies of the dataset declare no student `{student}`"
    else:
        lines = [
            line
            for line in difflib.unified_diff(then.splitlines(), today.splitlines(), n=0)
            if line[0] in "+-" and not line.startswith(("+++", "---"))
        ]
        shown = ", ".join(f"`{line}`" for line in lines[:_LISTED]) or "line ends or blanks"
        what = f"the dataset was built for `{student}` as declared otherwise: {shown}"
    raise IntakeError(
        what,
        help=f"build the dataset again for today's declaration ({where})",
        where=str(dataset),
        code="other-declaration",
    )
