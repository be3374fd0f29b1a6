"""Invitations of carers: a patient, or a pharmacy on a Consent, asks somebody to act for the patient, yes or no.

An invitation goes to somebody who proves one of two things: the code that was handed over, or a login whose verified
mail address is exactly the invited one, as for staff (docs/decisions/0013, 0019). What comes of a yes: `carers`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from portal.accounts import carers, consents, names, policy, relations, stops
from portal.accounts.actor import Actor, one_at_a_time
from portal.accounts.carers import KINDS, Circumstances, What
from portal.accounts.roles import INVITED_TO, Kind, Scope
from portal.accounts.tables import Account, CarerConsent, CarerInvitation, Patient, Relation
from portal.audit import Action, Agent, Outcome, Purpose, record
from portal.core import clock, ids
from portal.core.errors import BadInput, Conflict, NotFound, TooMany, Unprocessable
from portal.core.lives import Life, Step
from portal.notify.mail import normal_address
from portal.notify.notices import MailJob
from portal.notify.words import Template, moment
from portal.outbox import Job, enqueue

# The job that sends the mail of an invitation; payload {invitation}.
MAIL_JOB = "carer.invitation"
CODE_BITS = 80
LIVES = timedelta(days=14)
MOST_OPEN = 10
MOST_CARERS = 20
# Made and taken back counts too: an invitation is a mail to somebody who has not asked for it.
MOST_A_DAY = 20
MOST_MAILS = 4
BETWEEN_MAILS = timedelta(minutes=10)
SHOWN_AFTER_END = timedelta(days=30)
LONGEST_NAME = 120


class State(StrEnum):
    """Where an invitation stands."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    REVOKED = "revoked"
    EXPIRED = "expired"


class Event(StrEnum):
    """What moves an invitation."""

    INVITE = "the patient invites"
    AGAIN = "sent again, or a new code"
    ACCEPT = "accepts"
    DECLINE = "declines"
    REVOKE = "taken back"
    RUN_OUT = "its time is over"


LIFE: Life[State, Event] = Life(
    "carer invitation",
    (
        Step(None, Event.INVITE, State.OPEN),
        Step(State.OPEN, Event.AGAIN, State.OPEN),
        Step(State.OPEN, Event.ACCEPT, State.ACCEPTED),
        Step(State.OPEN, Event.DECLINE, State.DECLINED),
        Step(State.OPEN, Event.REVOKE, State.REVOKED),
        Step(State.OPEN, Event.RUN_OUT, State.EXPIRED),
        Step(State.EXPIRED, Event.AGAIN, State.OPEN),
    ),
)


@dataclass(frozen=True)
class Newcomer:
    """Who is invited, as what, to what, until when. `mail` None: by a code to hand over. `last_day` is included."""

    name: str
    mail: str | None
    kind: str
    scope: str
    last_day: date | None = None


@dataclass(frozen=True)
class Offer:
    """An invitation as who is invited reads it."""

    id: str
    # None where a pharmacy asks for somebody without an account: the portal keeps no names of patients.
    patient_name: str | None
    # Of who asks, where it is staff.
    pharmacy_id: str | None
    kind: str
    scope: str
    ends_at: datetime | None
    by_age: bool
    expires_at: datetime


def state_of(row: CarerInvitation) -> State:
    """Where an invitation stands now; nothing waits for a timer."""
    if row.used_at is not None:
        return State.ACCEPTED
    if row.declined_at is not None:
        return State.DECLINED
    if row.revoked_at is not None:
        return State.REVOKED
    return State.OPEN if row.expires_at > clock.now() else State.EXPIRED


def invite(
    session: Session, *, actor: Actor, patient_id: str, newcomer: Newcomer, where: Circumstances
) -> tuple[str, str | None]:
    """Invite somebody: (invitation id, code to hand over; None where a mail goes). Asks for a fresh login.

    Raises NotFound, StepUpNeeded, Forbidden `keys-stopped`; BadInput `carer-invitation` naming the field in `extra`;
    Unprocessable `carer-birth-date` where an age limit cannot be found out; Conflict `carer-invited`; TooMany.
    """
    policy.allow_carers(actor, patient_id=patient_id)
    return make(session, actor=actor, patient_id=patient_id, newcomer=newcomer, where=where)


