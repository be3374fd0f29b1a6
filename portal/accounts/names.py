"""Who an account is, for pages that name people: the record of who looked, the privacy officer's search."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from portal.accounts.awaited import CAME
from portal.accounts.roles import Kind
from portal.accounts.tables import Account, Relation
from portal.core import clock


@dataclass(frozen=True)
class Named:
    """An account as other people read it."""

    name: str
    role: str
    pharmacy_id: str | None


@dataclass(frozen=True)
class Colleague:
    """Somebody who works at a pharmacy, for a list to pick from."""

    id: str
    name: str
    role: str


def staff_of(session: Session, pharmacy_id: str) -> list[Colleague]:
    """Who works or has worked at a pharmacy, by name; closed accounts too, since they have acted."""
    rows = session.execute(
        select(Account.id, Account.display_name, Account.role)
        .where(Account.pharmacy_id == pharmacy_id, CAME)
        .order_by(Account.display_name, Account.id)
    )
    return [Colleague(*row) for row in rows]


def names_of(session: Session, account_ids: Iterable[str]) -> dict[str, Named]:
    """The accounts behind many ids; those that are not there are left out. One query."""
    rows = session.execute(
        select(Account.id, Account.display_name, Account.role, Account.pharmacy_id).where(
            Account.id.in_(sorted(set(account_ids)))
        )
    )
    return {id: Named(name, role, pharmacy_id) for id, name, role, pharmacy_id in rows}


def selves(session: Session, patient_ids: Iterable[str], *, closed: bool = False) -> dict[str, tuple[str, str]]:
    """The account each patient has of their own, as (id, name); patients without one are left out. One query.

    `closed`: also an account that was disabled, whose name a list still shows.
    """
    moment = clock.now()
    wanted = (
        select(Relation.patient_id, Account.id, Account.display_name)
        .join(Account, Account.id == Relation.account_id)
        .where(
            Relation.patient_id.in_(sorted(set(patient_ids))),
            Relation.kind == Kind.SELF,
            Relation.starts_at <= moment,
            or_(Relation.ends_at.is_(None), Relation.ends_at > moment),
        )
    )
    if not closed:
        wanted = wanted.where(Account.disabled_at.is_(None))
    return {patient_id: (account_id, name) for patient_id, account_id, name in session.execute(wanted)}


def own_accounts(session: Session, patient_id: str) -> list[str]:
    """The ids of the open accounts of one patient in person, as `selves` finds them; none for a child without one."""
    return [account for account, _ in selves(session, [patient_id]).values()]
