"""The fifteen questions of an auditor (design §7), each with a name and a number."""

from collections.abc import Callable
from dataclasses import dataclass

from policies.diagnostics import nearest
from proxy.audit.answer import Answer
from proxy.audit.evidence import Evidence
from proxy.audit.questions.learned import examples, receipt, weights
from proxy.audit.questions.persons import erased, held
from proxy.audit.questions.proof import sheets, traffic, unchanged, without_us
from proxy.audit.questions.rules import grants, overrides, policies, refused
from proxy.audit.questions.terms import changed_terms, terms_at
from proxy.errors import ProxyError

__all__ = ["QUESTIONS", "Question", "question"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question, and the function that answers it from evidence."""

    number: int
    name: str
    asks: str
    answer: Callable[[Evidence], Answer]
    proven: str
    """What of the answer a verifier proves."""
    claimed: str
    """What of the answer is the recorder's word."""


_ROWS = "that these entries stand in the log, unchanged and in this order"
_WORDS = "the verdicts, and the facts they rest on"

QUESTIONS: tuple[Question, ...] = (
    Question(
        number=1,
        name="examples",
        asks="Which examples has a student from whom, under which clause, and who approved them?",
        answer=examples,
        proven="that each example is a whole, admitted exchange of the log",
        claimed="the provider and licence of each, and the facts that the verdicts rest on",
    ),
    Question(
        number=2,
        name="unchanged",
        asks="Was anything removed or changed since a checkpoint that somebody kept?",
        answer=unchanged,
        proven="with an older checkpoint: that the log was only added to since",
        claimed="nothing",
    ),
    Question(
        number=3,
        name="changed-terms",
        asks="Terms changed: which exchanges, datasets and students rest on the old text?",
        answer=changed_terms,
        proven=_ROWS,
        claimed="that the texts are the provider's, as somebody recorded them",
    ),
    Question(
        number=4,
        name="terms-at",
        asks="What did the terms say when a call was made?",
        answer=terms_at,
        proven="which texts each decision names, and that they are those here",
        claimed="that the texts are the provider's, as somebody recorded them",
    ),
    Question(
        number=5,
        name="policy",
        asks="Which policy was in force, and who put it there?",
        answer=policies,
        proven=_ROWS,
        claimed="who the actors are",
    ),
    Question(
        number=6,
        name="grants",
        asks="Which grant allowed this, and had it lapsed at the call or the build?",
        answer=grants,
        proven=_ROWS,
        claimed="that the grantor gave it: its paper is outside of the log",
    ),
    Question(
        number=7,
        name="refused",
        asks="What was refused or held back, and why?",
        answer=refused,
        proven=_ROWS,
        claimed=_WORDS,
    ),
    Question(
        number=8,
        name="overrides",
        asks="Who overrode a rule, when, and for what reason?",
        answer=overrides,
        proven=_ROWS,
        claimed="who the actors are, and their reasons",
    ),
    Question(
        number=9,
        name="weights",
        asks="Are these weights the approved ones?",
        answer=weights,
        proven="which digests the record of a run names",
        claimed="that the run made them from those datasets alone",
    ),
    Question(
        number=10,
        name="erased",
        asks="A person was erased: what is gone, and what was trained on it?",
        answer=erased,
        proven=_ROWS,
        claimed="that the bytes are gone",
    ),
    Question(
        number=11,
        name="holds",
        asks="What is under hold?",
        answer=held,
        proven=_ROWS,
        claimed="the reasons",
    ),
    Question(
        number=12,
        name="sheets",
        asks="What goes into the public summaries of training content?",
        answer=sheets,
        proven="how many examples of which model the datasets hold",
        claimed="the provider and licence of each",
    ),
    Question(
        number=13,
        name="traffic",
        asks="Did all traffic go through the recorder?",
        answer=traffic,
        proven="what went through",
        claimed="the counts of tokens, as the provider stated them in its answers",
    ),
    Question(
        number=14,
        name="receipt",
        asks="What proves one example?",
        answer=receipt,
        proven="with the receipt: that the entry stands in the log at its place",
        claimed=_WORDS,
    ),
    Question(
        number=15,
        name="without-us",
        asks="How can all this be checked without inbond?",
        answer=without_us,
        proven="nothing by itself",
        claimed="nothing",
    ),
)
"""In the order of their numbers."""


def question(word: str) -> Question:
    """The question of a number or a name.

    Raises:
        ProxyError: there is none.
    """
    for each in QUESTIONS:
        if word in (str(each.number), each.name):
            return each
    names = {each.name for each in QUESTIONS}
    raise ProxyError(
        f"there is no question `{word}`",
        help=nearest(word, names)
        or f"ask one of 1 to {len(QUESTIONS)}, or: {', '.join(sorted(names))}",
        code="no-question",
    )
