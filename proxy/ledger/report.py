"""What verifying a bundle found: proven, claimed, not covered and findings, kept apart."""

from dataclasses import dataclass, field

from proxy.errors import ProxyError

__all__ = ["Finding", "Report", "render"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that does not hold, or that cannot be told."""

    code: str
    where: str
    message: str
    help: str = ""
    is_false: bool = True
    """False: it cannot be told."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What was found, in the order it was established."""

    proven: list[str] = field(default_factory=list)
    claimed: list[str] = field(default_factory=list)
    """By the recorder: nothing here shows it."""
    not_covered: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0: all holds; 1: something is false; 2: something cannot be told."""
        if any(finding.is_false for finding in self.findings):
            return 1
        return 2 if self.findings else 0

    def refute(self, code: str, where: str, message: str) -> None:
        """Note something that is false."""
        self.findings.append(Finding(code=code, where=where, message=message))

    def doubt(self, code: str, where: str, message: str) -> None:
        """Note something that cannot be told."""
        self.findings.append(Finding(code=code, where=where, message=message, is_false=False))

    def note(self, error: ProxyError, *, where: str, is_false: bool = True) -> None:
        """Note an error as a finding; `where` stands in where the error names no place."""
        finding = Finding(
            code=error.code,
            where=error.where or where,
            message=error.message,
            help=error.help,
            is_false=is_false,
        )
        self.findings.append(finding)


def render(report: Report) -> str:
    """The report as plain text, its four parts apart."""
    findings = [
        f"{finding.code}: {finding.message} ({finding.where})"
        + (f"\n    help: {finding.help}" if finding.help else "")
        for finding in report.findings
    ]
    parts = {
        "proven": report.proven,
        "claimed by the recorder": report.claimed,
        "not covered": report.not_covered,
        "findings": findings,
    }
    blocks = [
        "\n".join([f"{title}:", *(f"  {line}" for line in lines or ["none"])])
        for title, lines in parts.items()
    ]
    return "\n\n".join(blocks) + "\n"
