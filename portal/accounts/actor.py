"""Who acts: the account behind a request with everything policy asks about it, loaded in one query."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Select, and_, bindparam, or_, select
from sqlalchemy.orm import Session

from portal.accounts.roles import STAFF, Kind, Role, Scope
from portal.accounts.tables import Account, Relation
from portal.audit import Agent, Purpose
from portal.core import clock
from portal.core.database import table_of
from portal.core.errors import NotSignedIn
from portal.core.prepared import Prepared, Row
from portal.identity.tables import LoginSession

_ACCOUNTS = table_of(Account)
_RELATIONS = table_of(Relation)
_SESSIONS = table_of(LoginSession)


def _asking(which: ColumnElement[bool]) -> Select[Any]:
    # A row for each relation that holds now, one without where there is none.
    return (
        select(
            *(_ACCOUNTS.c[name] for name in ("id", "role", "pharmacy_id", "language", "display_name")),
            *(_ACCOUNTS.c[name] for name in ("disabled_at", "ends_at")),
            *(_RELATIONS.c[name] for name in ("patient_id", "kind", "scope", "starts_at", "id")),
        )
        .select_from(
            _ACCOUNTS.outerjoin(
                _RELATIONS,
                and_(
                    _RELATIONS.c.account_id == _ACCOUNTS.c.id,
                    _RELATIONS.c.starts_at <= bindparam("moment"),
                    or_(_RELATIONS.c.ends_at.is_(None), _RELATIONS.c.ends_at > bindparam("moment")),
                ),
            )
        )
        .where(which)
    )


_BY_ID = Prepared(_asking(_ACCOUNTS.c.id == bindparam("account_id")))
# To be asked together with the session (`identity.session_rows.Finding`); `actor_of` reads the answers.
QUESTION = _asking(
    _ACCOUNTS.c.id
    == select(_SESSIONS.c.account_id).where(_SESSIONS.c.id_hash == bindparam("id_hash")).scalar_subquery()
)

# Where the relation begins in a row.
_RELATION = 7


@dataclass(frozen=True)
class ActingFor:
    """A patient the actor acts for now, how the two are related, and what the relation reaches."""

    patient_id: str
    kind: str
    scope: str

    def reaches(self, scope: Scope) -> bool:
        """Whether acts of `scope` are covered."""
        return Scope(self.scope).reaches(scope)


@dataclass(frozen=True)
class Actor:
    """The first argument of every domain act. Relations that have ended or not begun are not in `acting`."""

    account_id: str
    role: Role
    pharmacy_id: str | None
    acting: tuple[ActingFor, ...]
    agent: Agent
    auth_time: datetime | None
    device_id: str | None
    language: str
    name: str = ""

    @property
    def staff(self) -> bool:
        """Whether the actor works at a pharmacy."""
        return self.role in STAFF and self.pharmacy_id is not None

    def relation(self, patient_id: str) -> ActingFor | None:
        """How the actor may act for a patient now; None when not at all."""
        return next((acting for acting in self.acting if acting.patient_id == patient_id), None)

    @property
    def purpose(self) -> Purpose:
        """Why the actor acts, for the audit record: staff to treat, everybody else on the patient's own request."""
        return Purpose.TREAT if self.staff else Purpose.PATRQT

    def on_behalf(self, patient_id: str | None) -> str | None:
        """The relation's kind for the audit record when the actor acts for somebody else; None for oneself."""
        relation = self.relation(patient_id) if patient_id else None
        return relation.kind if relation is not None and relation.kind != Kind.SELF else None


class Login(Protocol):
    """What a session knows of its login (portal/identity); `ref` names the session, never its secret id."""

    @property
    def ref(self) -> str: ...
    @property
    def auth_time(self) -> datetime | None: ...
    @property
    def device_id(self) -> str | None: ...


def load_actor(
    session: Session,
    account_id: str,
    *,
    login: Login | None = None,
    address: str | None = None,
    request_id: str | None = None,
) -> Actor:
    """The actor behind an account, in one query.

    Raises NotSignedIn when the account is unknown, disabled or past its last day.
    """
    rows = _BY_ID.rows(session, {"account_id": account_id, "moment": clock.now()})
    return actor_of(rows, login=login, address=address, request_id=request_id)


def actor_of(
    rows: Sequence[Row], *, login: Login | None = None, address: str | None = None, request_id: str | None = None
) -> Actor:
    """The actor that the answers to `QUESTION` tell of. Raises what `load_actor` raises."""
    if not rows:
        raise NotSignedIn("session-ended")
    account_id, role, pharmacy_id, language, name, disabled_at, ends_at, *_ = rows[0]
    if disabled_at is not None or (ends_at is not None and ends_at <= clock.now()):
        raise NotSignedIn("session-ended")
    return Actor(
        account_id=account_id,
        role=Role(role),
        pharmacy_id=pharmacy_id,
        acting=_one_each([row[_RELATION:] for row in rows if row[_RELATION] is not None]),
        agent=Agent(
            account_id=account_id,
            role=role,
            session_ref=login.ref if login is not None else None,
            address=address,
            request_id=request_id,
        ),
        auth_time=login.auth_time if login is not None else None,
        device_id=login.device_id if login is not None else None,
        language=language,
        name=name,
    )


def one_at_a_time(session: Session, *account_ids: str) -> None:
    """Let one transaction after the other count what an account has, so that several at once do not pass a bound.

    Of several accounts the one with the lowest id first. Only PostgreSQL needs it; SQLite has one writer. What refers
    to an account is not held up (`FOR NO KEY UPDATE`).
    """
    for account_id in sorted(set(account_ids)):
        session.execute(select(Account.id).where(Account.id == account_id).with_for_update(key_share=True))


def _one_each(relations: Sequence[Row]) -> tuple[ActingFor, ...]:
    # Oneself comes first, then the order of beginning; of two relations to one patient the wider counts.
    first: dict[str, ActingFor] = {}
    for patient_id, kind, scope, _, _ in sorted(relations, key=lambda row: (row[1] != Kind.SELF, row[3], row[4])):
        known = first.get(patient_id)
        if known is None or not known.reaches(Scope(scope)):
            first[patient_id] = ActingFor(patient_id, kind, scope)
    return tuple(first.values())
