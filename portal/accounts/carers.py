"""Who acts for a patient: in which scope, and until when; changing and ending it (docs/decisions/0019).

What each scope opens stands in `roles.Scope`; who reads messages also needs a key of the conversation, which the
patient's browser gives or does not give (docs/protocol.md section 5). How somebody comes to it:
`carer_invitations`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import names, notices, policy, relations, stops, telling
from portal.accounts.actor import Actor, one_at_a_time
from portal.accounts.roles import INVITED_TO, Kind, Scope
from portal.accounts.tables import Account, CarerConsent, Relation
from portal.core import clock
from portal.core.database import Database
from portal.core.errors import BadInput, NotFound, Unprocessable
from portal.notify.mail import Mailer
from portal.notify.notices import MailJob
from portal.notify.one_tap import OneTap
from portal.notify.words import Template, moment
from portal.outbox import Job, enqueue

# The job that tells somebody by mail; payload {account, what, at}.
NOTICE_JOB = "carer.notice"
# Both sides are told so long before an access ends by itself.
WARN_BEFORE = timedelta(days=30)

# How somebody may stand to who invites them. A parent and a guardian act for a child: only until it comes of age.
KINDS = (Kind.CARER, Kind.CHILD, Kind.PARENT, Kind.GUARDIAN)
UNTIL_OF_AGE = frozenset({Kind.PARENT, Kind.GUARDIAN})


class What(StrEnum):
    """What somebody is told by mail of who acts for whom: never about whom, never in which scope."""

    CHANGED = "carer-changed"
    ENDS_SOON = "carer-ends-soon"


@dataclass(frozen=True)
class Circumstances:
    """What an invitation's end depends on: the zone of its days, the patient's birth date, and the age of majority."""

    zone: str
    of_age: int
    born: date | None


@dataclass(frozen=True)
class Access:
    """Somebody who acts for the patient now."""

    relation_id: str
    account_id: str
    name: str
    kind: str
    scope: str
    since: datetime
    ends_at: datetime | None
    by_age: bool
    # The pharmacy that let them in on a Consent; None where the patient did.
    pharmacy_id: str | None


def own_patient(actor: Actor) -> str | None:
    """The patient that the actor is in person; None for who only acts for others."""
    return next((one.patient_id for one in actor.acting if one.kind == Kind.SELF), None)


def comes_of_age(born: date, years: int, zone: str) -> datetime:
    """The midnight that begins the birthday on which somebody is of age. Born on 29 February: on 1 March."""
    try:
        day = born.replace(year=born.year + years)
    except ValueError:
        day = date(born.year + years, 3, 1)
    return datetime.combine(day, time(), ZoneInfo(zone))


def end_of(kind: Kind, last_day: date | None, where: Circumstances) -> tuple[datetime | None, bool]:
    """When an access ends, and whether that is by age. Raises BadInput, Unprocessable."""
    wanted = None
    if last_day is not None:
        if not clock.now().date() <= last_day <= clock.now().date() + timedelta(days=3660):
            raise BadInput("carer-invitation", extra={"field": "last_day"})
        wanted = datetime.combine(last_day + timedelta(days=1), time(), ZoneInfo(where.zone))
    if wanted is not None and wanted <= clock.now():
        raise BadInput("carer-invitation", extra={"field": "last_day"})
    if kind not in UNTIL_OF_AGE:
        return wanted, False
    if where.born is None:
        raise Unprocessable("carer-birth-date")
    limit = comes_of_age(where.born, where.of_age, where.zone)
    # A parent of somebody who is grown up acts like anybody else.
    if limit <= clock.now() or (wanted is not None and wanted <= limit):
        return wanted, False
    return limit, True


def acting(session: Session, *, actor: Actor, patient_id: str) -> list[Access]:
    """Who else acts for the patient now, the longest first. Raises NotFound."""
    policy.allow_carers(actor, patient_id=patient_id)
    rows = [one for one in relations.live(session, patient_id=patient_id) if one.account_id != actor.account_id]
    known = names.names_of(session, [one.account_id for one in rows])
    on = select(CarerConsent.id, CarerConsent.pharmacy_id).where(CarerConsent.patient_id == patient_id)
    holders = dict(session.execute(on).all())
    return [
        Access(
            relation_id=one.id,
            account_id=one.account_id,
            name=known[one.account_id].name,
            kind=one.kind,
            scope=one.scope,
            since=one.starts_at,
            ends_at=one.ends_at,
            by_age=one.by_age,
            pharmacy_id=holders[one.consent_id] if one.consent_id is not None else None,
        )
        for one in rows
        if one.account_id in known
    ]


def change(
    session: Session, *, actor: Actor, relation_id: str, scope: str, last_day: date | None, where: Circumstances
) -> None:
    """Widen, narrow, prolong or shorten what somebody may do. More, or longer, asks for a fresh login.

    The end by age stays where it is, and a Consent is the most that there can be. Raises NotFound, StepUpNeeded,
    BadInput `carer-invitation` (`scope`, `last_day`), Unprocessable `carer-birth-date`.
    """
    relation = _access(session, actor, relation_id)
    wanted = next((one for one in (*INVITED_TO, Scope(relation.scope)) if one.value == scope), None)
    if wanted is None:
        raise BadInput("carer-invitation", extra={"field": "scope"})
    ends_at, by_age = end_of(Kind(relation.kind), last_day, where)
    if relation.consent_id is not None:
        consent = session.get_one(CarerConsent, relation.consent_id)
        if not Scope(consent.scope).reaches(wanted):
            raise BadInput("carer-invitation", extra={"field": "scope"})
        if consent.ends_at is not None and (ends_at is None or consent.ends_at < ends_at):
            ends_at, by_age = consent.ends_at, False
    longer = relation.ends_at is not None and (ends_at is None or ends_at > relation.ends_at)
    shorter = ends_at is not None and (relation.ends_at is None or ends_at < relation.ends_at)
    if longer or not Scope(relation.scope).reaches(wanted):
        policy.needs_step_up(actor)
        stops.hold(session, actor.account_id)
        relation.refused_at = None
    if shorter or not wanted.reaches(Scope(relation.scope)):
        relation.refused_at = clock.now()
    relations.change(session, agent=actor.agent, relation=relation, scope=wanted, until=ends_at, by_age=by_age)
    tell(session, [actor.account_id, relation.account_id], What.CHANGED, clock.now())


def end(session: Session, *, actor: Actor, relation_id: str) -> str | None:
    """End what somebody may do, at once. Gives the id of the consent it rested on, if any. Raises NotFound."""
    relation = _access(session, actor, relation_id)
    relation.refused_at = clock.now()
    relations.end(session, agent=actor.agent, relation_id=relation.id)
    tell(session, [actor.account_id, relation.account_id], What.CHANGED, clock.now())
    return relation.consent_id


def give_up(session: Session, *, actor: Actor, patient_id: str) -> None:
    """Act for a patient no longer, by one's own will. Raises NotFound; nobody gives up being oneself."""
    found = relations.live(session, account_id=actor.account_id, patient_id=patient_id)
    if not found or any(one.kind == Kind.SELF for one in found):
        raise NotFound()
    for one in found:
        relations.end(session, agent=actor.agent, relation_id=one.id)
    patients = names.own_accounts(session, patient_id)
    tell(session, [actor.account_id, *patients], What.CHANGED, clock.now())


