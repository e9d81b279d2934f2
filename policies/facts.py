"""The catalogue: all a condition may ask about an exchange, and the only vocabulary for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, assert_never

from policies.model import Fact, Gate

__all__ = [
    "CATALOGUE",
    "COUNTER_PREFIX",
    "GATES",
    "Asserter",
    "FactSpec",
    "FactType",
    "known_at",
    "mistyped",
    "spec_of",
]

GATES: tuple[Gate, ...] = (Gate.REQUEST, Gate.RESPONSE, Gate.DATASET, Gate.RELEASE)
"""The gates in the order in which an exchange passes them."""

COUNTER_PREFIX = "counter."
"""What the name of a counter starts with in a condition; a policy declares the rest."""

_MAX_NUMBER = 2**53
_RELEASES = ("internal", "service", "open-weights")
_PURPOSES = ("eval", "classifier", "embedding", "distil-narrow", "distil-general", "serve")
_TASKS = ("classify", "embed", "rank", "extract", "summarise", "generate")
_OPERATIONS = (
    "audio",
    "batch",
    "chat",
    "completion",
    "count-tokens",
    "embedding",
    "file",
    "image",
    "models",
    "moderation",
    "other",
    "realtime",
    "rerank",
)


class FactType(StrEnum):
    """What values a fact takes."""

    TEXT = "text"
    CHOICE = "choice"
    BOOL = "bool"
    NUMBER = "number"
    SET = "set"


class Asserter(StrEnum):
    """Who says what a fact is."""

    WIRE = "wire"
    REGISTRY = "registry"
    DETECTOR = "detector"
    DECLARED = "declared"
    LEDGER = "ledger"
    CLOCK = "clock"


_SUPPLIERS: Mapping[Asserter, str] = MappingProxyType(
    {
        Asserter.WIRE: "the provider, in its answer",
        Asserter.REGISTRY: "an entry of the provider registry",
        Asserter.DETECTOR: "a detector, or a person's judgement",
        Asserter.DECLARED: "a declaration",
        Asserter.LEDGER: "the ledger",
        Asserter.CLOCK: "the clock",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSpec:
    """One fact of the catalogue.

    `gate` is the first gate at which it is known. `standing` says how a change of it reads in an
    explanation: a choice is anyone's to make, a declaration must be true.
    """

    name: str
    asserter: Asserter
    doc: str
    type: FactType = FactType.TEXT
    gate: Gate = Gate.REQUEST
    standing: Literal["choice", "declaration", "none"] = "none"
    values: tuple[str, ...] = ()
    """The closed list of a choice; empty for other types."""
    supplier: str = ""
    """Who supplies it, where that is nearer than what all of its asserter's facts have in common."""

    @property
    def supplied_by(self) -> str:
        """Who can supply the fact where it is missing, as messages word it."""
        return self.supplier or _SUPPLIERS[self.asserter]

    def accepts(self, value: Fact) -> bool:
        """Whether a value is of this fact's type; one that is not counts as unknown."""
        match self.type:
            case FactType.TEXT:
                return isinstance(value, str)
            case FactType.CHOICE:
                return isinstance(value, str) and value in self.values
            case FactType.BOOL:
                return isinstance(value, bool)
            case FactType.NUMBER:
                return type(value) is int and abs(value) < _MAX_NUMBER
            case FactType.SET:
                return isinstance(value, frozenset)
            case _:
                assert_never(self.type)


def _student(
    name: str,
    doc: str,
    *,
    type: FactType = FactType.TEXT,  # noqa: A002 - the word of the catalogue
    standing: Literal["choice", "declaration"] = "declaration",
    values: tuple[str, ...] = (),
) -> FactSpec:
    return FactSpec(
        name=f"student.{name}",
        asserter=Asserter.DECLARED,
        doc=doc,
        type=type,
        standing=standing,
        values=values,
        supplier="the declaration of the student",
    )


def _organisation(name: str, doc: str, type: FactType) -> FactSpec:  # noqa: A002 - as above
    return FactSpec(
        name=f"org.{name}",
        asserter=Asserter.DECLARED,
        doc=doc,
        type=type,
        standing="declaration",
        supplier="the declaration of the organisation",
    )


