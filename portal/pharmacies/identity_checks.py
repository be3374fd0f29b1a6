"""How a pharmacy made sure who somebody is that started again with new keys, before old conversations open to them.

Three ways, one of which is chosen and goes on record: in person; by calling back at the number that the EHR has; or by
waiting a day, with notices to everybody who knew the person before: the mail address now and the one before, and all
who act for the same patients. Anybody with such a notice says no by its link, without signing in; then only seeing or
calling the person is left. A check counts for the keys it was made for: who starts again once more is checked anew.

The server takes no epoch that lets the person in without a check (portal/threads/rekey.py). What readers verify is who
vouched (docs/protocol.md section 5); how they made sure is the pharmacy's word, and stands in the audit record.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from portal.accounts import notices, policy, recovery, relations, stops
from portal.accounts.actor import Actor, one_at_a_time
from portal.accounts.roles import Scope
from portal.accounts.tables import Account, DirectoryEntry
from portal.audit import Action, Agent, Entity, Purpose, record
from portal.core import clock, ids
from portal.core.database import table_of
from portal.core.errors import Conflict, Forbidden, NotFound
from portal.core.lives import Life, Step
from portal.core.together import among
from portal.notify.words import Template, moment
from portal.outbox import Job, enqueue
from portal.pharmacies import care, teams
from portal.pharmacies.tables import IdentityCheck, Pharmacy

# The job that tells somebody who knew the person; payload {account, check, earlier?}.
NOTICE_JOB = "notice.identity"
# Long enough for a mail to be read and the pharmacy to be called on a working day.
WAIT = timedelta(hours=24)


class How(StrEnum):
    """How a pharmacy makes sure who somebody is."""

    IN_PERSON = "in-person"
    CALL_BACK = "call-back"
    WAITED = "waited"


class State(StrEnum):
    """Where a check stands."""

    WAITING = "waiting"
    OBJECTED = "objected"
    PASSED = "passed"


class Event(StrEnum):
    """What happens to a check."""

    SEEN = "seen or called back"
    WAIT = "notices are sent"
    OBJECTED = "somebody objects"
    DAY_OVER = "a day has passed"


LIFE: Life[State, Event] = Life(
    "identity check",
    (
        Step(None, Event.SEEN, State.PASSED),
        Step(None, Event.WAIT, State.WAITING),
        Step(State.WAITING, Event.SEEN, State.PASSED),
        Step(State.WAITING, Event.OBJECTED, State.OBJECTED),
        Step(State.WAITING, Event.DAY_OVER, State.PASSED),
        Step(State.OBJECTED, Event.SEEN, State.PASSED),
    ),
)


@dataclass(frozen=True)
class Check:
    """How far a pharmacy is with somebody. `until`: when the waiting ends."""

    state: State
    how: How
    until: datetime | None


_CHECKS = table_of(IdentityCheck)
# To be asked together with what a thread needs (portal/threads/rekey.py); `passed` reads the answers.
QUESTION: Select[Any] = select(
    *(_CHECKS.c[name] for name in ("account_id", "gen", "how", "made_at", "objected_at"))
).where(among(_CHECKS.c.account_id, "people"), _CHECKS.c.pharmacy_id == bindparam("pharmacy_id"))


def passed(rows: Iterable[Sequence[Any]], started: Mapping[str, int]) -> frozenset[str]:
    """Of those who started again, each with the generation of the newest start: who has passed a check since."""
    found: dict[str, list[Any]] = {}
    for account_id, gen, how, made_at, objected_at in rows:
        if gen == started.get(account_id):
            found.setdefault(account_id, []).append((how, made_at, objected_at))
    return frozenset(id for id, some in found.items() if _judge(some).state is State.PASSED)


def of(session: Session, *, actor: Actor, account_id: str) -> Check | None:
    """How far the actor's pharmacy is with somebody's newest start. Raises NotFound, Forbidden."""
    gen = _gen(session, actor, account_id)
    rows = _rows(session, account_id, str(actor.pharmacy_id), gen)
    return _judge([(row.how, row.made_at, row.objected_at) for row in rows]) if rows else None


def make(session: Session, *, actor: Actor, account_id: str, how: How) -> Check:
    """Say how it was made sure who somebody is, or begin to wait: old messages open by it.

    A login alone says nothing, as the login may be what was stolen: it takes a fresh one at a browser with the keys of
    somebody who sits in a team there, and has not begun those keys anew since.

    Raises NotFound for whoever did not start again or is not in care; Forbidden for who may not vouch, `not-in-team`,
    `device-needed`, `recovery-first` or `keys-stopped`; StepUpNeeded; Conflict `check-objected` for waiting after
    somebody said no, or while the person is stopped. Waiting for what has passed or waits already changes nothing.
    """
    gen = _gen(session, actor, account_id)
    if not teams.sits_with_known_keys(session, actor.account_id, str(actor.pharmacy_id)):
        raise Forbidden("not-in-team")
    one_at_a_time(session, actor.account_id, account_id)
    recovery.needs_own_keys(session, actor=actor)
    pharmacy_id = str(actor.pharmacy_id)
    rows = _rows(session, account_id, pharmacy_id, gen)
    there = _judge([(row.how, row.made_at, row.objected_at) for row in rows]) if rows else None
    if there is not None and (there.state is State.PASSED or (how is How.WAITED and there.state is State.WAITING)):
        return there
    if how is How.WAITED and (there is not None or stops.standing(session, account_id) is not None):
        raise Conflict("check-objected")
    row = IdentityCheck(
        id=ids.random_id(),
        account_id=account_id,
        pharmacy_id=pharmacy_id,
        gen=gen,
        how=how.value,
        made_by=actor.account_id,
        made_at=clock.now(),
        objection=ids.token(32) if how is How.WAITED else None,
    )
    session.add(row)
    session.flush()
    _note(session, actor.agent, Action.IDENTITY_CHECKED, row)
    if how is How.WAITED:
        _tell(session, row)
    return _judge([(row.how, row.made_at, row.objected_at)])


def objecting(session: Session, objection: str) -> State | None:
    """Where the check stands that a mail's link is about; None for a link that never was, or is of no use any more."""
    row = _by_objection(session, objection)
    return None if row is None else _judge([(row.how, row.made_at, row.objected_at)]).state


