"""The pages of `docs/reference/library`: what the shipped library says, for people who read contracts."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache, partial

from policies.bundle import Bundle, load_bundle
from policies.model import Condition, Gate, Layer, Policy, Rule, Source, Test, Window
from policies.wording import listed, test_text
from tests.docs_page import page, table

__all__ = ["library_pages"]

_FOLDER = "docs/reference/library"
_PAGES: Mapping[str, str] = {
    "hosts": "Hosts: who answers, and under which contract",
    "routers": "Routers: gateways between us and a host",
    "models": "Models: licences on weights",
}
_CONFIDENCE: Mapping[str, str] = {
    "read-primary": "read first-hand",
    "read-secondary": "read second-hand",
    "memory-unverified": "not verified",
}
_NO_ANCHOR = re.compile(r"[^\w-]")
_TRAINING = frozenset({Gate.RESPONSE, Gate.DATASET})
_GATES = tuple(Gate)


def library_pages() -> Mapping[str, Callable[[], str]]:
    """Each page by its path."""
    pages: dict[str, Callable[[], str]] = {f"{_FOLDER}/README.md": _index}
    return pages | {f"{_FOLDER}/{name}.md": partial(_folder, name) for name in _PAGES}


@cache
def _library() -> Bundle:
    return load_bundle(None, organisation="Example Org")


def _policies(folder: str) -> list[Policy]:
    return [
        policy
        for policy in _library().policies
        if policy.where.file.startswith(f"library/{folder}/")
    ]


def _index() -> str:
    blocks = []
    for folder, title in _PAGES.items():
        rows = [_summary(policy, folder) for policy in _policies(folder)]
        heads = ("contract", "party", "permits", "reviews", "forbids", "texts", "review due")
        found = table(heads, rows) if rows else "None."
        blocks.append(f"## [{title.partition(':')[0]}]({folder}.md)\n\n{found}")
    return page(
        "The library",
        "What the rules that ship with inbond say, by contract.\n"
        "It is a reading of published texts and no legal advice: read the clause it cites.\n"
        "A contract that is not here has no rules, and what nobody speaks for may not train.\n"
        "The numbers count rules.",
        *blocks,
    )


def _summary(policy: Policy, folder: str) -> tuple[str, ...]:
    counts = [str(sum(rule.effect == effect for rule in policy.rules) or "") for effect in _EFFECTS]
    texts = {source.confidence for source in policy.sources.values()}
    return (
        f"[{policy.id}]({folder}.md#{_NO_ANCHOR.sub('', policy.id)})",
        policy.party,
        *counts,
        ", ".join(words for key, words in _CONFIDENCE.items() if key in texts),
        _due(policy.sources.values()),
    )


_EFFECTS = ("permit", "review", "forbid")


def _due(sources: Iterable[Source]) -> str:
    dates = [source.review_by for source in sources if source.review_by is not None]
    return _day(min(dates)) if dates else ""


def _folder(folder: str) -> str:
    return page(
        _PAGES[folder],
        "One section for each file, with every rule it has and every text it rests on.\n"
        "A rule holds where all of its conditions hold; *training* is the response and the dataset gate.\n"
        "Back to [the library](README.md); what each fact means stands in [facts](../facts.md).",
        *(_policy(policy) for policy in _policies(folder)),
    )


def _policy(policy: Policy) -> str:
    speaks = listed([layer.value for layer in Layer if layer in policy.layers], "and")
    scope = f" It applies where {_words(policy.scope)}." if policy.scope != Condition() else ""
    return "\n\n".join(
        [
            f"## {policy.id}",
            f"**{policy.party}** speaks for the {speaks}.{scope}",
            *_remarks(policy),
            table(
                ("it says", "when", "because", "clause", "duties"),
                (_rule(rule, policy) for rule in policy.rules),
            ),
            table(
                ("text", "in force", "confidence", "review due"),
                (_source(source) for source in policy.sources.values()),
            ),
        ]
    )


def _remarks(policy: Policy) -> list[str]:
    """What the author says at the head of the file: where a reading had to be chosen."""
    lines = []
    for line in _library().documents[policy.where.file].splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    said = [line for line in lines if not line.startswith("yaml-language-server:")]
    return [f"*On the reading*: {_text(' '.join(said))}"] if said else []


def _rule(rule: Rule, policy: Policy) -> tuple[str, ...]:
    duties = (f"`{duty.kind}`: {duty.value}" for duty in rule.duties)
    shadow = " (shadow: recorded, never counted)" if rule.is_shadow else ""
    return (
        f"**{rule.effect}** {_gates(rule.gates)}{_window(rule.in_force)}{shadow}",
        _own(rule, policy),
        _text(rule.because),
        _text("; ".join(f"{cite.source} {cite.clause}" for cite in rule.cites)),
        _text("; ".join(duties)),
    )


def _gates(gates: frozenset[Gate]) -> str:
    words = [gate.value for gate in _GATES if gate in gates - _TRAINING]
    if gates >= _TRAINING:
        words.append("training")
    else:
        words += [gate.value for gate in _GATES if gate in gates & _TRAINING]
    return listed(words, "and")


def _own(rule: Rule, policy: Policy) -> str:
    """The condition of a rule without the scope of its file."""
    scope = {test for tests in policy.scope.alternatives for test in tests}
    own = {tuple(test for test in tests if test not in scope) for tests in rule.when.alternatives}
    ordered = sorted(own, key=lambda tests: [(t.where.line, t.where.column) for t in tests])
    return _words(Condition(alternatives=tuple(ordered))) or "always"


def _words(condition: Condition) -> str:
    """A condition in words: what all alternatives share, then what they differ in."""
    alternatives = condition.alternatives
    shared = [test for test in alternatives[0] if all(test in tests for tests in alternatives)]
    words = [_test(test) for test in shared]
    if len(alternatives) > 1:
        rest = [[_test(test) for test in tests if test not in shared] for tests in alternatives]
        words.append("either " + ", or ".join(listed(tests, "and") for tests in rest))
    return "; and ".join(words)


def _test(test: Test) -> str:
    return f"`{test.fact}` {_text(test_text(test))}"


def _source(source: Source) -> tuple[str, ...]:
    due = _day(source.review_by) if source.review_by else ""
    return (
        f"{source.id}: [{_text(source.title)}]({source.url})",
        _window(source.in_force).strip(),
        _CONFIDENCE[source.confidence],
        due,
    )


def _window(window: Window) -> str:
    start = f" from {_day(window.start)}" if window.start else ""
    return start + (f" until {_day(window.until)}" if window.until else "")


def _day(at: datetime) -> str:
    return at.date().isoformat()


def _text(text: str) -> str:
    """Text of a policy as one line of markdown that says no more than the text."""
    plain = " ".join(text.split())
    return plain.replace("\\", "\\\\").replace("*", "\\*").replace("[", "\\[").replace("<", "&lt;")
