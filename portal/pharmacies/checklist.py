"""What a pharmacy still lacks before patients can write to it, as a list that keeps its place by itself.

Nothing here is ticked by hand but what only a person can know (that no holiday is coming): every step is read from
what is there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.awaited import CAME
from portal.accounts.tables import Account, Invitation
from portal.core import clock
from portal.pharmacies import profiles, recovery_acts, recovery_key, teams
from portal.pharmacies.tables import EhrCheck, StaffInvitation
from portal.pharmacies.topics import TeamKind


class Step(StrEnum):
    """The steps, in the order in which they are best taken."""

    PROFILE = "profile"
    HOURS = "hours"
    HOLIDAYS = "holidays"
    TOPICS = "topics"
    CONNECTION = "connection"
    STAFF = "staff"
    PHARMACISTS = "pharmacists"
    DESK = "desk"
    SUPERVISORS = "supervisors"
    PRIVACY = "privacy"
    SHEETS = "sheets"
    INVITATION = "invitation"


# Without these a pharmacy is not offered to patients. The phone is part of every profile.
NEEDED = frozenset({Step.PROFILE, Step.HOURS, Step.PHARMACISTS})


@dataclass(frozen=True)
class Standing:
    """How a step stands. `needed`: patients are not offered the pharmacy without it."""

    step: Step
    done: bool
    # What could be done is done, and others are waited for: colleagues are invited, and nobody has come.
    awaited: bool = False

    @property
    def needed(self) -> bool:
        """Whether patients wait for this step."""
        return self.step in NEEDED


def of(session: Session, pharmacy_id: str) -> list[Standing]:
    """All steps of a pharmacy; eleven queries. Raises NotFound for an unknown one."""
    profile = profiles.get(session, pharmacy_id)
    founded = teams.founded(session, [pharmacy_id])[pharmacy_id]
    invited = session.scalar(select(Invitation.id).where(Invitation.pharmacy_id == pharmacy_id).limit(1))
    working = session.scalar(select(Account.id).where(Account.pharmacy_id == pharmacy_id, CAME).limit(1))
    asked = session.scalar(
        select(StaffInvitation.id)
        .where(
            StaffInvitation.pharmacy_id == pharmacy_id,
            StaffInvitation.used_at.is_(None),
            StaffInvitation.revoked_at.is_(None),
            StaffInvitation.failed_at.is_(None),
            StaffInvitation.expires_at > clock.now(),
        )
        .limit(1)
    )
    done = {
        Step.PROFILE: True,
        Step.HOURS: profile.week is not None,
        Step.HOLIDAYS: profile.holidays_checked_at is not None or bool(profile.holidays),
        Step.TOPICS: profile.topics is not None,
        Step.CONNECTION: _connected(session, pharmacy_id),
        Step.STAFF: working is not None,
        Step.PHARMACISTS: TeamKind.PHARMACISTS in founded,
        Step.DESK: TeamKind.DESK in founded,
        Step.SUPERVISORS: TeamKind.SUPERVISORS in founded,
        Step.PRIVACY: TeamKind.PRIVACY in founded,
        Step.SHEETS: _sheets_stand(session, pharmacy_id),
        Step.INVITATION: invited is not None,
    }
    return [Standing(step, done[step], step is Step.STAFF and not done[step] and asked is not None) for step in Step]


def offered(session: Session, pharmacies: Iterable[profiles.Profile]) -> set[str]:
    """The ids of those that patients may be offered: hours, phone and a team key are there. One query."""
    asked = list(pharmacies)
    founded = teams.founded(session, [one.id for one in asked])
    return {one.id for one in asked if can_be_offered(one, founded[one.id])}


def can_be_offered(profile: profiles.Profile, founded: Mapping[TeamKind, str]) -> bool:
    """Whether patients may be offered a pharmacy with these teams (`teams.founded`)."""
    return profile.week is not None and TeamKind.PHARMACISTS in founded


def _sheets_stand(session: Session, pharmacy_id: str) -> bool:
    """Recovery sheets are made, were not used since, and open every team that was founded."""
    made = recovery_key.sheets(session, pharmacy_id)
    if made is None or recovery_acts.used_since(session, pharmacy_id, made):
        return False
    covered = recovery_key.covered(session, pharmacy_id, made)
    return bool(covered) and all(covered.values())


def _connected(session: Session, pharmacy_id: str) -> bool:
    """A connection is there, and its last test found nothing that keeps the portal from reading."""
    findings = session.scalar(
        select(EhrCheck.findings).where(EhrCheck.pharmacy_id == pharmacy_id, EhrCheck.done_at.is_not(None))
    )
    return bool(findings) and all(one["light"] != "red" for one in findings or [])
