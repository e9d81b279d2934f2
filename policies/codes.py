"""Every code a finding may carry: what it is about, how grave it is, and what it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from policies.diagnostics import Severity

__all__ = ["CODES", "PAGES", "Code"]

PAGES = "docs/reference/diagnostics"
"""Where the page of each code lies in the repository: `CODE.md`."""


@dataclass(frozen=True, slots=True)
class Code:
    """One code: `title` completes "this is about …"; `sentences` say what it means and why."""

    slug: str
    severity: Severity
    title: str
    sentences: tuple[str, ...]


def _error(slug: str, title: str, *sentences: str) -> Code:
    return Code(slug, Severity.ERROR, title, sentences)


def _warning(slug: str, title: str, *sentences: str) -> Code:
    return Code(slug, Severity.WARNING, title, sentences)


_CODES: tuple[Code, ...] = (
    # the text of a file
    _error(
        "alias",
        "an anchor or an alias",
        "Anchors (`&name`) and aliases (`*name`) let one place of a file stand for another.",
        "Whoever reads a rule must see all of it where it stands, so they are not allowed.",
    ),
    _error(
        "date",
        "a date that does not exist",
        "A date is written `2026-11-24`, an instant `2026-11-24T10:00:00Z`.",
        "What looks like one and is none in the calendar, or names no time zone, is refused.",
    ),
    _error(
        "documents",
        "a second document in one file",
        "A policy file is one document: approvals, digests and places are those of a file.",
    ),
    _error(
        "duplicate-key",
        "a key that is given twice",
        "YAML says that keys are unique, and many readers let the last one win in silence.",
        "Here both are shown to you.",
    ),
    _error(
        "encoding",
        "bytes or characters that are no text",
        "A policy file is UTF-8 without control characters.",
        "UTF-16, Latin-1 and invisible control characters are refused, for two people would not read the same.",
    ),
    _error(
        "kind",
        "a file that does not say what it is",
        "The first keys say the kind: `inbond: 1`, then `policy`, `grant`, `student` or `test` with an id.",
        "The kind must be the one that belongs in the folder, and files of tests end in `.test.yaml`.",
    ),
    _error(
        "merge-key",
        "a merge key",
        "`<<` pulls keys in from elsewhere; whoever reads a rule must see all of it where it stands.",
    ),
    _error(
        "number",
        "a number that is not whole or too large",
        "Facts are whole numbers below 2^53, so that no rounding decides a case.",
        "`1_000` is a number; a version such as `1.5` is text and wants quotes.",
    ),
    _error(
        "tag",
        "a tag",
        "Tags (`!name`) change what a value is; a reader cannot see how, so they are not allowed.",
    ),
    _error(
        "too-deep",
        "lists and mappings that nest too deep",
        "No policy needs more than a few levels; a file of thousands is a mistake or an attack.",
    ),
    _error(
        "too-large",
        "a file that is too large",
        "A policy file has one mebibyte at most, which is some ten thousand lines.",
    ),
    _error(
        "too-many",
        "more errors than are collected",
        "After five hundred errors reading stops, and what was found is reported.",
    ),
    _error(
        "yaml",
        "text that is no YAML",
        "The file cannot be read at this place, most often for want of a quote or for wrong indentation.",
        "Directives and keys that are no text are refused too.",
    ),
    # keys and values
    _error(
        "bad-value",
        "a value that does not fit its key",
        "The key exists and the value is of the right sort, but it is none of those allowed.",
    ),
    _error(
        "bad-window",
        "a window that ends before it starts",
        "`in_force` is `[from, until)`: `until` is the first instant at which it no longer holds.",
    ),
    _error(
        "missing-key",
        "a key that must be there",
        "What it says is needed to decide or to answer for the file, so nothing is assumed in its place.",
    ),
    _error(
        "unknown-key",
        "a key that the language does not have",
        "A key that nobody reads would be a rule that nobody follows, so it is never ignored.",
    ),
    _error(
        "wrong-type",
        "a value of another type",
        "The key takes text, a date, a list or a mapping, and something else stands there.",
    ),
    # conditions
    _error(
        "bad-scope",
        "a scope on a fact that is no scope",
        "A scope says which contract or which weights a file is about, so it stands on `route`, `router` or `model.id`.",
        "Names on the wire are aliases and change; the organisation may scope its own rules on other facts.",
    ),
    _error(
        "bad-test",
        "a condition that is no test on a fact",
        "A condition is lines of `fact: value`, or of a fact and its tests.",
        "Which tests there are depends on the type of the fact.",
    ),
    _error(
        "pattern",
        "a pattern with its `*` in the middle",
        "A pattern has one `*`, at its start or at its end.",
        "So it can be decided exactly whether two rules overlap.",
    ),
    _error(
        "too-early",
        "a fact that is not known yet",
        "Each fact is first known at a gate; a rule for an earlier gate would never be sure.",
    ),
    _error(
        "unknown-fact",
        "a fact that is not in the catalogue",
        "The catalogue (`inbond policy facts`) is the only vocabulary of conditions.",
        "A counter is a fact where the same file declares it under `counters`.",
    ),
    # rules, grants and what they refer to
    _error(
        "bad-duty",
        "duties without a permit",
        "A duty is what a permit asks in return; a review or a forbid gives nothing to ask for.",
    ),
    _error(
        "bad-layer",
        "a layer that does not fit the file",
        "A file in `hosts` speaks for the host, one in `models` for the model, and the organisation for itself alone.",
    ),
    _error(
        "duplicate-id",
        "an id that is given twice",
        "Records and grants name rules and files by id, so an id names one thing.",
    ),
    _error(
        "effect",
        "a rule with no effect, or with several",
        "A rule says one of `permit`, `review` and `forbid`, at one gate or several.",
    ),
    _error(
        "empty-grant",
        "a grant that changes nothing",
        "A grant lifts rules, or permits gates, or both.",
    ),
    _error(
        "no-clause",
        "a citation without its clause",
        "Whoever is refused must find the sentence: a rule cites `SOURCE CLAUSE`.",
    ),
    _error(
        "no-end",
        "an exception of our own that never ends",
        "What a party gives away may be for good; an exception from one's own rules ends, or the rule is wrong.",
    ),
    _error(
        "uncited",
        "a rule about somebody's terms that cites nothing",
        "Outside the organisation's own layer each rule comes from a clause, and says from which.",
    ),
    _error(
        "unknown-rule",
        "a rule that is not there",
        "Grants and test cases name rules by their full id, `POLICY/RULE`.",
    ),
    _error(
        "unknown-source",
        "a source that the file does not describe",
        "A citation names one of the file's own `sources`, so that title, date and confidence stand beside it.",
    ),
    _error(
        "unread-source",
        "a permit that rests on a text nobody read",
        "What was not read first-hand may hold back or forbid, and never permit.",
    ),
    _error(
        "wrong-party",
        "a party that cannot say this",
        "Only the party that imposes a rule lifts it, and only it ends the silence of its own layer.",
        "The layer `organisation` belongs to the organisation of the installation.",
    ),
    # files and test cases
    _error(
        "bad-path",
        "a path where no policy file lies",
        "Files lie in the folders of a workspace under plain names that end in `.yaml`.",
    ),
    _error(
        "outside",
        "a file that leads out of its folder",
        "A link out of `policies/` would bring in a text that nobody reviewed here.",
    ),
    _error(
        "test-failed",
        "a test case that the policies do not pass",
        "A case says what the policies must decide, and they decide something else.",
        "One of the two is wrong.",
    ),
    _error(
        "unreadable",
        "a file that cannot be read",
        "What cannot be read might forbid, so nothing is decided without it.",
    ),
    # what loads and deserves a look
    _warning(
        "always-overruled",
        "a permit that a forbid always overrules",
        "Forbid beats permit, and no rule goes before another for being narrower or later.",
        "A permit inside a forbid of the same party says nothing until the forbid leaves it room.",
    ),
    _warning(
        "duty-clash",
        "two duties that one student cannot meet",
        "A student has one name, and two rules for the same example ask for two beginnings of it.",
    ),
    _warning(
        "expires",
        "a grant that ends soon or has ended",
        "Thirty days before its end a grant is worth a thought: what rests on it leaves every later dataset.",
    ),
    _warning(
        "idle-case",
        "a test case that tests nothing",
        "Without any rule its verdict would be the same, so it passes whatever the rules say.",
        "Often a fact is misspelt, and the case is about another contract than it thinks.",
    ),
    _warning(
        "idle-grant",
        "a grant that never meets the rule it lifts",
        "Its scope and the rule's condition exclude each other, so it lifts nothing.",
    ),
    _warning(
        "never-decides",
        "a rule that another rule makes idle",
        "Wherever it matches, a rule of the same party says the same, or something stricter.",
    ),
    _warning(
        "never-matches",
        "a rule that can never match",
        "Its tests contradict each other or the scope of its file.",
    ),
    _warning(
        "no-duties",
        "a permit of the organisation without duties",
        "The organisation restricts: its permits end no silence, and serve to ask for duties alone.",
    ),
    _warning(
        "not-approved",
        "a file that waits for approval",
        "A grant, an override of a library file and a judgement on whom a student competes with count once somebody approved the file on record.",
    ),
    _warning(
        "drifted",
        "a clause whose text reads differently by now",
        "A rule rests on the words of a clause; `inbond terms import` keeps what they were on each day.",
        "New words are suspected first and confirmed after seven days, and the rules that cite them wait for somebody to read both.",
        "No verdict changes by this: the rule holds until it is edited.",
    ),
    _warning(
        "silent",
        "an answer on record that no policy speaks for",
        "At the response and dataset gates silence means no: the host, the model and the router, if there is one, must each say permit.",
        "`inbond policy check` asks the ledger of a workspace who answered, and names each that no rule of the policies could let train.",
    ),
    _warning(
        "stale",
        "a text whose review is due",
        "Past `review_by` the permits that rest on a text alone count as review, until somebody read it again.",
    ),
    _warning(
        "survivor",
        "a change of a rule that no test case notices",
        "The check deletes each rule, drops each condition and shifts each threshold, and runs the cases again.",
        "Where all of them still pass, an edit by mistake would go unnoticed too.",
    ),
    _warning(
        "unknown-party",
        "a competitor that no policy names",
        "Rules compare `student.competes_with` with the party of a policy, letter by letter.",
    ),
    _warning(
        "untested",
        "a rule that no case reaches",
        "A rule without a case can be deleted or broken, and nobody notices.",
    ),
)

CODES: Mapping[str, Code] = MappingProxyType({code.slug: code for code in _CODES})
"""Every code by its slug."""
