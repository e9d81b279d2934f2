"""Each duty is met, open or clashing, and whatever is not met says what to do."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.shapes import DUTIES
from proxy.release_duties import Offer, Settled, State, licence_paper, own_licence_text, settle
from proxy.release_obstacles import Owed

NOTHING = Offer(name=None, licence=None)
LICENCE = "LicenseRef-Acme"
RULES = ("acme/api/own use",)


def one(duty: str, offer: Offer = NOTHING, **origin: tuple[str, ...]) -> Settled:
    """Where a single duty stands."""
    (found,) = settle([Owed(duty=duty, **origin)], offer)
    return found


@pytest.mark.parametrize(
    ("kind", "by"),
    [
        ("ai_disclosure", "README.md"),
        ("attribution", "NOTICE"),
        ("aup_flowdown", "USE-RESTRICTIONS.md"),
        ("display", "README.md"),
        ("modified_files_notice", "CHANGES.md"),
        ("public_statement", "README.md"),
        ("redact", "the stored copies"),
        ("use_limits", "USE-RESTRICTIONS.md"),
    ],
)
def test_what_is_written_here_is_met(kind: str, by: str) -> None:
    """A duty that a text of the release meets is met by that text."""
    found = one(f"{kind}: something")
    assert (found.state, found.by, found.digest) == (State.MET, by, None)


def test_a_name_begins_as_it_must() -> None:
    """The declared name has the prefix, or the message says which is wanted and what there is."""
    assert one("name_prefix: Llama", Offer(name="Llama-1", licence=None)).by == "name"
    other = one("name_prefix: Llama", Offer(name="Lama-1", licence=None))
    assert (other.state, "`Lama-1`" in other.fix, "`Llama`" in other.fix) == (
        State.OPEN,
        True,
        True,
    )
    assert "it has none" in one("name_prefix: Llama").fix


def test_two_names_clash() -> None:
    """Two beginnings that no name can both have clash; one that begins with the other does not."""
    offer = Offer(name="Llama 3 x", licence=None)
    clashing = settle([Owed(duty="name_prefix: Llama"), Owed(duty="name_prefix: Qwen")], offer)
    assert [each.state for each in clashing] == [State.CLASHING, State.CLASHING]
    assert "`Qwen`" in clashing[0].fix
    fine = settle([Owed(duty="name_prefix: Llama"), Owed(duty="name_prefix: Llama 3")], offer)
    assert [each.state for each in fine] == [State.MET, State.MET]


def test_a_licence_is_passed_through() -> None:
    """The student's own licence is the one asked for; none leaves it open, another clashes."""
    duty = f"licence_passthrough: {LICENCE}"
    assert one(duty, Offer(name=None, licence=LICENCE)).by == "licence"
    assert one(duty).state is State.OPEN
    assert one(duty).fix == f"say `--licence {LICENCE}`"
    other = one(duty, Offer(name=None, licence="MIT"))
    assert (other.state, "`MIT`" in other.fix) == (State.CLASHING, True)
    both = settle([Owed(duty=duty), Owed(duty="licence_passthrough: MIT")], NOTHING)
    assert [each.state for each in both] == [State.CLASHING, State.CLASHING]


def test_a_licence_copy_is_supplied_recorded_or_shipped() -> None:
    """A paper comes before the text on record of a cited source, and that before a shipped one."""
    path = licence_paper(LICENCE)
    assert path == "licences/LicenseRef-Acme.txt"
    everything = Offer(
        name=None,
        licence=None,
        papers={path: b"paper"},
        texts={"acme/licence": b"recorded"},
        licences={LICENCE: b"shipped"},
    )
    duty, sources = f"licence_copy: {LICENCE}", ("acme/other", "acme/licence")
    found = one(duty, everything, sources=sources)
    assert (found.by, found.text) == (path, b"paper")
    assert found.digest == sha256(b"paper").hexdigest()
    recorded = Offer(name=None, licence=None, texts=everything.texts, licences=everything.licences)
    assert one(duty, recorded, sources=sources).text == b"recorded"
    assert one(duty, recorded).text == b"shipped"
    blank = Offer(name=None, licence=None, papers={path: b" \n"}, texts=everything.texts)
    assert one(duty, blank, sources=sources).text == b"recorded"
    absent = one(duty, sources=sources)
    assert absent.state is State.OPEN
    assert "`papers/licences/LicenseRef-Acme.txt`" in absent.fix
    assert "inbond terms import acme/other" in absent.fix
    assert "terms import" not in one(duty).fix


