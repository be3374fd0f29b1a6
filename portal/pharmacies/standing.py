"""Where somebody stands towards a patient of a pharmacy: all that policy asks about a thread, in one query."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from portal.accounts.tables import Patient
from portal.core.database import table_of
from portal.core.together import Answers, Questions
from portal.pharmacies.tables import CareRelation, TeamSeat
from portal.pharmacies.teams import State
from portal.pharmacies.topics import TeamKind, team_id


@dataclass(frozen=True)
class Standing:
    """`in_care`: the patient is in the pharmacy's care now. `seats`: the teams the account is a member of now."""

    in_care: bool
    patient_active: bool
    seats: frozenset[str]


_PATIENTS = table_of(Patient)
_CARE = table_of(CareRelation)
_SEATS = table_of(TeamSeat)
# What to ask together with other things; `of` reads the answers.
QUESTIONS: Mapping[str, Select[Any]] = {
    "patient": select(_PATIENTS.c.status).where(_PATIENTS.c.id == bindparam("patient_id")),
    "care": select(_CARE.c.pharmacy_id).where(
        _CARE.c.pharmacy_id == bindparam("pharmacy_id"),
        _CARE.c.patient_id == bindparam("patient_id"),
        _CARE.c.ends_at.is_(None),
    ),
    "seats": select(_SEATS.c.pharmacy_id, _SEATS.c.kind).where(
        _SEATS.c.account_id == bindparam("account_id"), _SEATS.c.state == State.MEMBER.value
    ),
}
_ALONE = Questions(**QUESTIONS)


def find(session: Session, asked: Mapping[str, str]) -> Standing:
    """The facts about an `account_id`, a `patient_id` and a `pharmacy_id`; unknown ones stand nowhere. One query,
    whatever is asked."""
    return of(_ALONE.ask(session, asked))


def of(answers: Answers) -> Standing:
    """What the answers to `QUESTIONS` say."""
    return Standing(
        in_care=bool(answers["care"]),
        patient_active=("active",) in answers["patient"],
        seats=frozenset(team_id(pharmacy, TeamKind(kind)) for pharmacy, kind in answers["seats"]),
    )
