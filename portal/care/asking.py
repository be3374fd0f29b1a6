"""Asking to be found, for a patient without an invitation: the pharmacy looks in its EHR and says yes or no.

Whoever asks hears the same words whether the EHR knows the person or not, and nothing of a record is shown before
staff have compared it. What was typed is sealed under the operator's key and deleted when the pharmacy has decided, the
person takes it back, or two weeks have passed. A yes is an invitation that is used at once (accounts/invitations.py).
"""

import json
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, func, select, tuple_, update
from sqlalchemy.orm import Session

from portal.accounts import invitations, names, notices, patients, policy, stops
from portal.accounts.actor import Actor, one_at_a_time
from portal.accounts.tables import Account, MatchRequest
from portal.audit import Action, Agent, Entity, Purpose, record
from portal.care import inviting
from portal.care.inviting import Candidate
from portal.care.matching import open_record
from portal.care.readers import EhrReaders, address_of, answering
from portal.core import clock, ids
from portal.core.database import Database
from portal.core.errors import BadInput, Conflict, NotFound, TooMany
from portal.core.lives import Life, Step
from portal.core.secrets_box import CannotOpen, SecretsBox
from portal.ehr.model import Patient
from portal.ehr.reading import folded_words, words_fit
from portal.notify.words import Template
from portal.outbox import Job, enqueue
from portal.pharmacies import care, checklist, profiles
from portal.pharmacies.tables import EhrConnection

# The job that tells who asked; payload {account}. The answer stands on the page.
ANSWER_JOB = "notice.match"
LIVES = timedelta(days=14)
A_DAY = timedelta(days=1)
# Of one account, and from one address, in a day; and waiting at one pharmacy.
MOST_OF_ACCOUNT = 3
MOST_OF_ADDRESS = 20
MOST_WAITING = 500
LONGEST_NAME = 120
LONGEST_NUMBER = 40
PAGE = 25


class State(StrEnum):
    """Where a request stands."""

    WAITING = "waiting"
    CONFIRMED = "confirmed"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class Event(StrEnum):
    """What moves a request."""

    ASK = "a person asks"
    CONFIRM = "staff confirm a record"
    DECLINE = "staff decline"
    WITHDRAW = "the person takes it back"
    RUN_OUT = "its time is over"


LIFE: Life[State, Event] = Life(
    "request to be matched",
    (
        Step(None, Event.ASK, State.WAITING),
        Step(State.WAITING, Event.CONFIRM, State.CONFIRMED),
        Step(State.WAITING, Event.DECLINE, State.DECLINED),
        Step(State.WAITING, Event.WITHDRAW, State.WITHDRAWN),
        Step(State.WAITING, Event.RUN_OUT, State.EXPIRED),
    ),
)


class Reason(StrEnum):
    """Why staff decline. Who asked hears one sentence for all of them."""

    NOT_FOUND = "not-found"
    DIFFERS = "differs"
    NOT_SURE = "not-sure"