def object_to(session: Session, *, objection: str, address: str | None, request_id: str | None) -> None:
    """Somebody with the link of a notice says no: the waiting opens nothing. Twice is once; after the day it is late.

    Raises NotFound for a link that never was, Conflict `check-over` when the day has passed.
    """
    row = _by_objection(session, objection, lock=True)
    if row is None:
        raise NotFound()
    if row.objected_at is not None:
        return
    if row.made_at + WAIT <= clock.now():
        raise Conflict("check-over")
    row.objected_at = clock.now()
    _note(session, Agent(None, None, address=address, request_id=request_id), Action.IDENTITY_OBJECTED, row)


def take_back(session: Session, *, actor: Actor) -> None:
    """An emergency stop is a no to every waiting for the actor's own new keys."""
    rows = session.scalars(
        select(IdentityCheck)
        .where(
            IdentityCheck.account_id == actor.account_id,
            IdentityCheck.how == How.WAITED,
            IdentityCheck.objected_at.is_(None),
            IdentityCheck.made_at > clock.now() - WAIT,
        )
        .order_by(IdentityCheck.id)
        .with_for_update()
    ).all()
    for row in rows:
        row.objected_at = clock.now()
        _note(session, actor.agent, Action.IDENTITY_OBJECTED, row)


def waiting_for(session: Session, *, actor: Actor) -> list[tuple[str, datetime]]:
    """What waits now for an objection of the actor's: of the own keys, or of somebody who reads for the same patients.

    As (what the link carries, until when). Whoever may not read messages has no say over who reads them.
    """
    patients = [one.patient_id for one in actor.acting if one.reaches(Scope.MESSAGES)]
    known = {account for some in relations.accounts_of(session, patients).values() for account, _ in some}
    known.add(actor.account_id)
    rows = session.scalars(
        select(IdentityCheck).where(
            IdentityCheck.account_id.in_(sorted(known)),
            IdentityCheck.how == How.WAITED,
            IdentityCheck.objected_at.is_(None),
            IdentityCheck.made_at > clock.now() - WAIT,
        )
    )
    return [(row.objection, row.made_at + WAIT) for row in rows if row.objection is not None]


