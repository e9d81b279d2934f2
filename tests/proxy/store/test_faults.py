"""What an error of a database becomes."""

from proxy.errors import LedgerBusy
from proxy.store.faults import STORAGE, Fault


def test_a_fault_becomes_the_error_that_callers_act_on() -> None:
    """What somebody else holds is busy; all else is of the storage, so that it may be tried again."""
    held = Fault(message="held", help="wait", is_busy=True).as_error("here")
    full = Fault(message="full", help="free some").as_error("here")
    assert isinstance(held, LedgerBusy)
    assert not isinstance(full, LedgerBusy)
    assert (full.code, full.message, full.help, full.where) == (
        STORAGE,
        "full",
        "free some",
        "here",
    )