def make(
    session: Session,
    *,
    actor: Actor,
    patient_id: str,
    newcomer: Newcomer,
    where: Circumstances,
    consent: CarerConsent | None = None,
) -> tuple[str, str | None]:
    """`invite` for a caller that has asked policy. On a `consent` nobody gets more, or for longer, than it says.

    Raises what `invite` raises.
    """
    policy.needs_step_up(actor)
    stops.hold(session, actor.account_id)
    # Locked, so that the bounds are counted by one at a time.
    session.get_one(Patient, patient_id, with_for_update=True)
    mail, kind, scope = _checked(newcomer)
    if consent is not None and not Scope(consent.scope).reaches(scope):
        raise BadInput("carer-invitation", extra={"field": "scope"})
    ends_at, by_age = carers.end_of(kind, newcomer.last_day, where)
    if consent is not None and consent.ends_at is not None and (ends_at is None or consent.ends_at < ends_at):
        ends_at, by_age = consent.ends_at, False
    _check_new(session, patient_id, mail)
    now = clock.now()
    code = ids.hand_code(CODE_BITS) if mail is None else None
    row = CarerInvitation(
        id=ids.random_id(),
        patient_id=patient_id,
        invited_by=actor.account_id,
        consent_id=consent.id if consent is not None else None,
        name=newcomer.name.strip(),
        code_hash=ids.hand_code_digest(code) if code is not None else None,
        mail=mail,
        kind=kind.value,
        scope=scope.value,
        ends_at=ends_at,
        by_age=by_age,
        created_at=now,
        expires_at=_expiry(ends_at),
        mails=0,
        asked_at=now,
    )
    session.add(row)
    _ask_for_mail(session, row)
    consents.note_invitation(session, actor.agent, Action.CARER_INVITED, row, {"kind": row.kind, "scope": row.scope})
    if consent is not None:
        carers.tell(session, names.own_accounts(session, patient_id), What.CHANGED, now)
    return row.id, code


def _expiry(ends_at: datetime | None) -> datetime:
    """Until when an invitation waits for an answer: never longer than what it gives lasts."""
    longest = clock.now() + LIVES
    return longest if ends_at is None else min(longest, ends_at)


def send_again(session: Session, *, actor: Actor, invitation_id: str) -> str | None:
    """Send the mail once more, or make a new code: the one before opens nothing any more. Asks for a fresh login.

    Raises NotFound, StepUpNeeded, Conflict `carer-invitation-over`, TooMany.
    """
    # The account first: an emergency stop takes the row back, and locks in this order.
    one_at_a_time(session, actor.account_id)
    row = _own(session, actor, invitation_id)
    if row.consent_id is not None:
        # Whose invitation it is hands out the code; the patient takes it back, or leaves it.
        raise NotFound()
    policy.needs_step_up(actor)
    stops.hold(session, actor.account_id)
    if LIFE.after(state_of(row), Event.AGAIN) is None or (row.ends_at is not None and row.ends_at <= clock.now()):
        raise Conflict("carer-invitation-over")
    code = None
    if row.mail is None:
        code = ids.hand_code(CODE_BITS)
        row.code_hash = ids.hand_code_digest(code)
    else:
        wait = row.asked_at + BETWEEN_MAILS - clock.now()
        if row.mails >= MOST_MAILS:
            raise TooMany("invitation-mails")
        if wait > timedelta(0):
            raise TooMany("invitation-mail-soon", retry_after=int(wait.total_seconds()) + 1)
    row.asked_at = clock.now()
    row.expires_at = _expiry(row.ends_at)
    _ask_for_mail(session, row)
    consents.note_invitation(session, actor.agent, Action.CARER_INVITED_AGAIN, row, {})
    return code


def revoke(session: Session, *, actor: Actor, invitation_id: str) -> None:
    """Take an invitation back; one of a pharmacy ends with the consent it rests on, as the patient's own word.

    Raises NotFound, Conflict `carer-invitation-over`.
    """
    seen = session.get(CarerInvitation, invitation_id)
    if seen is None:
        raise NotFound()
    policy.allow_carers(actor, patient_id=seen.patient_id)
    consent = consents.lock(session, seen.consent_id) if seen.consent_id is not None else None
    row = _own(session, actor, invitation_id)
    if LIFE.after(state_of(row), Event.REVOKE) is None:
        raise Conflict("carer-invitation-over")
    if consent is not None:
        consents.end(session, agent=actor.agent, row=consent, why=consents.Ended.PATIENT)
        return
    row.revoked_at = clock.now()
    consents.note_invitation(session, actor.agent, Action.CARER_UNINVITED, row, {})


