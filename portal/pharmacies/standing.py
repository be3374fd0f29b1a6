"""Where somebody stands towards a patient of a pharmacy: all that policy asks about a thread, in one query."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import CompoundSelect, bindparam, literal, null, select, union_all
from sqlalchemy.orm import Session

from portal.accounts.tables import Patient
from portal.core.database import table_of
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
_QUERY: CompoundSelect[Any] = union_all(
    select(literal("patient").label("what"), _PATIENTS.c.status, null()).where(
        _PATIENTS.c.id == bindparam("patient_id")
    ),
    select(literal("care"), _CARE.c.pharmacy_id, null()).where(
        _CARE.c.pharmacy_id == bindparam("pharmacy_id"),
        _CARE.c.patient_id == bindparam("patient_id"),
        _CARE.c.ends_at.is_(None),
    ),
    select(literal("seat"), _SEATS.c.pharmacy_id, _SEATS.c.kind).where(
        _SEATS.c.account_id == bindparam("account_id"), _SEATS.c.state == State.MEMBER.value
    ),
)


def standing(session: Session, *, account_id: str, patient_id: str, pharmacy_id: str) -> Standing:
    """The facts about one account, patient and pharmacy; unknown ones stand nowhere. One query, whatever is asked."""
    rows = session.execute(
        _QUERY, {"account_id": account_id, "patient_id": patient_id, "pharmacy_id": pharmacy_id}
    ).all()
    return Standing(
        in_care=any(what == "care" for what, _, _ in rows),
        patient_active=("patient", "active", None) in rows,
        seats=frozenset(team_id(pharmacy, TeamKind(kind)) for what, pharmacy, kind in rows if what == "seat"),
    )
