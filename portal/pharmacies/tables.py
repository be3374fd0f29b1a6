"""Pharmacies with their profiles, teams, EHR connections, and the patients in their care."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, Date, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.database import Base, Id, Moment


class Pharmacy(Base):
    """What people need to know to reach a pharmacy. The id is a short word, part of its teams' ids."""

    __tablename__ = "pharmacy"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    address: Mapped[str] = mapped_column(String(200))
    phone: Mapped[str] = mapped_column(String(32))
    on_call_phone: Mapped[str | None] = mapped_column(String(32))
    country: Mapped[str] = mapped_column(String(2))
    time_zone: Mapped[str] = mapped_column(String(64))
    languages: Mapped[list[str]] = mapped_column(JSON)
    # {"mon": [["08:00", "19:00"]], …} in the pharmacy's zone; null: hours not set yet; "24:00" ends a day.
    hours: Mapped[dict[str, list[list[str]]] | None] = mapped_column(JSON)
    # {"number", "authority", "url", "accreditation", "complaints"}, each optional.
    licence: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    # The topics patients may pick; null: nobody has chosen yet, all are offered.
    topics: Mapped[list[str] | None] = mapped_column(JSON)
    # Until which birthday parents act for a child, where that is before the country's (portal/pharmacies/ages.py).
    parents_until_age: Mapped[int | None] = mapped_column(Integer)
    # When somebody last said which days it is closed, also when there are none.
    holidays_checked_at: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment)


