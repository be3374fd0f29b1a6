"""The last day of work of somebody who is at a pharmacy for a while: no login and no session from the day after.

The day is one of the pharmacy's zone; kept is the midnight that ends it. Sessions look at it themselves
(portal.identity.sessions); the worker closes the account (portal.pharmacies.staff.close_past).
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.awaited import CAME
from portal.accounts.tables import Account
from portal.core import clock
from portal.pharmacies.tables import Pharmacy, StaffInvitation

# Who stays longer than this is not here for a while.
FURTHEST = timedelta(days=2 * 366)


def end_of_day(day: date, zone: str) -> datetime:
    """The midnight after `day` in `zone`."""
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC)


def end_of(session: Session, pharmacy_id: str, day: date) -> datetime:
    """The midnight after `day` in the zone of a pharmacy."""
    return end_of_day(day, session.get_one(Pharmacy, pharmacy_id).time_zone)


def day_of(ends_at: datetime, zone: str) -> date:
    """The last day of work that ends at `ends_at`."""
    return (ends_at - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).date()


def can_be(day: date, zone: str) -> bool:
    """Whether somebody's last day can be `day`: today in `zone`, or later, but not years away."""
    today = clock.now().astimezone(ZoneInfo(zone)).date()
    return today <= day <= today + FURTHEST


def follow(session: Session, pharmacy_id: str, *, before: str, now: str) -> None:
    """A pharmacy is in another zone: everybody's last day stays that day, and ends at the midnight of the new zone."""
    ending = select(Account).where(Account.pharmacy_id == pharmacy_id, Account.ends_at.is_not(None), CAME)
    for account in session.scalars(ending.with_for_update()):
        if account.ends_at is not None:
            account.ends_at = end_of_day(day_of(account.ends_at, before), now)
    # An invitation ends with the last day at the latest, and with it the newcomer's row.
    invited = (
        select(StaffInvitation, Account)
        .join(Account, Account.id == StaffInvitation.account_id)
        .where(StaffInvitation.pharmacy_id == pharmacy_id, StaffInvitation.used_at.is_(None))
    )
    for row, account in session.execute(invited.with_for_update()):
        if row.last_day is None:
            continue
        end = end_of_day(row.last_day, now)
        if row.expires_at == end_of_day(row.last_day, before) or row.expires_at > end:
            row.expires_at = account.ends_at = end