def invited(session: Session, *, actor: Actor, patient_id: str) -> list[CarerInvitation]:
    """The invitations that nobody has accepted, the newest first; those that are over for a month. Raises NotFound."""
    policy.allow_carers(actor, patient_id=patient_id)
    since = clock.now() - SHOWN_AFTER_END
    return list(
        session.scalars(
            select(CarerInvitation)
            .where(
                CarerInvitation.patient_id == patient_id,
                CarerInvitation.used_at.is_(None),
                CarerInvitation.expires_at > since,
                or_(CarerInvitation.revoked_at.is_(None), CarerInvitation.revoked_at > since),
                or_(CarerInvitation.declined_at.is_(None), CarerInvitation.declined_at > since),
            )
            .order_by(CarerInvitation.created_at.desc(), CarerInvitation.id)
        )
    )


def offers(session: Session, *, actor: Actor) -> list[Offer]:
    """The open invitations to the verified mail address of the actor's account; none for staff."""
    mail = _verified_mail(session, actor)
    if mail is None:
        return []
    rows = session.scalars(
        select(CarerInvitation)
        .where(
            CarerInvitation.mail == mail, CarerInvitation.invited_by != actor.account_id, *consents.is_open(clock.now())
        )
        .order_by(CarerInvitation.created_at, CarerInvitation.id)
    ).all()
    return _offers(session, rows, actor.account_id)


def offered(session: Session, *, actor: Actor, code: str) -> Offer:
    """What a code invites to. Raises Forbidden, Unprocessable `carer-code` (on record): unknown, used or over alike."""
    policy.allow_act_for_others(actor)
    row = session.scalar(
        select(CarerInvitation).where(
            CarerInvitation.code_hash == ids.hand_code_digest(code), *consents.is_open(clock.now())
        )
    )
    if row is None or row.invited_by == actor.account_id:
        raise Unprocessable("carer-code")
    found = _offers(session, [row], actor.account_id)
    if not found:
        raise Unprocessable("carer-code")
    return found[0]


def note_refused(session: Session, *, actor: Actor) -> None:
    """Put a code that led nowhere on record; one that led to the person's own record is none."""
    record(
        session,
        Action.CARER_REFUSED,
        agent=actor.agent,
        outcome=Outcome.SERIOUS,
        reason="carer-code",
        purpose=Purpose.PATRQT,
    )


def accept(session: Session, *, actor: Actor, invitation_id: str, code: str | None = None) -> Relation:
    """Take up an invitation, proven by the code or by the account's verified mail address.

    Raises Forbidden, also `keys-stopped`, Unprocessable `carer-code` for whatever is not open to this person, Conflict
    `carer-acts-already` where the account acts for the patient in another way already.
    """
    row = _offered_to(session, actor, invitation_id, code)
    stops.hold(session, actor.account_id)
    live = relations.live(session, account_id=actor.account_id, patient_id=row.patient_id)
    if any(one.kind == Kind.SELF for one in live):
        raise Conflict("carer-acts-already")
    if row.consent_id is not None and any(one.consent_id is None for one in live):
        # What the patient said herself stands above what a pharmacy has read.
        raise Conflict("carer-helps-already")
    row.used_at, row.used_by = clock.now(), actor.account_id
    relation = relations.bind(
        session,
        agent=actor.agent,
        account_id=actor.account_id,
        patient_id=row.patient_id,
        kind=Kind(row.kind),
        scope=Scope(row.scope),
        until=row.ends_at,
    )
    relation.by_age, relation.consent_id = row.by_age, row.consent_id
    consents.note_invitation(session, actor.agent, Action.CARER_ACCEPTED, row, {"by": row.invited_by})
    carers.tell(session, [actor.account_id, *_askers(session, row)], What.CHANGED, clock.now())
    return relation


