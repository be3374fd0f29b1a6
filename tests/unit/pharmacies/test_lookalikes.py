"""Who is easily taken for whom."""

from hypothesis import given
from hypothesis import strategies as st

from portal.pharmacies.lookalikes import Somebody, Why, look_alikes

ALICE = Somebody("alice", "Moreno", "1974-03-09", ("1042",))
ALICIA = Somebody("alicia", "moreno ", "1974-03-10", ("1044",))
DAVE = Somebody("dave", "Reed", "1979-07-01", ("1043",))
WALT = Somebody("walt", "Young", "1943-01-31", ())


def test_alice_alicia_and_dave_are_named_and_walt_is_not() -> None:
    found = look_alikes([ALICE, ALICIA, DAVE, WALT])
    assert [(one.patient, one.why) for one in found["alice"]] == [
        ("alicia", (Why.BIRTH_DATE, Why.NUMBER, Why.SURNAME)),
        ("dave", (Why.NUMBER,)),
    ]
    assert [one.patient for one in found["dave"]] == ["alice", "alicia"]
    assert found["walt"] == []


def test_a_birth_date_is_near_by_one_digit_or_one_day() -> None:
    def near(first: str, second: str) -> bool:
        people = [Somebody("a", "x", first), Somebody("b", "y", second)]
        return bool(look_alikes(people)["a"])

    assert near("1974-03-09", "1974-08-09")
    assert near("1974-03-31", "1974-04-01")
    assert near("1974-03-09", "1974-03-09")
    assert not near("1974-03-09", "1974-04-08")
    assert not near("1974-03-09", "1974-03-21")
    assert near("1974", "1975")
    assert not near("", "")


@given(st.lists(st.builds(Somebody, st.uuids().map(str), st.sampled_from("ABC"), st.dates().map(str)), max_size=12))
def test_likeness_goes_both_ways_and_never_to_oneself(people: list[Somebody]) -> None:
    found = look_alikes(people)
    assert found.keys() == {one.patient for one in people}
    for patient, others in found.items():
        for other in others:
            assert other.patient != patient
            assert any(back.patient == patient and back.why == other.why for back in found[other.patient])