class IdentityNotice(notices.AccountMail):
    """The handler of `NOTICE_JOB`: that old messages open to new keys tomorrow, and the link that says no."""

    def __call__(self, job: Job) -> None:
        """Raises Retry when the mail server does not answer, Dead for a refused mailbox."""
        with self._database.reading() as session:
            row = session.get(IdentityCheck, str(job.payload["check"]))
            account = session.get(Account, str(job.payload["account"]))
            zone = session.get_one(Pharmacy, row.pharmacy_id).time_zone if row is not None else "UTC"
        if row is None or account is None or row.objection is None:
            return
        if row.objected_at is not None or row.made_at + WAIT <= clock.now():
            return
        self.tell(
            job,
            account,
            Template.OLD_MESSAGES,
            next="/account",
            earlier=bool(job.payload.get("earlier")),
            until=moment(row.made_at + WAIT, account.time_zone or zone),
            objection=f"{self._base_url}/objection/{row.objection}",
        )


def _gen(session: Session, actor: Actor, account_id: str) -> int:
    """The generation of somebody's newest start, if the actor may say who they are. The role comes first."""
    policy.allow_check_identity(actor)
    patients = sorted(relations.patients_of(session, [account_id]).get(account_id, set()))
    caring = care.in_care_of(session, pharmacy_id=str(actor.pharmacy_id), patient_ids=patients)
    gen = session.scalar(
        select(DirectoryEntry.gen)
        .where(DirectoryEntry.id == account_id, DirectoryEntry.reset)
        .order_by(DirectoryEntry.n.desc())
        .limit(1)
    )
    if gen is None or not caring:
        raise NotFound()
    return gen


def _rows(session: Session, account_id: str, pharmacy_id: str, gen: int) -> list[IdentityCheck]:
    wanted = select(IdentityCheck).where(
        IdentityCheck.account_id == account_id, IdentityCheck.pharmacy_id == pharmacy_id, IdentityCheck.gen == gen
    )
    return list(session.scalars(wanted))


def _by_objection(session: Session, objection: str, *, lock: bool = False) -> IdentityCheck | None:
    wanted = select(IdentityCheck).where(IdentityCheck.objection == objection)
    return session.scalar(wanted.with_for_update() if lock else wanted)


def _judge(rows: Iterable[tuple[str, datetime, datetime | None]]) -> Check:
    """What some rows of one start come to: whoever was seen or called has passed, whatever was said before."""
    waited: Check | None = None
    for how, made_at, objected_at in rows:
        if how != How.WAITED:
            return Check(State.PASSED, How(how), None)
        over = made_at + WAIT <= clock.now()
        state = State.OBJECTED if objected_at is not None else State.PASSED if over else State.WAITING
        waited = Check(state, How.WAITED, made_at + WAIT)
    if waited is None:
        raise ValueError("nothing to judge")
    return waited


def _tell(session: Session, row: IdentityCheck) -> None:
    """Everybody who knew the person: now and before, and who acts for the same patients."""
    patients = sorted(relations.patients_of(session, [row.account_id]).get(row.account_id, set()))
    known = {account for some in relations.accounts_of(session, patients).values() for account, _ in some}
    for account in sorted(known | {row.account_id}):
        enqueue(session, NOTICE_JOB, {"account": account, "check": row.id})
    if notices.earlier_address(session.get(Account, row.account_id)) is not None:
        enqueue(session, NOTICE_JOB, {"account": row.account_id, "check": row.id, "earlier": True})


def _note(session: Session, agent: Agent, action: Action, row: IdentityCheck) -> None:
    # On the pages "who looked" of those whose conversations the person reads; one row also when there are none by now.
    patients: list[str | None] = [*sorted(relations.patients_of(session, [row.account_id]).get(row.account_id, set()))]
    for patient_id in patients or [None]:
        record(
            session,
            action,
            agent=agent,
            patient_id=patient_id,
            pharmacy_id=row.pharmacy_id,
            entity=Entity("Account", row.account_id),
            purpose=Purpose.HSYSADMIN,
            detail={"how": row.how, "gen": row.gen},
        )
