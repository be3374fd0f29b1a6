"""Accounts of people who were invited and have not come: there to be listed and keyed ahead, closed to all else.

Such a row has no issuer, so that no login finds it, and is closed like one that was disabled, so that whatever asks for
an open account passes it by. The first login by the invitation puts its issuer and subject on it (docs/decisions/0013);
when the invitation ends without one, nobody comes in by the row any more.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, exists
from sqlalchemy.orm import Session

from portal.accounts import ahead
from portal.accounts.roles import ClosedBy, Role
from portal.accounts.tables import Account, DirectoryEntry
from portal.core import clock

_NO_ISSUER = ""
# Accounts whose person has signed in at least once.
CAME = Account.issuer != _NO_ISSUER


def make(
    session: Session,
    *,
    account_id: str,
    invitation_id: str,
    role: Role,
    pharmacy_id: str,
    name: str,
    language: str,
    until: datetime,
) -> None:
    """The row of somebody who is invited; it waits `until` the invitation ends."""
    now = clock.now()
    session.add(
        Account(
            id=account_id,
            issuer=_NO_ISSUER,
            subject=f"invitation:{invitation_id}",
            role=role.value,
            pharmacy_id=pharmacy_id,
            display_name=name,
            language=language,
            role_claimed=False,
            pharmacy_claimed=False,
            created_at=now,
            disabled_at=now,
            closed_by=ClosedBy.INVITED.value,
            ends_at=until,
        )
    )


def has_come(account: Account) -> bool:
    """`CAME` for a row that is at hand."""
    return account.issuer != _NO_ISSUER


def is_awaited(account: Account) -> bool:
    """Whether the person may still come by the invitation."""
    return account.closed_by == ClosedBy.INVITED and account.ends_at is not None and account.ends_at > clock.now()


def awaited() -> ColumnElement[bool]:
    """`is_awaited` in a query."""
    return and_(Account.closed_by == ClosedBy.INVITED.value, Account.ends_at > clock.now())


def close(session: Session, account_id: str) -> bool:
    """The invitation ended without a first login: keys made ahead are over. Whether the row was still awaited."""
    account = session.get_one(Account, account_id, with_for_update={"key_share": True})
    if account.closed_by != ClosedBy.INVITED:
        return False
    account.closed_by = ClosedBy.NEVER_CAME.value
    ahead.end(session, account_id)
    return True


def forget(session: Session, account_ids: list[str]) -> None:
    """Delete the rows of people who never came, but for those who stand in a signed record of a team."""
    session.execute(
        delete(Account).where(Account.id.in_(account_ids), ~CAME, ~exists().where(DirectoryEntry.id == Account.id))
    )