@dataclass(frozen=True)
class Help:
    """For whom the reader acts, until when; `over`: it has ended with the child's coming of age."""

    patient_id: str
    kind: str
    scope: str
    ends_at: datetime | None
    by_age: bool
    over: bool


def helping(session: Session, *, actor: Actor) -> list[Help]:
    """Whom the actor acts for, and for a month those who have come of age meanwhile."""
    now = clock.now()
    rows = [one for one in relations.live(session, account_id=actor.account_id) if one.kind != Kind.SELF]
    rows += session.scalars(
        select(Relation)
        .where(
            Relation.account_id == actor.account_id,
            Relation.by_age.is_(True),
            Relation.ends_at <= now,
            Relation.ends_at > now - WARN_BEFORE,
            Relation.patient_id.not_in([one.patient_id for one in rows]),
        )
        .order_by(Relation.ends_at.desc(), Relation.id)
    ).all()
    return [
        Help(
            patient_id=one.patient_id,
            kind=one.kind,
            scope=one.scope,
            ends_at=one.ends_at,
            by_age=one.by_age,
            over=one.ends_at is not None and one.ends_at <= now,
        )
        for one in rows
    ]


def warn_of_ends(session: Session) -> int:
    """Tell both sides of each access that ends within thirty days, once; how many there were."""
    now = clock.now()
    near = session.scalars(
        select(Relation)
        .where(
            Relation.kind != Kind.SELF,
            Relation.warned_at.is_(None),
            Relation.ends_at > now,
            Relation.ends_at <= now + WARN_BEFORE,
        )
        .order_by(Relation.id)
        .with_for_update(skip_locked=True)
    ).all()
    for one in near:
        one.warned_at = now
        # One that was made for less than that was known to be short.
        if one.ends_at is not None and one.ends_at - one.starts_at > WARN_BEFORE:
            patients = names.own_accounts(session, one.patient_id)
            tell(session, [one.account_id, *patients], What.ENDS_SOON, one.ends_at)
    return len(near)


