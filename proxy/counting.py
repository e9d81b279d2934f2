"""What counts of a call, and its decision where that hangs on a number.

`Counting.of` says for a call's facts which groups it is counted in and which numbers its rules may
read. Most calls ask for none: they are decided as ever, and what they add goes with their `call`
entry (`proxy.store.counters`). A call that asks is decided by a `Settling` inside the transaction
that records it: there alone two workers cannot both be the last below a limit.

A call counts once the request gate lets it pass. Tokens are those the provider states. Where it
states none, each byte of the text that was asked and answered stands for one: no token is shorter,
so that the number is never too small for it. What is no text is not seen then.
"""

import hmac
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from policies.bundle import Bundle
from policies.counters import KEY_BYTES, Counters, Group
from policies.decision import Decision
from policies.model import Effect, Fact
from proxy.exchange import Exchange, ToolCall, Usage
from proxy.store.counters import OpenTallies, Step
from proxy.store.log import Pending

__all__ = ["Counted", "Counting", "Settling", "Used", "used_in"]

_PROMPTS = b"inbond v1: prompts that counters tell apart"
"""What the installation's secret is used for here: no digest of another use can be one of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One call in the counters of a bundle."""

    step: Step
    """What it adds if it passes the request gate."""
    asked: Step
    """The same call with only those groups whose numbers its rules may read."""

    @property
    def is_asked(self) -> bool:
        """Whether its decision, at this gate or a later one, may hang on a number."""
        return bool(self.asked.groups)

    def ended(self, at: datetime, used: "Used") -> Step | None:
        """What the end of the call adds; None where no counter counts tokens."""
        groups = tuple(
            group
            for group in self.step.groups
            if group.counter.count in ("tokens_in", "tokens_out")
        )
        if not groups:
            return None
        return Step(groups=groups, at=at, tokens_in=used.tokens_in, tokens_out=used.tokens_out)


class Counting:
    """The counters of one bundle, for one installation. It does no I/O."""

    def __init__(self, bundle: Bundle, secret: bytes) -> None:
        """`secret` are 32 bytes that stand nowhere in the ledger: without them digests say nothing."""
        self._counters = Counters(bundle)
        self._key = hmac.digest(secret, _PROMPTS, "sha256")

    def of(self, facts: Mapping[str, Fact], at: datetime, body: bytes) -> Counted | None:
        """What counts of a call made at an instant with this request body; None where nothing does.

        `facts` are those of the request gate. The body is digested only where prompts are counted.
        """
        groups = self._counters.groups(facts)
        if not groups:
            return None
        tested = self._counters.tested(facts)
        asked = tuple(group for group in groups if group.counter.name in tested)
        prompt = self.digest(body) if _counts_prompts(groups) else None
        return Counted(
            step=Step(groups=groups, at=at, requests=1, prompt=prompt),
            asked=Step(groups=asked, at=at, requests=1, prompt=prompt),
        )

    def digest(self, body: bytes) -> bytes:
        """The keyed digest by which a request body is told from others; 16 bytes."""
        return hmac.digest(self._key, body, "sha256")[:KEY_BYTES]


def _counts_prompts(groups: Sequence[Group]) -> bool:
    return any(group.counter.count == "distinct_prompts" for group in groups)


class Settling:
    """Decides one call in the transaction that records it.

    The log runs it after its head is locked, once for each attempt to write, and on its own thread:
    each time it starts from what it was given. A client may leave meanwhile: `withdraw` tells whether
    that was in time.
    """

    def __init__(
        self,
        *,
        counted: Counted,
        facts: Mapping[str, Fact],
        decide: Callable[[Mapping[str, Fact]], Decision],
        entries: Callable[[Mapping[str, Fact], Decision], tuple[Pending, ...]],
    ) -> None:
        """`entries` gives what to record of a decision: nothing leaves the ledger as it was."""
        self.facts: Mapping[str, Fact] = facts
        """With the numbers, once it was run."""
        self.decision: Decision | None = None
        """What was decided, once it was run."""
        self._counted = counted
        self._given = facts
        self._decide = decide
        self._entries = entries
        self._lock = threading.Lock()
        self._passes = False
        self._is_withdrawn = False

    def __call__(self, tallies: OpenTallies) -> tuple[Pending, ...]:
        """Read the numbers, decide, and give the entries to append: none of a call withdrawn."""
        self.facts = {**self._given, **tallies.numbers(self._counted.asked)}
        self.decision = self._decide(self.facts)
        entries = self._entries(self.facts, self.decision)
        with self._lock:
            if self._is_withdrawn:
                return ()
            self._passes = self.decision.verdict is Effect.PERMIT
        return entries

    def withdraw(self) -> bool:
        """Take the call back; false where it passes on record already, or is about to.

        An `exchange` is owed then, and comes after the `call` if it is queued now.
        """
        with self._lock:
            self._is_withdrawn = not self._passes
            return self._is_withdrawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Tokens that one exchange used."""

    tokens_in: int
    tokens_out: int


def used_in(exchange: Exchange) -> Used:
    """The tokens of an exchange: as the provider states them, else one for each byte of text.

    A call that the teacher turned away used none.
    """
    usage = exchange.answer.usage or Usage()
    is_turned_away = exchange.answer.status >= 400
    tokens_in, tokens_out = _stated_in(usage), _stated_out(usage)
    if tokens_in is None:
        tokens_in = 0 if is_turned_away else _asked_bytes(exchange)
    if tokens_out is None:
        tokens_out = 0 if is_turned_away else _answered_bytes(exchange)
    return Used(tokens_in=max(0, tokens_in), tokens_out=max(0, tokens_out))


def _stated_in(usage: Usage) -> int | None:
    """Formats that state a total count cached tokens as asked ones; the others state them apart."""
    if usage.input is None or usage.total is not None:
        return usage.input
    return usage.input + (usage.cache_read or 0) + (usage.cache_write or 0)


def _stated_out(usage: Usage) -> int | None:
    """All that was not asked was answered: some formats leave reasoning out of the answer's tokens."""
    if usage.total is None or usage.input is None:
        return usage.output
    return max(usage.output or 0, usage.total - usage.input)


def _asked_bytes(exchange: Exchange) -> int:
    request = exchange.request
    tools = "" if request.tools is None else json.dumps(request.tools, ensure_ascii=False)
    texts = [text for message in request.messages for text in (message.text, message.name or "")]
    calls = [call for message in request.messages for call in message.tool_calls]
    return _bytes([tools, *texts], calls)


def _answered_bytes(exchange: Exchange) -> int:
    choices = exchange.answer.choices
    texts = [t for c in choices for t in (c.text, c.reasoning, c.refusal or "")]
    return _bytes(texts, [call for choice in choices for call in choice.tool_calls])


def _bytes(texts: Sequence[str], calls: Sequence[ToolCall]) -> int:
    called = [text for call in calls for text in (call.name or "", call.arguments)]
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in (*texts, *called))
