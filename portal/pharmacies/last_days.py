"""The last day of work of somebody who is at a pharmacy for a while: no login and no session from the day after.

The day is one of the pharmacy's zone; kept is the midnight that ends it. Sessions look at it themselves
(portal.identity.sessions); the worker closes the account and takes its seats away, so that the members' browsers change
the teams' keys.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.roles import ClosedBy
from portal.accounts.tables import Account
from portal.audit import Action, Agent, Entity, Purpose, record
from portal.core import clock
from portal.core.bus import Bus
from portal.core.database import Database
from portal.identity import sessions
from portal.identity.sessions import EndedBy
from portal.pharmacies import teams
from portal.pharmacies.tables import Pharmacy

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


def end_due(database: Database, bus: Bus, *, limit: int = 50) -> int:
    """Close the accounts whose last day has passed: sessions end, seats are without access. Returns how many.

    The worker calls it several times a minute; it writes only when there is something to write.
    """
    wanted = select(Account.id).where(Account.ends_at <= clock.now(), Account.disabled_at.is_(None)).limit(limit)
    with database.reading() as session:
        due = list(session.scalars(wanted))
    for account_id in due:
        with database.transaction() as session:
            concerned = _close(session, bus, account_id)
        # Open browsers of who is left make the next generation of the team's key.
        for team, account in concerned:
            bus.publish(f"account:{account}", {"kind": "account", "account": account, "team": team})
    return len(due)


def _close(session: Session, bus: Bus, account_id: str) -> list[tuple[str, str]]:
    account = session.get(Account, account_id, with_for_update=True)
    # The day may have been moved since it was looked at.
    if account is None or account.disabled_at is not None or account.ends_at is None or account.ends_at > clock.now():
        return []
    account.disabled_at, account.closed_by = clock.now(), ClosedBy.LAST_DAY.value
    session.flush()
    machine = Agent(None, None)
    sessions.end_all(session, bus, account_id, EndedBy.LAST_DAY, agent=machine)
    changed = teams.withdraw(session, account_id, why=EndedBy.LAST_DAY.value)
    session.flush()
    record(
        session,
        Action.STAFF_ENDED,
        agent=machine,
        pharmacy_id=account.pharmacy_id,
        entity=Entity("Account", account_id),
        purpose=Purpose.HOPERAT,
        detail={"teams": changed},
    )
    return [(team, member) for team in changed for member in teams.members(session, team)]