class CarerNotice(MailJob):
    """The handler of `NOTICE_JOB`: that something about who acts for whom has changed or ends soon; not what."""

    def __init__(self, database: Database, mailer: Mailer, base_url: str, one_tap: OneTap) -> None:
        super().__init__(database, mailer, base_url)
        self._one_tap = one_tap

    def __call__(self, job: Job) -> None:
        """Raises Retry when the mail server does not answer, Dead for a refused mailbox."""
        template = Template(job.payload["what"])
        # That something has changed may be the work of somebody else, so it is always told, and at once.
        reminds = template is Template.CARER_ENDS_SOON
        kind, channel = telling.Kind.REMINDER, telling.Channel.MAIL
        with self._database.reading() as session:
            account = session.get(Account, str(job.payload["account"]))
            wanted = not reminds or telling.wants(session, str(job.payload["account"]), kind, channel)
        to = notices.address(account, earlier=False)
        if account is None or to is None:
            return
        if not wanted:
            return
        values = {"when": moment(datetime.fromisoformat(job.payload["at"]), account.time_zone or "UTC")}
        if reminds:
            if (quiet := telling.quiet_until(account)) is not None:
                with self._database.transaction() as session:
                    enqueue(session, NOTICE_JOB, dict(job.payload), due_at=quiet)
                return
            values["stop"] = self._one_tap.link(account.id, kind, channel)
        self.send(job, template, account.language, to=to, next="/carers", **values)
        with self._database.transaction() as session:
            notices.note_sent(session, account.id, template)


def tell(session: Session, account_ids: Iterable[str], what: What, at: datetime) -> None:
    for account_id in sorted(set(account_ids)):
        told = {"account": account_id, "what": what.value, "at": at.isoformat(timespec="seconds")}
        enqueue(session, NOTICE_JOB, told)


def _access(session: Session, actor: Actor, relation_id: str) -> Relation:
    seen = session.get(Relation, relation_id)
    if seen is None:
        raise NotFound()
    policy.allow_carers(actor, patient_id=seen.patient_id)
    # Whoever takes up another code at this moment is waited for: accounts are locked before relations there as well.
    one_at_a_time(session, actor.account_id, seen.account_id)
    relation = session.get_one(Relation, relation_id, with_for_update=True, populate_existing=True)
    over = relation.ends_at is not None and relation.ends_at <= clock.now()
    if over or relation.kind == Kind.SELF:
        raise NotFound()
    return relation
