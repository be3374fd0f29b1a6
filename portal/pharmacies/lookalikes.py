"""People in care who are easily taken for one another: named beside each other before the wrong one is written to."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum


class Why(StrEnum):
    """What two people have nearly in common."""

    SURNAME = "surname"
    BIRTH_DATE = "birth_date"
    NUMBER = "number"


@dataclass(frozen=True)
class Somebody:
    """What is compared. `numbers` are order or record numbers."""

    patient: str
    surname: str
    birth_date: str
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True)
class LookAlike:
    """The other person, and why they are easily confused."""

    patient: str
    why: tuple[Why, ...]


def look_alikes(people: Sequence[Somebody]) -> dict[str, list[LookAlike]]:
    """For each person the others with the same surname, or a birth date or number that differs in one digit or day.

    Compares through an index of near values, so that a thousand people cost a thousand steps, not a million.
    """
    why: dict[tuple[str, str], set[Why]] = defaultdict(set)
    for reason, values in (
        (Why.SURNAME, [(one.patient, one.surname.casefold().strip()) for one in people]),
        (Why.BIRTH_DATE, [(one.patient, one.birth_date) for one in people]),
        (Why.NUMBER, [(one.patient, number) for one in people for number in one.numbers]),
    ):
        for first, second in _near(values, reason):
            why[first, second].add(reason)
    found: dict[str, list[LookAlike]] = {one.patient: [] for one in people}
    for (first, second), reasons in sorted(why.items()):
        found[first].append(LookAlike(second, tuple(sorted(reasons))))
    return found


def _near(values: Iterable[tuple[str, str]], reason: Why) -> set[tuple[str, str]]:
    shelves: dict[str, set[str]] = defaultdict(set)
    for patient, value in values:
        if value:
            for shelf in _shelves(value, reason):
                shelves[shelf].add(patient)
    return {(first, second) for shelf in shelves.values() for first in shelf for second in shelf if first != second}


def _shelves(value: str, reason: Why) -> set[str]:
    if reason is Why.SURNAME:
        return {value}
    # Two values that differ in one character meet where that character is left out.
    found = {f"{value[:place]}_{value[place + 1 :]}" for place in range(len(value))}
    if reason is Why.BIRTH_DATE:
        found |= _next_days(value)
    return found


def _next_days(value: str) -> set[str]:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return set()
    if not date.min < day < date.max:
        return set()
    # Each pair of neighbouring days has one shelf of its own.
    return {f"{day}+1", f"{day - timedelta(days=1)}+1"}
