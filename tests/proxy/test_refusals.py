"""What a refused caller reads: what happened, where, and what to do, in his provider's shape."""

import json

from policies.decision import Decision, Moment
from policies.engine import decide
from policies.model import Fact, Gate
from proxy.errors import LedgerError, WireError
from proxy.gate import Refused
from proxy.refusals import Early, Refusals
from tests.proxy.calls import NOW, bundle

REFUSALS = Refusals(exchange="0193-1", family="openai", host="api.acme.example")
FACTS: dict[str, Fact] = {
    "route": "acme-api",
    "operation": "chat",
    "project": "support",
    "student.purpose": "distil-general",
    "request.tools": False,
    "request.images": False,
}


def _decided(**more: Fact) -> Decision:
    return decide(bundle(), Gate.REQUEST, Moment(at=NOW, facts=FACTS | more))


def _message(answer: Refused) -> str:
    message: str = json.loads(answer.body)["error"]["message"]
    return message


def test_a_decision_gives_its_rule_its_clause_and_its_fix() -> None:
    """Who is refused by policy reads which rule of which clause, and what he may do."""
    early = REFUSALS.by(_decided(), FACTS)
    assert (early.status, early.code) == (403, "refused-by-policy")
    assert early.message == (
        "inbond refused this call for purpose `distil-general`: rule "
        "`acme-api/no-general-students` (terms 4.2): Output may not train general models; "
        "Choose another teacher or ask Acme for a grant; exchange 0193-1"
    )


def test_a_review_has_a_code_of_its_own() -> None:
    """A call that waits for a person is told from one that is refused for good."""
    decision = _decided(**{"student.purpose": "embedding"})
    assert REFUSALS.by(decision, FACTS).code == "needs-review"


def test_an_error_gives_its_place_and_its_help() -> None:
    """What cannot be read is refused with the place and the fix, as far as they are known."""
    where = WireError("the body is not JSON", where="/messages", help="send JSON", code="not-json")
    assert REFUSALS.of(400, where) == Early(
        status=400,
        code="not-json",
        message="inbond refused this call: the body is not JSON at `/messages`; send JSON; "
        "exchange 0193-1",
    )
    bare = REFUSALS.of(400, WireError("the body is not JSON", code="not-json"))
    assert bare.message == "inbond refused this call: the body is not JSON; exchange 0193-1"


def test_a_large_body_is_told_which_limit_it_met() -> None:
    """The limit's own name stands in the message; without a length, what would have passed too."""
    announced = REFUSALS.too_large(10)
    assert (announced.status, announced.code) == (413, "request-too-large")
    assert "over 10 bytes (`limits.request_bytes`); send less at once" in announced.message
    unannounced = REFUSALS.too_large(10, announced_bytes=20)
    assert "over 10 bytes (`limits.unannounced_bytes`)" in unannounced.message
    assert "send a `Content-Length`: up to 20 bytes pass then" in unannounced.message


def test_each_failure_has_its_status_and_verdict() -> None:
    """A caller's program tells them apart: unsent, unrecorded, broken, and a teacher gone."""
    answers = {
        "unsent": (503, REFUSALS.unsent()),
        "unrecorded": (503, REFUSALS.unrecorded(LedgerError("the disk is full"))),
        "failed": (503, REFUSALS.broken("hook `request` broke")),
        "permit": (502, REFUSALS.unreachable("it does not answer")),
    }
    for verdict, (status, answer) in answers.items():
        headers = dict(answer.headers)
        assert (answer.status, headers["x-inbond-decision"]) == (status, verdict)
        assert headers["x-inbond-exchange"] == "0193-1"
    assert "(the disk is full); try again later" in _message(answers["unrecorded"][1])
    assert "`api.acme.example`: it does not answer" in _message(answers["permit"][1])
    assert "hook `request` broke; try again later" in _message(answers["failed"][1])
    assert "its client left" in _message(answers["unsent"][1])