_BOOL = FactType.BOOL
_NUMBER = FactType.NUMBER
_CHOICE = FactType.CHOICE
_SET = FactType.SET
_ANSWERED = Gate.RESPONSE

_FACTS: tuple[FactSpec, ...] = (
    # where
    FactSpec(
        name="route",
        asserter=Asserter.REGISTRY,
        doc="The registry id of the contract: host and path.",
        standing="choice",
    ),
    FactSpec(
        name="router",
        asserter=Asserter.REGISTRY,
        doc="The registry id of a gateway between us and the host.",
        standing="choice",
    ),
    FactSpec(
        name="operation",
        asserter=Asserter.WIRE,
        doc="What kind of call it is.",
        type=_CHOICE,
        standing="choice",
        values=_OPERATIONS,
        supplier="the request",
    ),
    FactSpec(
        name="region",
        asserter=Asserter.REGISTRY,
        doc="Where the host serves from.",
        standing="choice",
    ),
    # who
    FactSpec(
        name="account.id",
        asserter=Asserter.REGISTRY,
        doc="The configured account, or a keyed fingerprint of the client's own key.",
        supplier="the settings of the route",
    ),
    FactSpec(
        name="account.tier",
        asserter=Asserter.DECLARED,
        doc="The plan the account is on, in the provider's own word.",
        standing="declaration",
    ),
    FactSpec(
        name="project",
        asserter=Asserter.LEDGER,
        doc="On whose behalf the request is sent.",
        standing="choice",
        supplier="the client key",
    ),
    _organisation("country", "The country the organisation is established in.", FactType.TEXT),
    _organisation("revenue_usd", "Yearly revenue of the organisation, in US dollars.", _NUMBER),
    # of other origin
    FactSpec(
        name="source.name",
        asserter=Asserter.DECLARED,
        doc="The source of an example that did not come through the proxy.",
        standing="choice",
        supplier="the import",
    ),
    FactSpec(
        name="source.origin",
        asserter=Asserter.DECLARED,
        doc="Whose an imported example is: the organisation's own, openly licensed, under a contract, or a teacher's.",
        type=_CHOICE,
        standing="declaration",
        values=("own", "open", "licensed", "teacher"),
        supplier="the import",
    ),
    FactSpec(
        name="source.licence",
        asserter=Asserter.DECLARED,
        doc="The licence of an imported example: an SPDX id or a LicenseRef.",
        standing="declaration",
        supplier="the import",
    ),
    # model
    FactSpec(
        name="model.asked",
        asserter=Asserter.WIRE,
        doc="The model's name in the request.",
        standing="choice",
        supplier="the request",
    ),
    FactSpec(
        name="model.served",
        asserter=Asserter.WIRE,
        doc="The model's name in the answer.",
        gate=_ANSWERED,
    ),
    FactSpec(
        name="model.id",
        asserter=Asserter.REGISTRY,
        doc="The canonical id: of the model asked at the request gate, then of the one that answered.",
        standing="choice",
    ),
    FactSpec(
        name="model.substituted",
        asserter=Asserter.REGISTRY,
        doc="Whether another model answered than was asked.",
        type=_BOOL,
        gate=_ANSWERED,
    ),
    # asked
    FactSpec(
        name="request.system",
        asserter=Asserter.WIRE,
        doc="Whether a system prompt was sent.",
        type=_BOOL,
        supplier="the request",
    ),
    FactSpec(
        name="request.tools",
        asserter=Asserter.WIRE,
        doc="Whether tools were offered.",
        type=_BOOL,
        supplier="the request",
    ),
    FactSpec(
        name="request.images",
        asserter=Asserter.WIRE,
        doc="Whether images were sent.",
        type=_BOOL,
        supplier="the request",
    ),
    FactSpec(
        name="request.logprobs",
        asserter=Asserter.WIRE,
        doc="Whether token log-probabilities were asked for.",
        type=_BOOL,
        supplier="the request",
    ),
    FactSpec(
        name="request.max_tokens",
        asserter=Asserter.WIRE,
        doc="The limit on the answer's tokens.",
        type=_NUMBER,
        supplier="the request",
    ),
    FactSpec(
        name="request.pii",
        asserter=Asserter.DETECTOR,
        doc="Whether the request holds personal data.",
        type=_BOOL,
    ),
    FactSpec(
        name="request.secret",
        asserter=Asserter.DETECTOR,
        doc="Whether the request holds a secret.",
        type=_BOOL,
    ),
    # answered
    FactSpec(
        name="response.finish",
        asserter=Asserter.WIRE,
        doc="Why the answer ended, in the provider's own word.",
        gate=_ANSWERED,
    ),
    FactSpec(
        name="response.tokens",
        asserter=Asserter.WIRE,
        doc="Tokens of the answer, as the provider counts them.",
        type=_NUMBER,
        gate=_ANSWERED,
    ),
    FactSpec(
        name="response.language",
        asserter=Asserter.DETECTOR,
        doc="The language of the answer (BCP 47).",
        gate=_ANSWERED,
    ),
    FactSpec(
        name="response.moderated",
        asserter=Asserter.WIRE,
        doc="Whether a filter of the provider touched the answer.",
        type=_BOOL,
        gate=_ANSWERED,
    ),
    FactSpec(
        name="response.third_party",
        asserter=Asserter.WIRE,
        doc="Whether the answer was grounded in third-party text.",
        type=_BOOL,
        gate=_ANSWERED,
    ),
    FactSpec(
        name="response.verbatim",
        asserter=Asserter.WIRE,
        doc="Whether the answer quotes a text word for word.",
        type=_BOOL,
        gate=_ANSWERED,
    ),
    FactSpec(
        name="response.logprobs",
        asserter=Asserter.WIRE,
        doc="Whether token log-probabilities came; known only where they were asked for.",
        type=_BOOL,
        gate=_ANSWERED,
    ),
    FactSpec(
        name="response.pii",
        asserter=Asserter.DETECTOR,
        doc="Whether the answer holds personal data.",
        type=_BOOL,
        gate=_ANSWERED,
    ),
    FactSpec(
        name="response.secret",
        asserter=Asserter.DETECTOR,
        doc="Whether the answer holds a secret.",
        type=_BOOL,
        gate=_ANSWERED,
    ),
    # student
    _student("purpose", "What the student is for.", type=_CHOICE, values=_PURPOSES),
    _student("task", "What the student does.", type=_CHOICE, values=_TASKS),
    _student("competes_with", "The parties whose models the student competes with.", type=_SET),
    _student("base", "The canonical id of the model it starts from.", standing="choice"),
    _student("base_licence", "The licence of its base: an SPDX id or a LicenseRef."),
    _student("host", "Where it is trained and served.", standing="choice"),
    _student("release", "Who gets the student.", type=_CHOICE, standing="choice", values=_RELEASES),
    _student("commercial", "Whether it is used commercially.", type=_BOOL),
    _student("monthly_users", "Active users a month of what it is part of.", type=_NUMBER),
    _student("jurisdiction", "Whose law it is under."),
    _student("data_subjects", "Whose personal data it may learn from.", type=_SET),
    _student("name", "The name it is released under.", standing="choice"),
)

CATALOGUE: Mapping[str, FactSpec] = MappingProxyType({spec.name: spec for spec in _FACTS})
"""Every fact but counters, by name."""


def mistyped(facts: Mapping[str, Fact]) -> tuple[str, ...]:
    """The facts whose value is not of their type, sorted: conditions take them for unknown.

    Facts of an unknown name are none of the catalogue's: they are skipped.
    """
    specs = ((name, spec_of(name), value) for name, value in facts.items())
    return tuple(sorted(n for n, spec, value in specs if spec and not spec.accepts(value)))


def spec_of(name: str) -> FactSpec | None:
    """The spec of a fact; None where the catalogue has no such fact.

    A counter is a number known from the request gate on; whether a policy declares it is the
    loader's question.
    """
    if name.startswith(COUNTER_PREFIX):
        return FactSpec(
            name=name,
            asserter=Asserter.LEDGER,
            doc="Calls or tokens counted in a window.",
            type=_NUMBER,
        )
    return CATALOGUE.get(name)


def known_at(spec: FactSpec, gate: Gate) -> bool:
    """Whether a fact can be known at a gate."""
    return GATES.index(spec.gate) <= GATES.index(gate)