def decline(session: Session, *, actor: Actor, invitation_id: str, code: str | None = None) -> None:
    """Say no to an invitation. Raises what `accept` raises for one that is not open to this person."""
    row = _offered_to(session, actor, invitation_id, code)
    row.declined_at = clock.now()
    consents.note_invitation(session, actor.agent, Action.CARER_DECLINED, row, {})
    carers.tell(session, _askers(session, row), What.CHANGED, clock.now())


def undo_all_of(session: Session, *, agent: Agent, account_id: str, patient_id: str) -> list[str]:
    """Whom an account has brought to a patient that it was joined to by mistake; what it has offered ends."""
    rows = session.scalars(
        select(CarerInvitation)
        .where(CarerInvitation.invited_by == account_id, CarerInvitation.patient_id == patient_id)
        .order_by(CarerInvitation.id)
        .with_for_update()
    ).all()
    for row in rows:
        if state_of(row) is State.OPEN:
            row.revoked_at = clock.now()
            consents.note_invitation(session, agent, Action.CARER_UNINVITED, row, {})
    return sorted({row.used_by for row in rows if row.used_by is not None})


def take_back(session: Session, *, actor: Actor) -> None:
    """Take back what an account has offered to anybody: somebody else may have made it (an emergency stop)."""
    for row in session.scalars(
        select(CarerInvitation)
        .where(CarerInvitation.invited_by == actor.account_id, *consents.is_open(clock.now()))
        .order_by(CarerInvitation.id)
        .with_for_update()
    ).all():
        row.revoked_at = clock.now()
        consents.note_invitation(session, actor.agent, Action.CARER_UNINVITED, row, {})


def forget_unused(session: Session) -> None:
    """Delete the invitations that nobody took up, a month after they ended."""
    since = clock.now() - SHOWN_AFTER_END
    over = (CarerInvitation.revoked_at, CarerInvitation.declined_at, CarerInvitation.expires_at)
    session.execute(
        delete(CarerInvitation).where(CarerInvitation.used_at.is_(None), or_(*(moment < since for moment in over)))
    )


class InvitationMail(MailJob):
    """The handler of `MAIL_JOB`: that somebody invites, where to sign in and until when; not who, and nothing else."""

    def __call__(self, job: Job) -> None:
        """Raises Retry when the mail server does not answer, Dead for a refused mailbox."""
        with self._database.reading() as session:
            row = session.get(CarerInvitation, str(job.payload["invitation"]))
            if row is None or state_of(row) is not State.OPEN or row.mail is None or not _vouched_for(session, row):
                return
            inviter = session.get_one(Account, row.invited_by)
        until = moment(row.expires_at, inviter.time_zone or "UTC")
        self.send(job, Template.CARER_INVITED, inviter.language, to=row.mail, next="/carers", until=until)
        with self._database.transaction() as session:
            consents.note_invitation(session, Agent(None, None), Action.NOTICE_SENT, row, {"invitation": row.id})


def _checked(newcomer: Newcomer) -> tuple[str | None, Kind, Scope]:
    mail = normal_address(newcomer.mail) if newcomer.mail is not None else None
    kind = next((one for one in KINDS if one.value == newcomer.kind), None)
    scope = next((one for one in INVITED_TO if one.value == newcomer.scope), None)
    right = {
        "name": 0 < len(newcomer.name.strip()) <= LONGEST_NAME and newcomer.name.strip().isprintable(),
        "mail": newcomer.mail is None or mail is not None,
        "kind": kind is not None,
        "scope": scope is not None,
    }
    wrong = [field for field, fine in right.items() if not fine]
    if wrong or kind is None or scope is None:
        raise BadInput("carer-invitation", extra={"field": wrong[0]})
    return mail, kind, scope


def _check_new(session: Session, patient_id: str, mail: str | None) -> None:
    own = CarerInvitation.patient_id == patient_id
    if mail is not None and session.scalar(
        select(CarerInvitation.id).where(own, CarerInvitation.mail == mail, *consents.is_open(clock.now())).limit(1)
    ):
        raise Conflict("carer-invited")
    made = select(func.count()).select_from(CarerInvitation).where(own)
    waiting = session.scalar(made.where(*consents.is_open(clock.now()))) or 0
    of_today = session.scalar(made.where(CarerInvitation.created_at > clock.now() - timedelta(days=1))) or 0
    there = len(relations.live(session, patient_id=patient_id))
    if waiting >= MOST_OPEN or of_today >= MOST_A_DAY or there + waiting > MOST_CARERS:
        raise TooMany("too-many-invitations")


