"""Relations between accounts and patients: who may act for whom, in what scope, from when until when."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from portal.accounts.roles import Kind, Scope, scopes_reaching
from portal.accounts.tables import Account, Patient, Relation
from portal.audit import Action, Agent, Entity, Purpose, record
from portal.core import clock, ids
from portal.core.errors import BadInput, NotFound


def bind(
    session: Session,
    *,
    agent: Agent,
    account_id: str,
    patient_id: str,
    kind: Kind,
    scope: Scope = Scope.ALL,
    until: datetime | None = None,
    pharmacy_id: str | None = None,
) -> Relation:
    """Let an account act for a patient from now on; a live relation of the two is replaced, an equal one kept.

    Raises NotFound for an unknown account or patient, BadInput for an end that is not ahead.
    """
    if session.get(Account, account_id) is None or session.get(Patient, patient_id) is None:
        raise NotFound()
    if until is not None and until <= clock.now():
        raise BadInput("until")
    for known in live(session, account_id=account_id, patient_id=patient_id):
        if (known.kind, known.scope, known.ends_at) == (kind, scope, until):
            return known
        _end(session, known, agent=agent, pharmacy_id=pharmacy_id)
    relation = Relation(
        id=ids.random_id(),
        account_id=account_id,
        patient_id=patient_id,
        kind=kind.value,
        scope=scope.value,
        starts_at=clock.now(),
        ends_at=until,
    )
    session.add(relation)
    record(
        session,
        Action.RELATION_BOUND,
        agent=agent,
        patient_id=patient_id,
        pharmacy_id=pharmacy_id,
        entity=Entity("Account", account_id),
        purpose=Purpose.PATRQT,
        detail={"kind": kind.value, "scope": scope.value},
    )
    return relation


def end(session: Session, *, agent: Agent, relation_id: str, pharmacy_id: str | None = None) -> None:
    """End a relation now. Raises NotFound when there is none that lives."""
    relation = session.get(Relation, relation_id)
    if relation is None or (relation.ends_at is not None and relation.ends_at <= clock.now()):
        raise NotFound()
    _end(session, relation, agent=agent, pharmacy_id=pharmacy_id)


def change(
    session: Session, *, agent: Agent, relation: Relation, scope: Scope, until: datetime | None, by_age: bool = False
) -> None:
    """Widen, narrow, prolong or shorten a relation that lives; without a change nothing is written.

    `by_age`: the end is the patient's coming of age. Raises BadInput for an end that is not ahead.
    """
    if until is not None and until <= clock.now():
        raise BadInput("until")
    if (relation.scope, relation.ends_at) == (scope, until):
        return
    detail = {"kind": relation.kind, "scope": scope.value, "was": relation.scope}
    relation.scope, relation.ends_at, relation.by_age, relation.warned_at = scope.value, until, by_age, None
    record(
        session,
        Action.RELATION_CHANGED,
        agent=agent,
        patient_id=relation.patient_id,
        entity=Entity("Account", relation.account_id),
        purpose=Purpose.PATRQT,
        detail=detail,
    )


def live(session: Session, *, account_id: str | None = None, patient_id: str | None = None) -> list[Relation]:
    """The relations that hold now, of an account, of a patient, or of both."""
    moment = clock.now()
    wanted = select(Relation).where(
        Relation.starts_at <= moment, or_(Relation.ends_at.is_(None), Relation.ends_at > moment)
    )
    if account_id is not None:
        wanted = wanted.where(Relation.account_id == account_id)
    if patient_id is not None:
        wanted = wanted.where(Relation.patient_id == patient_id)
    return list(session.scalars(wanted.order_by(Relation.starts_at, Relation.id)))


def refused_at(session: Session, *, account_id: str, patient_id: str) -> datetime | None:
    """When the patient last ended or narrowed what this account may do; None: never, or she has widened it since."""
    return session.scalar(
        select(func.max(Relation.refused_at)).where(
            Relation.patient_id == patient_id, Relation.account_id == account_id
        )
    )


def accounts_of(
    session: Session, patient_ids: list[str], *, scope: Scope = Scope.MESSAGES
) -> dict[str, list[tuple[str, str]]]:
    """For each patient the (account id, kind) of all who act for them now in `scope` and may sign in. One query."""
    moment = clock.now()
    rows = session.execute(
        select(Relation.patient_id, Relation.account_id, Relation.kind)
        .join(Account, Account.id == Relation.account_id)
        .where(
            Relation.patient_id.in_(patient_ids),
            Relation.starts_at <= moment,
            or_(Relation.ends_at.is_(None), Relation.ends_at > moment),
            Relation.scope.in_(scopes_reaching(scope)),
            Account.disabled_at.is_(None),
        )
        .order_by(Relation.starts_at, Relation.id)
    )
    found: dict[str, list[tuple[str, str]]] = {patient_id: [] for patient_id in patient_ids}
    for patient_id, account_id, kind in rows:
        found[patient_id].append((account_id, kind))
    return found


def is_somebody_else(session: Session, *, patient_id: str, account_id: str) -> bool:
    """Whether another account is the patient in person and may sign in. Asked before an account becomes the patient.

    The patient's row is locked: of several accounts at once, the second sees the first.
    """
    session.execute(select(Patient.id).where(Patient.id == patient_id).with_for_update())
    acting = accounts_of(session, [patient_id])[patient_id]
    return any(kind == Kind.SELF and other != account_id for other, kind in acting)


def patients_of(session: Session, account_ids: list[str], *, kind: Kind | None = None) -> dict[str, set[str]]:
    """For each account the patients it acts for now, or is (`kind` self). One query."""
    moment = clock.now()
    wanted = select(Relation.account_id, Relation.patient_id).where(
        Relation.account_id.in_(account_ids),
        Relation.starts_at <= moment,
        or_(Relation.ends_at.is_(None), Relation.ends_at > moment),
    )
    if kind is not None:
        wanted = wanted.where(Relation.kind == kind)
    found: dict[str, set[str]] = {}
    for account_id, patient_id in session.execute(wanted):
        found.setdefault(account_id, set()).add(patient_id)
    return found


def ever(session: Session, patient_id: str) -> frozenset[str]:
    """Everyone who acts or has acted for a patient at any time."""
    return frozenset(session.scalars(select(Relation.account_id).where(Relation.patient_id == patient_id)))


def keep_past(session: Session, *, patient_id: str, to: str, account_ids: Collection[str]) -> None:
    """Who has acted for a patient has a past with another one who takes over conversations; it gives no access.

    Whoever verifies a conversation asks for the keys of all who were in it, and gets those of people with such a past.
    """
    for one in session.scalars(
        select(Relation)
        .where(Relation.patient_id == patient_id, Relation.account_id.in_(account_ids))
        .order_by(Relation.starts_at, Relation.id)
    ).all():
        session.add(
            Relation(
                id=ids.random_id(),
                account_id=one.account_id,
                patient_id=to,
                kind=one.kind,
                scope=one.scope,
                starts_at=one.starts_at,
                ends_at=min(one.ends_at or clock.now(), clock.now()),
            )
        )
    session.flush()


def _end(session: Session, relation: Relation, *, agent: Agent, pharmacy_id: str | None) -> None:
    # Ended before its time: not by age.
    relation.ends_at, relation.by_age = clock.now(), False
    record(
        session,
        Action.RELATION_ENDED,
        agent=agent,
        patient_id=relation.patient_id,
        pharmacy_id=pharmacy_id,
        entity=Entity("Account", relation.account_id),
        purpose=Purpose.PATRQT,
        detail={"kind": relation.kind},
    )
