"""Who an account is, for pages that name people: the record of who looked, the privacy officer's search."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.tables import Account


@dataclass(frozen=True)
class Named:
    """An account as other people read it."""

    name: str
    role: str
    pharmacy_id: str | None


def names_of(session: Session, account_ids: Iterable[str]) -> dict[str, Named]:
    """The accounts behind many ids; those that are not there are left out. One query."""
    rows = session.execute(
        select(Account.id, Account.display_name, Account.role, Account.pharmacy_id).where(
            Account.id.in_(sorted(set(account_ids)))
        )
    )
    return {id: Named(name, role, pharmacy_id) for id, name, role, pharmacy_id in rows}
