"""The answers that one call may get from us: what happened, where, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policies.decision import Decision
from policies.model import Effect, Fact, Rule
from proxy.enforce import refusal_message
from proxy.errors import LedgerError, ProxyError
from proxy.gate import Refused
from proxy.wire.refusal import refusal

__all__ = ["Early", "Refusals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Early:
    """A refusal that was clear from the head: recorded once the caller's body is in."""

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """The refusals of one call, in the shape of its provider."""

    exchange: str
    family: str
    host: str

    def by(self, decision: Decision, facts: Mapping[str, Fact]) -> Early:
        """The refusal that a decision makes."""
        message = refusal_message(decision, facts, self.exchange)
        code = "needs-review" if decision.verdict is Effect.REVIEW else "refused-by-policy"
        return Early(status=403, code=code, message=message)

    def of(self, status: int, error: ProxyError) -> Early:
        """The refusal of what cannot be read or reached."""
        fix = f"; {error.help}" if error.help else ""
        where = f" at `{error.where}`" if error.where else ""
        message = f"inbond refused this call: {error.message}{where}{fix}; exchange {self.exchange}"
        return Early(status=status, code=error.code, message=message)

    def not_redacted(self, why: str) -> Early:
        """The refusal of a request that holds what must be masked first."""
        message = f"inbond refused this call: {why}; exchange {self.exchange}"
        return Early(status=403, code="not-redacted", message=message)

    def too_large(self, limit_bytes: int, *, announced_bytes: int | None = None) -> Early:
        """The refusal of a body over its limit.

        `announced_bytes` is what would pass if the length had been announced, where it was not.
        """
        name, fix = "request_bytes", "send less at once, or raise this limit"
        if announced_bytes is not None:
            name = "unannounced_bytes"
            fix = f"send a `Content-Length`: up to {announced_bytes} bytes pass then"
        message = (
            f"inbond refused this call: its body is over {limit_bytes} bytes "
            f"(`limits.{name}`); {fix}; exchange {self.exchange}"
        )
        return Early(status=413, code="request-too-large", message=message)

    def withheld(self, rules: Sequence[Rule], problem: str | None) -> Early:
        """The refusal in place of an answer that was held back, by these rules or for want of reading."""
        if not rules:
            why = f"could not be read (`{problem}`)" if problem else "broke off"
            message = (
                f"inbond withheld this answer: it {why}, so no rule could see it whole; "
                f"exchange {self.exchange}"
            )
            return Early(status=502, code="answer-unreadable", message=message)
        why = "; ".join(f"rule `{rule.id}`: {rule.because.rstrip('. ')}" for rule in rules)
        fix = next((f"; {rule.fix.rstrip('. ')}" for rule in rules if rule.fix), "")
        message = f"inbond withheld this answer: {why}{fix}; exchange {self.exchange}"
        return Early(status=403, code="answer-withheld", message=message)

    def cut(self) -> Early:
        """What ends an answer under way that we cut."""
        message = f"inbond cut this answer off; try again later; exchange {self.exchange}"
        return Early(status=503, code="answer-cut", message=message)

    def say(self, early: Early, verdict: str) -> Refused:
        """The answer in the provider's shape."""
        return refusal(
            self.family,
            status=early.status,
            code=early.code,
            message=early.message,
            exchange=self.exchange,
            decision=verdict,
        )

    def unsent(self) -> Refused:
        """A 503 that nobody reads: the client left while the call was decided."""
        message = f"inbond did not send this call: its client left; exchange {self.exchange}"
        return self.say(Early(status=503, code="client-left", message=message), "unsent")

    def unrecorded(self, error: LedgerError) -> Refused:
        """A 503: the call could not be made durable."""
        message = (
            f"inbond refused this call: it could not be recorded ({error.message}); try again later"
        )
        return self.say(Early(status=503, code=error.code, message=message), "unrecorded")

    def broken(self, reason: str) -> Refused:
        """A 503: a hook of ours failed."""
        message = f"inbond refused this call: {reason}; try again later"
        return self.say(Early(status=503, code="hook-failed", message=message), "failed")

    def unreachable(self, reason: str) -> Refused:
        """A 502: the teacher did not answer."""
        message = (
            f"inbond could not get an answer from `{self.host}`: {reason}; exchange {self.exchange}"
        )
        return self.say(Early(status=502, code="teacher-unreachable", message=message), "permit")
