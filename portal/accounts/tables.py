"""Accounts, patients and the relations between them; the public keys, devices and recovery ways of accounts."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, Date, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.core.database import Base, Id, Moment


class Account(Base):
    """A person who signs in, known by (issuer, subject). Its id is also the person's id in the key directory."""

    __tablename__ = "account"
    __table_args__ = (
        # The subject first: it is what an operator names a person by.
        UniqueConstraint("subject", "issuer"),
        Index("ix_account_pharmacy", "pharmacy_id", "role"),
        Index("ix_account_ends", "ends_at"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16))
    pharmacy_id: Mapped[str | None] = mapped_column(Id)
    display_name: Mapped[str] = mapped_column(String(120))
    email: Mapped[str | None] = mapped_column(String(254))
    email_verified: Mapped[bool] = mapped_column(default=False)
    # The verified address before the present one: hears of it when the address changes, and of what follows.
    earlier_email: Mapped[str | None] = mapped_column(String(254))
    email_changed_at: Mapped[datetime | None] = mapped_column(Moment)
    language: Mapped[str] = mapped_column(String(8), default="en")
    time_zone: Mapped[str | None] = mapped_column(String(64))
    large_text: Mapped[bool] = mapped_column(default=False)
    # Quiet hours on the person's own clock, "22:00" to "07:00"; both or neither (portal/accounts/telling.py).
    quiet_from: Mapped[str | None] = mapped_column(String(5))
    quiet_until: Mapped[str | None] = mapped_column(String(5))
    # The zone in which they were typed, for who has chosen none.
    quiet_zone: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Moment)
    last_login_at: Mapped[datetime | None] = mapped_column(Moment)
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)
    # Who closed it (portal/pharmacies/staff.py): a later last day opens again only what an earlier one has closed.
    closed_by: Mapped[str | None] = mapped_column(String(12))
    # Whether the provider has named the role, and the pharmacy, at some login. What it has named it must go on naming;
    # an account that came by an invitation may have a provider that knows neither (docs/decisions/0013).
    role_claimed: Mapped[bool] = mapped_column(default=True)
    pharmacy_claimed: Mapped[bool] = mapped_column(default=True)
    # The midnight after the last day of work, in the pharmacy's zone; no login and no session from then on.
    ends_at: Mapped[datetime | None] = mapped_column(Moment)


class NoticeChoice(Base):
    """Whether a person wants one kind of notice by one channel; without a row they do."""

    __tablename__ = "notice_choice"

    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    channel: Mapped[str] = mapped_column(String(16), primary_key=True)
    wanted: Mapped[bool] = mapped_column()


class Patient(Base):
    """A person who is cared for. Names and birth dates stay in the EHR."""

    __tablename__ = "patient"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    status: Mapped[str] = mapped_column(String(12), default="active")
    merged_into: Mapped[str | None] = mapped_column(Id)
    created_at: Mapped[datetime] = mapped_column(Moment)


class PatientRecord(Base):
    """The patient's id in one EHR."""

    __tablename__ = "patient_record"
    __table_args__ = (UniqueConstraint("connection_id", "fhir_id"),)

    patient_id: Mapped[str] = mapped_column(ForeignKey("patient.id"), primary_key=True)
    connection_id: Mapped[str] = mapped_column(Id, primary_key=True)
    fhir_id: Mapped[str] = mapped_column(String(64))


class Relation(Base):
    """An account acts for a patient: as self, child, parent or carer, with a scope, from … until."""

    __tablename__ = "relation"
    __table_args__ = (Index("ix_relation_account", "account_id"), Index("ix_relation_patient", "patient_id"))

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    patient_id: Mapped[str] = mapped_column(ForeignKey("patient.id"))
    kind: Mapped[str] = mapped_column(String(12))
    scope: Mapped[str] = mapped_column(String(24), default="all")
    starts_at: Mapped[datetime] = mapped_column(Moment)
    ends_at: Mapped[datetime | None] = mapped_column(Moment)
    # It ends because the patient comes of age, which no later date moves (portal/accounts/carers.py).
    by_age: Mapped[bool] = mapped_column(default=False)
    # A pharmacy let the account in, on this Consent; None: the patient did, or a login's claim.
    consent_id: Mapped[str | None] = mapped_column(ForeignKey("carer_consent.id"), index=True)
    # Both sides were told that the end is near.
    warned_at: Mapped[datetime | None] = mapped_column(Moment)
    # When the patient last ended or narrowed it: her no to the account, which nothing said before undoes.
    refused_at: Mapped[datetime | None] = mapped_column(Moment)