def _own(session: Session, actor: Actor, invitation_id: str) -> CarerInvitation:
    row = session.get(CarerInvitation, invitation_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise NotFound()
    policy.allow_carers(actor, patient_id=row.patient_id)
    return row


def _offered_to(session: Session, actor: Actor, invitation_id: str, code: str | None) -> CarerInvitation:
    policy.allow_act_for_others(actor)
    seen = session.get(CarerInvitation, invitation_id)
    if seen is None:
        raise Unprocessable("carer-code")
    # Waits for an emergency stop or a closing of either account that is under way; those lock accounts first, too.
    one_at_a_time(session, actor.account_id, seen.invited_by)
    row = session.get(CarerInvitation, invitation_id, with_for_update=True, populate_existing=True)
    if row is None or state_of(row) is not State.OPEN or row.invited_by == actor.account_id:
        raise Unprocessable("carer-code")
    by_code = code is not None and row.code_hash is not None and row.code_hash == ids.hand_code_digest(code)
    by_mail = row.mail is not None and row.mail == _verified_mail(session, actor)
    if not (by_code or by_mail):
        raise Unprocessable("carer-code")
    if not _vouched_for(session, row) or _refused(session, row, actor.account_id):
        raise Unprocessable("carer-code")
    return row


def _refused(session: Session, row: CarerInvitation, account_id: str) -> bool:
    """Whether the patient has ended or narrowed what the account did, and nothing was said since: neither her own
    invitation, nor what a pharmacy's rests on. Her no is about the account, whoever asks it, and on whatever."""
    refused = relations.refused_at(session, account_id=account_id, patient_id=row.patient_id)
    if refused is None:
        return False
    if row.consent_id is None:
        return row.asked_at <= refused
    return not consents.is_later(session.get_one(CarerConsent, row.consent_id).dated, refused)


def _vouched_for(session: Session, row: CarerInvitation) -> bool:
    """Whether who invited may still let somebody in: the account is open, nothing is stopped, it is the patient's own,
    or staff's on a Consent that stands.

    Otherwise a code that a thief made in the patient's account would outlive the stop.
    """
    inviter = session.get_one(Account, row.invited_by, populate_existing=True)
    if row.consent_id is not None:
        consent = session.get_one(CarerConsent, row.consent_id, populate_existing=True)
        return (
            inviter.disabled_at is None and stops.standing(session, row.invited_by) is None and consents.stands(consent)
        )
    own = relations.live(session, account_id=row.invited_by, patient_id=row.patient_id)
    return (
        inviter.disabled_at is None
        and stops.standing(session, row.invited_by) is None
        and any(one.kind == Kind.SELF for one in own)
    )


def _verified_mail(session: Session, actor: Actor) -> str | None:
    account = session.get_one(Account, actor.account_id)
    if actor.staff or not account.email_verified or not account.email:
        return None
    return normal_address(account.email)


def _offers(session: Session, rows: Iterable[CarerInvitation], account_id: str) -> list[Offer]:
    found = [one for one in rows if _vouched_for(session, one) and not _refused(session, one, account_id)]
    asking = names.names_of(session, [one.invited_by for one in found])
    known = names.selves(session, [one.patient_id for one in found])
    return [
        Offer(
            id=one.id,
            patient_name=known.get(one.patient_id, ("", None))[1],
            pharmacy_id=asking[one.invited_by].pharmacy_id,
            kind=one.kind,
            scope=one.scope,
            ends_at=one.ends_at,
            by_age=one.by_age,
            expires_at=one.expires_at,
        )
        for one in found
    ]


def _askers(session: Session, row: CarerInvitation) -> list[str]:
    """Who hears what became of it: the patient who asked, or for whom a pharmacy did."""
    return [row.invited_by] if row.consent_id is None else names.own_accounts(session, row.patient_id)


def _ask_for_mail(session: Session, row: CarerInvitation) -> None:
    if row.mail is None:
        return
    row.mails += 1
    enqueue(session, MAIL_JOB, {"invitation": row.id}, dedupe=f"carer:{row.id}")