class Holiday(Base):
    """A day, in the pharmacy's zone, on which it is closed."""

    __tablename__ = "holiday"

    pharmacy_id: Mapped[str] = mapped_column(ForeignKey("pharmacy.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    name: Mapped[str] = mapped_column(String(80))


class EhrConnection(Base):
    """A FHIR R4 server that a pharmacy reads from."""

    __tablename__ = "ehr_connection"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    pharmacy_id: Mapped[str] = mapped_column(ForeignKey("pharmacy.id"), index=True)
    base_url: Mapped[str] = mapped_column(String(300))
    auth: Mapped[str] = mapped_column(String(12), default="none")
    client_id: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(Moment)


class EhrCheck(Base):
    """The last test of a connection: asked for, and once the worker has run it, what it found."""

    __tablename__ = "ehr_check"

    connection_id: Mapped[str] = mapped_column(ForeignKey("ehr_connection.id"), primary_key=True)
    pharmacy_id: Mapped[str] = mapped_column(ForeignKey("pharmacy.id"), index=True)
    asked_at: Mapped[datetime] = mapped_column(Moment)
    done_at: Mapped[datetime | None] = mapped_column(Moment)
    # [{"what", "light", "why"}] as portal/care/checking.py makes them.
    findings: Mapped[list[dict[str, str]]] = mapped_column(JSON)


class IdentityCheck(Base):
    """A pharmacy made sure who started again with new keys, or waits for somebody to object (identity_checks.py).

    `gen`: the generation with which the new keys began; `objection`: what the mails' link carries, good for saying no
    and for nothing else.
    """

    __tablename__ = "identity_check"
    __table_args__ = (Index("ix_identity_check_account", "account_id", "pharmacy_id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    account_id: Mapped[str] = mapped_column(Id)
    pharmacy_id: Mapped[str] = mapped_column(ForeignKey("pharmacy.id"))
    gen: Mapped[int] = mapped_column(Integer)
    how: Mapped[str] = mapped_column(String(12))
    made_by: Mapped[str] = mapped_column(Id)
    made_at: Mapped[datetime] = mapped_column(Moment)
    objection: Mapped[str | None] = mapped_column(String(64), unique=True)
    objected_at: Mapped[datetime | None] = mapped_column(Moment)


class CareRelation(Base):
    """The one thing that gives a pharmacy sight of a patient; ended by either side, seen by both."""

    __tablename__ = "care_relation"
    __table_args__ = (Index("ix_care_relation_patient", "patient_id", "ends_at"),)

    pharmacy_id: Mapped[str] = mapped_column(ForeignKey("pharmacy.id"), primary_key=True)
    patient_id: Mapped[str] = mapped_column(Id, primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(Moment, primary_key=True)
    source: Mapped[str] = mapped_column(String(16))
    ends_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_by: Mapped[str | None] = mapped_column(String(16))


class TeamRecord(Base):
    """One signed generation of a team's key (docs/protocol.md section 3), as exact bytes."""

    __tablename__ = "team_record"
    __table_args__ = (Index("ix_team_record_pharmacy", "pharmacy_id", "team_id"),)

    team_id: Mapped[str] = mapped_column(Id, primary_key=True)
    gen: Mapped[int] = mapped_column(Integer, primary_key=True)
    pharmacy_id: Mapped[str] = mapped_column(ForeignKey("pharmacy.id"))
    signer: Mapped[str] = mapped_column(Id)
    # {h, w, prev, sig} as received.
    record: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Moment)


class TeamSeat(Base):
    """Where a person stands in a team: waiting, member or left (transitions in pharmacies/teams.py)."""

    __tablename__ = "team_seat"
    __table_args__ = (Index("ix_team_seat_account", "account_id", "state"),)

    pharmacy_id: Mapped[str] = mapped_column(ForeignKey("pharmacy.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    account_id: Mapped[str] = mapped_column(Id, primary_key=True)
    state: Mapped[str] = mapped_column(String(12))
    since: Mapped[datetime] = mapped_column(Moment)
    decided_by: Mapped[str | None] = mapped_column(Id)
    note: Mapped[str | None] = mapped_column(Text)


class RecoverySheets(Base):
    """One set of recovery sheets of a pharmacy: who made them, who holds each, and when two of them were last tried."""

    __tablename__ = "recovery_sheets"

    pharmacy_id: Mapped[str] = mapped_column(ForeignKey("pharmacy.id"), primary_key=True)
    # The number of the entry in the recovery's key chain that these sheets open.
    n: Mapped[int] = mapped_column(Integer, primary_key=True)
    # Who holds sheet 1, 2 and 3, in words.
    holders: Mapped[list[str]] = mapped_column(JSON)
    made_by: Mapped[str] = mapped_column(Id)
    made_at: Mapped[datetime] = mapped_column(Moment)
    tried_by: Mapped[str] = mapped_column(Id)
    tried_at: Mapped[datetime] = mapped_column(Moment)


class RecoveryAct(Base):
    """Two people let somebody into teams with the recovery sheets. States and moves: pharmacies/recovery_acts.py."""

    __tablename__ = "recovery_act"
    __table_args__ = (Index("ix_recovery_act_pharmacy", "pharmacy_id", "asked_at"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    pharmacy_id: Mapped[str] = mapped_column(ForeignKey("pharmacy.id"))
    # Who is to be let in, and into which kinds of teams.
    account_id: Mapped[str] = mapped_column(Id)
    teams: Mapped[list[str]] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(String(300))
    asked_by: Mapped[str] = mapped_column(Id)
    asked_at: Mapped[datetime] = mapped_column(Moment)
    state: Mapped[str] = mapped_column(String(12))
    # When it runs out, as long as it is open or confirmed.
    expires_at: Mapped[datetime] = mapped_column(Moment)
    # Who confirmed or refused it, and who ended it otherwise.
    decided_by: Mapped[str | None] = mapped_column(Id)
    decided_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_by: Mapped[str | None] = mapped_column(Id)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)


class StaffInvitation(Base):
    """A colleague is asked to come: the first login with this verified mail address gets role and pharmacy from here.

    There is no secret in it. States and what moves them: pharmacies/staff_invitations.py.
    """

    __tablename__ = "staff_invitation"
    __table_args__ = (
        Index("ix_staff_invitation_mail", "mail"),
        Index("ix_staff_invitation_listed", "pharmacy_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    pharmacy_id: Mapped[str] = mapped_column(ForeignKey("pharmacy.id"))
    # The id that the account is going to have, so that it can be referred to before it exists.
    account_id: Mapped[str] = mapped_column(Id, unique=True)
    # As portal.notify.mail.normal_address writes it.
    mail: Mapped[str] = mapped_column(String(254))
    name: Mapped[str] = mapped_column(String(120))
    role: Mapped[str] = mapped_column(String(16))
    # Kinds of teams that who invites approves the newcomer for.
    teams: Mapped[list[str]] = mapped_column(JSON)
    # The last day of work of somebody who is here for a while, in the pharmacy's zone.
    last_day: Mapped[date | None] = mapped_column(Date)
    language: Mapped[str] = mapped_column(String(8))
    invited_by: Mapped[str] = mapped_column(Id)
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    # How often a mail was asked for, and when last; when one has left, or why none could.
    mails: Mapped[int] = mapped_column(Integer)
    asked_at: Mapped[datetime] = mapped_column(Moment)
    mailed_at: Mapped[datetime | None] = mapped_column(Moment)
    failed_at: Mapped[datetime | None] = mapped_column(Moment)
    failure: Mapped[str | None] = mapped_column(String(60))
    used_at: Mapped[datetime | None] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    revoked_by: Mapped[str | None] = mapped_column(Id)