def test_the_student_s_own_licence_has_a_text() -> None:
    """It is that of a copy which is owed, or at hand by itself; without a licence there is none."""
    offer = Offer(name=None, licence=LICENCE, texts={"acme/licence": b"recorded"})
    owed = settle([Owed(duty=f"licence_copy: {LICENCE}", sources=("acme/licence",))], offer)
    assert own_licence_text(owed, offer) == b"recorded"
    assert own_licence_text((), offer) is None
    assert own_licence_text(owed, NOTHING) is None
    shipped = Offer(name=None, licence=LICENCE, licences={LICENCE: b"shipped"})
    assert own_licence_text((), shipped) == b"shipped"


def test_a_notice_is_the_value_or_a_paper() -> None:
    """A notice that stands in the policy is written; one that is named or to be retained is supplied."""
    assert one("notice_file: Acme is licensed, (c) Acme").state is State.MET
    named = "notice_file: notices/acme.txt"
    assert one(named).fix == "put the notices to pass on into `papers/notices/acme.txt`"
    given_it = one(named, Offer(name=None, licence=None, papers={"notices/acme.txt": b"(c) Acme"}))
    assert (given_it.state, given_it.by, given_it.text) == (State.MET, "NOTICE", b"(c) Acme")
    blank = Offer(name=None, licence=LICENCE, papers={"notices/acme.txt": b"\n"})
    assert one(named, blank).state is State.OPEN
    retained = one("notice_file: retain the notices (4.4)", rules=("acme/made",))
    assert retained.state is State.OPEN
    assert "`papers/notices/acme-" in retained.fix


@pytest.mark.parametrize(
    "kind", ["breach_notification", "delete_on_notice", "remote_restriction", "vendor_notice"]
)
def test_a_promise_is_put_in_writing(kind: str) -> None:
    """What only people can do is met by a paper that says how; an empty one says nothing."""
    found = one(f"{kind}: as agreed", rules=RULES)
    assert found.state is State.OPEN
    path = found.fix.split("`papers/")[1].split("`")[0]
    assert path.startswith(f"{kind}-acme-")
    assert one(
        f"{kind}: as agreed", Offer(name=None, licence=None, papers={path: b" "}), rules=RULES
    ).fix
    met = one(
        f"{kind}: as agreed", Offer(name=None, licence=None, papers={path: b"we do"}), rules=RULES
    )
    assert (met.state, met.by, met.text) == (State.MET, f"papers/{path}", b"we do")


def test_a_duty_that_is_not_known_stays_open() -> None:
    """A kind that this version has never heard of is never taken for met."""
    found = one("dance: on the table")
    assert (found.state, "how it is met" in found.fix) == (State.OPEN, True)


OWED = st.builds(
    lambda kind, value: Owed(duty=f"{kind}: {value}"),
    st.sampled_from(DUTIES),
    st.sampled_from(["a", "ab", "b", "retain it", "x.txt"]),
)


@given(
    owed=st.lists(OWED, max_size=5),
    more=OWED,
    name=st.none() | st.sampled_from(["a", "ab", "b"]),
    licence=st.none() | st.sampled_from(["a", "b"]),
)
def test_one_more_duty_never_meets_another(
    owed: list[Owed], more: Owed, name: str | None, licence: str | None
) -> None:
    """What was open or clashing stays so when a duty is added, and each unmet one says what to do."""
    offer = Offer(name=name, licence=licence)
    before, after = settle(owed, offer), settle([*owed, more], offer)
    for one_before, one_after in zip(before, after, strict=False):
        assert one_before.state is State.MET or one_after.state is not State.MET
    assert all(bool(each.fix) != (each.state is State.MET) for each in after)
