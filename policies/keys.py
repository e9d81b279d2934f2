"""What each key of a policy file means: the text of the reference, of completion and of hover help."""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["DUTY_MEANINGS", "GATE_MEANINGS", "KEYS", "OPERATORS", "SHARED"]

KEYS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "policy": {
            "inbond": "the version of the language: 1",
            "owner": "who answers for this file",
            "policy": "its id: the first half of each rule's full id, `POLICY/RULE`",
            "layer": "whom it speaks for: `host`, `router`, `model` or `organisation`, or several",
            "party": "who imposes these rules; a grant of the same party alone lifts them",
            "reviewed": "when a person last read it through",
            "scope": "a condition on `route` and `model.id` that is part of every rule",
            "sources": "the texts that rules cite, by name",
            "counters": "counted calls or tokens that a condition may test",
            "as_of": "the clock it is read by: `exchange`, `today`, or `both`",
            "rules": "the rules",
        },
        "rule": {
            "id": "its name inside the file",
            "permit": "the gates at which it permits",
            "review": "the gates at which a person must look",
            "forbid": "the gates at which it forbids",
            "when": "the condition: all must hold; `any` lists alternatives",
            "because": "one sentence that a refused person reads",
            "cite": "`SOURCE CLAUSE`: the place it comes from",
            "fix": "what to do about it",
            "duties": "what comes with a permit",
            "mode": "`shadow`: matched and recorded, never counted",
            "in_force": "when the rule holds, if not as long as its sources",
        },
        "source": {
            "title": "the text's own title",
            "url": "where it is published",
            "confidence": "`read-primary` may permit; what was not read first-hand may not",
            "read": "when it was read",
            "review_by": "from this date on its permits are reviews",
            "in_force": "when the text is in force",
            "archive": "an archived copy: `repository`, `path`, `commit`",
            "sha256": "the digest of the normalised text",
        },
        "archive": {
            "repository": "the repository that archives it",
            "path": "the file in it",
            "commit": "the commit that was read",
        },
        "counter": {
            "count": "what is counted: `requests`, `tokens_in`, `tokens_out` or `distinct_prompts`",
            "per": "the facts that share one count",
            "within": "the time looked back over, such as `24h` or `30d`",
        },
        "in_force": {
            "from": "the first instant, inclusive",
            "until": "the end, exclusive",
        },
        "grant": {
            "inbond": "the version of the language: 1",
            "owner": "who answers for this file",
            "grant": "its id",
            "party": "who gives it: the party of the rules it lifts",
            "lifts": "full ids of the rules it lifts",
            "permits": "the gates it permits for its scope",
            "scope": "the condition under which it counts",
            "in_force": "when it counts; the organisation's own grants must end",
            "as_of": "which instant must lie in it: `both`, `exchange` or `today`",
            "document": "the paper behind it: `title`, `sha256`, `url`",
            "because": "one sentence on why it was given",
        },
        "document": {
            "title": "what the paper is called",
            "sha256": "the digest of the paper's file",
            "url": "where it is kept",
        },
        "student": {
            "inbond": "the version of the language: 1",
            "owner": "who answers for this file",
            "student": "its id",
            "purpose": "`student.purpose`: what it is for",
            "task": "`student.task`: what it does",
            "competes_with": "`student.competes_with`: counts once somebody approved the file",
            "base": "`student.base`: the canonical id of the model it starts from",
            "base_licence": "`student.base_licence`: an SPDX id or a LicenseRef",
            "host": "`student.host`: where it is trained and served",
            "release": "`student.release`: who gets it",
            "commercial": "`student.commercial`: whether it is used commercially",
            "monthly_users": "`student.monthly_users`: active users a month of what it is part of",
            "jurisdiction": "`student.jurisdiction`: whose law it is under",
            "data_subjects": "`student.data_subjects`: whose personal data it may learn from",
            "name": "`student.name`: the name it is released under",
        },
        "test": {
            "inbond": "the version of the language: 1",
            "test": "its id",
            "given": "facts that every case starts from; `at` gives the instants of the two clocks",
            "cases": "the cases",
        },
        "case": {
            "name": "what the case shows",
            "gate": "the gate that decides",
            "given": "facts of this case, over those of the file",
            "expect": "the verdict",
            "by": "exactly the rules that set it",
            "silent": "exactly the layers that nobody speaks for",
            "missing": "exactly the facts that are missing",
            "lifted": "exactly the rules that are lifted",
            "duties": "exactly the kinds of duty that come with it",
        },
    }
)
"""What each key of a policy file means, by the kind of mapping it stands in."""

SHARED: Mapping[str, str] = MappingProxyType(
    {
        "any": "alternatives: it holds where one of them holds",
        "at": "the instants of the two clocks: `{exchange: DATE, today: DATE}`, or one date for both",
        "exchange": "the instant of the exchange",
        "today": "the instant at which the gate decides",
    }
)
"""What keys mean that stand among facts."""

OPERATORS: Mapping[str, str] = MappingProxyType(
    {
        "not": "holds where the value is none of these",
        "above": "greater than",
        "at_least": "greater than or equal to",
        "below": "less than",
        "at_most": "less than or equal to",
        "has": "the set contains one of these",
        "lacks": "the set contains none of these",
    }
)
"""What each test on a fact asks."""

GATE_MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "request": "may this call be made",
        "response": "may this answer be kept for training",
        "dataset": "may this student learn from it today",
        "release": "may the student be released",
        "training": "the response gate and the dataset gate",
    }
)
"""What each gate asks, and the word for two of them."""

DUTY_MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "ai_disclosure": "tell people that they meet the output of a model",
        "attribution": "name whom the value names",
        "aup_flowdown": "bind your users to the acceptable use policy named",
        "breach_notification": "report a breach, within the time named",
        "delete_on_notice": "delete when the party asks",
        "display": "show the text named, as in `Built with Llama`",
        "licence_copy": "ship a copy of the licence named",
        "licence_passthrough": "release under the licence named",
        "modified_files_notice": "say in changed files that they were changed",
        "name_prefix": "begin the student's name with this",
        "notice_file": "ship the notice file named",
        "public_statement": "say publicly what the value says",
        "redact": "mask what the value names in the stored copy",
        "remote_restriction": "the licensor may restrict use from afar: keep a way to comply",
        "use_limits": "bind users to the limits of use named",
        "vendor_notice": "tell the vendor, in the way named",
    }
)
"""What each duty asks for; its value says what exactly."""