class CarerConsent(Base):
    """What a pharmacy lets somebody act for a patient on: a Consent of its EHR, or a paper that staff have seen.

    `scope`: the most it allows; `ends_at`: when it is over by its own words (portal/accounts/consents.py).
    """

    __tablename__ = "carer_consent"
    __table_args__ = (Index("ix_carer_consent_patient", "patient_id", "pharmacy_id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    patient_id: Mapped[str] = mapped_column(ForeignKey("patient.id"))
    pharmacy_id: Mapped[str] = mapped_column(Id)
    # The Consent, its version when it was read, and the person in it as the EHR names them.
    connection_id: Mapped[str | None] = mapped_column(Id)
    fhir_id: Mapped[str | None] = mapped_column(String(64))
    version: Mapped[str | None] = mapped_column(String(64))
    person: Mapped[str | None] = mapped_column(String(80))
    # The kind of paper, and the day that stands on it or on the Consent.
    paper: Mapped[str | None] = mapped_column(String(24))
    dated: Mapped[date | None] = mapped_column(Date)
    kind: Mapped[str] = mapped_column(String(12))
    scope: Mapped[str] = mapped_column(String(24))
    ends_at: Mapped[datetime | None] = mapped_column(Moment)
    # Who read it, or saw the paper, and when.
    seen_by: Mapped[str] = mapped_column(ForeignKey("account.id"))
    seen_at: Mapped[datetime] = mapped_column(Moment)
    # When the EHR last said that it stands, and when it was last asked.
    confirmed_at: Mapped[datetime] = mapped_column(Moment)
    asked_at: Mapped[datetime] = mapped_column(Moment)
    # The first question since then that nobody answered.
    silent_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    why_ended: Mapped[str | None] = mapped_column(String(16))


class CarerInvitation(Base):
    """Somebody is asked to act for a patient: by a code handed over, or by mail to an address they must have verified.

    The patient asks, or, with `consent_id`, staff of a pharmacy.
    """

    __tablename__ = "carer_invitation"
    __table_args__ = (
        Index("ix_carer_invitation_patient", "patient_id", "created_at"),
        Index("ix_carer_invitation_mail", "mail"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    patient_id: Mapped[str] = mapped_column(ForeignKey("patient.id"))
    invited_by: Mapped[str] = mapped_column(ForeignKey("account.id"))
    consent_id: Mapped[str | None] = mapped_column(ForeignKey("carer_consent.id"), index=True)
    # What the patient calls the person; the account brings a name of its own.
    name: Mapped[str] = mapped_column(String(120))
    code_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    mail: Mapped[str | None] = mapped_column(String(254))
    kind: Mapped[str] = mapped_column(String(12))
    scope: Mapped[str] = mapped_column(String(24))
    # When the access itself ends, and whether that is the patient's coming of age.
    ends_at: Mapped[datetime | None] = mapped_column(Moment)
    by_age: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    mails: Mapped[int] = mapped_column(Integer, default=0)
    asked_at: Mapped[datetime] = mapped_column(Moment)
    used_at: Mapped[datetime | None] = mapped_column(Moment)
    used_by: Mapped[str | None] = mapped_column(Id)
    declined_at: Mapped[datetime | None] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)


class Invitation(Base):
    """A code given by hand that binds an account to a patient of a pharmacy: once, within seven days.

    States and what moves them: accounts/invitations.py.
    """

    __tablename__ = "invitation"
    __table_args__ = (
        Index("ix_invitation_listed", "pharmacy_id", "created_at", "id"),
        Index("ix_invitation_patient", "connection_id", "fhir_id"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    pharmacy_id: Mapped[str] = mapped_column(Id)
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    connection_id: Mapped[str] = mapped_column(Id)
    fhir_id: Mapped[str] = mapped_column(String(64))
    # The language of what was printed.
    language: Mapped[str] = mapped_column(String(8), default="en")
    created_by: Mapped[str | None] = mapped_column(Id)
    # The newest one is what a code that leads nowhere asks the EHR about.
    created_at: Mapped[datetime] = mapped_column(Moment, index=True)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    used_at: Mapped[datetime | None] = mapped_column(Moment)
    used_by: Mapped[str | None] = mapped_column(Id)
    # Used by somebody who had a patient already, to whom this record was added and where it lies: undoing splits there.
    added: Mapped[bool] = mapped_column(default=False)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    # Who took it back, and the invitation with a new code that stands in its place, if any.
    revoked_by: Mapped[str | None] = mapped_column(Id)
    replaced_by: Mapped[str | None] = mapped_column(Id)


class MatchRequest(Base):
    """A person without a code asks a pharmacy to find the own record. States: care/asking.py.

    `asked`: what was typed, sealed under the operator's key; gone once the request is decided, taken back or over.
    """

    __tablename__ = "match_request"
    __table_args__ = (
        Index("ix_match_request_listed", "pharmacy_id", "decided_at", "created_at", "id"),
        Index("ix_match_request_account", "account_id", "created_at"),
        Index("ix_match_request_address", "address", "created_at"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    pharmacy_id: Mapped[str] = mapped_column(Id)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    asked: Mapped[bytes | None] = mapped_column(LargeBinary)
    # The address it came from, hashed.
    address: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    withdrawn_at: Mapped[datetime | None] = mapped_column(Moment)
    decided_at: Mapped[datetime | None] = mapped_column(Moment)
    decided_by: Mapped[str | None] = mapped_column(Id)
    # Why staff declined; null when they confirmed.
    reason: Mapped[str | None] = mapped_column(String(16))


class RedeemFailure(Base):
    """Failed tries for one code or from one address (hashed); five close it for a time."""

    __tablename__ = "redeem_failure"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    since: Mapped[datetime] = mapped_column(Moment)


class DirectoryEntry(Base):
    """One signed entry of a key chain of a person or a team (docs/protocol.md section 3), as exact bytes."""

    __tablename__ = "directory_entry"
    __table_args__ = (Index("ix_directory_entry_gen", "id", "gen"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    n: Mapped[int] = mapped_column(Integer, primary_key=True)
    role: Mapped[str] = mapped_column(String(12))
    gen: Mapped[int] = mapped_column(Integer)
    kid: Mapped[str] = mapped_column(String(32))
    reset: Mapped[bool] = mapped_column(default=False)
    # The whole entry as received: {h, sig, …, prevseed}.
    entry: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Moment)


class AheadKeys(Base):
    """First keys that a colleague made for somebody who has not signed in yet; `taken_at`: replaced by own ones."""

    __tablename__ = "ahead_keys"
    __table_args__ = (Index("ix_ahead_keys_pharmacy", "pharmacy_id"),)

    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), primary_key=True)
    pharmacy_id: Mapped[str] = mapped_column(Id)
    made_by: Mapped[str] = mapped_column(ForeignKey("account.id"))
    made_at: Mapped[datetime] = mapped_column(Moment)
    ends_at: Mapped[datetime] = mapped_column(Moment)
    taken_at: Mapped[datetime | None] = mapped_column(Moment)


class Device(Base):
    """A certified device of a person. `share` is the server's half of the key over its seeds at rest."""

    __tablename__ = "device"
    __table_args__ = (Index("ix_device_account", "account_id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    name: Mapped[str] = mapped_column(String(60))
    ed: Mapped[str] = mapped_column(String(64), unique=True)
    # {h, sig, pop} as received, and the entry number of the identity that signed it.
    certificate: Mapped[dict[str, Any]] = mapped_column(JSON)
    signed_by: Mapped[int] = mapped_column(Integer)
    # {h, sig} once the device was ended by its owner.
    revocation: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    share: Mapped[bytes | None] = mapped_column(LargeBinary)
    # Others use it too: no share of its own, it opens by a guard (docs/protocol.md section 2).
    shared: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(Moment)
    seen_at: Mapped[datetime] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)


class DeviceGuard(Base):
    """The server's part of a PIN or passkey that opens a shared device. `wrong`: tries since the last right one."""

    __tablename__ = "device_guard"

    device_id: Mapped[str] = mapped_column(ForeignKey("device.id"), primary_key=True)
    method: Mapped[str] = mapped_column(String(12), primary_key=True)
    # None once it was tried wrongly too often, or the device was ended.
    share: Mapped[bytes | None] = mapped_column(LargeBinary)
    # SHA-256 of what is shown for the share.
    auth_hash: Mapped[bytes] = mapped_column(LargeBinary)
    wrong: Mapped[int] = mapped_column(Integer)
    # Since it was set.
    wrong_ever: Mapped[int] = mapped_column(Integer)
    # Wrong tries of which the person has not said yet "I have seen it", and when the last one was.
    untold: Mapped[int] = mapped_column(Integer, default=0)
    wrong_at: Mapped[datetime | None] = mapped_column(Moment)
    set_at: Mapped[datetime] = mapped_column(Moment)


class RecoveryWrap(Base):
    """The user root key wrapped under one recovery way; the server can open none of them.

    `id` is the way's (docs/protocol.md section 2); a passkey has a name by which its owner knows it again.
    """

    __tablename__ = "recovery_wrap"

    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), primary_key=True)
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    method: Mapped[str] = mapped_column(String(12))
    name: Mapped[str | None] = mapped_column(String(60))
    wrap: Mapped[dict[str, Any]] = mapped_column(JSON)
    set_at: Mapped[datetime] = mapped_column(Moment)
    tried_at: Mapped[datetime | None] = mapped_column(Moment)


class DeviceOffer(Base):
    """The root key under a code that one device of a person shows to another; `wrap` goes when it is given."""

    __tablename__ = "device_offer"

    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), primary_key=True)
    name: Mapped[str] = mapped_column(Id)
    wrap: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    ends_at: Mapped[datetime] = mapped_column(Moment)
    # The session it was given to: one that becomes a new device with it.
    given_to: Mapped[str | None] = mapped_column(Id)


class RecoveryRead(Base):
    """Each time wraps were handed to a device without a certificate; five a day by default."""

    __tablename__ = "recovery_read"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), index=True)
    at: Mapped[datetime] = mapped_column(Moment)


class KeyVault(Base):
    """A person's seeds under the user root key (docs/protocol.md section 2); replaced by compare-and-swap on rev."""

    __tablename__ = "key_vault"

    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), primary_key=True)
    rev: Mapped[int] = mapped_column(Integer)
    vault: Mapped[dict[str, Any]] = mapped_column(JSON)
    set_at: Mapped[datetime] = mapped_column(Moment)


class AccountStop(Base):
    """Somebody pressed "Something is wrong": no key of the account changes until this ends (portal/accounts/stops.py).

    `asked_at`: when the person, signed in anew, asked for the end; `checked`: how staff made sure who it is.
    """

    __tablename__ = "account_stop"
    __table_args__ = (Index("ix_account_stop_account", "account_id", "ended_at"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    at: Mapped[datetime] = mapped_column(Moment)
    asked_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_by: Mapped[str | None] = mapped_column(Id)
    checked: Mapped[str | None] = mapped_column(String(12))


class SealedObject(Base):
    """A draft, pin list, kept head or setting under its owner's key (docs/protocol.md section 8)."""

    __tablename__ = "sealed_object"
    __table_args__ = (Index("ix_sealed_object_updated", "owner", "kind", "updated_at"),)

    owner: Mapped[str] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(24), primary_key=True)
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    rev: Mapped[int] = mapped_column(Integer)
    h: Mapped[str] = mapped_column(Text)
    sig: Mapped[str] = mapped_column(String(128))
    ct: Mapped[bytes] = mapped_column(LargeBinary)
    updated_at: Mapped[datetime] = mapped_column(Moment)