class Agrees(StrEnum):
    """Whether what was typed is what the EHR has."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Asked:
    """What the person typed. `born` as ISO date; `prescription` or `phone` may be empty, not both."""

    name: str
    born: str
    prescription: str = ""
    phone: str = ""


@dataclass(frozen=True)
class Compared:
    """A record of the EHR beside what was typed."""

    candidate: Candidate
    name: Agrees
    born: Agrees
    phone: Agrees
    prescription: Agrees


@dataclass(frozen=True)
class Case:
    """A request as staff see it: who asks by which account, what was typed, and whom the EHR knows by that."""

    row: MatchRequest
    account: str
    asked: Asked
    found: tuple[Compared, ...]


def box(secret_keys: tuple[str, ...]) -> SecretsBox:
    """What seals the typed words, bound to (request id, pharmacy)."""
    return SecretsBox(secret_keys, "match-request")


def state_of(row: MatchRequest) -> State:
    """Where a request stands now; nothing waits for a timer."""
    if row.withdrawn_at is not None:
        return State.WITHDRAWN
    if row.decided_at is not None:
        return State.CONFIRMED if row.reason is None else State.DECLINED
    return State.WAITING if row.expires_at > clock.now() else State.EXPIRED


def ask(session: Session, *, actor: Actor, pharmacy_id: str, asked: Asked, sealing: SecretsBox) -> str:
    """Ask a pharmacy to find the actor's record: the request's id. An open one there is replaced by the new one.

    Raises Forbidden for anybody but patients and for who is stopped, NotFound for a pharmacy that is not offered,
    BadInput `match-request` naming the field in `extra`, TooMany `match-later` beyond the bounds of an account, an
    address or a pharmacy.
    """
    policy.allow_ask_to_be_matched(actor)
    stops.hold(session, actor.account_id)
    if pharmacy_id not in checklist.offered(session, profiles.everyone(session)):
        raise NotFound("unknown-pharmacy")
    _check(asked)
    address = ids.digest(f"address:{actor.agent.address or ''}")
    _check_bounds(session, actor, pharmacy_id, address)
    for row in session.scalars(_of_account(actor.account_id).where(MatchRequest.pharmacy_id == pharmacy_id)).all():
        if state_of(row) is State.WAITING:
            _withdraw(session, actor, row)
    row = MatchRequest(
        id=ids.random_id(),
        pharmacy_id=pharmacy_id,
        account_id=actor.account_id,
        address=address,
        created_at=clock.now(),
        expires_at=clock.now() + LIVES,
    )
    row.asked = sealing.seal(json.dumps(asdict(asked)), row.id, pharmacy_id)
    session.add(row)
    _note(session, Action.MATCH_ASKED, actor.agent, row)
    return row.id


def own(session: Session, *, actor: Actor) -> list[MatchRequest]:
    """The requests of the actor, the newest first."""
    policy.allow_ask_to_be_matched(actor)
    return list(session.scalars(_of_account(actor.account_id).limit(PAGE)))


def withdraw(session: Session, *, actor: Actor, request_id: str) -> None:
    """Take the own request back. Raises NotFound, Conflict `match-over`."""
    policy.allow_ask_to_be_matched(actor)
    row = session.get(MatchRequest, request_id, with_for_update=True)
    if row is None or row.account_id != actor.account_id:
        raise NotFound()
    if LIFE.after(state_of(row), Event.WITHDRAW) is None:
        raise Conflict("match-over")
    _withdraw(session, actor, row)


def take_back(session: Session, *, actor: Actor) -> None:
    """An emergency stop: what waits for an answer is taken back, as somebody else may have asked."""
    rows = session.scalars(
        select(MatchRequest)
        .where(MatchRequest.account_id == actor.account_id, *_is_waiting())
        .order_by(MatchRequest.id)
        .with_for_update()
    ).all()
    for row in rows:
        _withdraw(session, actor, row)


def waiting(
    session: Session, *, actor: Actor, pharmacy_id: str, sealing: SecretsBox, after: str | None = None
) -> tuple[list[tuple[MatchRequest, Asked]], str | None]:
    """The requests that wait at a pharmacy, the oldest first, and where the next page begins. Each that is shown is on
    record. Raises NotFound, Forbidden."""
    policy.allow_invite(actor, pharmacy_id=pharmacy_id)
    wanted = select(MatchRequest).where(MatchRequest.pharmacy_id == pharmacy_id, *_is_waiting())
    if after is not None:
        seen = session.get(MatchRequest, after)
        if seen is None or seen.pharmacy_id != pharmacy_id:
            raise NotFound()
        wanted = wanted.where(tuple_(MatchRequest.created_at, MatchRequest.id) > (seen.created_at, seen.id))
    rows = session.scalars(wanted.order_by(MatchRequest.created_at, MatchRequest.id).limit(PAGE + 1)).all()
    shown = [(row, asked) for row in rows[:PAGE] if (asked := _opened(row, sealing)) is not None]
    for row, _ in shown:
        _note_seen(session, actor, row)
    return shown, rows[PAGE - 1].id if len(rows) > PAGE else None


def _note_seen(session: Session, actor: Actor, row: MatchRequest) -> None:
    """Who asks is no patient of the portal yet, but has typed a name and a day of birth."""
    record(
        session,
        Action.PATIENT_LOOKED_UP,
        agent=actor.agent,
        pharmacy_id=row.pharmacy_id,
        entity=Entity("MatchRequest", row.id),
        detail={"query": "request"},
    )


def look(
    database: Database,
    readers: EhrReaders,
    *,
    actor: Actor,
    pharmacy_id: str,
    request_id: str,
    sealing: SecretsBox,
) -> Case:
    """One request beside the people whom the EHR knows by what was typed; it and each one shown are on record.

    Raises NotFound, Forbidden, Conflict `match-over`, Unavailable when the EHR is down.
    """
    with database.transaction() as session:
        row = _waiting_row(session, actor, pharmacy_id, request_id)
        asked = _opened(row, sealing)
        if asked is not None:
            _note_seen(session, actor, row)
        account = session.get_one(Account, row.account_id).display_name
        address = address_of(session, EhrConnection.pharmacy_id == pharmacy_id)
    if asked is None:
        raise Conflict("match-over")
    reader = readers.reader(address)
    with answering():
        people = {one.id: one for one in reader.find_by_name(asked.name, date.fromisoformat(asked.born))}
        if asked.phone:
            people |= {one.id: one for one in reader.find_by_phone(asked.phone)}
        holders = reader.holders_of(asked.prescription) if asked.prescription else None
    shown = list(people.values())[: inviting.MOST_SHOWN]
    candidates = inviting.shown(database, actor, pharmacy_id, address, shown, "match")
    compared = [_compare(asked, people[one.fhir_id], one, holders) for one in candidates]
    return Case(row, account, asked, tuple(sorted(compared, key=_how_many, reverse=True)))


def confirm(
    database: Database, readers: EhrReaders, *, actor: Actor, pharmacy_id: str, request_id: str, fhir_id: str
) -> None:
    """Join who asked to a record, and begin the pharmacy's care.

    Raises what `look` and `matching.open_record` raise, Forbidden `keys-stopped`, Conflict `patient-has-account` or
    `self-already-bound`.
    """
    with database.reading() as session:
        asker = _waiting_row(session, actor, pharmacy_id, request_id).account_id
    address, _ = open_record(database, readers, pharmacy_id=pharmacy_id, fhir_id=fhir_id)
    with database.transaction() as session:
        # Accounts before requests, as an emergency stop locks them; who asked and is stopped now asks no longer.
        one_at_a_time(session, actor.account_id, asker)
        stops.hold(session, actor.account_id)
        row = _waiting_row(session, actor, pharmacy_id, request_id)
        known = patients.known_as(session, connection_id=address.id, fhir_id=fhir_id)
        if known is not None and known.id in names.selves(session, [known.id]):
            raise Conflict("patient-has-account")
        redeemed = invitations.join(
            session,
            agent=actor.agent,
            account_id=row.account_id,
            pharmacy_id=pharmacy_id,
            connection_id=address.id,
            fhir_id=fhir_id,
        )
        care.start(
            session,
            agent=actor.agent,
            patient_id=redeemed.patient_id,
            pharmacy_id=pharmacy_id,
            source=care.Source.MATCHED,
        )
        _decide(session, actor, row, Action.MATCH_CONFIRMED, redeemed.patient_id)


def decline(session: Session, *, actor: Actor, pharmacy_id: str, request_id: str, reason: Reason) -> None:
    """Say no. Raises NotFound, Forbidden, Conflict `match-over`."""
    row = _waiting_row(session, actor, pharmacy_id, request_id)
    row.reason = reason.value
    _decide(session, actor, row, Action.MATCH_DECLINED, None)


def forget_typed(session: Session) -> None:
    """Delete what was typed for requests whose time is over."""
    session.execute(
        update(MatchRequest)
        .where(MatchRequest.expires_at <= clock.now(), MatchRequest.asked.is_not(None))
        .values(asked=None)
    )


class AnswerNotice(notices.AccountMail):
    """The handler of `ANSWER_JOB`: says that a request was answered and where the answer stands, nothing else."""

    def __call__(self, job: Job) -> None:
        """Raises Retry when the mail server does not answer, Dead for a refused mailbox."""
        with self._database.reading() as session:
            account = session.get(Account, str(job.payload["account"]))
        self.tell(job, account, Template.REQUEST_ANSWERED, next="/match")


def _check(asked: Asked) -> None:
    right = {
        "name": bool(folded_words(asked.name)) and len(asked.name) <= LONGEST_NAME,
        "day": _is_day(asked.born),
        "prescription": bool(asked.prescription or asked.phone) and len(asked.prescription) <= LONGEST_NUMBER,
        "phone": len(asked.phone) <= LONGEST_NUMBER,
    }
    wrong = [field for field, fine in right.items() if not fine]
    if wrong:
        raise BadInput("match-request", extra={"field": wrong[0]})


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text) <= clock.now().date()
    except ValueError:
        return False


def _check_bounds(session: Session, actor: Actor, pharmacy_id: str, address: str) -> None:
    recent = MatchRequest.created_at > clock.now() - A_DAY
    bounds: tuple[tuple[int, tuple[ColumnElement[bool], ...]], ...] = (
        (MOST_OF_ACCOUNT, (MatchRequest.account_id == actor.account_id, recent)),
        (MOST_OF_ADDRESS, (MatchRequest.address == address, recent)),
        (MOST_WAITING, (MatchRequest.pharmacy_id == pharmacy_id, *_is_waiting())),
    )
    for most, which in bounds:
        if (session.scalar(select(func.count()).select_from(MatchRequest).where(*which)) or 0) >= most:
            raise TooMany("match-later")


def _of_account(account_id: str) -> Select[MatchRequest]:
    return (
        select(MatchRequest)
        .where(MatchRequest.account_id == account_id)
        .order_by(MatchRequest.created_at.desc(), MatchRequest.id.desc())
    )


def _is_waiting() -> tuple[ColumnElement[bool], ...]:
    return (
        MatchRequest.decided_at.is_(None),
        MatchRequest.withdrawn_at.is_(None),
        MatchRequest.expires_at > clock.now(),
    )


def _waiting_row(session: Session, actor: Actor, pharmacy_id: str, request_id: str) -> MatchRequest:
    policy.allow_invite(actor, pharmacy_id=pharmacy_id)
    row = session.get(MatchRequest, request_id, with_for_update=True)
    if row is None or row.pharmacy_id != pharmacy_id:
        raise NotFound()
    if state_of(row) is not State.WAITING:
        raise Conflict("match-over")
    return row


def _opened(row: MatchRequest, sealing: SecretsBox) -> Asked | None:
    """What was typed; None where it is deleted, or sealed under a key that is gone."""
    if row.asked is None:
        return None
    try:
        return Asked(**json.loads(sealing.open(row.asked, row.id, row.pharmacy_id)))
    except CannotOpen:
        return None


def _withdraw(session: Session, actor: Actor, row: MatchRequest) -> None:
    row.withdrawn_at, row.asked = clock.now(), None
    _note(session, Action.MATCH_WITHDRAWN, actor.agent, row)


def _decide(session: Session, actor: Actor, row: MatchRequest, action: Action, patient_id: str | None) -> None:
    row.decided_at, row.decided_by, row.asked = clock.now(), actor.account_id, None
    _note(session, action, actor.agent, row, patient_id)
    enqueue(session, ANSWER_JOB, {"account": row.account_id}, pharmacy_id=row.pharmacy_id)


def _compare(asked: Asked, one: Patient, candidate: Candidate, holders: frozenset[str] | None) -> Compared:
    known = folded_words(one.full_name)
    same_name = words_fit(folded_words(asked.name), known)
    return Compared(
        candidate,
        name=_agrees(same_name),
        born=_agrees(one.birth_date == asked.born),
        phone=_agrees(one.has_phone(asked.phone)) if asked.phone and one.phones else Agrees.UNKNOWN,
        prescription=Agrees.UNKNOWN if holders is None else _agrees(one.id in holders),
    )


def _agrees(yes: bool) -> Agrees:
    return Agrees.YES if yes else Agrees.NO


def _how_many(one: Compared) -> int:
    return [one.name, one.born, one.phone, one.prescription].count(Agrees.YES)


def _note(session: Session, action: Action, agent: Agent, row: MatchRequest, patient_id: str | None = None) -> None:
    record(
        session,
        action,
        agent=agent,
        patient_id=patient_id,
        pharmacy_id=row.pharmacy_id,
        entity=Entity("MatchRequest", row.id),
        purpose=Purpose.HOPERAT if agent.account_id != row.account_id else Purpose.PATRQT,
        detail={"account": row.account_id, **({"why": row.reason} if row.reason is not None else {})},
    )
